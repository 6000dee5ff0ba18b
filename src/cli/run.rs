//! `grid run` and `grid resume`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::args::{Cli, DriveArgs, ResumeArgs, RunArgs};
use super::data;
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::preflight;
use super::workspace::{SpecText, Workspace};
use crate::domain::{FaultInjection, Grid, JobId, JobUpdate, Resources, Task, counted};
use crate::plan::{Decision, RunReason, warnings, weight};
use crate::report::progress::{self, Progress};
use crate::runner::{self, Lock, Policy, RunError, Stop, Summary};
use crate::store::{CellJob, CellRecord, Experiment, Invocation, InvocationOutcome, JobRecord, Store};

/// `grid run`.
pub async fn run(cli: &Cli, args: &RunArgs) -> Result<Exit, Failure> {
    let (spec, grid) = SpecText::read(&args.spec.spec, &args.spec.set)?;
    go(cli, &spec, grid, &args.drive).await
}

/// `grid resume`.
pub async fn resume(cli: &Cli, args: &ResumeArgs) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    let stored = store.experiment(args.experiment.as_deref()).await.map_err(store_failure)?.experiment;
    store.close().await;
    let spec = SpecText::kept(stored);
    let grid = spec.grid()?;
    go(cli, &spec, grid, &args.drive).await
}

/// Runs or continues an experiment, and says how it went.
pub(super) async fn go(cli: &Cli, spec: &SpecText, mut grid: Grid, args: &DriveArgs) -> Result<Exit, Failure> {
    overrule(&mut grid.resources, args)?;
    if grid.budget.is_some() {
        // A plan that may not run needs no download.
        planned(cli, spec, &grid).await?;
    }
    tokio::task::block_in_place(|| data::obtain(cli, spec, &grid))?;
    preflight::refuse_devices(&grid.resources)?;
    let first = planned(cli, spec, &grid).await?;
    preflight::refuse_blocked(&first)?;
    tokio::task::block_in_place(|| preflight::refuse_unreadable(&first))?;

    let unusable = |error| Failure::text(Exit::Environment, format!("grid: {}: {error}", cli.runs_dir.display()));
    std::fs::create_dir_all(&cli.runs_dir).map_err(unusable)?;
    let runs_dir = std::fs::canonicalize(&cli.runs_dir).map_err(unusable)?;
    let _lock = Lock::acquire(&runs_dir).map_err(run_failure)?;
    let store = database::open(cli).await?;
    let workspace = Workspace::prepare(&runs_dir, spec, grid, Some(&store)).await?;
    for warning in warnings(&workspace.plan, &workspace.facts, workspace.grid.budget) {
        eprintln!("warning: {warning}");
    }
    let tasks = tasks(&workspace, &runs_dir);
    tell_gone(&store, &workspace).await?;
    let invocation = begin(&store, spec, &workspace, &tasks).await.map_err(store_failure)?;
    let workspace = take_in(&store, &runs_dir, spec, workspace, &tasks).await?;
    let to_run: Vec<Task> =
        tasks.into_iter().filter(|task| workspace.decisions.get(&task.id) != Some(&Decision::Reuse)).collect();
    if to_run.is_empty() {
        eprintln!("{}: nothing to do, all {} jobs are done", workspace.plan.name, workspace.plan.jobs().len());
        store.finish(invocation, InvocationOutcome::Done, now()).await.map_err(store_failure)?;
        store.close().await;
        return Ok(Exit::Done);
    }
    let reused = workspace.plan.jobs().len() - to_run.len();
    if !cli.quiet {
        let name = &workspace.plan.name;
        let jobs = counted(to_run.len() as u64, "job");
        eprintln!("{name}: {jobs} to run, {reused} reused, results in {}", runs_dir.display());
    }
    let summary = drive(cli, &store, &workspace, to_run, &runs_dir, args).await?;
    let (ending, exit) = if !summary.interrupted.is_empty() {
        (InvocationOutcome::Interrupted, Exit::Interrupted)
    } else if !summary.failed.is_empty() {
        (InvocationOutcome::Failed, Exit::JobsFailed)
    } else {
        (InvocationOutcome::Done, Exit::Done)
    };
    store.finish(invocation, ending, now()).await.map_err(store_failure)?;
    store.close().await;
    tell(&workspace, &summary, cli.quiet);
    Ok(exit)
}

/// Puts what the command line says over what the spec does.
fn overrule(resources: &mut Resources, args: &DriveArgs) -> Result<(), Failure> {
    if args.local {
        resources.slurm = None;
    }
    match &mut resources.slurm {
        Some(_) if !args.device.is_empty() => {
            let words = "grid: --device is of this machine, and the jobs go to Slurm: add --local, or set \
                         `resources.slurm.gres`";
            return Err(Failure::text(Exit::Usage, words));
        }
        Some(slurm) => {
            slurm.jobs = args.jobs.unwrap_or(slurm.jobs);
            slurm.cpus = args.threads.unwrap_or(slurm.cpus);
        }
        None => {
            resources.jobs_per_device = args.jobs.or(resources.jobs_per_device);
            resources.threads = args.threads.or(resources.threads);
            if !args.device.is_empty() {
                resources.devices.clone_from(&args.device);
            }
        }
    }
    Ok(())
}

/// Says so where the experiment loses cells: the spec was changed, or another one has its name.
async fn tell_gone(store: &Store, workspace: &Workspace) -> Result<(), Failure> {
    let name = &workspace.plan.name;
    let mut gone = store.cell_labels(name).await.map_err(store_failure)?;
    gone.retain(|label| !workspace.plan.cells.iter().any(|cell| cell.key.label() == *label));
    if let Some(first) = gone.first() {
        let others = if gone.len() == 1 { String::new() } else { format!(" and {} more", gone.len() - 1) };
        eprintln!(
            "note: {first}{others} of the last run of {name} left its table with this spec; the results stay, and come \
             back with the spec (another `name:` keeps both)"
        );
    }
    Ok(())
}

/// Takes in what is done in the folders of jobs, but not on record: the database was lost, or an older one put back.
async fn take_in(
    store: &Store,
    runs_dir: &Path,
    spec: &SpecText,
    workspace: Workspace,
    tasks: &[Task],
) -> Result<Workspace, Failure> {
    let mut found = 0;
    for task in tasks {
        if let Some(Decision::Run(RunReason::New | RunReason::Changed(_))) = workspace.decisions.get(&task.id) {
            let news = runner::left_done(task.id, &task.folder).map_err(run_failure)?;
            found += u64::from(!news.is_empty());
            store.record_all(&news, now()).await.map_err(store_failure)?;
        }
    }
    if found == 0 {
        return Ok(workspace);
    }
    eprintln!(
        "note: runs.db did not know of {} that are done in {}: taken in",
        counted(found, "job"),
        runs_dir.display()
    );
    Workspace::prepare(runs_dir, spec, workspace.grid, Some(store)).await
}

/// What would run, before anything is written.
async fn planned(cli: &Cli, spec: &SpecText, grid: &Grid) -> Result<Workspace, Failure> {
    let store = database::if_any(cli).await?;
    let workspace = Workspace::prepare(&cli.runs_dir, spec, grid.clone(), store.as_ref()).await?;
    if let Some(store) = store {
        store.close().await;
    }
    Ok(workspace)
}

pub(super) fn tasks(workspace: &Workspace, runs_dir: &Path) -> Vec<Task> {
    let experiment = runs_dir.join(&workspace.plan.name);
    let folder = |id: &JobId, kind: &str| -> PathBuf {
        workspace
            .folders
            .get(id)
            .cloned()
            .unwrap_or_else(|| experiment.join(format!("{kind}-{}", &id.to_string()[..16])))
    };
    let task = |job: &crate::plan::PlannedJob| Task {
        id: job.id,
        job: job.job.clone(),
        parents: job.parents.clone(),
        sources: job.sources.clone(),
        folder: folder(&job.id, job.job.kind().name()),
        keep_optimizer: workspace.plan.is_carried(&job.id),
    };
    workspace.plan.jobs().map(task).collect()
}

async fn begin(
    store: &Store,
    spec: &SpecText,
    workspace: &Workspace,
    tasks: &[Task],
) -> Result<crate::store::InvocationId, crate::store::StoreError> {
    let experiment = Experiment {
        name: workspace.plan.name.clone(),
        spec_path: spec.path.clone(),
        spec_text: String::from_utf8_lossy(&spec.text).into_owned(),
        overrides: spec.overrides.clone(),
    };
    let cell_job = |(job, role): &(JobId, crate::plan::Role)| CellJob { job: *job, role: role.name().to_owned() };
    let cell = |cell: &crate::plan::PlannedCell| CellRecord {
        key: cell.key.clone(),
        jobs: cell.jobs.iter().map(cell_job).collect(),
    };
    let cells: Vec<CellRecord> = workspace.plan.cells.iter().map(cell).collect();
    let jobs: Vec<JobRecord<'_>> = (workspace.plan.jobs().zip(tasks))
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

async fn drive(
    cli: &Cli,
    store: &Store,
    workspace: &Workspace,
    tasks: Vec<Task>,
    runs_dir: &Path,
    args: &DriveArgs,
) -> Result<Summary, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let resources = &workspace.grid.resources;
    let program = runner::worker_program().map_err(run_failure)?;
    let policy = Policy {
        keep_going: !args.fail_fast,
        retries: args.retries,
        checkpoint_every_seconds: resources.checkpoint_every_seconds,
        micro_batch: resources.micro_batch,
        faults: trial()?,
    };
    let mut progress = shown(cli, workspace, &tasks);
    let done: BTreeMap<JobId, PathBuf> = (workspace.outputs.iter())
        .filter(|(id, _)| workspace.decisions.get(id) == Some(&Decision::Reuse))
        .map(|(id, output)| (*id, output.clone()))
        .collect();
    let (sender, stop) = watch::channel(Stop::No);
    let words = match resources.slurm {
        Some(_) if !args.cancel_on_exit => "leaving: the jobs in Slurm's queue go on, `grid resume` takes them over",
        _ => STOPPING,
    };
    let signals = tokio::spawn(listen(sender, words));
    let news = async |news: Vec<JobUpdate>| {
        store.record_all(&news, now()).await?;
        for one in &news {
            progress.update(one);
        }
        Ok::<(), crate::store::StoreError>(())
    };
    let summary = match resources.slurm.clone() {
        Some(slurm) => {
            let mut executor = runner::Slurm::new(program, slurm, args.cancel_on_exit);
            runner::drive(tasks, done, &mut executor, &policy, stop, news).await
        }
        None => {
            let mut executor = runner::Local::new(program, runs_dir, runner::slots(resources, cores, runner::gpus()));
            runner::drive(tasks, done, &mut executor, &policy, stop, news).await
        }
    };
    signals.abort();
    progress.finish();
    summary.map_err(run_failure)
}

/// The progress of these tasks on standard error.
pub(super) fn shown(cli: &Cli, workspace: &Workspace, tasks: &[Task]) -> Progress {
    let running: Vec<progress::PlannedJob> = tasks
        .iter()
        .filter_map(|task| workspace.plan.job(&task.id))
        .map(|job| progress::PlannedJob {
            id: job.id,
            label: job.label.clone(),
            kind: job.job.kind(),
            weight: weight(&workspace.plan, job, &workspace.facts),
        })
        .collect();
    Progress::new(&running, progress_mode(cli), Box::new(std::io::stderr()))
}

/// How progress is shown on standard error.
pub(super) fn progress_mode(cli: &Cli) -> progress::ProgressMode {
    match (cli.quiet, std::io::stderr().is_terminal()) {
        (true, _) => progress::ProgressMode::Silent,
        (false, true) => progress::ProgressMode::Bars,
        (false, false) => progress::ProgressMode::Lines,
    }
}

/// The faults that `GRID_INJECT` asks for.
pub(super) fn trial() -> Result<Option<FaultInjection>, Failure> {
    let Some(text) = std::env::var_os("GRID_INJECT") else { return Ok(None) };
    let trial = text.to_string_lossy().parse();
    trial.map(Some).map_err(|error| Failure::text(Exit::Usage, format!("grid: GRID_INJECT: {error}")))
}

/// What the first interrupt does to workers of this machine.
pub(super) const STOPPING: &str = "stopping: the workers save their state (once more to kill them)";

/// The first interrupt lets the workers save their state, or the jobs go on without us; `words` say which. The second
/// kills the workers.
pub(super) async fn listen(stop: watch::Sender<Stop>, words: &'static str) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut user)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::user_defined1()))
    else {
        tracing::warn!("signals cannot be caught here: an interrupt costs the work since the last checkpoint");
        return;
    };
    for wish in [Stop::Politely, Stop::Now] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = user.recv() => {}
        }
        if wish == Stop::Politely {
            eprintln!("grid: {words}");
        }
        stop.send_replace(wish);
    }
}

fn tell(workspace: &Workspace, summary: &Summary, quiet: bool) {
    let label = |id: &JobId| {
        workspace.plan.job(id).map_or_else(|| id.short(), |job| format!("{} {}", job.job.kind(), job.label))
    };
    for (id, message) in &summary.failed {
        eprintln!("failed: {} ({}): {message}", label(id), id.short());
        eprintln!("  help: `grid logs {}` shows what it did; `grid resume` tries it again", id.short());
    }
    if !summary.skipped.is_empty() {
        eprintln!("skipped: {} in need of a failed one", counted(summary.skipped.len() as u64, "job"));
    }
    if !summary.interrupted.is_empty() {
        let jobs = counted(summary.interrupted.len() as u64, "job");
        eprintln!("interrupted with {jobs} to go; `grid resume` continues");
    } else if summary.failed.is_empty() && !quiet {
        eprintln!("{}: done; `grid report {0}` prints the table", workspace.plan.name);
    }
}

pub(super) fn run_failure(error: RunError) -> Failure {
    let exit = if matches!(error, RunError::Locked { .. }) { Exit::Database } else { Exit::Environment };
    Failure::new(exit, error)
}

/// Milliseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
