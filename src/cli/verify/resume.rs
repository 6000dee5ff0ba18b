//! `grid verify resume`.

use clap::Args;

use crate::cli::fetch::fetch_data;
use crate::cli::global::Global;
use crate::cli::output::{TableFormat, formatted};
use crate::cli::progress::ShownProgress;
use crate::cli::spec_args::SpecArgs;
use crate::domain::counted;
use crate::report::{Cell, Table};
use crate::session::{Exit, Failure, VerificationRequest, VerificationRun};
use crate::store::Verification;

/// Arguments of `verify resume`.
#[derive(Debug, Args)]
pub(crate) struct VerifyResumeArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// How often each job is killed (SIGKILL), at random steps.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub kills: u32,
    /// Seed of the steps at which jobs are killed; by default different each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Verify only this training job: its name, optionally preceded by its kind (`pretrain/tiny/seed1`), or its id.
    #[arg(long, value_name = "KIND/NAME")]
    pub job: Vec<String>,
    /// Threads of each job; several values, separated by commas, are verified one after the other.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub threads: Vec<u32>,
    /// Devices, separated by commas: auto, cpu, cuda:0, ...
    #[arg(long, value_delimiter = ',')]
    pub device: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid verify resume`.
pub(super) async fn resume(global: &Global, args: &VerifyResumeArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.spec.read()?;
    tokio::task::block_in_place(|| fetch_data(global, &spec, &grid))?;
    let request = VerificationRequest {
        kills: args.kills,
        seed: args.seed,
        jobs: args.job.clone(),
        threads: args.threads.clone(),
        devices: args.device.clone(),
        log_filter: global.log_filter(),
    };
    let runs = global.runs();
    let run = VerificationRun::prepare(&runs, spec, grid, request).await?;
    if !global.quiet {
        let (jobs, kills) = (counted(run.jobs(), "training job"), counted(u64::from(args.kills), "kill"));
        eprintln!("{}: {jobs}, {kills} each (--seed {})", run.name(), run.seed());
    }
    let verdicts = run.verify(&mut ShownProgress::new(global)).await?;
    run.record(&runs, &verdicts).await?;
    print!("{}", formatted(&table(&verdicts), args.format));
    if verdicts.iter().any(|verdict| verdict.difference.is_some()) {
        eprintln!("grid: resuming is not exact on this machine; both trainings are in {}", run.scratch().display());
        return Ok(Exit::CheckFailed);
    }
    run.clean_up()?;
    if args.format == TableFormat::Table && !global.quiet {
        eprintln!("grid: identical bit by bit; the verdicts are in v_verifications of runs.db");
    }
    Ok(Exit::Done)
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
        vec!["compared bit by bit after the last step: weights, optimizer, data cursor, files and scores".to_owned()];
    notes.extend(verdicts.iter().filter_map(different));
    let title = "Straight training against training that was killed and resumed".to_owned();
    Table { title, heads, labels: 4, rows: verdicts.iter().map(row).collect(), notes, ..Table::default() }
}
