//! Rows are conditions, columns are tasks.

use super::marks::Marks;
use super::measure::{Condition, Measure, push_new, scored_with};
use super::published::Published;
use super::seeds::{Lines, Seeds, mean_of, nesting, remarks};
use super::table::{Cell, Table};
use crate::domain::{CellRow, Quantity, Reference, ScoreRow, Suite};

/// Which scores make the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// The official aggregate of every task.
    Aggregates,
    /// The subtasks of one suite.
    Subtasks(Suite),
}

/// The suites that have scores of subtasks, milestones left out.
pub fn with_subtasks(scores: &[ScoreRow]) -> Vec<Suite> {
    let mut suites = vec![];
    for row in scores.iter().filter(|row| row.is_final() && row.score.subtask.is_some()) {
        push_new(&mut suites, row.score.suite);
    }
    suites
}

/// The table of an experiment, milestones left out. `cells` are all cells that were planned, scored or not.
pub fn pivot(
    experiment: &str,
    cells: &[CellRow],
    scores: &[ScoreRow],
    columns: Columns,
    references: &[Reference],
) -> Table {
    let wanted = |row: &&ScoreRow| match columns {
        Columns::Aggregates => row.score.subtask.is_none(),
        Columns::Subtasks(suite) => row.score.suite == suite && row.score.subtask.is_some(),
    };
    let scores: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).filter(wanted).collect();
    let mut measures = vec![];
    for row in &scores {
        push_new(&mut measures, Measure::of(row));
    }
    let lines = Lines::of(cells, &scores);
    let measured: Vec<Vec<Seeds>> = measures.iter().map(|measure| lines.by_measure(measure)).collect();

    let extras = lines.iter().any(|line| !line.condition.extra.is_empty());
    let mut heads: Vec<String> = ["model", "datasets", "curriculum"].map(str::to_owned).into();
    if extras {
        heads.push("with".to_owned());
    }
    let labels = heads.len();
    heads.extend(measures.iter().map(|measure| measure.head(&measures)));
    let means = means(columns, &measures, &measured);
    heads.extend(means.iter().map(|(head, _)| (*head).to_owned()));

    let mut marks = Marks::among(scores.iter().copied());
    let rows = lines.iter().enumerate().map(|(index, line)| {
        let Condition { model, dataset, curriculum, extra } = line.condition.clone();
        let names = [model, dataset.unwrap_or_default(), curriculum].into_iter().chain(extras.then_some(extra));
        let mut row: Vec<Cell> = names.map(Cell::Label).collect();
        row.extend(measured.iter().map(|column| column[index].cell(marks.of(&[column[index].rows()]))));
        row.extend(means.iter().map(|(_, column)| column[index].cell(String::new())));
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let footer = footer(&heads, labels, &measures, &scores);
    let values = rows.iter().flat_map(|row| &row[labels..]);
    let spread = lines.spread(values.clone());
    let mut notes: Vec<String> = scored_with(measures.iter().map(|measure| measure.mode)).into_iter().collect();
    notes.extend(nesting(measured.iter().flatten()));
    notes.extend(remarks(spread, values));
    if !means.is_empty() {
        notes.push("a mean is taken seed by seed, over the seeds that have every task".to_owned());
    }
    let mut quantities: Vec<Option<Quantity>> = measures.iter().map(Measure::quantity).collect();
    quantities.extend(means.iter().map(|(head, _)| (*head == GLUE_MEAN).then_some(Quantity::Glue)));
    let published = Published::of(references, labels, &quantities, &mut marks);
    notes.extend(marks.into_notes());
    notes.extend(published.notes);
    let title = match columns {
        Columns::Aggregates => experiment.to_owned(),
        Columns::Subtasks(suite) => format!("{experiment}: {suite} by subtask"),
    };
    Table { title, spread, heads, labels, rows, published: published.rows, footer, notes, ..Table::default() }
}

/// The head of the mean over the tasks of GLUE.
const GLUE_MEAN: &str = "glue mean";

/// The columns of means with their heads: over the tasks of GLUE, and over all suites where all scores are accuracies.
fn means<'a>(
    columns: Columns,
    measures: &[Measure],
    measured: &[Vec<Seeds<'a>>],
) -> Vec<(&'static str, Vec<Seeds<'a>>)> {
    let is_glue = |measure: &Measure| columns == Columns::Aggregates && measure.suite == Suite::Glue;
    let both = || measures.iter().zip(measured);
    let tasks: Vec<Vec<Seeds>> =
        both().filter(|(measure, _)| is_glue(measure)).map(|(_, column)| column.clone()).collect();
    let others = both().filter(|(measure, _)| !is_glue(measure)).map(|(_, column)| column.clone());
    let mut means = vec![];
    if tasks.len() > 1 {
        means.push((GLUE_MEAN, mean_of(&tasks)));
    }
    let accuracies = measures.iter().all(|measure| measure.metric == "accuracy");
    if accuracies && measures.len() > 1 && tasks.len() < measures.len() {
        // All tasks of GLUE together count as much as any other suite.
        let glue = (!tasks.is_empty()).then(|| mean_of(&tasks));
        means.push(("mean", mean_of(&others.chain(glue).collect::<Vec<_>>())));
    }
    means
}

/// What guessing and what a trivial strategy give, where the suites say so.
fn footer(heads: &[String], labels: usize, measures: &[Measure], scores: &[&ScoreRow]) -> Vec<Vec<Cell>> {
    let line = |name: &str, of: &dyn Fn(&ScoreRow) -> Option<f64>| {
        let mut row = vec![Cell::Label(name.to_owned())];
        row.extend((1..labels).map(|_| Cell::Label(String::new())));
        for measure in measures {
            let first = scores.iter().find(|row| Measure::of(row) == *measure);
            row.push(first.and_then(|row| of(row)).map_or(Cell::Missing, |value| Cell::Number(value, 1)));
        }
        row.resize(heads.len(), Cell::Label(String::new()));
        row
    };
    let lines = [line("chance", &|row| row.score.chance), line("trivial floor", &|row| row.score.floor)];
    lines.into_iter().filter(|row| row.iter().any(|cell| matches!(cell, Cell::Number(..)))).collect()
}

#[cfg(test)]
mod tests;
