//! `grid export babylm`.

use std::collections::BTreeMap;
use std::path::Path;

use super::args::Cli;
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::models::one_model;
use super::workspace::{SpecText, Workspace};
use crate::data;
use crate::domain::{
    Cell, EvalJob, FileSelection, FinetuneJob, ItemOutcome, Job, LocatedSource, Mode, Remote, Score, ScoreRow, Size,
    Source, Suite, counted,
};
use crate::plan::{Decision, PlannedJob, Role};
use crate::report::format_missing;
use crate::store::{CellName, Store, StoreError};
use crate::suites;
use crate::suites::official::{self, ResultFile, Submission, Track};

/// An experiment, with its scores.
struct Ran {
    workspace: Workspace,
    scores: Vec<ScoreRow>,
}

/// A model to be handed in: its name, and the cells that scored it.
struct Entry {
    name: String,
    cells: Vec<CellName>,
}

/// What has been found of a model.
#[derive(Default)]
struct Found {
    /// Path below the folder of results, and content.
    files: Vec<(String, String)>,
    submission: Submission,
    /// What is there but cannot be handed in.
    problems: Vec<String>,
}

/// Writes the tree of results and the collated file of each model, unless pieces are missing.
pub async fn export(cli: &Cli, of: &str, dir: &Path, track: Track, partial: bool) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    let entries = entries(&store, of).await?;
    let mut experiments: BTreeMap<String, Ran> = BTreeMap::new();
    for CellName { experiment, .. } in entries.iter().flat_map(|entry| &entry.cells) {
        if !experiments.contains_key(experiment) {
            experiments.insert(experiment.clone(), ran(cli, &store, experiment).await?);
        }
    }
    let (mut files, mut lacking, mut written) = (vec![], vec![], 0);
    for Entry { name, cells } in &entries {
        let mut found = Found::default();
        for CellName { experiment, label } in cells {
            collect(&store, &experiments[experiment], label, &mut found).await?;
        }
        let missing = found.submission.missing(track);
        lacking.push((name.clone(), found.problems.into_iter().chain(missing).collect::<Vec<String>>()));
        if found.files.is_empty() && found.submission.is_empty() {
            continue;
        }
        written += 1;
        let (file, text) = found.submission.file(track);
        found.files.push((file.to_owned(), text));
        files.extend(found.files.into_iter().map(|(path, text)| (format!("results/{name}/{path}"), text)));
    }
    store.close().await;
    let complete = lacking.iter().all(|(_, pieces)| pieces.is_empty());
    if !complete {
        eprintln!("grid: the submission is not complete:\n{}", format_missing(&lacking).trim_end());
    }
    let help = match (files.is_empty(), complete || partial) {
        (true, _) => Some("nothing was written: there is nothing yet that can be handed in"),
        (false, false) => Some("nothing was written; `--partial` writes what there is"),
        (false, true) => None,
    };
    if let Some(help) = help {
        eprintln!("  help: {help}");
        return Ok(Exit::CheckFailed);
    }
    data::write_files(dir, &files).map_err(|error| Failure::new(Exit::Environment, error))?;
    if !cli.quiet {
        let (files, models) = (counted(files.len() as u64, "file"), counted(written, "model"));
        eprintln!("{files} of {models} are in {}", dir.display());
    }
    Ok(Exit::Done)
}

/// The cells of an experiment, each a model; or the one model that a job left, with every cell that scored it.
async fn entries(store: &Store, of: &str) -> Result<Vec<Entry>, Failure> {
    match store.experiment(Some(of)).await {
        Ok(stored) => {
            let experiment = stored.experiment.name;
            let labels = store.cell_labels(&experiment).await.map_err(store_failure)?;
            let entry = |label: String| Entry {
                name: fit(&label),
                cells: vec![CellName { experiment: experiment.clone(), label }],
            };
            Ok(labels.into_iter().map(entry).collect())
        }
        Err(StoreError::UnknownExperiment { .. }) => {
            let job = one_model(of, store.model_jobs(of).await.map_err(store_failure)?)?;
            let cells = store.cells_of_model(job.id).await.map_err(store_failure)?;
            Ok(vec![Entry { name: fit(&job.label), cells }])
        }
        Err(error) => Err(store_failure(error)),
    }
}

/// A name for a folder. The official scripts take what stands after the last dot for an extension.
fn fit(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect()
}

async fn ran(cli: &Cli, store: &Store, experiment: &str) -> Result<Ran, Failure> {
    let stored = store.experiment(Some(experiment)).await.map_err(store_failure)?.experiment;
    let spec = SpecText { path: stored.spec_path, text: stored.spec_text.into_bytes(), overrides: stored.overrides };
    let workspace = Workspace::prepare(&cli.runs_dir, &spec, spec.grid()?, Some(store)).await?;
    Ok(Ran { workspace, scores: store.scores(experiment).await.map_err(store_failure)? })
}

/// Adds what an experiment knows of the model of one of its cells.
async fn collect(store: &Store, ran: &Ran, label: &str, found: &mut Found) -> Result<(), Failure> {
    let Ran { workspace, scores } = ran;
    let planned = workspace.plan.cells.iter().zip(&workspace.grid.cells);
    let Some((planned, cell)) = planned.into_iter().find(|(planned, _)| planned.key.label() == label) else {
        return Ok(());
    };
    for (id, _) in planned.jobs.iter().filter(|(_, role)| *role == Role::Eval) {
        let Some(job) = workspace.plan.job(id) else { continue };
        if workspace.decisions.get(id) != Some(&Decision::Reuse) {
            found.problems.push(format!(
                "{} {} is not done: `grid resume {}`",
                job.job.kind(),
                job.label,
                workspace.plan.name
            ));
            continue;
        }
        let id = id.to_string();
        let outcomes = store.items(std::slice::from_ref(&id)).await.map_err(store_failure)?;
        let outcomes = outcomes.get(&id).map_or(&[][..], Vec::as_slice);
        let scores: Vec<&Score> =
            scores.iter().filter(|row| row.job == id && row.cell == label).map(|row| &row.score).collect();
        match &job.job {
            Job::Eval(eval) => zero_shot(eval, job, cell, outcomes, &scores, found)?,
            Job::Finetune(finetune) => fine_tuned(finetune, outcomes, &scores, found),
            _ => {}
        }
    }
    Ok(())
}

/// Adds an evaluation of the model, or of one of its milestones.
fn zero_shot(
    eval: &EvalJob,
    job: &PlannedJob,
    cell: &Cell,
    outcomes: &[ItemOutcome],
    scores: &[&Score],
    found: &mut Found,
) -> Result<(), Failure> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::text(Exit::Environment, format!("grid: failed to {error}"));
    let suite = eval.suite;
    if eval.mode != Mode::COMPAT.of(suite) {
        found
            .problems
            .push(format!("{suite}: scored by the rules '{}'; only those of 'compat' can be handed in", eval.mode));
        return Ok(());
    }
    let revision = match eval.milestone {
        None => "main".to_owned(),
        Some(milestone) => match official::revision(milestone) {
            Some(revision) => revision,
            None => return Ok(()), // no official checkpoint
        },
    };
    let Some((origin, paths)) = job.sources.first() else { return Ok(()) };
    let located = LocatedSource { origin: origin.clone(), files: paths.clone() };
    let files = data::evaluation_files(&located, suite).map_err(|error| unreadable(&error))?;
    let items =
        suites::read(suite, eval.mode, &files).map_err(|error| unreadable(&format!("read {suite}: {error}")))?;
    let size = size(eval, cell);
    let written = official::files(suite, size, &items, outcomes, scores);
    let counted = official::problems(suite, size, outcomes);
    match eval.milestone {
        None if suite == Suite::Aoa => {
            found.problems.extend(counted);
            found.submission.add_surprisals(official::checkpoints(outcomes), official::surprisals(&items, outcomes));
        }
        None if size == Size::Full => {
            found.problems.extend(counted);
            found.submission.add_predictions(suite, official::predictions(suite, &items, outcomes));
        }
        None => {}
        Some(milestone) => {
            found.problems.extend(counted.into_iter().map(|problem| format!("{revision}: {problem}")));
            found.submission.add_checkpoint(suite, milestone, official::fast_result(suite, scores));
        }
    }
    add(&mut found.files, &revision, written);
    Ok(())
}

/// Which of the official sets an evaluation was on; the toy world stands for the whole one.
fn size(eval: &EvalJob, cell: &Cell) -> Size {
    let evaluations = match eval.milestone {
        None => &cell.recipe.evaluations,
        Some(_) => &cell.recipe.milestone_evaluations,
    };
    let fast = evaluations.iter().filter(|evaluation| evaluation.suite == eval.suite).any(|evaluation| {
        let folder = eval.suite.folder(Size::Fast);
        match &evaluation.source {
            Source::Folder(path) => path.ends_with(folder),
            Source::Remote(Remote { pick: FileSelection::Folder(path), .. }) => Path::new(path).ends_with(folder),
            _ => false,
        }
    });
    // COMPS has one set for both.
    if fast && eval.suite != Suite::Comps { Size::Fast } else { Size::Full }
}

/// Adds a fine-tuning; of several seeds the first counts.
fn fine_tuned(finetune: &FinetuneJob, outcomes: &[ItemOutcome], scores: &[&Score], found: &mut Found) {
    let task = finetune.task;
    let written = official::glue_files(task, outcomes, scores);
    if found.files.iter().any(|(path, _)| *path == format!("main/{}", written[0].path)) {
        return;
    }
    found.problems.extend(official::glue_problems(task, outcomes));
    found.submission.add_classifications(task, official::glue_predictions(task, outcomes));
    add(&mut found.files, "main", written);
}

/// Files of a revision; what an earlier cell has given stays.
fn add(files: &mut Vec<(String, String)>, revision: &str, written: Vec<ResultFile>) {
    for ResultFile { path, text } in written {
        let path = format!("{revision}/{path}");
        if !files.iter().any(|(known, _)| *known == path) {
            files.push((path, text));
        }
    }
}
