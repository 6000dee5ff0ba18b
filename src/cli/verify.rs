//! `grid verify`: what is promised, tried out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::args::{Cli, TableFormat, VerifyResumeArgs};
use super::data;
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::preflight::refuse_blocked;
use super::report::form;
use super::run::{STOPPING, listen, now, run_failure, shown, tasks, trial};
use super::workspace::{SpecText, Workspace};
use crate::domain::{
    Event, FaultInjection, Job, JobId, JobUpdate, Outcome, Score, Task, Training, Update, Verdict, counted, layout,
};
use crate::plan::PlannedJob;
use crate::report::{Cell, Table};
use crate::runner::{self, Policy, Stop};
use crate::store::Verification;

/// What a job did in a trial.
#[derive(Debug, Clone, Default)]
struct Ran {
    /// Folder of the attempt that succeeded.
    attempt: PathBuf,
    /// Where it ran.
    device: String,
    threads: u32,
    version: String,
    /// Attempts that were lost.
    kills: u32,
    /// In the order of the journal.
    scores: Vec<Score>,
}

/// `grid verify resume`.
pub async fn resume(cli: &Cli, args: &VerifyResumeArgs) -> Result<Exit, Failure> {
    let (spec, mut grid) = SpecText::read(&args.spec.spec, &args.spec.set)?;
    if !args.device.is_empty() {
        grid.resources.devices.clone_from(&args.device);
    }
    tokio::task::block_in_place(|| data::obtain(cli, &spec, &grid))?;
    let mut workspace = Workspace::prepare(&cli.runs_dir, &spec, grid, None).await?;
    refuse_blocked(&workspace)?;
    let chosen = chosen(&workspace, &args.job)?;
    let seed = args.seed.unwrap_or_else(|| now() as u64);
    let unusable = |error| Failure::text(Exit::Environment, format!("grid: {}: {error}", cli.runs_dir.display()));
    std::fs::create_dir_all(&cli.runs_dir).map_err(unusable)?;
    let scratch = std::fs::canonicalize(&cli.runs_dir).map_err(unusable)?.join("verify").join(now().to_string());
    if !cli.quiet {
        let jobs = counted(chosen.len() as u64, "training job");
        let kills = counted(u64::from(args.kills), "kill");
        eprintln!("{}: {jobs}, {kills} each (--seed {seed})", workspace.plan.name);
    }

    let settings = match args.threads[..] {
        [] => vec![workspace.grid.resources.threads],
        ref threads => threads.iter().copied().map(Some).collect(),
    };
    let mut verdicts = vec![];
    for threads in settings {
        workspace.grid.resources.threads = threads;
        let folder = scratch.join(threads.map_or("threads".to_owned(), |threads| format!("threads{threads}")));
        let planted = FaultInjection { kills: args.kills, seed, ..trial()?.unwrap_or_default() };
        let tasks = |name: &str| needed(&workspace, &chosen, tasks(&workspace, &folder.join(name)));
        let none = BTreeMap::new();
        let straight =
            run(cli, &workspace, tasks("straight"), none, &folder.join("straight"), FaultInjection::default()).await?;
        // What does not train need not be done twice.
        let trains_or_scores = |id: &JobId| {
            let job = workspace.plan.job(id).map(|planned| &planned.job);
            matches!(job, Some(Job::Pretrain(_) | Job::Tune(_) | Job::Eval(_)))
        };
        let done = straight.iter().filter(|(id, _)| !trains_or_scores(id));
        let done = done.map(|(id, ran)| (*id, ran.attempt.join(layout::OUTPUT))).collect();
        let mut again = tasks("resumed");
        again.retain(|task| trains_or_scores(&task.id));
        let resumed = run(cli, &workspace, again, done, &folder.join("resumed"), planted).await?;
        for planned in &chosen {
            verdicts.push(verdict(&workspace, planned, &straight, &resumed, seed)?);
        }
    }

    let store = database::open(cli).await?;
    store.record_verifications(&verdicts, now()).await.map_err(store_failure)?;
    store.close().await;
    print!("{}", form(&table(&verdicts), args.format));
    if verdicts.iter().any(|verdict| verdict.difference.is_some()) {
        eprintln!("grid: resuming is not exact here; both runs are in {}", scratch.display());
        return Ok(Exit::CheckFailed);
    }
    let removed = std::fs::remove_dir_all(&scratch);
    removed.map_err(|error| Failure::text(Exit::Environment, format!("grid: {}: {error}", scratch.display())))?;
    // Stays where another verification is at work.
    let _ = std::fs::remove_dir(scratch.parent().unwrap_or(&scratch));
    if args.format == TableFormat::Table && !cli.quiet {
        eprintln!("grid: identical bit by bit; the verdicts are in v_verifications of runs.db");
    }
    Ok(Exit::Done)
}

/// The optimisation of a training job.
fn training(job: &Job) -> Option<&Training> {
    match job {
        Job::Pretrain(job) => Some(&job.training),
        Job::Tune(job) => Some(&job.training),
        Job::Tokenizer(_) | Job::Prepare(_) | Job::Import(_) | Job::Finetune(_) | Job::Eval(_) => None,
    }
}

/// The training jobs of these names, by default all.
fn chosen<'a>(workspace: &'a Workspace, names: &[String]) -> Result<Vec<PlannedJob>, Failure> {
    let trains = |job: &&'a PlannedJob| training(&job.job).is_some();
    let all: Vec<&PlannedJob> = workspace.plan.jobs().filter(trains).collect();
    let name = |job: &PlannedJob| format!("{}/{}", job.job.kind(), job.label);
    let is = |job: &PlannedJob, wanted: &String| {
        job.label == *wanted || name(job) == *wanted || job.id.to_string().starts_with(wanted.as_str())
    };
    if let Some(unknown) = names.iter().find(|wanted| !all.iter().any(|job| is(job, wanted))) {
        let known: Vec<String> = all.iter().map(|job| name(job)).collect();
        let message = format!("grid: no training job is called '{unknown}'; there are:\n  {}", known.join("\n  "));
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    let wanted = |job: &&&PlannedJob| names.is_empty() || names.iter().any(|name| is(job, name));
    Ok(all.iter().filter(wanted).map(|job| (*job).clone()).collect())
}

/// The tasks of the chosen jobs, of all before them, and of their evaluations.
fn needed(workspace: &Workspace, chosen: &[PlannedJob], tasks: Vec<Task>) -> Vec<Task> {
    let mut needed: BTreeSet<JobId> = BTreeSet::new();
    let mut open: Vec<JobId> = chosen.iter().map(|job| job.id).collect();
    while let Some(id) = open.pop() {
        if needed.insert(id) {
            open.extend(workspace.plan.job(&id).iter().flat_map(|job| &job.parents));
        }
    }
    let scores = |task: &Task| matches!(&task.job, Job::Eval(eval) if chosen.iter().any(|job| job.id == eval.model));
    tasks.into_iter().filter(|task| needed.contains(&task.id) || scores(task)).collect()
}

/// Runs the tasks in a folder of their own.
async fn run(
    cli: &Cli,
    workspace: &Workspace,
    tasks: Vec<Task>,
    done: BTreeMap<JobId, PathBuf>,
    folder: &Path,
    trial: FaultInjection,
) -> Result<BTreeMap<JobId, Ran>, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let resources = &workspace.grid.resources;
    let slots = runner::slots(resources, cores, runner::gpus());
    let program = runner::worker_program().map_err(run_failure)?;
    let mut executor = runner::Local::new(program, folder, slots);
    let policy = Policy {
        keep_going: false,
        retries: trial.kills + 1,
        checkpoint_every_seconds: resources.checkpoint_every_seconds,
        micro_batch: resources.micro_batch,
        faults: Some(trial),
    };
    let mut progress = shown(cli, workspace, &tasks);
    let (sender, stop) = watch::channel(Stop::No);
    let signals = tokio::spawn(listen(sender, STOPPING));
    let mut ran: BTreeMap<JobId, Ran> = BTreeMap::new();
    let news = async |news: Vec<JobUpdate>| {
        for one in news {
            // The losses are wanted here, and no news.
            if !matches!(one.update, Update::Lost { .. }) {
                progress.update(&one);
            }
            fold(ran.entry(one.job).or_default(), one.update);
        }
        Ok::<(), std::convert::Infallible>(())
    };
    let summary = runner::drive(tasks, done, &mut executor, &policy, stop, news).await;
    signals.abort();
    progress.finish();
    let summary = summary.map_err(run_failure)?;
    if let Some((id, message)) = summary.failed.first() {
        let label =
            workspace.plan.job(id).map_or_else(|| id.short(), |job| format!("{} {}", job.job.kind(), job.label));
        let message = format!("grid: nothing is verified, as a job failed: {label}: {message}");
        return Err(Failure::text(Exit::JobsFailed, message));
    }
    if !summary.interrupted.is_empty() {
        let message = format!("grid: interrupted; {} can be removed", folder.display());
        return Err(Failure::text(Exit::Interrupted, message));
    }
    Ok(ran)
}

fn fold(ran: &mut Ran, what: Update) {
    match what {
        Update::Journal { entry, .. } => match entry.event {
            Event::Started { device, threads, version, .. } => {
                (ran.device, ran.threads, ran.version) = (device, threads, version);
                ran.scores.clear();
            }
            Event::Scored(score) => ran.scores.push(score),
            _ => {}
        },
        Update::Ended { folder, outcome: Outcome { verdict: Verdict::Done, attempt, .. }, .. } => {
            ran.attempt = folder.join(attempt);
        }
        Update::Lost { .. } => ran.kills += 1,
        Update::Ended { .. } | Update::Submitted { .. } | Update::Stopped { .. } => {}
    }
}

fn verdict(
    workspace: &Workspace,
    planned: &PlannedJob,
    straight: &BTreeMap<JobId, Ran>,
    resumed: &BTreeMap<JobId, Ran>,
    seed: u64,
) -> Result<Verification, Failure> {
    let of = |runs: &BTreeMap<JobId, Ran>, id: &JobId| runs.get(id).cloned().unwrap_or_default();
    let (one, other) = (of(straight, &planned.id), of(resumed, &planned.id));
    let unreadable = |error| Failure::text(Exit::Environment, format!("grid: failed to compare: {error}"));
    let files = runner::difference(&one.attempt, &other.attempt).map_err(unreadable)?;
    let mut difference = files.map(|difference| difference.to_string());
    for eval in workspace.plan.jobs().filter(|job| matches!(&job.job, Job::Eval(eval) if eval.model == planned.id)) {
        let (before, after) = (of(straight, &eval.id).scores, of(resumed, &eval.id).scores);
        if before != after && difference.is_none() {
            difference = Some(format!("the scores of {} differ", eval.label));
        }
    }
    let in_cell = |cell: &&crate::plan::PlannedCell| cell.jobs.iter().any(|(id, _)| *id == planned.id);
    let model = workspace.plan.cells.iter().find(in_cell).map_or(String::new(), |cell| cell.key.model.clone());
    let Some(training) = training(&planned.job) else { unreachable!("only training jobs are chosen") };
    Ok(Verification {
        job: planned.id,
        kind: planned.job.kind(),
        label: planned.label.clone(),
        model,
        device: other.device,
        precision: training.precision,
        threads: other.threads,
        kills: other.kills,
        seed,
        difference,
        version: other.version,
    })
}

fn table(verdicts: &[Verification]) -> Table {
    let heads = ["job", "model", "device", "precision", "threads", "kills", "verdict"].map(str::to_owned).to_vec();
    let row = |verdict: &Verification| {
        vec![
            Cell::Label(format!("{} {}", verdict.kind, verdict.label)),
            Cell::Label(verdict.model.clone()),
            Cell::Label(verdict.device.clone()),
            Cell::Label(verdict.precision.name().to_owned()),
            Cell::Count(verdict.threads.into()),
            Cell::Count(verdict.kills.into()),
            Cell::Label(if verdict.difference.is_none() { "identical" } else { "different" }.to_owned()),
        ]
    };
    let different = |verdict: &Verification| {
        let difference = verdict.difference.as_ref()?;
        Some(format!("{} {}, {} threads: {difference}", verdict.kind, verdict.label, verdict.threads))
    };
    let mut notes =
        vec!["compared: weights, optimiser, cursor, files and scores after the last step, bit by bit".to_owned()];
    notes.extend(verdicts.iter().filter_map(different));
    let title = "A straight training against one that was killed and resumed".to_owned();
    Table { title, heads, labels: 4, rows: verdicts.iter().map(row).collect(), notes, ..Table::default() }
}
