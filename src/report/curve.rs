//! Scores over the text that a model has seen: one row per milestone.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{Condition, Measure, push_new};
use super::statistics::{deviation, mean};
use super::table::{Cell, Score, Table};
use crate::domain::{Milestone, ScoreRow};

/// How far a model has come; the end comes last.
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
            Point::End => "the end".to_owned(),
        }
    }
}

/// The learning curves of an experiment whose milestones were scored; `None` where none was.
///
/// The last row of a model is the result of its training, as far as that was scored on as many items.
pub fn curve(experiment: &str, scores: &[ScoreRow]) -> Option<Table> {
    let aggregates: Vec<&ScoreRow> = scores.iter().filter(|row| row.score.subtask.is_none()).collect();
    let (mut conditions, mut measures) = (vec![], vec![]);
    let mut items: BTreeMap<(Condition, Measure), BTreeSet<u64>> = BTreeMap::new();
    let mut seeds: BTreeMap<Condition, BTreeSet<u64>> = BTreeMap::new();
    for row in aggregates.iter().filter(|row| !row.is_final()) {
        let (condition, measure) = (Condition::of_score(row), Measure::of(row));
        push_new(&mut conditions, condition.clone());
        push_new(&mut measures, measure.clone());
        seeds.entry(condition.clone()).or_default().insert(row.seed);
        items.entry((condition, measure)).or_default().insert(row.score.n);
    }
    if conditions.is_empty() {
        return None;
    }
    let mut values: BTreeMap<(Condition, Point, Measure), Vec<&ScoreRow>> = BTreeMap::new();
    for row in aggregates {
        let (condition, measure) = (Condition::of_score(row), Measure::of(row));
        if items.get(&(condition.clone(), measure.clone())).is_some_and(|known| known.contains(&row.score.n)) {
            values.entry((condition, Point::of(row), measure)).or_default().push(row);
        }
    }

    let extras = conditions.iter().any(|condition| !condition.extra.is_empty());
    let mut heads = vec!["model".to_owned()];
    if extras {
        heads.push("with".to_owned());
    }
    heads.push("after".to_owned());
    let labels = heads.len();
    heads.extend(measures.iter().map(|measure| measure.head(&measures)));
    let mut rows = vec![];
    for condition in &conditions {
        let points: BTreeSet<Point> = values.keys().filter(|(of, ..)| of == condition).map(|(_, at, _)| *at).collect();
        let expected = seeds.get(condition).map_or(0, BTreeSet::len);
        for point in points {
            let mut row = vec![Cell::Label(condition.model.clone())];
            if extras {
                row.push(Cell::Label(condition.extra.clone()));
            }
            row.push(Cell::Label(point.label()));
            for measure in &measures {
                let found = values.get(&(condition.clone(), point, measure.clone())).map_or(&[][..], Vec::as_slice);
                let numbers: Vec<f64> = found.iter().map(|row| row.score.value).collect();
                row.push(mean(&numbers).map_or(Cell::Missing, |mean| {
                    Cell::Score(Score {
                        mean,
                        deviation: deviation(&numbers),
                        stderr: if found.len() == 1 { found[0].score.stderr } else { None },
                        seeds: found.len(),
                        seeds_expected: expected,
                        marks: String::new(),
                        rules: measure.mode.to_string(),
                    })
                }));
            }
            rows.push(row);
        }
    }
    let title = format!("{experiment}: scores over the text seen in pretraining");
    let notes = vec!["mean ± sd over seeds, or (± standard error over items) for one seed".to_owned()];
    Some(Table { title, heads, labels, rows, notes, ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::Suite;

    #[test]
    fn milestones_stand_in_order_before_the_end() {
        let cells = [cell("tiny", None, "pretrained", 1), cell("tiny", None, "pretrained", 2)];
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
        insta::assert_snapshot!(curve("toy", &scores).unwrap().terminal(), @r"
toy: scores over the text seen in pretraining
───────────────────────────────────────────────────
 model   after            blimp   blimp-supplement
═══════════════════════════════════════════════════
 tiny    2M words    61.0 ± 1.4         51.0 ± 1.4
 tiny    10M words   71.0 ± 1.4         61.0 ± 1.4
 tiny    the end     81.0 ± 1.4                  —
───────────────────────────────────────────────────
mean ± sd over seeds, or (± standard error over items) for one seed
");
        scores.retain(ScoreRow::is_final);
        assert_eq!(curve("toy", &scores), None);
    }
}
