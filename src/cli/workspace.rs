//! From a spec to a decided plan: what `plan`, `run` and `resume` share.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use super::eval;
use super::failure::{Exit, Failure, store_failure};
use crate::data::download::{DataCache, Lock};
use crate::data::{self, Survey};
use crate::domain::layout::OPTIMIZER;
use crate::domain::{
    Artifact, BaseModel, Budget, ConfigFile, DataEntry, Grid, Job, JobId, JobKind, LocatedSource, Origin, Prepared,
    Source, TextSize, layout,
};
use crate::plan::{
    self, Artifacts, Decision, Facts, LastAttempt, Plan, PlannedJob, PriorState, RecordedJob, TextEstimate,
};
use crate::runner;
use crate::spec;
use crate::store::{self, Experiment, JobHistory, Store};

/// A spec as the user gave it, which is also what the database keeps.
pub struct SpecText {
    /// Absolute, for messages and relative paths.
    pub path: PathBuf,
    /// Content.
    pub text: Vec<u8>,
    /// `-S` overrides.
    pub overrides: Vec<String>,
}

/// An experiment, ready to print or run.
pub struct Workspace {
    /// The validated spec.
    pub grid: Grid,
    /// Its jobs.
    pub plan: Plan,
    /// What to do about each.
    pub decisions: BTreeMap<JobId, Decision>,
    /// `output/` of each job that was done.
    pub outputs: BTreeMap<JobId, PathBuf>,
    /// Folder of each job that the database knows.
    pub folders: BTreeMap<JobId, PathBuf>,
    /// What a look at the data has told.
    pub facts: Facts,
}

impl SpecText {
    /// Reads a spec.
    pub fn read(path: &Path, overrides: &[String]) -> Result<(Self, Grid), Failure> {
        let grid = spec::load(path, overrides).map_err(spec_failure)?;
        let unreadable = |error| Failure::text(Exit::Usage, format!("{}: {error}", path.display()));
        let text = std::fs::read(path).map_err(unreadable)?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        let overrides = overrides.iter().map(|text| from_anywhere(text)).collect();
        Ok((Self { path, text, overrides }, grid))
    }

    /// The spec of an experiment, as the database kept it.
    pub fn kept(experiment: Experiment) -> Self {
        let Experiment { spec_path, spec_text, overrides, .. } = experiment;
        Self { path: spec_path, text: spec_text.into_bytes(), overrides }
    }

    /// The user's cache of fetched data, with the lock of this spec.
    pub fn shelf(&self) -> Result<DataCache, Failure> {
        let lock = Lock::read(&self.shown()).map_err(|error| Failure::new(Exit::Environment, error))?;
        Ok(DataCache::of_user(lock))
    }

    /// Its path as short as it can be written here.
    pub fn shown(&self) -> PathBuf {
        let below = std::env::current_dir().ok().and_then(|here| Some(self.path.strip_prefix(here).ok()?.to_owned()));
        below.unwrap_or_else(|| self.path.clone())
    }

    /// Reads a spec that the database kept.
    pub fn grid(&self) -> Result<Grid, Failure> {
        spec::parse(&self.path, &self.text, &self.overrides).map_err(spec_failure)
    }
}

/// An override that means the same in another current directory, where the experiment may be resumed.
fn from_anywhere(text: &str) -> String {
    let absolute = text.strip_prefix("data_root=").and_then(|root| std::path::absolute(root).ok());
    absolute.map_or_else(|| text.to_owned(), |root| format!("data_root={}", root.display()))
}

fn spec_failure(problems: spec::Problems) -> Failure {
    Failure::text(Exit::Usage, problems.to_string())
}

impl Workspace {
    /// Looks up the data, expands the grid and decides every job. Writes nothing but the cache of digests, and that
    /// only where a runs folder exists.
    pub async fn prepare(runs_dir: &Path, spec: &SpecText, grid: Grid, store: Option<&Store>) -> Result<Self, Failure> {
        let environment = |error: data::DataError| Failure::new(Exit::Environment, error);
        let mut survey = Survey::open(&runs_dir.join("survey.json")).with_cache(spec.shelf()?);
        let located = locate(&grid, &mut survey).map_err(environment)?;
        let recorded = recorded(&grid, store).await?;
        let plan = plan::expand(&grid, &located, &recorded);
        let ids: Vec<JobId> = plan.jobs().map(|job| job.id).collect();
        let history = match store {
            Some(store) => store.history(&ids).await.map_err(store_failure)?,
            None => BTreeMap::new(),
        };
        let mut known: BTreeMap<JobId, PriorState> =
            history.iter().map(|(id, history)| (*id, known(history, plan.is_carried(id)))).collect();
        if let Some(store) = store {
            let before = store.canonical_by_name(&plan.name).await.map_err(store_failure)?;
            for job in plan.jobs() {
                let namesake =
                    before.get(&store::JobName { kind: job.job.kind().name().to_owned(), label: job.label.clone() });
                known.entry(job.id).or_default().change =
                    namesake.and_then(|before| plan::change(before, &job.job.canonical()));
            }
        }
        let decisions = plan::decide(&plan, &known);
        let outputs: BTreeMap<JobId, PathBuf> =
            history.iter().filter_map(|(id, history)| Some((*id, output(history)?))).collect();
        let folders = history.into_iter().map(|(id, history)| (id, history.folder)).collect();
        refuse_lost(&plan, &decisions, &recorded)?;
        let models = models(&plan, &recorded, &outputs).map_err(environment)?;
        let facts = Facts {
            amounts: amounts(&plan, &decisions, &outputs, &mut survey).map_err(environment)?,
            dropouts: models.iter().map(|(id, file)| (*id, file.dropout)).collect(),
            models: models.into_iter().map(|(id, file)| (id, file.model)).collect(),
            bytes: bytes(&plan),
            places: places(spec, &grid, &located),
        };
        refuse_empty(&plan, &facts)?;
        refuse_too_long(&plan, &facts)?;
        refuse_excess(&plan, &facts, grid.budget)?;
        refuse_unreached(&plan, &facts)?;
        if runs_dir.is_dir() {
            survey.save().map_err(environment)?;
        }
        Ok(Self { grid, plan, decisions, outputs, folders, facts })
    }
}

/// Where the spec names what was not found, by location; nowhere in one that its user did not write.
fn places(spec: &SpecText, grid: &Grid, located: &BTreeMap<Source, LocatedSource>) -> BTreeMap<String, String> {
    let place = |entry: &DataEntry| match &located.get(&entry.source)?.origin {
        Origin::Missing { location } => Some((location.clone(), entry.place.clone())),
        Origin::World { .. } | Origin::Content { .. } => None,
    };
    // Of several places the first one counts.
    grid.data.iter().rev().filter(|_| !eval::wrote(&spec.path)).filter_map(place).collect()
}

fn locate(grid: &Grid, survey: &mut Survey) -> Result<BTreeMap<Source, LocatedSource>, data::DataError> {
    let mut located = BTreeMap::new();
    for source in grid.cells.iter().flat_map(|cell| cell.recipe.sources()) {
        if let Entry::Vacant(entry) = located.entry(source) {
            let found = survey.locate(entry.key())?;
            entry.insert(found);
        }
    }
    Ok(located)
}

/// What a job's history and the files it left amount to. A job that is carried on with must have left its optimiser's
/// state, which it does only when it was planned together with the one that needs it.
fn known(history: &JobHistory, carried: bool) -> PriorState {
    let last = match &history.last {
        store::LastAttempt::Never => Last::Never,
        store::LastAttempt::Submitted | store::LastAttempt::Running if runner::at_work(&history.folder) => {
            Last::Underway
        }
        store::LastAttempt::Submitted
        | store::LastAttempt::Running
        | store::LastAttempt::Interrupted
        | store::LastAttempt::Lost => Last::Interrupted,
        store::LastAttempt::Failed { message, .. } => Last::Failed(message.clone()),
        store::LastAttempt::Done => Last::Done,
    };
    let artifacts = match output(history) {
        Some(output) if carried && !output.join(OPTIMIZER).is_file() => {
            Artifacts::Missing(output.join(OPTIMIZER).display().to_string())
        }
        Some(output) => history.artifacts.iter().find_map(|artifact| damage(&output, artifact)).unwrap_or_default(),
        None => Artifacts::default(),
    };
    PriorState { last, artifacts, change: None }
}

/// Where a job that was done left its files.
fn output(history: &JobHistory) -> Option<PathBuf> {
    (history.last == store::LastAttempt::Done)
        .then(|| history.attempt.as_ref().map(|attempt| attempt.join(layout::OUTPUT)))?
}

fn damage(output: &Path, artifact: &Artifact) -> Option<Artifacts> {
    let path = output.join(&artifact.path);
    let name = path.display().to_string();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() == artifact.bytes => None,
        Ok(_) => Some(Artifacts::Altered(name)),
        Err(_) => Some(Artifacts::Missing(name)),
    }
}

/// The jobs of the database whose models the cells begin with.
async fn recorded(grid: &Grid, store: Option<&Store>) -> Result<BTreeMap<JobId, RecordedJob>, Failure> {
    let mut recorded = BTreeMap::new();
    for cell in &grid.cells {
        let BaseModel::Recorded(id) = cell.recipe.base else { continue };
        let found = match store {
            Some(store) => store.job(id).await.map_err(store_failure)?,
            None => None,
        };
        let unusable = |what: &str| {
            let message = format!("grid: the model {} is job {id}, which {what}", cell.key.model);
            Failure::text(Exit::NothingMatches, message)
        };
        let (job, label) = found.ok_or_else(|| unusable("this runs folder does not have; see `grid status`"))?;
        if !matches!(job, Job::Pretrain(_) | Job::Import(_) | Job::Tune(_)) {
            return Err(unusable("leaves no model; name a pretrain, import or tune job"));
        }
        if job.id() != id {
            return Err(unusable("was made by another version of grid; run its experiment again"));
        }
        recorded.insert(id, RecordedJob { job, label });
    }
    Ok(recorded)
}

/// Refuses to go on from models of the database that are gone.
fn refuse_lost(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    recorded: &BTreeMap<JobId, RecordedJob>,
) -> Result<(), Failure> {
    let lost = plan.jobs().find(|job| {
        recorded.contains_key(&job.id) && job.parents.is_empty() && decisions.get(&job.id) != Some(&Decision::Reuse)
    });
    match lost {
        None => Ok(()),
        Some(job) => Err(Failure::text(
            Exit::Environment,
            format!(
                "grid: there is no model of {} ({}) to go on from: it is not done, or its files are gone\n  help: run \
                 the experiment that it belongs to",
                job.label,
                job.id.short()
            ),
        )),
    }
}

/// The configurations of the models that are there already: to be imported, or left by jobs that stand in the plan
/// alone.
fn models(
    plan: &Plan,
    recorded: &BTreeMap<JobId, RecordedJob>,
    outputs: &BTreeMap<JobId, PathBuf>,
) -> Result<BTreeMap<JobId, ConfigFile>, data::DataError> {
    let folder = |job: &PlannedJob| match recorded.contains_key(&job.id) {
        true => outputs.get(&job.id).cloned(),
        false if job.job.kind() == JobKind::Import => Some(job.sources.first()?.1.first()?.parent()?.to_owned()),
        false => None,
    };
    let folders = plan.jobs().filter_map(|job| Some((job.id, folder(job)?)));
    folders.map(|(id, folder)| Ok((id, data::model_config(&folder)?))).collect()
}

/// Refuses data that are there but hold no word: a model trained on them would be another one in silence.
fn refuse_empty(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    let empty: Vec<String> = facts.empty(plan).into_iter().collect();
    if empty.is_empty() {
        return Ok(());
    }
    let help = "are the files whole, and the fields, `documents`, `first` and the filters right? Records without a \
                reply are left out";
    let message = format!("grid: nothing to learn from in {}\n  help: {help}", empty.join(", "));
    Err(Failure::text(Exit::Environment, message))
}

/// Refuses to tune a model from elsewhere on longer records than it has positions for.
fn refuse_too_long(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    match facts.too_long(plan).next() {
        None => Ok(()),
        Some((label, length, positions)) => Err(Failure::text(
            Exit::Usage,
            format!(
                "grid: tune.max_length is {length} for {label}, whose model has {positions} positions\n  \
                 help: set `max_length: {positions}` or less in the model's own `tune:`"
            ),
        )),
    }
}

/// Refuses an experiment whose models read more than the spec's budget.
fn refuse_excess(plan: &Plan, facts: &Facts, budget: Option<Budget>) -> Result<(), Failure> {
    match plan::ledger(plan, facts, budget).violation() {
        None => Ok(()),
        Some(violation) => Err(Failure::text(Exit::Usage, format!("grid: {} is {violation}", plan.name))),
    }
}

/// Refuses milestones to which the training cannot come; of those that it may not come to, the plan warns.
fn refuse_unreached(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    match facts.unreached(plan).iter().find(|one| one.certain) {
        None => Ok(()),
        Some(one) => {
            let help = "train longer, or leave it out of `pretrain.milestones`";
            Err(Failure::text(Exit::Usage, format!("grid: {}: {one}\n  help: {help}", plan.name)))
        }
    }
}

/// Sizes of the files of evaluations and fine-tunings; none for the toy world.
fn bytes(plan: &Plan) -> BTreeMap<JobId, u64> {
    let reads = |planned: &&PlannedJob| matches!(planned.job, Job::Eval(_) | Job::Finetune(_));
    let size = |planned: &PlannedJob| -> u64 {
        let files = planned.sources.iter().flat_map(|(_, files)| files);
        files.filter_map(|file| fs::metadata(file).ok()).map(|about| about.len()).sum()
    };
    plan.jobs().filter(reads).map(|planned| (planned.id, size(planned))).filter(|(_, size)| *size > 0).collect()
}

/// The text of each prepare job: from its ledger once it is done, before that from the survey, and where it is not
/// there what the spec expects.
fn amounts(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    outputs: &BTreeMap<JobId, PathBuf>,
    survey: &mut Survey,
) -> Result<BTreeMap<JobId, TextEstimate>, data::DataError> {
    let mut amounts = BTreeMap::new();
    for planned in plan.jobs() {
        let Job::Prepare(job) = &planned.job else { continue };
        if let (Some(Decision::Reuse), Some(output)) = (decisions.get(&planned.id), outputs.get(&planned.id)) {
            let data::Ledger { train, validation, .. } = data::Ledger::open(output)?;
            let extent = |units: u64, words: u64| TextSize { units: Some(units), words };
            let amount = TextEstimate {
                whole: extent(train.units + validation.units, train.words + validation.words),
                train: extent(train.units, train.words),
                tokens: Some(train.tokens),
                units_estimated: false,
                measured: true,
                blank: 0,
            };
            amounts.insert(planned.id, amount);
            continue;
        }
        let Some((origin, files)) = planned.sources.first() else { continue };
        let amount = |whole: TextSize, measured: bool, blank: u64| {
            let train = whole.trained(job.held_out);
            let units_estimated = job.held_out > 0.0 && job.data.is_grouped();
            TextEstimate { whole, train, tokens: None, units_estimated, measured, blank }
        };
        if planned.missing().next().is_some() {
            let expected = planned.text.as_ref().and_then(|text| text.expected);
            amounts.extend(expected.map(|expected| (planned.id, amount(expected, false, 0))));
            continue;
        }
        let located = LocatedSource { origin: origin.clone(), files: files.clone() };
        let volume = match &job.data {
            Prepared::Corpus(_, format) => survey.measure_corpus(&located, format)?,
            Prepared::Dataset(_, format, _) => survey.measure_dataset(&located, format)?,
        };
        let whole = TextSize { units: Some(volume.units), words: volume.words };
        amounts.insert(planned.id, amount(whole, true, volume.blank));
    }
    Ok(amounts)
}
