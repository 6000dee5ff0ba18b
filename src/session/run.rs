//! A run of an experiment: locked, recorded, driven and closed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::watch;

use super::clock::now;
use super::execution::Execution;
use super::failure::Failure;
use super::observer::{JobToRun, Observer};
use super::open::Session;
use super::preflight;
use super::recorder::{Attendant, Recorder, database_wait};
use super::runs_folder::RunsFolder;
use super::signals::{STOPPING, forward_signals};
use super::spec_text::SpecText;
use crate::domain::{FinishedOutput, Grid, JobId, JobUpdate, Task};
use crate::plan::{Decision, PlannedCell, PlannedJob, Role, RunReason, warnings, weight};
use crate::runner::{self, RunsLock, Stop, Summary, WorkerProgram};
use crate::store::{
    CellJob, CellRecord, Experiment, Invocation, InvocationId, InvocationOutcome, JobRecord, Store, StoreError,
};

/// A session that holds the lock of its runs folder and is recorded as an invocation.
pub struct Run {
    /// The experiment.
    pub session: Session,
    /// The runs folder, canonical.
    pub runs: PathBuf,
    /// What the user should know about the plan.
    pub warnings: Vec<String>,
    /// Cells of the last run of this experiment that the spec no longer has.
    pub removed_cells: Vec<String>,
    /// How many finished jobs were found on disk that the database did not know.
    pub recovered: u64,
    /// The jobs that are left to do.
    pub tasks: Vec<Task>,
    /// The tasks of all jobs of the plan.
    all_tasks: Vec<Task>,
    recorder: Recorder,
    /// The user's requests to stop.
    requests: watch::Sender<Stop>,
    _lock: RunsLock,
}

impl Run {
    /// Opens an experiment to run it: refuses what cannot run, locks the runs folder, records the invocation and the
    /// plan, and recovers finished jobs that the database does not know.
    ///
    /// # Errors
    /// The refusals of [`Session::open`]; missing or unreadable data; missing devices; a lock that another grid holds;
    /// errors of the database.
    pub async fn begin(folder: &RunsFolder, spec: SpecText, grid: Grid) -> Result<Self, Failure> {
        let wait = database_wait()?;
        preflight::missing_devices(&grid.resources)?;
        folder.check_for_writing()?;
        // Under the lock no other grid changes what is decided from. A folder that does not exist yet, which a refusal
        // should not create, has no history that could change.
        let lock = if folder.path.is_dir() { Some(RunsLock::acquire(&folder.path)?) } else { None };
        let store = folder.open_if_present().await?;
        let mut session = Session::open(&folder.path, spec, grid, store.as_ref()).await?;
        preflight::missing_data(&session)?;

        let runs = folder.create()?;
        let (lock, store) = match lock {
            Some(lock) => (lock, store.filter(Store::is_writable)),
            None => {
                let lock = RunsLock::acquire(&runs)?;
                // Another grid may have created the folder meanwhile.
                let store = folder.open_if_present().await?;
                if store.is_some() {
                    session.decide(store.as_ref()).await?;
                }
                (lock, store)
            }
        };
        let store = match store {
            Some(store) => store,
            None => folder.open().await?,
        };
        let warnings = warnings(&session.plan, &session.facts, session.grid.budget.as_ref());
        let tasks = session.tasks(&runs);
        let removed_cells = removed_cells(&store, &session).await?;
        let invocation = record_invocation(&store, &session, &tasks).await?;
        let recovered = recover_finished_jobs(&store, &session, &tasks).await?;
        if recovered > 0 {
            session.decide(Some(&store)).await?;
        }
        let is_left = |task: &Task| session.decisions.get(&task.id) != Some(&Decision::Reuse);
        let left = tasks.iter().filter(|task| is_left(task)).cloned().collect();
        let recorder = Recorder::new(store, invocation, wait);
        let requests = watch::channel(Stop::No).0;
        Ok(Self {
            runs,
            warnings,
            removed_cells,
            recovered,
            tasks: left,
            all_tasks: tasks.into_iter().filter(|task| session.can_run(task)).collect(),
            session,
            recorder,
            requests,
            _lock: lock,
        })
    }

    /// Runs the jobs that are left to do, and records what happens.
    ///
    /// # Errors
    /// A missing worker program, `GRID_INJECT` that names no fault, files that cannot be written, the database.
    pub async fn drive(&mut self, execution: &Execution, observer: &mut dyn Observer) -> Result<Summary, Failure> {
        let resources = &self.session.grid.resources;
        let program = WorkerProgram::find(&execution.log_filter)?;
        let policy = execution.policy(resources)?;
        let reused = |id: &JobId| self.session.decisions.get(id) == Some(&Decision::Reuse);
        let outputs = self.session.outputs.iter().filter(|(id, _)| reused(id));
        let done: BTreeMap<JobId, FinishedOutput> = outputs.map(|(id, output)| (*id, output.clone())).collect();
        let text = match resources.backend.kind().batch_system() {
            Some(system) if !execution.cancel_on_exit => {
                format!("leaving: the jobs in {}'s queue keep running, `grid resume` adopts them", system.name)
            }
            _ => STOPPING.to_owned(),
        };
        let attendant = Attendant { announce: observer.announce(), stop: self.requests.subscribe() };
        // Until the process ends: a second request also ends the waiting for a locked database.
        tokio::spawn(forward_signals(self.requests.clone(), attendant.announce, text));
        observer.start(&jobs_to_run(&self.session, &self.tasks));
        let stop = self.requests.subscribe();
        let recorder = &mut self.recorder;
        let sink = async |updates: Vec<JobUpdate>| {
            recorder.record(&updates, &attendant).await?;
            updates.iter().for_each(|update| observer.update(update));
            Ok::<(), StoreError>(())
        };
        let mut executor =
            runner::executor_for(resources, self.session.model_scale(), program, &self.runs, execution.cancel_on_exit);
        let mut tasks = std::mem::take(&mut self.all_tasks);
        tasks.iter_mut().flat_map(|task| &mut task.teacher).for_each(|access| access.offline = execution.offline);
        let summary = runner::drive(tasks, done, executor.as_mut(), &policy, stop, sink).await;
        observer.finish();
        Ok(summary?)
    }

    /// Records how the run ended, closes the database and unlocks the runs folder.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn finish(self, ending: InvocationOutcome, observer: &dyn Observer) -> Result<Session, Failure> {
        let attendant = Attendant { announce: observer.announce(), stop: self.requests.subscribe() };
        self.recorder.finish(ending, &attendant).await?;
        Ok(self.session)
    }
}

/// The tasks with their names and expected costs.
pub(super) fn jobs_to_run(session: &Session, tasks: &[Task]) -> Vec<JobToRun> {
    let planned = tasks.iter().filter_map(|task| session.plan.job(&task.id));
    let to_run = |job: &PlannedJob| JobToRun {
        id: job.id,
        kind: job.job.kind(),
        label: job.label.clone(),
        weight: weight(&session.plan, job, &session.facts),
    };
    planned.map(to_run).collect()
}

/// Cells of the last run of this experiment that the spec no longer has: it was changed, or shares its name with another
/// spec.
async fn removed_cells(store: &Store, session: &Session) -> Result<Vec<String>, Failure> {
    let mut labels = store.cell_labels(&session.plan.name).await?;
    labels.retain(|label| !session.plan.cells.iter().any(|cell| cell.key.label() == *label));
    Ok(labels)
}

/// Records the jobs that are finished in their folders but unknown to the database, which was lost or replaced by an
/// older one. Returns how many there were.
async fn recover_finished_jobs(store: &Store, session: &Session, tasks: &[Task]) -> Result<u64, Failure> {
    let mut recovered = 0;
    for task in tasks {
        if let Some(Decision::Run(RunReason::New | RunReason::Changed(_))) = session.decisions.get(&task.id) {
            let updates = runner::unrecorded_outcome(task.id, &task.folder)?;
            recovered += u64::from(!updates.is_empty());
            store.record_all(&updates, now()).await?;
        }
    }
    Ok(recovered)
}

/// Records the experiment, its plan and this invocation.
async fn record_invocation(store: &Store, session: &Session, tasks: &[Task]) -> Result<InvocationId, StoreError> {
    let Session { spec, plan, .. } = session;
    let experiment = Experiment {
        name: plan.name.clone(),
        spec_path: spec.origin.stored_path().to_owned(),
        spec_text: String::from_utf8_lossy(&spec.text).into_owned(),
        overrides: spec.overrides.clone(),
    };
    let cell_job = |(job, role): &(JobId, Role)| CellJob { job: *job, role: role.name().to_owned() };
    let cell =
        |cell: &PlannedCell| CellRecord { key: cell.key.clone(), jobs: cell.jobs.iter().map(cell_job).collect() };
    let cells: Vec<CellRecord> = plan.cells.iter().map(cell).collect();
    let jobs: Vec<JobRecord<'_>> = (plan.jobs().zip(tasks))
        .map(|(job, task)| JobRecord {
            id: job.id,
            job: &job.job,
            label: &job.label,
            folder: &task.folder,
            parents: &job.parents,
        })
        .collect();
    let invocation = Invocation {
        started: now(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: option_env!("GRID_COMMIT").map(str::to_owned),
    };
    store.begin(&experiment, &cells, &jobs, &invocation).await
}
