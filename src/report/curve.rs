//! Learning curves: the scores of a model at its milestones, one row for each.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::Marks;
use super::measure::{Condition, Measure, push_new};
use super::seeds::{ScoredConditions, SeedScores, nesting, remarks};
use super::table::{Cell, Table};
use crate::domain::{CellRow, Milestone, ScoreRow};

/// A point of the training; the end is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    At(Milestone),
    End,
}

impl Point {
    fn of(row: &ScoreRow) -> Self {
        row.checkpoint.parse().map_or(Point::End, Point::At)
    }

    fn label(self) -> String {
        match self {
            Point::At(milestone) => milestone.label(),
            Point::End => "full training".to_owned(),
        }
    }
}

/// The learning curves of an experiment; `None` if no milestone has a score. `cells` are all planned cells, whether they
/// are scored or not.
///
/// The last row of a model is the end of its training. It shows only scores on the same number of items as those of the
/// milestones.
pub fn curve(experiment: &str, cells: &[CellRow], scores: &[ScoreRow]) -> Option<Table> {
    let aggregates: Vec<&ScoreRow> = scores.iter().filter(|row| row.score.subtask.is_none()).collect();
    let (mut conditions, mut measures) = (vec![], vec![]);
    let mut items: BTreeMap<(Condition, Measure), BTreeSet<u64>> = BTreeMap::new();
    for row in aggregates.iter().filter(|row| !row.is_final()) {
        let (condition, measure) = (Condition::of_score(row), Measure::of(row));
        push_new(&mut conditions, condition.clone());
        push_new(&mut measures, measure.clone());
        items.entry((condition, measure)).or_default().insert(row.score.n);
    }
    if conditions.is_empty() {
        return None;
    }
    let as_many = |row: &&ScoreRow| {
        let known = items.get(&(Condition::of_score(row), Measure::of(row)));
        known.is_some_and(|known| known.contains(&row.score.n))
    };
    let shown: Vec<&ScoreRow> = aggregates.into_iter().filter(as_many).collect();
    let cells: Vec<CellRow> =
        cells.iter().filter(|cell| conditions.contains(&Condition::of_cell(cell))).cloned().collect();
    let lines = ScoredConditions::of(&cells, &shown);

    let extras = lines.iter().any(|line| !line.condition.extra.is_empty());
    let mut heads = vec!["model".to_owned()];
    if extras {
        heads.push("with".to_owned());
    }
    heads.push("after".to_owned());
    let labels = heads.len();
    heads.extend(measures.iter().map(|measure| measure.head(&measures)));
    let points: BTreeSet<Point> = shown.iter().map(|row| Point::of(row)).collect();
    let columns = |point: &Point| -> Vec<Vec<SeedScores>> {
        let lines = lines.filtered(|row| Point::of(row) == *point);
        measures.iter().map(|measure| lines.by_measure(measure)).collect()
    };
    let by_point: Vec<(Point, Vec<Vec<SeedScores>>)> = points.iter().map(|point| (*point, columns(point))).collect();
    let mut marks = Marks::among(shown.iter().copied());
    let mut rows = vec![];
    for (index, line) in lines.iter().enumerate() {
        let has_any = |columns: &[Vec<SeedScores>]| columns.iter().any(|column| column[index].mean().is_some());
        for (point, columns) in by_point.iter().filter(|(_, columns)| has_any(columns)) {
            let mut row = vec![Cell::Label(line.condition.model.clone())];
            if extras {
                row.push(Cell::Label(line.condition.extra.clone()));
            }
            row.push(Cell::Label(point.label()));
            row.extend(columns.iter().map(|column| column[index].cell(marks.of(&[column[index].rows()]))));
            rows.push(row);
        }
    }
    let values = rows.iter().flat_map(|row| &row[labels..]);
    let spread = lines.spread(values.clone());
    let mut notes: Vec<String> =
        nesting(by_point.iter().flat_map(|(_, columns)| columns.iter().flatten())).into_iter().collect();
    notes.extend(remarks(spread, values));
    let marks = marks.into_notes();
    notes.extend(marks.iter().map(ToString::to_string));
    let title = format!("{experiment}: scores over the course of pretraining");
    Some(Table { title, spread, heads, labels, rows, notes, marks, ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::Suite;

    #[test]
    fn milestones_precede_the_end_in_order() {
        // The third seed has not reached a milestone.
        let cells = [1, 2, 3].map(|seed| cell("tiny", None, "pretrained", seed));
        let mut scores = vec![row(&cells[0], Suite::BlimpSupplement, None, 99.0)];
        scores[0].score.n = 5_000; // the end was scored on more items of this suite
        for (cell, shift) in [(&cells[0], 0.0), (&cells[1], 2.0)] {
            for (suite, start) in [(Suite::Blimp, 50.0), (Suite::BlimpSupplement, 40.0)] {
                for (step, words) in [(3.0, "final"), (2.0, "10000000-words"), (1.0, "2000000-words")] {
                    let mut score = row(cell, suite, None, start + 10.0 * step + shift);
                    score.checkpoint = words.to_owned();
                    if suite == Suite::Blimp || words != "final" {
                        scores.push(score);
                    }
                }
            }
        }
        insta::assert_snapshot!(curve("toy", &cells, &scores).unwrap().terminal(), @r"
toy: scores over the course of pretraining
mean ± sd over seeds
──────────────────────────────────────────────────────────────
 model   after                      blimp    blimp-supplement
══════════════════════════════════════════════════════════════
 tiny    2M words        61.0 ± 1.4 [2/3]   51.0 ± 1.4 [2/3]a
 tiny    10M words       71.0 ± 1.4 [2/3]    61.0 ± 1.4 [2/3]
 tiny    full training   81.0 ± 1.4 [2/3]                   —
──────────────────────────────────────────────────────────────
[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.
a: not shown to be above chance at the 5% level (one-sided t test over seeds)
");
        scores.retain(ScoreRow::is_final);
        assert_eq!(curve("toy", &cells, &scores), None);
    }
}
