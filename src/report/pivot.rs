//! The main table: a row for each condition, a column for each task.

use super::conditions::ConditionColumns;
use super::marks::Marks;
use super::measure::{ACCURACY, Condition, Measure, push_new, scored_with, wide_intervals};
use super::published::Published;
use super::seeds::{ScoredConditions, SeedScores, mean_of, nesting, remarks};
use super::table::{Cell, Scale, Spread, Table};
use crate::domain::{CellRow, Quantity, Reference, ScoreRow, Suite};

/// Which scores are the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// The official aggregate of every task.
    Aggregates,
    /// The subtasks of the suite or test set of this name.
    Subtasks(String),
}

/// The names of the suites and test sets whose final models have scores of subtasks.
pub fn suites_with_subtasks(scores: &[ScoreRow]) -> Vec<&str> {
    let mut suites = vec![];
    for row in scores.iter().filter(|row| row.is_final() && row.score.subtask.is_some()) {
        push_new(&mut suites, row.score.test_name());
    }
    suites
}

/// A column of the table: a measure, or a mean of measures.
struct PivotColumn<'a> {
    head: String,
    /// `None` for a mean.
    measure: Option<Measure>,
    /// The quantity that published rows have a value of.
    quantity: Option<Quantity>,
    /// The scores of each line.
    seeds: Vec<SeedScores<'a>>,
}

/// The table of an experiment without milestones. `cells` are all planned cells, whether they are scored or not.
pub fn pivot(
    experiment: &str,
    cells: &[CellRow],
    scores: &[ScoreRow],
    columns: &Columns,
    references: &[Reference],
) -> Table {
    let wanted = |row: &&ScoreRow| match columns {
        Columns::Aggregates => row.score.subtask.is_none(),
        Columns::Subtasks(name) => row.score.test_name() == name && row.score.subtask.is_some(),
    };
    let scores: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).filter(wanted).collect();
    let lines = ScoredConditions::of(cells, &scores);
    let measured = measured(&lines, &scores);
    let means = means(columns, &measured);
    let has_means = !means.is_empty();
    let mut notes: Vec<String> = scored_with(scores.iter().map(|row| row.score.mode)).into_iter().collect();
    notes.extend(nesting(measured.iter().flat_map(|column| &column.seeds)));
    let shown: Vec<PivotColumn> = measured.into_iter().chain(means).collect();

    let names = ConditionColumns::of(&lines);
    let mut heads = names.heads();
    let labels = heads.len();
    heads.extend(shown.iter().map(|column| column.head.clone()));
    let mut marks = Marks::among(scores.iter().copied());
    let row = |(index, condition): (usize, &Condition)| {
        let cell = |column: &PivotColumn| {
            let seeds: &SeedScores = &column.seeds[index];
            seeds.cell(if column.measure.is_some() { marks.of(&[seeds.rows()]) } else { String::new() })
        };
        names.cells(condition).into_iter().chain(shown.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<Cell>> = lines.iter().map(|line| &line.condition).enumerate().map(row).collect();
    let values = rows.iter().flat_map(|row| &row[labels..]);
    let spread = lines.spread(values.clone());
    notes.extend(remarks(spread, values));
    if spread != Spread::Items {
        notes.extend(wide_intervals(scores.iter().copied()));
    }
    notes.extend(Scale::note_on_costs(scores.iter().map(|row| row.score.metric.as_str())));
    if has_means {
        notes.push("Means are computed seed by seed, over the seeds that have every task.".to_owned());
    }
    let quantities: Vec<Option<Quantity>> = shown.iter().map(|column| column.quantity).collect();
    let published = Published::of(references, labels, &quantities, &mut marks);
    let marks = marks.into_notes();
    notes.extend(marks.iter().map(ToString::to_string));
    notes.extend(published.notes);
    let title = match columns {
        Columns::Aggregates => experiment.to_owned(),
        Columns::Subtasks(name) => format!("{experiment}: {name} by subtask"),
    };
    let footer = footer(labels, &shown, &scores);
    Table { title, spread, heads, labels, rows, published: published.rows, footer, notes, marks, ..Table::default() }
}

/// The columns of measures, in the order of the scores.
fn measured<'a>(lines: &ScoredConditions<'a>, scores: &[&ScoreRow]) -> Vec<PivotColumn<'a>> {
    let mut measures = vec![];
    for row in scores {
        push_new(&mut measures, Measure::of(row));
    }
    let column = |measure: &Measure| PivotColumn {
        head: measure.head(&measures),
        measure: Some(measure.clone()),
        quantity: measure.quantity(),
        seeds: lines.by_measure(measure),
    };
    measures.iter().map(column).collect()
}

/// The columns of means: over the tasks of GLUE, and over all suites if all scores are accuracies.
fn means<'a>(columns: &Columns, measured: &[PivotColumn<'a>]) -> Vec<PivotColumn<'a>> {
    let is_glue = |measure: &Measure| *columns == Columns::Aggregates && measure.suite == Suite::Glue;
    let measures = || measured.iter().filter_map(|column| Some((column.measure.as_ref()?, &column.seeds)));
    let tasks: Vec<Vec<SeedScores>> =
        measures().filter(|(measure, _)| is_glue(measure)).map(|(_, seeds)| seeds.clone()).collect();
    let others = measures().filter(|(measure, _)| !is_glue(measure)).map(|(_, seeds)| seeds.clone());
    let mean = |head: &str, quantity, seeds| PivotColumn { head: head.to_owned(), measure: None, quantity, seeds };
    let mut means = vec![];
    if tasks.len() > 1 {
        means.push(mean("glue mean", Some(Quantity::Glue), mean_of(&tasks)));
    }
    let are_accuracies = measures().all(|(measure, _)| measure.metric == ACCURACY);
    if are_accuracies && measured.len() > 1 && tasks.len() < measured.len() {
        // All tasks of GLUE together have the weight of one suite.
        let glue = (!tasks.is_empty()).then(|| mean_of(&tasks));
        means.push(mean("mean", None, mean_of(&others.chain(glue).collect::<Vec<_>>())));
    }
    means
}

/// The rows with the scores of guessing and of a trivial strategy, if the suites define them.
fn footer(labels: usize, columns: &[PivotColumn], scores: &[&ScoreRow]) -> Vec<Vec<Cell>> {
    let line = |name: &str, of: fn(&ScoreRow) -> Option<f64>| {
        let blank = || Cell::Label(String::new());
        let cell = |column: &PivotColumn| {
            let Some(measure) = &column.measure else { return blank() };
            let first = scores.iter().find(|row| Measure::of(row) == *measure);
            first.and_then(|row| of(row)).map_or(Cell::Missing, |value| Cell::Number(value, 1))
        };
        let names = std::iter::once(Cell::Label(name.to_owned())).chain((1..labels).map(|_| blank()));
        names.chain(columns.iter().map(cell)).collect()
    };
    let lines: [Vec<Cell>; 2] = [line("chance", |row| row.score.chance), line("trivial floor", |row| row.score.floor)];
    lines.into_iter().filter(|row| row.iter().any(|cell| matches!(cell, Cell::Number(..)))).collect()
}

#[cfg(test)]
mod tests;
