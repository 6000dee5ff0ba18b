//! `grid report`.

use super::args::{Cli, ReportArgs, TableFormat, TableKind};
use super::failure::{Exit, Failure, store_failure};
use crate::domain::Suite;
use crate::report::{self, Columns, Comparison, Table, pivot};
use crate::store::Store;

/// `grid report`.
pub async fn report(cli: &Cli, args: &ReportArgs) -> Result<Exit, Failure> {
    let columns = match &args.subtasks {
        None => Columns::Aggregates,
        Some(name) => Columns::Subtasks(suite(name)?),
    };
    let store = Store::open_existing(&cli.runs_dir).await.map_err(store_failure)?;
    let name = store.experiment(args.experiment.as_deref()).await.map_err(store_failure)?.experiment.name;
    let scores = store.scores(&name).await.map_err(store_failure)?;
    let cells = store.cells(&name).await.map_err(store_failure)?;
    let mut tables = vec![match args.table {
        TableKind::Scores => pivot(&name, &cells, &scores, columns),
        TableKind::Leaderboard => report::leaderboard(&name, &cells, &scores),
    }];
    if let Some((first, second)) = &args.compare {
        let comparison =
            Comparison::new(&scores, first, second).map_err(|error| Failure::new(Exit::NothingMatches, error))?;
        let items = store.items(&comparison.jobs()).await.map_err(store_failure)?;
        tables.push(comparison.table(&name, &items));
    }
    if args.curve {
        tables.push(report::curve(&name, &scores).ok_or_else(|| {
            let help = "give the spec `pretrain: {milestones: ...}` and `evaluate: {checkpoints: ...}`";
            Failure::text(Exit::NothingMatches, format!("grid: no milestone of '{name}' was scored\n  help: {help}"))
        })?);
    }
    store.close().await;
    let text: Vec<String> = tables.iter().map(|table| form(table, args.format)).collect();
    match args.format {
        // Two tables are two documents; a program gets the one it asked for.
        TableFormat::Csv | TableFormat::Json => print!("{}", text.last().map_or("", String::as_str)),
        TableFormat::Table | TableFormat::Md => print!("{}", text.join("\n")),
    }
    Ok(Exit::Done)
}

/// The text of a table.
pub(super) fn form(table: &Table, format: TableFormat) -> String {
    match format {
        TableFormat::Table => table.terminal(),
        TableFormat::Md => table.markdown(),
        TableFormat::Csv => table.csv(),
        TableFormat::Json => table.json(),
    }
}

fn suite(name: &str) -> Result<Suite, Failure> {
    Suite::ALL.into_iter().find(|suite| suite.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Suite::ALL.iter().map(|suite| suite.name()).collect();
        Failure::text(
            Exit::NothingMatches,
            format!("grid: no suite is called '{name}'; there are {}", known.join(", ")),
        )
    })
}
