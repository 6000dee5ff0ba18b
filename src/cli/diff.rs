//! `grid diff`.

use std::path::Path;

use clap::Args;

use super::global::Global;
use super::output::{TableFormat, formatted};
use crate::domain::{ScoreRow, counted};
use crate::plan::{DifferenceLine, Differences, differences};
use crate::report::{self, Cell, Comparison, ExperimentScores, Options, PlannedCells, Table};
use crate::session::{Exit, Failure, Session, SpecText};
use crate::store::{Store, StoreError};

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// An experiment of the database, or a spec.
    pub first: String,
    /// The experiment or spec to compare it with.
    pub second: String,
    /// Set a field of both specs: path.to.field=value.
    #[arg(short = 'S', long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid diff`: how two experiments or specs differ, and the scores of the cells that both experiments have.
pub(super) async fn diff(global: &Global, args: &DiffArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_if_present().await?;
    let first = opened(global, store.as_ref(), &args.first, args).await?;
    let second = opened(global, store.as_ref(), &args.second, args).await?;
    let found = differences(&first.plan, &second.plan);
    let names = [&args.first, &args.second];
    if found.lines.is_empty() && !global.quiet {
        eprintln!("{} and {} need the same {}", names[0], names[1], counted(found.shared as u64, "job"));
    }
    let mut tables = vec![difference_table(names, &found)];
    if let Some(store) = &store {
        tables.extend(score_table(store, names).await?);
    }
    if let Some(store) = store {
        store.close().await;
    }
    match args.format {
        TableFormat::Html => {
            let parts: Vec<_> = tables.iter().map(|table| (table, None)).collect();
            print!("{}", report::html_page(&tables[0].title, &parts));
        }
        // These formats hold one table. A program reads the scores from the database.
        TableFormat::Csv | TableFormat::Json => print!("{}", formatted(&tables[0], args.format)),
        TableFormat::Table | TableFormat::Md | TableFormat::Latex => {
            let shown = tables.iter().filter(|table| !table.rows.is_empty());
            let texts: Vec<String> = shown.map(|table| formatted(table, args.format)).collect();
            print!("{}", texts.join("\n"));
        }
    }
    Ok(Exit::Done)
}

/// Opens what an argument names: a spec if there is such a file, otherwise an experiment.
async fn opened(global: &Global, store: Option<&Store>, name: &str, args: &DiffArgs) -> Result<Session, Failure> {
    let (spec, grid) = match (Path::new(name).is_file(), store) {
        (true, _) => SpecText::read(name.as_ref(), &args.set)?,
        (false, Some(store)) => {
            let stored = store.experiment(Some(name)).await.map_err(|error| unknown(name, error))?;
            let spec = SpecText::stored(stored.experiment);
            let grid = spec.grid()?;
            (spec, grid)
        }
        (false, None) => {
            let runs = global.runs_dir.display();
            let message = format!("grid: there is no spec '{name}', and no experiment has run in {runs}");
            return Err(Failure::text(Exit::NothingMatches, message));
        }
    };
    let mut session = Session::open(&global.runs_dir, spec, grid, store).await?;
    // Two specs may have the same name, and the table names them.
    name.clone_into(&mut session.plan.name);
    Ok(session)
}

/// An experiment that cannot be opened, and is no file either.
fn unknown(name: &str, error: StoreError) -> Failure {
    let mut failure = Failure::from(error);
    if failure.exit == Exit::NothingMatches {
        failure.message.push_str(&format!("\n  help: there is no spec file '{name}' either"));
    }
    failure
}

/// The differences between the plans.
fn difference_table([first, second]: [&String; 2], found: &Differences) -> Table {
    let jobs = |n: usize| counted(n as u64, "job");
    let mut notes = vec![format!("{} are the same in both", jobs(found.shared))];
    if found.dependent > 0 {
        notes.push(format!("{} differ only in the jobs that they depend on", jobs(found.dependent)));
    }
    let row = |line: &DifferenceLine| {
        vec![
            Cell::Label(line.kind.to_string()),
            Cell::Label(line.what.clone()),
            Cell::Label(line.difference.clone()),
            Cell::Count(line.jobs as u64),
        ]
    };
    Table {
        title: format!("{second} against {first}"),
        heads: ["kind", "what", "difference", "jobs"].map(str::to_owned).into(),
        labels: 3,
        rows: found.lines.iter().map(row).collect(),
        notes,
        ..Table::default()
    }
}

/// The scores of the cells that both experiments have, if different jobs produced them.
async fn score_table(store: &Store, [first, second]: [&String; 2]) -> Result<Option<Table>, Failure> {
    let (one, other) = (scored(store, first).await?, scored(store, second).await?);
    let one = ExperimentScores { name: first, planned: &one.planned, scores: &one.scores };
    let other = ExperimentScores { name: second, planned: &other.planned, scores: &other.scores };
    let comparison = Comparison::of_experiments(one, other);
    let title = format!("scores: {second} against {first}");
    Ok(comparison.map(|comparison| comparison.evaluate(Options::default()).table(&title)))
}

/// The planned cells of an experiment and its scores.
struct ScoredExperiment {
    planned: PlannedCells,
    scores: Vec<ScoreRow>,
}

async fn scored(store: &Store, experiment: &str) -> Result<ScoredExperiment, Failure> {
    let cells = store.cells(experiment).await?;
    let failed = store.failed_cells(experiment).await?;
    Ok(ScoredExperiment { planned: PlannedCells::new(&cells, &failed), scores: store.scores(experiment).await? })
}
