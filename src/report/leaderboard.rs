//! The leaderboard: the aggregates by which the BabyLM 2025 challenge compares models.
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
//! A mean is missing if one of its parts is missing, because a mean over fewer tasks would not be comparable.

use super::conditions::ConditionColumns;
use super::marks::Marks;
use super::measure::push_new;
use super::published::Published;
use super::seeds::{ScoredCondition, ScoredConditions, nesting, remarks};
use super::table::{Cell, Table};
use crate::domain::{CellRow, Quantity, Reference, ScoreRow, Suite};

/// The heads and the quantities of the columns: six tasks of language understanding, four of human-likeness, and means.
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

/// The leaderboard of an experiment without milestones: a row for each condition and scoring mode.
pub fn leaderboard(experiment: &str, cells: &[CellRow], scores: &[ScoreRow], references: &[Reference]) -> Table {
    let scores: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let mut modes = vec![];
    for row in &scores {
        push_new(&mut modes, row.score.mode);
    }
    let lines = ScoredConditions::of(cells, &scores);
    let conditions = ConditionColumns::of(&lines);
    let mut heads = conditions.heads();
    heads.push("rules".to_owned());
    let labels = heads.len();
    heads.extend(COLUMNS.map(|(head, _)| head.to_owned()));

    let by_mode = modes.into_iter().map(|mode| {
        let lines = lines.of_mode(mode);
        let columns = COLUMNS.map(|(_, quantity)| lines.by_quantity(quantity));
        (mode.to_string(), lines, columns)
    });
    let by_mode: Vec<_> = by_mode.collect();
    let mut marks = Marks::among(scores.iter().copied());
    let mut rows = vec![];
    for (index, line) in lines.iter().enumerate() {
        let names = |rules: &str| [conditions.cells(&line.condition), vec![Cell::Label(rules.to_owned())]].concat();
        if !line.is_scored() {
            rows.push([names(""), vec![Cell::Missing; COLUMNS.len()]].concat());
        }
        for (rules, lines, columns) in &by_mode {
            if lines.iter().nth(index).is_some_and(ScoredCondition::is_scored) {
                let values = COLUMNS.iter().zip(columns).map(|((_, quantity), column)| {
                    // A mean has no score of guessing.
                    let is_mean = !quantity.parts().is_empty();
                    column[index].cell(if is_mean { String::new() } else { marks.of(&[column[index].rows()]) })
                });
                rows.push(names(rules).into_iter().chain(values).collect());
            }
        }
    }
    let values = rows.iter().flat_map(|row: &Vec<Cell>| &row[labels..]);
    let spread = lines.spread(values.clone());
    let mut notes = vec![
        "GLUE is the mean accuracy of its 7 tasks. Reading is the mean of eye-tracking and self-paced reading.".to_owned(),
        "NLP is the mean of the first six columns, human of the next four, macro of NLP and human, and text of all ten."
            .to_owned(),
        "Means are computed seed by seed, over the seeds that have every part.".to_owned(),
    ];
    notes.extend(nesting(by_mode.iter().flat_map(|(_, _, columns)| columns.iter().flatten())));
    notes.extend(remarks(spread, values));
    let published = Published::of(references, labels, &COLUMNS.map(|(_, quantity)| Some(quantity)), &mut marks);
    let marks = marks.into_notes();
    notes.extend(marks.iter().map(ToString::to_string));
    notes.extend(published.notes);
    let title = format!("{experiment}: leaderboard");
    Table { title, spread, heads, labels, rows, published: published.rows, notes, marks, ..Table::default() }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::GlueTask;

    /// The scores of a model on all ten tasks except AoA.
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
    fn official_means_are_computed_and_missing_parts_make_them_missing() {
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
        let column = |head: &str| table.heads.iter().position(|known| known == head).unwrap();
        let Cell::Score(score) = &table.rows[0][column("NLP")] else { panic!("no NLP") };
        assert!(
            (score.deviation.unwrap() - 2f64.sqrt()).abs() < 1e-9,
            "two points between the two seeds, in every part"
        );
        assert_eq!((score.seeds, score.marks.as_str()), (2, ""));
        let Cell::Score(score) = &table.rows[0][column("Entity")] else { panic!("no entity tracking") };
        assert_eq!(score.marks, "a", "31 is not above 50");
        assert_eq!(value(0, "GLUE"), Some(54.0));
        assert_eq!(value(0, "Reading"), Some(6.0));
        assert_eq!(value(0, "NLP"), Some((71.0 + 61.0 + 51.0 + 31.0 + 56.0 + 54.0) / 6.0));
        assert_eq!([value(0, "human"), value(0, "macro"), value(0, "text")], [None; 3], "AoA is missing");
        assert_eq!(table.rows.len(), 2);
        assert!(table.rows[1][table.labels..].iter().all(|cell| *cell == Cell::Missing));
    }
}
