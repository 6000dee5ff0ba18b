//! `grid report`.

use super::args::{Cli, ReportArgs, TableFormat};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::workspace::SpecText;
use crate::domain::{NamedTable, Reference, Show, Suite};
use crate::report::{self, Columns, Comparison, Table, pivot};
use crate::store::Experiment;

/// `grid report`.
pub async fn report(cli: &Cli, args: &ReportArgs) -> Result<Exit, Failure> {
    let columns = match &args.subtasks {
        None => Columns::Aggregates,
        Some(name) => Columns::Subtasks(suite(name)?),
    };
    let store = database::existing(cli).await?;
    let experiment = store.experiment(args.experiment.as_deref()).await.map_err(store_failure)?.experiment;
    let name = experiment.name.clone();
    let (references, named) = kept(experiment);
    let scores = store.scores(&name).await.map_err(store_failure)?;
    let cells = store.cells(&name).await.map_err(store_failure)?;
    let mut tables = vec![match args.table.as_str() {
        "scores" => pivot(&name, &cells, &scores, columns, &references),
        "leaderboard" => report::leaderboard(&name, &cells, &scores, &references),
        wanted => {
            let table = named.iter().find(|table| table.name == wanted);
            let table = table.ok_or_else(|| no_such_table(&name, wanted, &named))?;
            report::named(&name, table, &cells, &scores, &references)
        }
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
    if args.svg {
        let boxes = named.iter().find(|table| table.name == args.table && table.show == Show::Boxes);
        let picture = match (boxes, &tables[..]) {
            (Some(boxes), [_]) => report::boxes(&name, boxes, &cells, &scores).svg(),
            (_, tables) => tables.last().map_or(String::new(), Table::svg),
        };
        print!("{picture}");
        return Ok(Exit::Done);
    }
    let text: Vec<String> = tables.iter().map(|table| form(table, args.format)).collect();
    match args.format {
        // Two tables are two documents; a program gets the one it asked for, and so does a picture.
        TableFormat::Csv | TableFormat::Json => print!("{}", text.last().map_or("", String::as_str)),
        TableFormat::Table | TableFormat::Md => print!("{}", text.join("\n")),
    }
    Ok(Exit::Done)
}

/// The published numbers and the tables of the spec that the database kept, so that no YAML is needed.
fn kept(experiment: Experiment) -> (Vec<Reference>, Vec<NamedTable>) {
    let name = experiment.name.clone();
    match SpecText::kept(experiment).grid() {
        Ok(grid) => (grid.references, grid.tables),
        Err(failure) => {
            eprintln!("warning: the kept spec of '{name}' cannot be read, so its references and tables are left out:");
            eprintln!("{failure}");
            (vec![], vec![])
        }
    }
}

fn no_such_table(experiment: &str, wanted: &str, named: &[NamedTable]) -> Failure {
    let known: Vec<&str> =
        ["scores", "leaderboard"].into_iter().chain(named.iter().map(|table| &*table.name)).collect();
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(name, wanted), name)).min();
    let near = near
        .filter(|(distance, _)| *distance <= 2)
        .map_or(String::new(), |(_, name)| format!(" (did you mean '{name}'?)"));
    let message = format!(
        "grid: '{experiment}' has no table '{wanted}'{near}; there are {}\n  help: `tables:` in the spec names more",
        known.join(", ")
    );
    Failure::text(Exit::NothingMatches, message)
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
