//! `grid diff`.

use std::path::Path;

use clap::Args;

use super::args::{Cli, TableFormat};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::report::form;
use super::workspace::{SpecText, Workspace};
use crate::domain::{ScoreRow, counted};
use crate::plan::{DifferenceLine, Differences, differences};
use crate::report::{self, Cell, Comparison, ExperimentScores, Options, PlannedCells, Table};
use crate::store::{Store, StoreError};

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// An experiment of the database, or a spec.
    pub first: String,
    /// Another one.
    pub second: String,
    /// Set a field of both, where they are specs: path.to.field=value.
    #[arg(short = 'S', long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Form.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid diff`: in what two experiments or specs differ, and the scores of the cells that both experiments have.
pub async fn diff(cli: &Cli, args: &DiffArgs) -> Result<Exit, Failure> {
    let store = database::if_any(cli).await?;
    let first = side(cli, store.as_ref(), &args.first, args).await?;
    let second = side(cli, store.as_ref(), &args.second, args).await?;
    let found = differences(&first.plan, &second.plan);
    let names = [&args.first, &args.second];
    if found.lines.is_empty() && !cli.quiet {
        eprintln!("{} and {} need the same {}", names[0], names[1], counted(found.shared as u64, "job"));
    }
    let mut tables = vec![told(names, &found)];
    if let Some(store) = &store {
        tables.extend(scores(store, names).await?);
    }
    if let Some(store) = store {
        store.close().await;
    }
    match args.format {
        TableFormat::Html => {
            let parts: Vec<_> = tables.iter().map(|table| (table, None)).collect();
            print!("{}", report::html_page(&tables[0].title, &parts));
        }
        // Two tables are two documents; scores are in the database, which a program can ask.
        TableFormat::Csv | TableFormat::Json => print!("{}", form(&tables[0], args.format)),
        TableFormat::Table | TableFormat::Md | TableFormat::Latex => {
            let shown = tables.iter().filter(|table| !table.rows.is_empty());
            let texts: Vec<String> = shown.map(|table| form(table, args.format)).collect();
            print!("{}", texts.join("\n"));
        }
    }
    Ok(Exit::Done)
}

/// What a word of the command line plans: a spec if there is such a file, or else an experiment.
async fn side(cli: &Cli, store: Option<&Store>, word: &str, args: &DiffArgs) -> Result<Workspace, Failure> {
    let (spec, grid) = match (Path::new(word).is_file(), store) {
        (true, _) => SpecText::read(word.as_ref(), &args.set)?,
        (false, Some(store)) => {
            let stored = store.experiment(Some(word)).await.map_err(|error| unknown(word, error))?;
            let spec = SpecText::kept(stored.experiment);
            let grid = spec.grid()?;
            (spec, grid)
        }
        (false, None) => {
            let message = format!("grid: there is no spec '{word}', and nothing has run in {}", cli.runs_dir.display());
            return Err(Failure::text(Exit::NothingMatches, message));
        }
    };
    let mut workspace = Workspace::prepare(&cli.runs_dir, &spec, grid, store).await?;
    // Two specs may have one name, and what differs is told by it.
    word.clone_into(&mut workspace.plan.name);
    Ok(workspace)
}

fn unknown(word: &str, error: StoreError) -> Failure {
    let mut failure = store_failure(error);
    if failure.exit == Exit::NothingMatches {
        failure.message.push_str(&format!("\n  help: nor is there a spec of the name '{word}'"));
    }
    failure
}

fn told([first, second]: [&String; 2], found: &Differences) -> Table {
    let jobs = |n: usize| counted(n as u64, "job");
    let mut notes = vec![format!("{} of both are the same", jobs(found.shared))];
    if found.dependent > 0 {
        notes.push(format!("{} of both differ only in what they build on", jobs(found.dependent)));
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

/// The scores of cells that both experiments have, where they come from different jobs.
async fn scores(store: &Store, [first, second]: [&String; 2]) -> Result<Option<Table>, Failure> {
    let (one, other) = (side_of(store, first).await?, side_of(store, second).await?);
    let one = ExperimentScores { name: first, planned: &one.0, scores: &one.1 };
    let other = ExperimentScores { name: second, planned: &other.0, scores: &other.1 };
    let comparison = Comparison::of_experiments(one, other);
    let title = format!("scores: {second} against {first}");
    Ok(comparison.map(|comparison| comparison.evaluate(Options::default()).table(&title)))
}

/// What an experiment has planned, and its scores.
async fn side_of(store: &Store, experiment: &str) -> Result<(PlannedCells, Vec<ScoreRow>), Failure> {
    let cells = store.cells(experiment).await.map_err(store_failure)?;
    let failed = store.failed_cells(experiment).await.map_err(store_failure)?;
    let scores = store.scores(experiment).await.map_err(store_failure)?;
    Ok((PlannedCells::new(&cells, &failed), scores))
}
