//! The tables of `grid report --compare`.

use super::shown::Shown;
use crate::domain::{ScoreRow, Suite};
use crate::report::{Columns, Comparison, Options, PlannedCells, Scope, Table, comparison_figure};
use crate::session::{Exit, Failure, RunsFolder, fill_clusters};
use crate::store::Store;

/// What is compared.
pub(super) struct Request<'a> {
    /// The experiment.
    pub experiment: &'a str,
    /// Its planned cells.
    pub planned: &'a PlannedCells,
    /// Its scores.
    pub scores: &'a [ScoreRow],
    /// The tasks, or the subtasks of a suite.
    pub columns: &'a Columns,
    /// The value of the axis to compare with.
    pub first: &'a str,
    /// The value of the axis that is compared.
    pub second: &'a str,
    /// Further tests.
    pub options: Options,
    /// Whether to compare trained models item by item as well.
    pub items: bool,
}

/// The tables of a comparison: that of the tasks, or those of the phenomena and subtasks of a suite. With `items`, a
/// table of trained models follows each.
pub(super) async fn tables(runs: &RunsFolder, store: &Store, request: &Request<'_>) -> Result<Vec<Shown>, Failure> {
    let Request { experiment, planned, scores, first, second, .. } = request;
    let scopes = match request.columns {
        Columns::Aggregates => vec![Scope::Aggregates],
        Columns::Subtasks(name) => Scope::of_suite(name, scores),
    };
    let suffix = |scope: &Scope| match scope {
        Scope::Aggregates => String::new(),
        Scope::Subtasks(name) => format!(", {name} by {}", scope.noun()),
        Scope::Phenomena => format!(", {} by {}", Suite::Blimp, scope.noun()),
    };
    let mut tables = vec![];
    for scope in scopes {
        let comparison = Comparison::new(planned, scores, scope.clone(), first, second)
            .map_err(|error| Failure::new(Exit::NothingMatches, error))?;
        let title = format!("{experiment}: {second} against {first}{}", suffix(&scope));
        tables.push(comparison.evaluate(request.options).table(&title));
        // A phenomenon has no items of its own: they belong to its subtasks.
        if request.items && scope != Scope::Phenomena {
            let notes = fill_clusters(runs, store, experiment).await?;
            let items = store.items(&comparison.jobs()).await?;
            let mut table = comparison.items(&items, &format!("{title}: these two checkpoints, seed by seed"));
            table.notes.extend(notes);
            tables.push(table);
        }
    }
    Ok(tables.into_iter().map(|table: Table| Shown { figure: comparison_figure(&table), table }).collect())
}
