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

use super::pivot::{Condition, push_new};
use super::statistics::{deviation, mean};
use super::table::{Cell, Score, Table};
use crate::domain::{CellRow, GlueTask, ScoreRow, Suite};

/// A task of the leaderboard: a head, and where its value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// The aggregate of a suite with one task.
    Suite(Suite),
    /// The mean over the tasks of fine-tuning.
    Glue,
    /// The mean of the two scores of reading.
    Reading,
    /// Age of acquisition.
    Acquisition,
}

/// The tasks with their heads: six of language understanding, then four of human-likeness.
const TASKS: [(&str, Task); 10] = [
    ("BLiMP", Task::Suite(Suite::Blimp)),
    ("Suppl.", Task::Suite(Suite::BlimpSupplement)),
    ("EWoK", Task::Suite(Suite::Ewok)),
    ("Entity", Task::Suite(Suite::EntityTracking)),
    ("COMPS", Task::Suite(Suite::Comps)),
    ("GLUE", Task::Glue),
    ("Reading", Task::Reading),
    ("WUG adj", Task::Suite(Suite::WugAdj)),
    ("WUG past", Task::Suite(Suite::WugPast)),
    ("AoA", Task::Acquisition),
];
/// How many of them make the aggregate NLP.
const NLP: usize = 6;
/// The heads of the aggregates.
const AGGREGATES: [&str; 4] = ["NLP", "human", "macro", "text"];

impl Task {
    /// The value of a model, from all its scores under one set of rules.
    fn value(self, scores: &[&ScoreRow]) -> Option<f64> {
        let of = |suite: Suite, task: &str, metric: &str| {
            let found = scores.iter().map(|row| &row.score).filter(|score| {
                score.suite == suite && score.task == task && score.subtask.is_none() && score.metric == metric
            });
            // One value, or one for each seed of a fine-tuning.
            mean(&found.map(|score| score.value).collect::<Vec<_>>())
        };
        let all = |values: Vec<Option<f64>>| mean(&values.into_iter().collect::<Option<Vec<f64>>>()?);
        match self {
            Task::Suite(suite @ (Suite::WugAdj | Suite::WugPast)) => of(suite, suite.name(), "spearman"),
            Task::Suite(suite) => of(suite, suite.name(), "accuracy"),
            Task::Glue => all(GlueTask::ALL.map(|task| of(Suite::Glue, task.name(), "accuracy")).into()),
            Task::Reading => {
                all(["eye-tracking", "self-paced"].map(|task| of(Suite::Reading, task, "partial-r2")).into())
            }
            Task::Acquisition => None,
        }
    }
}

/// The values of a model: the ten tasks, then the four aggregates.
fn values(scores: &[&ScoreRow]) -> Vec<Option<f64>> {
    let tasks = TASKS.map(|(_, task)| task.value(scores));
    let of = |values: &[Option<f64>]| mean(&values.iter().copied().collect::<Option<Vec<f64>>>()?);
    let (language, human) = (of(&tasks[..NLP]), of(&tasks[NLP..]));
    let aggregates = [language, human, of(&[language, human]), of(&tasks)];
    tasks.into_iter().chain(aggregates).collect()
}

/// The leaderboard of an experiment: a row for each condition and set of rules, milestones left out.
pub fn leaderboard(experiment: &str, cells: &[CellRow], scores: &[ScoreRow]) -> Table {
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
    heads.extend(TASKS.iter().map(|(head, _)| *head).chain(AGGREGATES).map(str::to_owned));

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
            row.push(Cell::Label(mode));
            let by_seed: Vec<Vec<Option<f64>>> = by_seed.values().map(|scores| values(scores)).collect();
            row.extend((0..TASKS.len() + AGGREGATES.len()).map(|column| {
                let numbers: Vec<f64> = by_seed.iter().filter_map(|values| values[column]).collect();
                mean(&numbers).map_or(Cell::Missing, |mean| {
                    Cell::Score(Score {
                        mean,
                        deviation: deviation(&numbers),
                        stderr: None,
                        seeds: numbers.len(),
                        seeds_expected: expected,
                        marks: String::new(),
                    })
                })
            }));
            rows.push(row);
        }
    }
    let notes = vec![
        "mean ± sd over seeds; GLUE: mean accuracy of 7 tasks; Reading: mean of eye-tracking and self-paced".to_owned(),
        "NLP: mean of the first six; human: of the other four; macro: of NLP and human; text: of all ten".to_owned(),
        "— or [k/n]: a part is not measured, or not with every seed".to_owned(),
    ];
    Table { title: format!("{experiment}: leaderboard"), heads, labels, rows, footer: vec![], notes }
}

#[cfg(test)]
mod tests {
    use super::super::pivot::tests::{cell, row};
    use super::*;

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
        let table = leaderboard("toy", &cells, &scores);
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

    /// The published aggregates of a published row of task scores (GPT-BERT mixed, 100M words, MNTP).
    #[test]
    fn a_published_row_gives_the_published_aggregates() {
        let tasks = [80.5, 73.0, 52.4, 39.9, 59.7, 70.9, (8.7 + 3.0) / 2.0, 41.2, 27.1, 22.3];
        let tasks = tasks.map(Some);
        let of = |values: &[Option<f64>]| mean(&values.iter().copied().collect::<Option<Vec<f64>>>().unwrap()).unwrap();
        assert!((of(&tasks[..NLP]) - 62.7).abs() < 0.05);
        assert!((of(&tasks[NLP..]) - 24.2).abs() < 0.1);
    }
}
