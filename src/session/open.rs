//! A spec opened with its data, its plan and its history.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::datasets;
use super::dropout;
use super::evaluation_data;
use super::facts;
use super::failure::{Exit, Failure};
use super::history;
use super::refuse;
use super::runs_folder::survey_of;
use super::spec_text::SpecText;
use super::teachers;
use crate::data::download::{DataCache, Lock};
use crate::data::{DataError, Survey};
use crate::domain::{BaseModel, FinishedOutput, Grid, Job, JobId, LocatedSource, Source, Task, TeacherAccess};
use crate::plan::{self, Decision, Facts, Plan, PlannedJob, PriorState, RecordedJob};
use crate::runner::ModelScale;
use crate::store::{JobName, Store};

/// An experiment, ready to print or run: what is planned, what is known of each job, and what is left to do.
pub struct Session {
    /// The text of the spec.
    pub spec: SpecText,
    /// The validated spec.
    pub grid: Grid,
    /// Its jobs.
    pub plan: Plan,
    /// Whether each job is reused or runs.
    pub decisions: BTreeMap<JobId, Decision>,
    /// What each finished job left.
    pub outputs: BTreeMap<JobId, FinishedOutput>,
    /// The folder of each job that the database knows.
    pub folders: BTreeMap<JobId, PathBuf>,
    /// What the data on this machine say about the plan.
    pub facts: Facts,
    /// Where the spec names missing data.
    places: BTreeMap<String, String>,
    /// The detected format of each dataset whose spec has none.
    detected: BTreeMap<String, String>,
    /// The jobs of the database whose models the cells start from or learn from.
    recorded: BTreeMap<JobId, RecordedJob>,
    survey: Survey,
    runs: PathBuf,
}

impl Session {
    /// Locates the data, expands the grid and decides every job. Writes nothing but the cache of digests, and that only
    /// if the runs folder exists.
    ///
    /// # Errors
    /// An experiment that cannot run: models of the database that are gone, empty data, records longer than the model
    /// allows, more text than the budget, milestones that training cannot reach, evaluation data that cannot be used. Missing
    /// data are no error here.
    pub async fn open(runs: &Path, spec: SpecText, grid: Grid, store: Option<&Store>) -> Result<Self, Failure> {
        let mut survey = survey_of(runs, Some(spec.data_cache()?));
        let located = locate(&grid, &mut survey)?;
        let mut grid = grid;
        let detected = datasets::complete(&mut grid, &located, &mut survey)?;
        datasets::check_unused(&grid, &located, &mut survey)?;
        teachers::check(&grid, &located)?;
        let recorded = recorded_models(&grid, store).await?;
        dropout::complete(&mut grid, &located, &recorded)?;
        let mut session = Self {
            plan: plan::expand(&grid, &located, &recorded),
            places: facts::places_of_missing(&spec, &grid, &located),
            decisions: BTreeMap::new(),
            outputs: BTreeMap::new(),
            folders: BTreeMap::new(),
            facts: Facts::default(),
            detected,
            runs: runs.to_owned(),
            spec,
            grid,
            recorded,
            survey,
        };
        session.decide(store).await?;
        Ok(session)
    }

    /// The scale of the models that are trained or evaluated.
    pub(super) fn model_scale(&self) -> ModelScale {
        match self.recorded.is_empty() {
            true => ModelScale::of(self.plan.jobs().map(|planned| &planned.job)),
            false => ModelScale::Any,
        }
    }

    /// Decides every job from what the database has now. The plan stays the same.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn decide(&mut self, store: Option<&Store>) -> Result<(), Failure> {
        let plan = &self.plan;
        let ids: Vec<JobId> = plan.jobs().map(|job| job.id).collect();
        let histories = match store {
            Some(store) => store.history(&ids).await?,
            None => BTreeMap::new(),
        };
        let mut known: BTreeMap<JobId, PriorState> = BTreeMap::new();
        for (id, history) in &histories {
            known.insert(*id, history::known(history, plan.is_carried(id), &mut self.survey)?);
        }
        if let Some(store) = store {
            let before = store.canonical_by_name(&plan.name).await?;
            for job in plan.jobs() {
                let name = JobName { kind: job.job.kind().name().to_owned(), label: job.label.clone() };
                known.entry(job.id).or_default().change =
                    before.get(&name).and_then(|before| plan::change(before, &job.job.canonical()));
            }
        }
        self.decisions = plan::decide(plan, &known);
        self.outputs = histories.iter().filter_map(|(id, history)| Some((*id, history::output_of(history)?))).collect();
        self.folders = histories.into_iter().map(|(id, history)| (id, history.folder)).collect();
        refuse::lost_models(plan, &self.decisions, &self.recorded)?;
        let places = self.places.clone();
        let counts_bytes = self.grid.budget.as_ref().is_some_and(|budget| budget.premiums.is_some());
        let (decisions, outputs) = (&self.decisions, &self.outputs);
        self.facts = facts::gather(plan, decisions, outputs, &self.recorded, places, counts_bytes, &mut self.survey)?;
        self.facts.detected = self.detected.clone();
        refuse::impossible_plan(plan, &self.facts, self.grid.budget.as_ref())?;
        let checked = evaluation_data::check(plan, &self.decisions, &mut self.survey);
        if self.runs.is_dir() {
            // Without the cache, the data are read again next time: nothing that a folder that may only be read should
            // refuse.
            let _ = self.survey.save();
        }
        checked?;
        Ok(())
    }

    /// The tasks of all jobs. A job that the database does not know gets a folder below `runs`.
    pub fn tasks(&self, runs: &Path) -> Vec<Task> {
        let experiment = runs.join(&self.plan.name);
        let folder = |job: &PlannedJob| -> PathBuf {
            let new = || experiment.join(format!("{}-{}", job.job.kind().name(), &job.id.to_string()[..16]));
            self.folders.get(&job.id).cloned().unwrap_or_else(new)
        };
        let task = |job: &PlannedJob| Task {
            id: job.id,
            job: job.job.clone(),
            parents: job.parents.clone(),
            sources: job.sources.clone(),
            folder: folder(job),
            keep_optimizer: self.plan.is_carried(&job.id),
            teacher: job.teacher.clone().map(|service| TeacherAccess {
                service,
                answers: DataCache::of_user(Lock::default()).answers(),
                offline: false,
            }),
        };
        self.plan.jobs().map(task).collect()
    }

    /// Whether the plan has all that a job needs to run. It lacks the parents of a model that another experiment made.
    pub(super) fn can_run(&self, task: &Task) -> bool {
        !(self.recorded.contains_key(&task.id) && task.parents.is_empty())
    }

    /// The kind and name of a job, for messages.
    pub fn job_name(&self, id: &JobId) -> String {
        self.plan.job(id).map_or_else(|| id.short(), |job| format!("{} {}", job.job.kind(), job.label))
    }
}

fn locate(grid: &Grid, survey: &mut Survey) -> Result<BTreeMap<Source, LocatedSource>, DataError> {
    let mut located = BTreeMap::new();
    let of_cells = grid.cells.iter().flat_map(|cell| cell.recipe.sources());
    for source in of_cells.chain(grid.datasets.iter().map(|dataset| dataset.source.clone())) {
        if let Entry::Vacant(entry) = located.entry(source) {
            let found = survey.locate(entry.key())?;
            entry.insert(found);
        }
    }
    Ok(located)
}

/// The jobs of the database whose models the cells start from.
async fn recorded_models(grid: &Grid, store: Option<&Store>) -> Result<BTreeMap<JobId, RecordedJob>, Failure> {
    let mut recorded = BTreeMap::new();
    let own = grid.cells.iter().map(|cell| (&cell.key.model, &cell.recipe.base));
    let further =
        grid.cells.iter().flat_map(|cell| cell.recipe.further_models()).map(|model| (&model.name, &model.base));
    for (model, base) in own.chain(further) {
        let BaseModel::Recorded(id) = *base else { continue };
        let found = match store {
            Some(store) => store.job(id).await?,
            None => None,
        };
        let unusable = |reason: &str| {
            let message = format!("grid: the model {model} is job {id}, which {reason}");
            Failure::text(Exit::NothingMatches, message)
        };
        let (job, label) = found.ok_or_else(|| unusable("is not in this runs folder; see `grid status`"))?;
        if !matches!(job, Job::Pretrain(_) | Job::Import(_) | Job::Tune(_)) {
            return Err(unusable("produces no model; name a pretrain, import or tune job"));
        }
        if job.id() != id {
            return Err(unusable("was made by another version of grid; run its experiment again"));
        }
        recorded.insert(id, RecordedJob { job, label });
    }
    Ok(recorded)
}
