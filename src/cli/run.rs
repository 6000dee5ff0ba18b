//! `grid run`.

use clap::Args;

use super::execution_args::ExecutionArgs;
use super::fetch;
use super::global::Global;
use super::plan;
use super::progress::ShownProgress;
use super::spec_args::SpecArgs;
use crate::data::download::FetchProgress;
use crate::domain::{Grid, counted};
use crate::runner::Summary;
use crate::session::{Exit, Failure, Run, RunsFolder, Session, SpecText, fetch_before_run};
use crate::store::InvocationOutcome;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Print the plan and stop.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Execution.
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// `grid run`.
pub(super) async fn run(global: &Global, args: &RunArgs) -> Result<Exit, Failure> {
    if args.dry_run {
        return plan::print_plan(global, &args.spec).await;
    }
    let (spec, grid) = args.spec.read()?;
    run_experiment(global, spec, grid, &args.execution).await
}

/// Runs or continues an experiment, and reports how it ended.
pub(super) async fn run_experiment(
    global: &Global,
    spec: SpecText,
    mut grid: Grid,
    args: &ExecutionArgs,
) -> Result<Exit, Failure> {
    let execution = args.execution(global);
    execution.apply_to(&mut grid.resources)?;
    let runs = global.runs();
    fetch_data(global, &runs, &spec, &grid).await?;
    let mut run = Run::begin(&runs, spec, grid).await?;
    print_notes(global, &run);
    let mut observer = ShownProgress::new(global);
    if run.tasks.is_empty() {
        run.finish(InvocationOutcome::Done, &observer).await?;
        return Ok(Exit::Done);
    }
    let summary = run.drive(&execution, &mut observer).await?;
    let (ending, exit) = match &summary {
        Summary { interrupted, .. } if !interrupted.is_empty() => (InvocationOutcome::Interrupted, Exit::Interrupted),
        Summary { failed, .. } if !failed.is_empty() => (InvocationOutcome::Failed, Exit::JobsFailed),
        Summary { .. } => (InvocationOutcome::Done, Exit::Done),
    };
    let session = run.finish(ending, &observer).await?;
    print_summary(global, &session, &summary);
    Ok(exit)
}

async fn fetch_data(global: &Global, runs: &RunsFolder, spec: &SpecText, grid: &Grid) -> Result<(), Failure> {
    let mut transfers = fetch::transfers(global);
    let mut show = |coming: FetchProgress<'_>| fetch::show(&mut transfers, coming);
    let fetched = fetch_before_run(runs, spec, grid, global.offline, &mut show).await?;
    fetch::print_locked(global, &fetched);
    Ok(())
}

/// Prints what the user should know before the jobs start.
fn print_notes(global: &Global, run: &Run) {
    let name = &run.session.plan.name;
    let jobs = run.session.plan.jobs().len();
    for warning in &run.warnings {
        eprintln!("warning: {warning}");
    }
    if let Some(first) = run.removed_cells.first() {
        let others = match run.removed_cells.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        eprintln!(
            "note: {first}{others} of the last run of {name} are no longer in the spec, so its table omits them; their \
             results are kept, and return with the spec (another `name:` keeps both)"
        );
    }
    if run.recovered > 0 {
        let recovered = counted(run.recovered, "finished job");
        eprintln!("note: recovered {recovered} from {}, unknown to runs.db", run.runs.display());
    }
    if run.tasks.is_empty() {
        eprintln!("{name}: nothing to do, all {} are done", counted(jobs as u64, "job"));
    } else if !global.quiet {
        let reused = jobs - run.tasks.len();
        let to_run = counted(run.tasks.len() as u64, "job");
        eprintln!("{name}: {to_run} to run, {reused} reused, results in {}", run.runs.display());
    }
}

fn print_summary(global: &Global, session: &Session, summary: &Summary) {
    for (id, message) in &summary.failed {
        eprintln!("failed: {} ({}): {message}", session.job_name(id), id.short());
        eprintln!("  help: `grid logs {}` shows its log; `grid resume` retries it", id.short());
    }
    if !summary.skipped.is_empty() {
        eprintln!("skipped: {} that depend on a failed one", counted(summary.skipped.len() as u64, "job"));
    }
    if !summary.interrupted.is_empty() {
        let jobs = counted(summary.interrupted.len() as u64, "job");
        eprintln!("interrupted with {jobs} left; `grid resume` continues");
    } else if summary.failed.is_empty() && !global.quiet {
        eprintln!("{}: done; `grid report {0}` prints the table", session.plan.name);
    }
}
