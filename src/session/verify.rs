//! Verification that training resumes exactly: each job is trained straight and with kills, and both are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::clock::now;
use super::execution::injected_faults;
use super::failure::{Exit, Failure};
use super::observer::Observer;
use super::open::Session;
use super::preflight;
use super::run::jobs_to_run;
use super::runs_folder::RunsFolder;
use super::signals::{STOPPING, forward_signals};
use super::spec_text::SpecText;
use crate::domain::{
    Artifact, Backend, Event, FaultInjection, FinishedOutput, Grid, Job, JobId, JobUpdate, Outcome, Resources, Score,
    Task, Training, Update, Verdict, layout,
};
use crate::plan::{PlannedCell, PlannedJob};
use crate::runner::{self, Policy, Stop, WorkerProgram};
use crate::store::Verification;

/// What to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerificationRequest {
    /// How often each job is killed.
    pub kills: u32,
    /// The seed of the steps at which it is killed; `None` takes the time.
    pub seed: Option<u64>,
    /// The training jobs to verify; empty for all.
    pub jobs: Vec<String>,
    /// The numbers of threads to verify; empty for that of the spec.
    pub threads: Vec<u32>,
    /// The devices; empty for those of the spec.
    pub devices: Vec<String>,
    /// The log filter of the workers.
    pub log_filter: String,
}

/// A verification that is about to start.
pub struct VerificationRun {
    session: Session,
    chosen: Vec<PlannedJob>,
    threads: Vec<Option<u32>>,
    kills: u32,
    seed: u64,
    log_filter: String,
    /// Where both trainings are; removed if they are identical.
    scratch: PathBuf,
}

/// What a job did in one of the two trainings.
#[derive(Debug, Clone, Default)]
struct TrainedJob {
    /// Folder of the attempt that succeeded.
    attempt: PathBuf,
    /// The files that it left.
    artifacts: Vec<Artifact>,
    device: String,
    threads: u32,
    version: String,
    /// Attempts that were lost.
    kills: u32,
    /// In the order of the journal.
    scores: Vec<Score>,
}

type TrainedJobs = BTreeMap<JobId, TrainedJob>;

impl VerificationRun {
    /// Plans a verification. Its data must have been fetched.
    ///
    /// # Errors
    /// The refusals of [`Session::open`]; missing data; a job that does not exist.
    pub async fn prepare(
        folder: &RunsFolder,
        spec: SpecText,
        mut grid: Grid,
        request: VerificationRequest,
    ) -> Result<Self, Failure> {
        if !request.devices.is_empty() {
            grid.resources.devices = request.devices;
        }
        // The workers are killed by their process ids, so they run here.
        grid.resources.backend = Backend::Local;
        let session = Session::open(&folder.path, spec, grid, None).await?;
        preflight::missing_data(&session)?;
        let chosen = choose_jobs(&session, &request.jobs)?;
        let threads = match request.threads[..] {
            [] => vec![session.grid.resources.threads],
            ref threads => threads.iter().copied().map(Some).collect(),
        };
        let seed = request.seed.unwrap_or_else(|| now() as u64);
        let scratch = folder.create()?.join("verify").join(now().to_string());
        Ok(Self { session, chosen, threads, kills: request.kills, seed, log_filter: request.log_filter, scratch })
    }

    /// Name of the experiment.
    pub fn name(&self) -> &str {
        &self.session.plan.name
    }

    /// Number of training jobs.
    pub fn jobs(&self) -> u64 {
        self.chosen.len() as u64
    }

    /// The seed of the kills.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The folder with both trainings.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Trains every job straight and with kills, for each number of threads, and compares both.
    ///
    /// # Errors
    /// A job that failed, an interrupt, files that cannot be read or written.
    pub async fn verify(&self, observer: &mut dyn Observer) -> Result<Vec<Verification>, Failure> {
        let mut verdicts = vec![];
        for &threads in &self.threads {
            let resources = Resources { threads, ..self.session.grid.resources.clone() };
            let name = threads.map_or("threads".to_owned(), |threads| format!("threads{threads}"));
            let folder = self.scratch.join(name);
            let (straight, resumed) = (folder.join("straight"), folder.join("resumed"));
            let tasks = self.needed_tasks(&straight);
            let faults = FaultInjection::default();
            let straight = self.train(&resources, tasks, BTreeMap::new(), &straight, faults, observer).await?;
            // Jobs that neither train nor score are not repeated.
            let is_repeated = |id: &JobId| {
                let job = self.session.plan.job(id).map(|planned| &planned.job);
                matches!(job, Some(Job::Pretrain(_) | Job::Tune(_) | Job::Eval(_)))
            };
            let done = straight.iter().filter(|(id, _)| !is_repeated(id));
            let done = done.map(|(id, trained)| (*id, trained.output())).collect();
            let mut tasks = self.needed_tasks(&resumed);
            tasks.retain(|task| is_repeated(&task.id));
            let faults =
                FaultInjection { kills: self.kills, seed: self.seed, ..injected_faults()?.unwrap_or_default() };
            let resumed = self.train(&resources, tasks, done, &resumed, faults, observer).await?;
            for planned in &self.chosen {
                verdicts.push(self.verdict(planned, &straight, &resumed)?);
            }
        }
        Ok(verdicts)
    }

    /// Records the verdicts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn record(&self, folder: &RunsFolder, verdicts: &[Verification]) -> Result<(), Failure> {
        let store = folder.open().await?;
        store.record_verifications(verdicts, now()).await?;
        store.close().await;
        Ok(())
    }

    /// Removes both trainings.
    ///
    /// # Errors
    /// If the folder cannot be removed.
    pub fn clean_up(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(&self.scratch).map_err(|error| Failure::path(&self.scratch, &error))?;
        // Fails while another verification is running, which needs the folder.
        let _ = std::fs::remove_dir(self.scratch.parent().unwrap_or(&self.scratch));
        Ok(())
    }

    /// The tasks of the chosen jobs, of their ancestors, and of their evaluations.
    fn needed_tasks(&self, folder: &Path) -> Vec<Task> {
        let mut needed: BTreeSet<JobId> = BTreeSet::new();
        let mut open: Vec<JobId> = self.chosen.iter().map(|job| job.id).collect();
        while let Some(id) = open.pop() {
            if needed.insert(id) {
                open.extend(self.session.plan.job(&id).iter().flat_map(|job| &job.parents));
            }
        }
        let is_chosen = |id: JobId| self.chosen.iter().any(|job| job.id == id);
        let scores = |task: &Task| matches!(&task.job, Job::Eval(eval) if is_chosen(eval.model));
        let mut tasks = self.session.tasks(folder);
        tasks.retain(|task| needed.contains(&task.id) || scores(task));
        tasks
    }

    /// Runs the tasks in a folder of their own.
    async fn train(
        &self,
        resources: &Resources,
        tasks: Vec<Task>,
        done: BTreeMap<JobId, FinishedOutput>,
        folder: &Path,
        faults: FaultInjection,
        observer: &mut dyn Observer,
    ) -> Result<TrainedJobs, Failure> {
        let program = WorkerProgram::find(&self.log_filter)?;
        let mut executor = runner::executor_for(resources, self.session.model_scale(), program, folder, false);
        let policy = Policy {
            keep_going: false,
            retries: faults.kills + 1,
            checkpoint_every_seconds: resources.checkpoint_every_seconds,
            micro_batch: resources.micro_batch,
            faults: Some(faults),
        };
        let (sender, stop) = watch::channel(Stop::No);
        let signals = tokio::spawn(forward_signals(sender, observer.announce(), STOPPING.to_owned()));
        observer.start(&jobs_to_run(&self.session, &tasks));
        let mut trained = TrainedJobs::new();
        let sink = async |updates: Vec<JobUpdate>| {
            for update in updates {
                // Losses are intended here, so they are not shown.
                if !matches!(update.update, Update::Lost { .. }) {
                    observer.update(&update);
                }
                trained.entry(update.job).or_default().apply(update.update);
            }
            Ok::<(), Infallible>(())
        };
        let summary = runner::drive(tasks, done, executor.as_mut(), &policy, stop, sink).await;
        signals.abort();
        observer.finish();
        let summary = summary?;
        if let Some((id, message)) = summary.failed.first() {
            let name = self.session.job_name(id);
            let message = format!("grid: the verification was aborted because a job failed: {name}: {message}");
            return Err(Failure::text(Exit::JobsFailed, message));
        }
        if !summary.interrupted.is_empty() {
            let message = format!("grid: interrupted; {} can be removed", folder.display());
            return Err(Failure::text(Exit::Interrupted, message));
        }
        Ok(trained)
    }

    fn verdict(
        &self,
        planned: &PlannedJob,
        straight: &TrainedJobs,
        resumed: &TrainedJobs,
    ) -> Result<Verification, Failure> {
        let plan = &self.session.plan;
        let of = |trained: &TrainedJobs, id: &JobId| trained.get(id).cloned().unwrap_or_default();
        let (one, other) = (of(straight, &planned.id), of(resumed, &planned.id));
        let unreadable = |error| Failure::text(Exit::Environment, format!("grid: failed to compare: {error}"));
        let files = runner::first_difference(&one.attempt, &other.attempt).map_err(unreadable)?;
        let mut difference = files.map(|difference| difference.to_string());
        for eval in plan.jobs().filter(|job| matches!(&job.job, Job::Eval(eval) if eval.model == planned.id)) {
            let (before, after) = (of(straight, &eval.id).scores, of(resumed, &eval.id).scores);
            if before != after && difference.is_none() {
                difference = Some(format!("the scores of {} differ", eval.label));
            }
        }
        let in_cell = |cell: &&PlannedCell| cell.jobs.iter().any(|(id, _)| *id == planned.id);
        let model = plan.cells.iter().find(in_cell).map_or(String::new(), |cell| cell.key.model.clone());
        let Some(training) = training_of(&planned.job) else { unreachable!("only training jobs are chosen") };
        Ok(Verification {
            job: planned.id,
            kind: planned.job.kind(),
            label: planned.label.clone(),
            model,
            device: other.device,
            precision: training.precision,
            threads: other.threads,
            kills: other.kills,
            seed: self.seed,
            difference,
            version: other.version,
        })
    }
}

impl TrainedJob {
    /// What it left.
    fn output(&self) -> FinishedOutput {
        FinishedOutput { folder: self.attempt.join(layout::OUTPUT), artifacts: self.artifacts.clone() }
    }

    fn apply(&mut self, update: Update) {
        match update {
            Update::Journal { entry, .. } => match entry.event {
                Event::Started { device, threads, version, .. } => {
                    (self.device, self.threads, self.version) = (device, threads, version);
                    self.scores.clear();
                }
                Event::Scored(score) => self.scores.push(score),
                _ => {}
            },
            Update::Ended { folder, outcome: Outcome { verdict: Verdict::Done, attempt, artifacts, .. }, .. } => {
                (self.attempt, self.artifacts) = (folder.join(attempt), artifacts);
            }
            Update::Lost { .. } => self.kills += 1,
            Update::Ended { .. } | Update::Submitted { .. } | Update::Stopped { .. } => {}
        }
    }
}

/// The optimization of a training job.
fn training_of(job: &Job) -> Option<&Training> {
    match job {
        Job::Pretrain(job) => Some(&job.training),
        Job::Tune(job) => Some(&job.training),
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Finetune(_)
        | Job::Eval(_) => None,
    }
}

/// The training jobs of these names; all if there are no names.
fn choose_jobs(session: &Session, names: &[String]) -> Result<Vec<PlannedJob>, Failure> {
    let all: Vec<&PlannedJob> = session.plan.jobs().filter(|job| training_of(&job.job).is_some()).collect();
    let name_of = |job: &PlannedJob| format!("{}/{}", job.job.kind(), job.label);
    let matches = |job: &PlannedJob, wanted: &String| {
        job.label == *wanted || name_of(job) == *wanted || job.id.to_string().starts_with(wanted.as_str())
    };
    if let Some(unknown) = names.iter().find(|wanted| !all.iter().any(|job| matches(job, wanted))) {
        let known: Vec<String> = all.iter().map(|job| name_of(job)).collect();
        let message = format!("grid: unknown training job '{unknown}'; known are:\n  {}", known.join("\n  "));
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    let is_chosen = |job: &&&PlannedJob| names.is_empty() || names.iter().any(|name| matches(job, name));
    Ok(all.iter().filter(is_chosen).map(|job| (*job).clone()).collect())
}
