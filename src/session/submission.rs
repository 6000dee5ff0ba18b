//! The result files of the official BabyLM pipeline, for the models of an experiment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::failure::{Exit, Failure};
use super::model_job::only_model;
use super::open::Session;
use super::runs_folder::RunsFolder;
use super::spec_text::SpecText;
use crate::data;
use crate::domain::{
    Arch, BackendRule, Cell, Edition, EvalJob, FileSelection, FinetuneJob, Gap, ItemOutcome, Job, JobId, LocatedSource,
    Mode, ModelGaps, Origin, Remote, Score, ScoreRow, ScoringBackend, Size, Source, Suite,
};
use crate::plan::{Decision, Plan, PlannedCell, PlannedJob, Role};
use crate::store::{CellName, Store, StoreError};
use crate::suites;
use crate::suites::official::{self, ResultFile, Submission, Track};

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionFile {
    /// Path below the folder of the submission.
    pub path: String,
    /// Content.
    pub text: String,
}

/// The files of a submission, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmissionFiles {
    /// The files of all models.
    pub files: Vec<SubmissionFile>,
    /// Number of models with files.
    pub models: u64,
    /// Every model with what it lacks.
    pub missing: Vec<ModelGaps>,
    /// The suites whose results are those of the toy world, which has other numbers of items than the official data.
    pub of_world: BTreeSet<Suite>,
}

impl SubmissionFiles {
    /// Whether no model lacks anything.
    pub fn is_complete(&self) -> bool {
        self.missing.iter().all(|model| model.gaps.is_empty())
    }
}

/// An experiment with its scores.
struct ScoredExperiment {
    session: Session,
    scores: Vec<ScoreRow>,
}

/// A model to submit, and the cells that scored it.
struct SubmittedModel {
    name: String,
    cells: Vec<CellName>,
}

/// The results that were collected for a model.
#[derive(Default)]
struct Collected {
    files: Vec<SubmissionFile>,
    submission: Submission,
    /// How the model was scored; `None` before the first zero-shot evaluation.
    backend: Option<ScoringBackend>,
    /// The suites that were evaluated on the toy world.
    of_world: BTreeSet<Suite>,
    /// Results that exist but cannot be submitted.
    problems: Vec<Gap>,
}

/// Collects the result files and the collated file of each model of `target`: an experiment, all of whose cells are
/// meant, or a job with a model.
///
/// # Errors
/// A target that does not exist or is ambiguous; data that cannot be read; the refusals of [`Session::open`]; errors of
/// the database. Missing pieces are no error.
pub async fn collect_submission(
    folder: &RunsFolder,
    target: &str,
    edition: Edition,
    track: Track,
) -> Result<SubmissionFiles, Failure> {
    let store = folder.open_existing().await?;
    let models = submitted_models(&store, target).await?;
    let mut experiments: BTreeMap<String, ScoredExperiment> = BTreeMap::new();
    for CellName { experiment, .. } in models.iter().flat_map(|model| &model.cells) {
        if !experiments.contains_key(experiment) {
            experiments.insert(experiment.clone(), scored_experiment(folder, &store, experiment).await?);
        }
    }
    let mut result = SubmissionFiles::default();
    for SubmittedModel { name, cells } in models {
        let mut collected = Collected::default();
        for CellName { experiment, label } in &cells {
            collect_cell(&store, &experiments[experiment], label, edition, &mut collected).await?;
        }
        let Collected { files, submission, backend, of_world, mut problems } = collected;
        problems.extend(submission.missing(edition, track));
        result.of_world.extend(of_world);
        if !files.is_empty() || !submission.is_empty() {
            result.models += 1;
            let (path, text) = submission.file(edition, track, backend.unwrap_or(ScoringBackend::Causal));
            let collated = SubmissionFile { path, text };
            let below = |SubmissionFile { path, text }: SubmissionFile| SubmissionFile {
                path: format!("results/{name}/{path}"),
                text,
            };
            result.files.extend(files.into_iter().chain([collated]).map(below));
        }
        result.missing.push(ModelGaps { model: name, gaps: problems });
    }
    store.close().await;
    Ok(result)
}

/// The cells of an experiment, each a model; or the model of a job, with every cell that scored it.
async fn submitted_models(store: &Store, target: &str) -> Result<Vec<SubmittedModel>, Failure> {
    match store.experiment(Some(target)).await {
        Ok(stored) => {
            let experiment = stored.experiment.name;
            let model = |label: String| SubmittedModel {
                name: folder_name(&label),
                cells: vec![CellName { experiment: experiment.clone(), label }],
            };
            Ok(store.cell_labels(&experiment).await?.into_iter().map(model).collect())
        }
        Err(StoreError::UnknownExperiment { .. }) => {
            let job = only_model(target, store.model_jobs(target).await?)?;
            let cells = store.cells_of_model(job.id).await?;
            Ok(vec![SubmittedModel { name: folder_name(&job.label), cells }])
        }
        Err(error) => Err(error.into()),
    }
}

/// A name for a folder. It has no dot, because the official scripts take the text after the last dot for an extension.
fn folder_name(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect()
}

async fn scored_experiment(folder: &RunsFolder, store: &Store, name: &str) -> Result<ScoredExperiment, Failure> {
    let spec = SpecText::stored(store.experiment(Some(name)).await?.experiment);
    let grid = spec.grid()?;
    let session = Session::open(&folder.path, spec, grid, Some(store)).await?;
    Ok(ScoredExperiment { session, scores: store.scores(name).await? })
}

/// Adds what an experiment knows of the model of one of its cells.
async fn collect_cell(
    store: &Store,
    experiment: &ScoredExperiment,
    label: &str,
    edition: Edition,
    collected: &mut Collected,
) -> Result<(), Failure> {
    let ScoredExperiment { session, scores } = experiment;
    let planned = session.plan.cells.iter().zip(&session.grid.cells);
    let Some((planned, cell)) = planned.into_iter().find(|(planned, _)| planned.key.label() == label) else {
        return Ok(());
    };
    for job in evaluations(&session.plan, planned) {
        let id = &job.id;
        if session.decisions.get(id) != Some(&Decision::Reuse) {
            let subject = format!("{} {} is not done", job.job.kind(), job.label);
            collected.problems.push(Gap::new(subject, format!("`grid resume {}`", session.plan.name)));
            continue;
        }
        let id = id.to_string();
        let outcomes = store.items(std::slice::from_ref(&id)).await?;
        let outcomes = outcomes.get(&id).map_or(&[][..], Vec::as_slice);
        // Those of a milestone are in the cell of the model without tuning.
        let rows = || scores.iter().filter(|row| row.job == id);
        let shown_in = rows().find(|row| row.cell == label).or_else(|| rows().next()).map(|row| &row.cell);
        let scores: Vec<&Score> = rows().filter(|row| Some(&row.cell) == shown_in).map(|row| &row.score).collect();
        match &job.job {
            Job::Eval(eval) => {
                let arch = session.facts.model(&session.plan, &eval.model).map_or(Arch::Llama, |model| model.arch);
                add_evaluation(edition, eval, arch, job, cell, outcomes, &scores, collected)?;
            }
            Job::Finetune(finetune) => add_finetuning(edition, finetune, job, outcomes, &scores, collected),
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Tune(_) => {}
        }
    }
    Ok(())
}

/// The evaluations of the model of a cell, and those of the milestones of the pretraining that it comes from.
fn evaluations<'p>(plan: &'p Plan, cell: &'p PlannedCell) -> Vec<&'p PlannedJob> {
    let of_role = |role: Role| cell.jobs.iter().filter(move |(_, known)| *known == role).map(|(id, _)| id);
    let own = of_role(Role::Eval).filter_map(|id| plan.job(id));
    let ancestors: BTreeSet<&JobId> = of_role(Role::Ancestor).collect();
    let of_milestones = plan.jobs().filter(|planned| match &planned.job {
        Job::Eval(eval) => eval.milestone.is_some() && ancestors.contains(&eval.model),
        _ => false,
    });
    own.chain(of_milestones).collect()
}

/// Adds an evaluation of the model, or of one of its milestones.
#[expect(clippy::too_many_arguments)]
fn add_evaluation(
    edition: Edition,
    eval: &EvalJob,
    arch: Arch,
    job: &PlannedJob,
    cell: &Cell,
    outcomes: &[ItemOutcome],
    scores: &[&Score],
    collected: &mut Collected,
) -> Result<(), Failure> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::text(Exit::Environment, format!("grid: failed to {error}"));
    let suite = eval.test.suite();
    if !official::has_files(suite) || !edition.has(suite) {
        return Ok(());
    }
    if let Some(reason) = wrong_mode(edition, eval.mode, suite) {
        collected.problems.push(Gap::new(suite.name(), reason));
        return Ok(());
    }
    let revision = match eval.milestone {
        None => "main".to_owned(),
        Some(milestone) => match milestone.revision() {
            Some(revision) => revision,
            None => return Ok(()), // not an official checkpoint
        },
    };
    let Some((origin, paths)) = job.sources.first() else { return Ok(()) };
    let located = LocatedSource { origin: origin.clone(), files: paths.clone() };
    let files = data::evaluation_files(&located, suite).map_err(|error| unreadable(&error))?;
    let items =
        suites::read(suite, eval.mode, &files).map_err(|error| unreadable(&format!("read {suite}: {error}")))?;
    let size = size_of(eval, cell);
    let backend = eval.mode.backend.of(arch).map_err(|problem| unreadable(&format!("find results: {problem}")))?;
    let first = *collected.backend.get_or_insert(backend);
    if backend != first {
        let reason = format!("scored with the backend '{backend}', but other results of the model with '{first}'");
        collected.problems.push(Gap::new(suite.name(), format!("{reason}: export an experiment with one backend")));
        return Ok(());
    }
    let written = official::files(edition, suite, size, backend, &items, outcomes, scores);
    let in_world = matches!(origin, Origin::World { .. });
    let counted = match in_world {
        true => vec![], // it has numbers of its own
        false => official::problems(edition, suite, size, outcomes),
    };
    if in_world {
        collected.of_world.insert(suite);
    }
    let is_accepted = match edition {
        Edition::Of2025 => true,
        Edition::Of2026 => in_world || official::is_accepted(edition, suite, size, outcomes),
    };
    let submission = &mut collected.submission;
    match eval.milestone {
        None if size == Size::Fast && suite != Suite::Aoa => {}
        None => {
            collected.problems.extend(counted);
            match is_accepted {
                false => submission.reject(suite),
                true if suite == Suite::Aoa => {
                    let surprisals = official::surprisals(&items, outcomes);
                    submission.add_surprisals(official::checkpoints(outcomes), surprisals);
                }
                true => submission.add_predictions(suite, official::predictions(suite, &items, outcomes)),
            }
            if suite == Suite::Aoa {
                submission.add_aoa(official::correlation(scores));
            }
        }
        Some(milestone) => {
            collected.problems.extend(counted.iter().map(|problem| Gap::new(revision.as_str(), problem.to_string())));
            if is_accepted {
                submission.add_checkpoint(suite, milestone, official::fast_result(suite, scores));
            }
        }
    }
    add_files(&mut collected.files, &revision, written);
    Ok(())
}

/// Why results of a mode cannot be submitted to an edition; `None` if they can.
fn wrong_mode(edition: Edition, mode: Mode, suite: Suite) -> Option<String> {
    // Every backend is allowed.
    let rules = Mode { backend: BackendRule::OfModel, ..mode };
    let is_of = |edition: &Edition| rules.is_alike(edition.mode(), suite);
    if is_of(&edition) {
        return None;
    }
    let other = Edition::ALL.into_iter().find(|other| other.has(suite) && is_of(other));
    let other = other.map_or(String::new(), |other| format!("; `--year {}` exports them", other.year()));
    Some(format!("scored in mode '{mode}', but only results of mode '{}' can be submitted{other}", edition.mode()))
}

/// Which official set an evaluation used. That of the toy world counts as the full one.
fn size_of(eval: &EvalJob, cell: &Cell) -> Size {
    let Some(official) = eval.test.suite().official_data() else { return Size::Full };
    let evaluations = match eval.milestone {
        None => &cell.recipe.evaluations,
        Some(_) => &cell.recipe.milestone_evaluations,
    };
    let fast = evaluations.iter().filter(|evaluation| evaluation.test == eval.test).any(|evaluation| {
        let folder = official.folder(Size::Fast);
        match &evaluation.source {
            Source::Folder(path) => path.ends_with(folder),
            Source::Remote(Remote { pick: FileSelection::Folder(path), .. }) => Path::new(path).ends_with(folder),
            _ => false,
        }
    });
    if fast && official.has_fast_set() { Size::Fast } else { Size::Full }
}

/// Adds a fine-tuning. Of several seeds the first counts.
fn add_finetuning(
    edition: Edition,
    finetune: &FinetuneJob,
    job: &PlannedJob,
    outcomes: &[ItemOutcome],
    scores: &[&Score],
    collected: &mut Collected,
) {
    let task = finetune.task;
    let written = official::glue_files(task, outcomes, scores);
    let is_known = |file: &SubmissionFile| file.path == format!("main/{}", written[0].path);
    if collected.files.iter().any(is_known) {
        return;
    }
    let in_world = job.sources.iter().any(|(origin, _)| matches!(origin, Origin::World { .. }));
    if in_world {
        collected.of_world.insert(Suite::Glue);
    }
    let counted = if in_world { None } else { official::glue_problems(task, outcomes) };
    // The collation of 2026 leaves out a task with a wrong count.
    if counted.is_none() || edition == Edition::Of2025 {
        collected.submission.add_classifications(task, official::glue_predictions(task, outcomes));
    }
    collected.problems.extend(counted);
    add_files(&mut collected.files, "main", written);
}

/// Adds the files of a revision. Files from an earlier cell stay.
fn add_files(files: &mut Vec<SubmissionFile>, revision: &str, written: Vec<ResultFile>) {
    for ResultFile { path, text } in written {
        let path = format!("{revision}/{path}");
        if !files.iter().any(|known| known.path == path) {
            files.push(SubmissionFile { path, text });
        }
    }
}
