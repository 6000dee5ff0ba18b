//! `grid verify chaos`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::fetch::fetch_data;
use crate::cli::global::Global;
use crate::cli::output::{TableFormat, formatted};
use crate::domain::counted;
use crate::report::{Cell, Table};
use crate::session::{ChaosReport, ChaosRequest, ChaosRun, Ending, Exit, Failure, FaultKind, SpecText};

/// Arguments of `verify chaos`.
#[derive(Debug, Args)]
pub(crate) struct VerifyChaosArgs {
    /// The spec; by default the shipped quickstart at a reduced size. Each disturbed run repeats all of it, so that it should
    /// run in seconds. Bits of source data flip only in the default.
    pub spec: Option<PathBuf>,
    /// Set a field of the spec: path.to.field=value.
    #[arg(short = 'S', long = "set", value_name = "PATH=VALUE", requires = "spec")]
    pub set: Vec<String>,
    /// For how many minutes disturbed runs begin; there is at least one.
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    pub minutes: f64,
    /// Seed of the faults and their moments; by default different each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// A number of minutes, up to a week.
fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=10_080.0).contains(&minutes) => Ok(minutes),
        _ => Err("write a number from 0 to 10080, such as 10 or 0.5".to_owned()),
    }
}

/// `grid verify chaos`.
pub(super) async fn chaos(global: &Global, args: &VerifyChaosArgs) -> Result<Exit, Failure> {
    let spec = match &args.spec {
        None => None,
        Some(path) => {
            let (spec, grid) = SpecText::read(path, &args.set)?;
            tokio::task::block_in_place(|| fetch_data(global, &spec, &grid))?;
            Some((spec, grid))
        }
    };
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    let runs = global.runs();
    let run = ChaosRun::prepare(&runs, ChaosRequest { spec, duration, seed: args.seed }).await?;
    if !global.quiet {
        let jobs = counted(run.jobs(), "job");
        eprintln!(
            "{}: {jobs}, undisturbed, then under faults for {} min (--seed {})",
            run.name(),
            args.minutes,
            run.seed()
        );
    }
    let report = run
        .verify(|text| eprintln!("{text}"), &mut |round| {
            if !global.quiet || round.ending.is_bad() {
                eprintln!("run {}: {}: {}\n  {}", round.number, round.kind.name(), round.detail, round.ending);
            }
        })
        .await?;
    run.record(&runs, &report).await?;
    print!("{}", formatted(&table(&report), args.format));
    if report.rounds.iter().any(|round| round.ending.is_bad()) {
        let folder = run.scratch().display();
        eprintln!("grid: not every fault was recovered or refused; the disturbed runs in question are in {folder}");
        return Ok(Exit::CheckFailed);
    }
    run.clean_up();
    if args.format == TableFormat::Table && !global.quiet {
        eprintln!(
            "grid: every fault was recovered or refused with a message; the verdicts are in v_verifications of runs.db"
        );
    }
    Ok(Exit::Done)
}

/// One row for each kind of fault.
fn table(report: &ChaosReport) -> Table {
    let heads = [
        "fault",
        "injected",
        "recovered",
        "refused",
        "silent difference",
        "lost work",
        "panic",
        "hang",
        "not recovered",
    ];
    let row = |kind: FaultKind| {
        let endings = || report.rounds.iter().filter(move |round| round.kind == kind).map(|round| &round.ending);
        let count = |wanted: fn(&Ending) -> bool| Cell::Count(endings().filter(|ending| wanted(ending)).count() as u64);
        vec![
            Cell::Label(kind.name().to_owned()),
            count(|ending| *ending != Ending::NotInjected),
            count(|ending| *ending == Ending::Recovered),
            count(|ending| matches!(ending, Ending::Refused(_))),
            count(|ending| matches!(ending, Ending::Different(_))),
            count(|ending| matches!(ending, Ending::LostWork(_))),
            count(|ending| matches!(ending, Ending::Panicked(_))),
            count(|ending| *ending == Ending::Hung),
            count(|ending| matches!(ending, Ending::NotRecovered(_))),
        ]
    };
    let bad = report.rounds.iter().filter(|round| round.ending.is_bad());
    let mut notes = vec![
        "recovered: scores, items, weights and all other files are those of the undisturbed run bit by bit".to_owned(),
        "refused: the same, after a command refused with a message and what the fault had changed was deleted or restored"
            .to_owned(),
    ];
    notes.extend(
        bad.map(|round| format!("run {}: {}: {}: {}", round.number, round.kind.name(), round.detail, round.ending)),
    );
    Table {
        title: "Runs under faults, compared with an undisturbed run".to_owned(),
        heads: heads.map(str::to_owned).to_vec(),
        labels: 1,
        rows: FaultKind::ALL.into_iter().map(row).collect(),
        notes,
        ..Table::default()
    }
}
