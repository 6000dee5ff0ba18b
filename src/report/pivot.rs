//! Rows are conditions, columns are tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::Marks;
use super::measure::{Condition, Measure, push_new};
use super::published::Published;
use super::statistics::{deviation, mean};
use super::table::{Cell, Score, Table};
use crate::domain::{CellRow, Mode, Quantity, Reference, ScoreRow, Suite};

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

/// The values of each seed: one, or one for each seed of a fine-tuning.
fn by_seed(found: &[&ScoreRow]) -> Vec<Vec<f64>> {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for row in found {
        values.entry(row.seed).or_default().push(row.score.value);
    }
    values.into_values().collect()
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
    let (mut conditions, mut measures) = (vec![], vec![]);
    let mut seeds: BTreeMap<Condition, BTreeSet<u64>> = BTreeMap::new();
    for cell in cells {
        push_new(&mut conditions, Condition::of_cell(cell));
        seeds.entry(Condition::of_cell(cell)).or_default().insert(cell.seed);
    }
    for row in &scores {
        push_new(&mut measures, Measure::of(row));
    }
    let mut values: BTreeMap<(Condition, Measure), Vec<&ScoreRow>> = BTreeMap::new();
    for row in &scores {
        values.entry((Condition::of_score(row), Measure::of(row))).or_default().push(row);
    }

    let mut most_runs: BTreeMap<Measure, usize> = BTreeMap::new();
    for ((_, measure), found) in &values {
        let most = by_seed(found).iter().map(Vec::len).max().unwrap_or(0);
        let known = most_runs.entry(measure.clone()).or_default();
        *known = most.max(*known);
    }

    let extras = conditions.iter().any(|condition| !condition.extra.is_empty());
    let mut heads: Vec<String> = ["model", "datasets", "curriculum"].map(str::to_owned).into();
    if extras {
        heads.push("with".to_owned());
    }
    let labels = heads.len();
    heads.extend(measures.iter().map(|measure| measure.head(&measures)));
    let glue = |measure: &Measure| columns == Columns::Aggregates && measure.suite == Suite::Glue;
    let tasks = measures.iter().filter(|measure| glue(measure)).count();
    if tasks > 1 {
        heads.push("glue mean".to_owned());
    }
    let accuracies =
        measures.len() > 1 && tasks < measures.len() && measures.iter().all(|measure| measure.metric == "accuracy");
    if accuracies {
        heads.push("mean".to_owned());
    }

    let mut marks = Marks::default();
    let mut incomplete = false;
    let mut single = false;
    let mut of_tuning = false;
    let rows = conditions.iter().map(|condition| {
        let mut row = vec![
            Cell::Label(condition.model.clone()),
            condition.dataset.clone().map_or(Cell::Label(String::new()), Cell::Label),
            Cell::Label(condition.curriculum.clone()),
        ];
        if extras {
            row.push(Cell::Label(condition.extra.clone()));
        }
        let expected = seeds.get(condition).map_or(0, BTreeSet::len);
        let mut means = vec![];
        for measure in &measures {
            let found = values.get(&(condition.clone(), measure.clone())).map_or(&[][..], Vec::as_slice);
            let runs = by_seed(found);
            let numbers: Vec<f64> = runs.iter().filter_map(|values| mean(values)).collect();
            let Some(value) = mean(&numbers) else {
                incomplete = true;
                row.push(Cell::Missing);
                continue;
            };
            // Seeds of which every fine-tuning is there.
            let whole = runs.iter().filter(|values| values.len() == most_runs[measure]).count();
            incomplete |= whole < expected;
            single |= found.len() == 1;
            of_tuning |= runs.len() == 1 && found.len() > 1;
            means.push((measure, value));
            row.push(Cell::Score(Score {
                mean: value,
                deviation: deviation(if runs.len() == 1 { &runs[0] } else { &numbers }),
                stderr: if found.len() == 1 { found[0].score.stderr } else { None },
                seeds: whole,
                seeds_expected: expected,
                marks: marks.of(found, &scores),
                rules: measure.mode.to_string(),
            }));
        }
        let mut average = |values: Option<Vec<f64>>| {
            let value = values.and_then(|values| mean(&values));
            row.push(value.map_or(Cell::Missing, |mean| Cell::Number(mean, 1)));
        };
        let of_glue: Vec<f64> = means.iter().filter(|(measure, _)| glue(measure)).map(|(_, value)| *value).collect();
        let of_glue = Some(of_glue).filter(|values| values.len() == tasks);
        if tasks > 1 {
            average(of_glue.clone());
        }
        if accuracies {
            let others = means.iter().filter(|(measure, _)| !glue(measure)).map(|(_, value)| *value);
            // All tasks of glue together count as much as any other suite.
            let of_suites = of_glue.map(|tasks| others.chain(mean(&tasks)).collect());
            average(of_suites.filter(|_| means.len() == measures.len()));
        }
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let footer = footer(&heads, labels, &measures, &scores);
    let mut notes = vec![legend(&measures, single)];
    if of_tuning {
        notes.push("glue, where there is one seed: ± sd over the seeds of the fine-tuning".to_owned());
    }
    if incomplete {
        notes.push("— or [k/n]: not measured with every seed; `grid status` says what is left to do".to_owned());
    }
    notes.extend(marks.notes);
    let mut quantities: Vec<Option<Quantity>> = measures.iter().map(Measure::quantity).collect();
    quantities.extend((tasks > 1).then_some(Some(Quantity::Glue)));
    quantities.resize(heads.len() - labels, None);
    let published = Published::of(references, labels, &quantities);
    notes.extend(published.notes);
    let title = match columns {
        Columns::Aggregates => experiment.to_owned(),
        Columns::Subtasks(suite) => format!("{experiment}: {suite} by subtask"),
    };
    Table { title, heads, labels, rows, published: published.rows, footer, notes, ..Table::default() }
}

fn legend(measures: &[Measure], single: bool) -> String {
    let modes: BTreeSet<Mode> = measures.iter().map(|measure| measure.mode).collect();
    let rules = match modes.into_iter().collect::<Vec<_>>()[..] {
        [Mode::COMPAT] => "; scored as the official pipeline does (compat)".to_owned(),
        [Mode::FIXED] => "; scored by the repaired rules (fixed)".to_owned(),
        ref modes => {
            let others = modes.iter().filter(|mode| ![Mode::COMPAT, Mode::FIXED].contains(mode));
            let others: Vec<String> = others.map(|mode| mode.to_string()).collect();
            if others.is_empty() { String::new() } else { format!("; scored by the rules {}", others.join(", ")) }
        }
    };
    let spread = if single {
        "mean ± sd over seeds, or (± standard error over items) for one seed"
    } else {
        "mean ± sd over seeds"
    };
    format!("{spread}{rules}")
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
