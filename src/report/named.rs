//! Tables that a spec names: columns of quantities as scores, as z-scores over the models, or as boxes of these.
//!
//! z(m, t) = (score(m, t) − mean over the models) / population deviation over the models; a model's box is the
//! distribution of its z over the columns (CLASS-IT, figures 3, 5 and 6). Published rows enter neither.

use std::collections::BTreeMap;

use super::figure::{Distribution, Figure, Mark, Panel};
use super::marks::Marks;
use super::measure::{Condition, rules, scores_in, scores_of, value};
use super::published::Published;
use super::statistics::{BoxPlot, deviation, mean, z_scores};
use super::table::{Cell, Score, Table};
use crate::domain::{CellRow, NamedTable, Quantity, Reference, ScoreRow, Show};

/// One model of a table: a condition, and its scores by seed.
struct Line<'a> {
    condition: Condition,
    /// Seeds that are planned.
    expected: usize,
    seeds: BTreeMap<u64, Vec<&'a ScoreRow>>,
}

impl Line<'_> {
    /// A value for each seed that has one.
    fn values(&self, quantity: Quantity) -> Vec<f64> {
        self.seeds.values().filter_map(|scores| value(quantity, scores)).collect()
    }
}

/// The table of this name: a row for each condition, milestones left out.
pub fn named(
    experiment: &str,
    table: &NamedTable,
    cells: &[CellRow],
    scores: &[ScoreRow],
    references: &[Reference],
) -> Table {
    let all: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let lines = lines(cells, &all);
    let extras = lines.iter().any(|line| !line.condition.extra.is_empty());
    let mut heads: Vec<String> = ["model", "datasets", "curriculum"].map(str::to_owned).into();
    heads.extend(extras.then(|| "with".to_owned()));
    let labels = heads.len();
    let (values, mut shown) = match table.show {
        Show::Scores => scored(&lines, &table.columns, &all),
        Show::ZScores => standardized(&lines, &table.columns),
        Show::Boxes => boxed(&lines, &table.columns),
    };
    heads.append(&mut shown.heads);
    let rows = lines.iter().zip(values).map(|(line, values)| {
        let Condition { model, dataset, curriculum, extra } = line.condition.clone();
        let names = [model, dataset.unwrap_or_default(), curriculum].into_iter().chain(extras.then_some(extra));
        names.map(Cell::Label).chain(values).collect()
    });
    let rows = rows.collect();
    let (mut published, mut footer) = (Published::default(), vec![]);
    if table.show == Show::Scores {
        let columns: Vec<Option<Quantity>> = table.columns.iter().copied().map(Some).collect();
        let chosen = references.iter().filter(|reference| table.references.contains(&reference.name));
        published = Published::of(&chosen.cloned().collect::<Vec<_>>(), labels, &columns);
        footer = floors(labels, &table.columns, &all);
    }
    shown.notes.append(&mut published.notes);
    Table {
        title: format!("{experiment}: {}", table.name),
        heads,
        labels,
        rows,
        published: published.rows,
        footer,
        notes: shown.notes,
        ..Table::default()
    }
}

/// The picture of a table of boxes: one for each condition, milestones left out.
pub fn boxes(experiment: &str, table: &NamedTable, cells: &[CellRow], scores: &[ScoreRow]) -> Figure {
    let all: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let lines = lines(cells, &all);
    let marks = distributions(&lines, &table.columns).into_iter().map(|row| row.map_or(Mark::Missing, Mark::Box));
    let zero = ("the mean over the models".to_owned(), vec![Some(0.0); lines.len()]);
    let head = "z-score over the models".to_owned();
    let panel = Panel { head, marks: marks.collect(), beside: vec![], lines: vec![zero] };
    let mut notes = caveats(&lines, &table.columns);
    notes.push(format!("points: {}", names(&table.columns).join(", ")));
    notes.push("line in the box: median; diamond: mean; ring: more than 1.5 IQR from the box".to_owned());
    Figure { panels: vec![panel], notes, ..Figure::of(&named(experiment, table, cells, scores, &[])) }
}

/// The conditions in the order of their cells.
fn lines<'a>(cells: &[CellRow], scores: &[&'a ScoreRow]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = vec![];
    for cell in cells {
        let condition = Condition::of_cell(cell);
        match lines.iter_mut().find(|line| line.condition == condition) {
            Some(line) => line.expected += 1,
            None => lines.push(Line { condition, expected: 1, seeds: BTreeMap::new() }),
        }
    }
    for row in scores {
        let condition = Condition::of_score(row);
        if let Some(line) = lines.iter_mut().find(|line| line.condition == condition) {
            line.seeds.entry(row.seed).or_default().push(row);
        }
    }
    lines
}

/// What stands above and below the values.
struct Shown {
    heads: Vec<String>,
    notes: Vec<String>,
}

fn names(columns: &[Quantity]) -> Vec<String> {
    columns.iter().map(|quantity| quantity.name().to_owned()).collect()
}

fn scored(lines: &[Line], columns: &[Quantity], all: &[&ScoreRow]) -> (Vec<Vec<Cell>>, Shown) {
    let mut marks = Marks::default();
    let mut incomplete = false;
    let rows: Vec<Vec<Cell>> = lines
        .iter()
        .map(|line| {
            let cell = |quantity: &Quantity| {
                let values = line.values(*quantity);
                incomplete |= values.len() < line.expected;
                let Some(mean) = mean(&values) else { return Cell::Missing };
                let own: Vec<&ScoreRow> = line.seeds.values().flat_map(|scores| scores_of(*quantity, scores)).collect();
                Cell::Score(Score {
                    mean,
                    deviation: deviation(&values),
                    stderr: if let [one] = own[..] { one.score.stderr } else { None },
                    seeds: values.len(),
                    seeds_expected: line.expected,
                    marks: marks.of(&own, all),
                    rules: rules(
                        &line.seeds.values().flat_map(|scores| scores_in(*quantity, scores)).collect::<Vec<_>>(),
                    ),
                })
            };
            columns.iter().map(cell).collect()
        })
        .collect();
    let shown: Vec<&ScoreRow> = columns.iter().flat_map(|quantity| scores_in(*quantity, all)).collect();
    let single = |cell: &Cell| matches!(cell, Cell::Score(Score { deviation: None, stderr: Some(_), .. }));
    let spread = match rows.iter().flatten().any(single) {
        true => "mean ± sd over seeds, or (± standard error over items) for one score",
        false => "mean ± sd over seeds",
    };
    let mut notes = vec![format!("{spread}; scored by the rules {}", rules(&shown))];
    if incomplete {
        notes.push("— or [k/n]: a part is not measured, or not with every seed".to_owned());
    }
    notes.extend(marks.notes);
    (rows, Shown { heads: names(columns), notes })
}

/// What guessing and what a trivial strategy give, where the suites say so.
fn floors(labels: usize, columns: &[Quantity], all: &[&ScoreRow]) -> Vec<Vec<Cell>> {
    let line = |name: &str, of: fn(&ScoreRow) -> Option<f64>| {
        let blank = (1..labels).map(|_| Cell::Label(String::new()));
        let number = |quantity: &Quantity| {
            let value = scores_of(*quantity, all).first().and_then(|row| of(row));
            value.map_or(Cell::Missing, |value| Cell::Number(value, 1))
        };
        std::iter::once(Cell::Label(name.to_owned())).chain(blank).chain(columns.iter().map(number)).collect()
    };
    let lines: [Vec<Cell>; 2] = [line("chance", |row| row.score.chance), line("trivial floor", |row| row.score.floor)];
    lines.into_iter().filter(|row| row.iter().any(|cell| matches!(cell, Cell::Number(..)))).collect()
}

/// The z of every model in every column, as far as it is defined.
fn standard(lines: &[Line], columns: &[Quantity]) -> Vec<Vec<Option<f64>>> {
    let of_column = |quantity: &Quantity| {
        let values: Vec<Option<f64>> = lines.iter().map(|line| mean(&line.values(*quantity))).collect();
        z_scores(&values)
    };
    let by_column: Vec<Vec<Option<f64>>> = columns.iter().map(of_column).collect();
    (0..lines.len()).map(|line| by_column.iter().map(|column| column[line]).collect()).collect()
}

/// What a reader of z-scores must know.
fn caveats(lines: &[Line], columns: &[Quantity]) -> Vec<String> {
    let models = lines.iter().filter(|line| columns.iter().any(|quantity| !line.values(*quantity).is_empty())).count();
    vec![
        format!(
            "z: distance from the mean over these {models} models in population deviations; published rows are not in it"
        ),
        "a column whose spread is noise weighs as much as any other; a column in which all are equal has no z"
            .to_owned(),
    ]
}

fn standardized(lines: &[Line], columns: &[Quantity]) -> (Vec<Vec<Cell>>, Shown) {
    let number = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Number(value, 2));
    let rows = standard(lines, columns).into_iter().map(|zs| {
        let known: Vec<f64> = zs.iter().flatten().copied().collect();
        zs.into_iter().chain([mean(&known)]).map(number).collect()
    });
    let rows = rows.collect();
    let heads = names(columns).into_iter().chain(["mean z".to_owned()]).collect();
    (rows, Shown { heads, notes: caveats(lines, columns) })
}

/// The z-scores of each model that has any.
fn distributions(lines: &[Line], columns: &[Quantity]) -> Vec<Option<Distribution>> {
    let of_model = |zs: Vec<Option<f64>>| {
        let points: Vec<(&str, f64)> =
            columns.iter().zip(zs).filter_map(|(quantity, z)| Some((quantity.name(), z?))).collect();
        let values: Vec<f64> = points.iter().map(|(_, z)| *z).collect();
        Some(Distribution { mean: mean(&values)?, plot: BoxPlot::of(&values)?, points })
    };
    standard(lines, columns).into_iter().map(of_model).collect()
}

fn boxed(lines: &[Line], columns: &[Quantity]) -> (Vec<Vec<Cell>>, Shown) {
    let rows = distributions(lines, columns).into_iter().map(|row| {
        let count = |known: usize| Cell::Label(format!("{known}/{}", columns.len()));
        let Some(Distribution { points, mean, plot }) = row else {
            return [vec![count(0)], vec![Cell::Missing; 8]].concat();
        };
        let outliers = points.iter().filter(|(_, z)| plot.is_outlier(*z));
        let outliers: Vec<String> = outliers.map(|(name, z)| format!("{name} {z:+.2}")).collect();
        let BoxPlot { low, first, median, third, high } = plot;
        let numbers = [mean, median, third - first, first, third, low, high].map(|value| Cell::Number(value, 2));
        [vec![count(points.len())], numbers.into(), vec![Cell::Label(outliers.join(", "))]].concat()
    });
    let rows = rows.collect();
    let heads = ["tasks", "mean z", "median", "IQR", "Q1", "Q3", "low", "high", "outliers"];
    let mut notes = caveats(lines, columns);
    notes.push(format!("box of each model over {}", names(columns).join(", ")));
    notes.push("low, high: the furthest within 1.5 IQR of the box; what lies beyond is an outlier".to_owned());
    (rows, Shown { heads: heads.map(str::to_owned).into(), notes })
}

#[cfg(test)]
mod tests;
