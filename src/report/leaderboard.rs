//! The aggregates by which the BabyLM 2025 challenge compares models.
//!
//! | aggregate | mean of |
//! |---|---|
//! | GLUE | the accuracies of its seven tasks |
//! | Reading | the eye-tracking and the self-paced score |
//! | NLP | BLiMP, Supplement, EWoK, entity tracking, COMPS, GLUE |
//! | human-likeness | Reading, both WUGs, AoA |
//! | macro | NLP and human-likeness |
//! | text average | the ten tasks, Reading counted once |
//!
//! A mean of which a part is missing is missing: one over fewer tasks would be another number.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{Condition, push_new, value};
use super::published::Published;
use super::statistics::{deviation, mean};
use super::table::{Cell, Score, Table};
use crate::domain::{CellRow, Quantity, Reference, ScoreRow, Suite};

/// The columns with their heads: six tasks of language understanding, four of human-likeness, and the means.
const COLUMNS: [(&str, Quantity); 14] = [
    ("BLiMP", Quantity::Suite(Suite::Blimp)),
    ("Suppl.", Quantity::Suite(Suite::BlimpSupplement)),
    ("EWoK", Quantity::Suite(Suite::Ewok)),
    ("Entity", Quantity::Suite(Suite::EntityTracking)),
    ("COMPS", Quantity::Suite(Suite::Comps)),
    ("GLUE", Quantity::Glue),
    ("Reading", Quantity::Reading),
    ("WUG adj", Quantity::Suite(Suite::WugAdj)),
    ("WUG past", Quantity::Suite(Suite::WugPast)),
    ("AoA", Quantity::Suite(Suite::Aoa)),
    ("NLP", Quantity::Language),
    ("human", Quantity::HumanLikeness),
    ("macro", Quantity::Macro),
    ("text", Quantity::TextAverage),
];

/// The leaderboard of an experiment: a row for each condition and set of rules, milestones left out.
pub fn leaderboard(experiment: &str, cells: &[CellRow], scores: &[ScoreRow], references: &[Reference]) -> Table {
    let scores: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let (mut conditions, mut rules) = (vec![], vec![]);
    let mut seeds: BTreeMap<Condition, BTreeSet<u64>> = BTreeMap::new();
    for cell in cells {
        push_new(&mut conditions, Condition::of_cell(cell));
        seeds.entry(Condition::of_cell(cell)).or_default().insert(cell.seed);
    }
    for row in &scores {
        push_new(&mut rules, row.score.mode);
    }
    let extras = conditions.iter().any(|condition| !condition.extra.is_empty());
    let mut heads: Vec<String> = ["model", "datasets", "curriculum"].map(str::to_owned).into();
    heads.extend(extras.then(|| "with".to_owned()));
    heads.push("rules".to_owned());
    let labels = heads.len();
    heads.extend(COLUMNS.map(|(head, _)| head.to_owned()));

    let mut rows = vec![];
    for condition in &conditions {
        let mine = |mode: Option<&crate::domain::Mode>| -> BTreeMap<u64, Vec<&ScoreRow>> {
            let mut by_seed: BTreeMap<u64, Vec<&ScoreRow>> = BTreeMap::new();
            for row in &scores {
                if Condition::of_score(row) == *condition && Some(&row.score.mode) == mode {
                    by_seed.entry(row.seed).or_default().push(row);
                }
            }
            by_seed
        };
        let mut measured: Vec<_> = rules.iter().map(|mode| (mode.to_string(), mine(Some(mode)))).collect();
        measured.retain(|(_, by_seed)| !by_seed.is_empty());
        if measured.is_empty() {
            measured.push((String::new(), mine(None)));
        }
        let expected = seeds.get(condition).map_or(0, BTreeSet::len);
        for (mode, by_seed) in measured {
            let mut row = vec![
                Cell::Label(condition.model.clone()),
                Cell::Label(condition.dataset.clone().unwrap_or_default()),
                Cell::Label(condition.curriculum.clone()),
            ];
            row.extend(extras.then(|| Cell::Label(condition.extra.clone())));
            row.push(Cell::Label(mode.clone()));
            row.extend(COLUMNS.iter().map(|(_, quantity)| {
                let numbers: Vec<f64> = by_seed.values().filter_map(|scores| value(*quantity, scores)).collect();
                mean(&numbers).map_or(Cell::Missing, |mean| {
                    Cell::Score(Score {
                        mean,
                        deviation: deviation(&numbers),
                        stderr: None,
                        seeds: numbers.len(),
                        seeds_expected: expected,
                        marks: String::new(),
                        rules: mode.clone(),
                    })
                })
            }));
            rows.push(row);
        }
    }
    let published = Published::of(references, labels, &COLUMNS.map(|(_, quantity)| Some(quantity)));
    let mut notes = vec![
        "mean ± sd over seeds; GLUE: mean accuracy of 7 tasks; Reading: mean of eye-tracking and self-paced".to_owned(),
        "NLP: mean of the first six; human: of the other four; macro: of NLP and human; text: of all ten".to_owned(),
        "— or [k/n]: a part is not measured, or not with every seed".to_owned(),
    ];
    notes.extend(published.notes);
    let title = format!("{experiment}: leaderboard");
    Table { title, heads, labels, rows, published: published.rows, notes, ..Table::default() }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::GlueTask;

    /// All ten tasks of a model but AoA, which no suite measures yet.
    fn scored(cell: &CellRow, up: f64) -> Vec<ScoreRow> {
        let mut rows = vec![];
        let mut add = |suite: Suite, task: &str, metric: &str, value: f64| {
            let mut row = row(cell, suite, None, value + up);
            (row.score.task, row.score.metric) = (task.to_owned(), metric.to_owned());
            rows.push(row);
        };
        for (suite, value) in [
            (Suite::Blimp, 70.0),
            (Suite::BlimpSupplement, 60.0),
            (Suite::Ewok, 50.0),
            (Suite::EntityTracking, 30.0),
            (Suite::Comps, 55.0),
        ] {
            add(suite, suite.name(), "accuracy", value);
        }
        for (number, task) in GlueTask::ALL.into_iter().enumerate() {
            add(Suite::Glue, task.name(), "accuracy", 50.0 + number as f64);
            add(Suite::Glue, task.name(), "f1", 0.0);
        }
        add(Suite::Reading, "eye-tracking", "partial-r2", 8.0);
        add(Suite::Reading, "self-paced", "partial-r2", 2.0);
        add(Suite::WugAdj, "wug-adj", "spearman", 40.0);
        add(Suite::WugPast, "wug-past", "spearman", 20.0);
        rows
    }

    #[test]
    fn official_means_and_what_is_missing() {
        let cells =
            [cell("a", None, "pretrained", 1), cell("a", None, "pretrained", 2), cell("b", None, "pretrained", 1)];
        let mut scores = scored(&cells[0], 0.0);
        scores.extend(scored(&cells[1], 2.0));
        let mut on_the_way = row(&cells[2], Suite::Blimp, None, 99.0);
        on_the_way.checkpoint = "1000000-words".to_owned();
        scores.push(on_the_way);
        let table = leaderboard("toy", &cells, &scores, &[]);
        assert_eq!(table.heads[table.labels..].len(), 14);
        let value = |row: usize, head: &str| {
            let column = table.heads.iter().position(|known| known == head).unwrap();
            match &table.rows[row][column] {
                Cell::Score(score) => Some(score.mean),
                _ => None,
            }
        };
        assert_eq!(value(0, "GLUE"), Some(54.0));
        assert_eq!(value(0, "Reading"), Some(6.0));
        assert_eq!(value(0, "NLP"), Some((71.0 + 61.0 + 51.0 + 31.0 + 56.0 + 54.0) / 6.0));
        assert_eq!([value(0, "human"), value(0, "macro"), value(0, "text")], [None; 3], "AoA is missing");
        assert_eq!(table.rows.len(), 2);
        assert!(table.rows[1][table.labels..].iter().all(|cell| *cell == Cell::Missing));
    }
}
