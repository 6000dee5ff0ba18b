//! The table of a comparison.

use std::collections::{BTreeMap, BTreeSet};

use super::super::compared::{Compared, ComparedRow, Label, MissingSeed, TTest};
use super::super::measure::ACCURACY;
use super::super::statistics::families::Correction;
use super::super::table::{Cell, Column, Scale, Table};
use super::headline::{points, sentence};
use crate::domain::counted;

/// The maximum number of notes on missing seeds; JSON has all of them.
const MAX_MISSING_NOTES: usize = 8;
/// A pair whose deviation is this many times the pooled one has a pooled interval that is too narrow.
const NOISY_RATIO: f64 = 1.5;

impl Compared {
    /// The table, with a row for each pair of conditions and task, under a sentence about the overall difference.
    pub fn table(&self, title: &str) -> Table {
        let axes: Vec<&str> = self.rows.first().map_or(vec![], |row| row.labels.iter().map(|one| one.axis).collect());
        let mut heads: Vec<String> = axes.iter().map(|axis| (*axis).to_owned()).collect();
        heads.extend([self.about, &self.first, &self.second, "difference", "95% interval", "p"].map(str::to_owned));
        let corrected_p = heads.len();
        heads.push(match self.tests {
            0 => format!("p ({})", self.correction.name()),
            tests => format!("p ({}, {tests})", self.correction.name()),
        });
        let margin = self.rows.iter().find_map(|row| row.equivalence).map(|equivalence| equivalence.margin);
        heads.extend(margin.map(|margin| format!("p (±{margin})")));
        let pooled = self.rows.iter().any(|row| row.pooled.is_some());
        if pooled {
            heads.extend(["pooled interval", "p (pooled)"].map(str::to_owned));
        }
        heads.push("seeds".to_owned());
        let cells = |row: &ComparedRow| {
            let mut cells: Vec<Cell> = row.labels.iter().map(|label| Cell::Label(label.text())).collect();
            cells.push(Cell::Label(row.head.clone()));
            let [first, second] = &row.marks;
            let digits = Scale::of_metric(&row.metric).decimals();
            cells.extend([(row.first, first), (row.second, second)].map(|(value, marks)| marked(value, digits, marks)));
            cells.push(Cell::Difference(row.difference, digits));
            let tested = |test: Option<TTest>| {
                let interval =
                    test.map_or(Cell::Missing, |test| Cell::Interval(test.interval.0, test.interval.1, digits));
                [interval, probability(test.map(|test| test.p))]
            };
            cells.extend(tested(row.test));
            cells.push(probability(row.p_corrected));
            cells.extend(margin.map(|_| probability(row.equivalence.and_then(|equivalence| equivalence.p))));
            if pooled {
                cells.extend(tested(row.pooled));
            }
            cells.push(Cell::Label(format!("{} of {}", row.seeds.len(), row.seeds_planned)));
            cells
        };
        Table {
            title: title.to_owned(),
            headline: self.overall.as_ref().map(|overall| sentence(self, overall)),
            labels: axes.len() + 1,
            rows: self.rows.iter().map(cells).collect(),
            heads,
            notes: self.notes(margin, pooled),
            corrected_p: Some(corrected_p),
            csv_columns: self.columns(),
            comparison: Some(self.clone()),
            ..Table::default()
        }
    }

    fn notes(&self, margin: Option<f64>, pooled: bool) -> Vec<String> {
        let Self { first, second, tests, .. } = self;
        let mut notes = vec![match (*tests, self.correction) {
            (0, _) => format!("The difference is {second} minus {first}."),
            (_, correction) => {
                let corrected = match correction {
                    Correction::Holm => "if nothing differs, at most 5% of such tables have any value below 0.05",
                    Correction::BenjaminiHochberg => "of all values below 0.05, about 5% are false positives",
                };
                let tests = counted(*tests as u64, "test");
                let name = correction.name();
                format!(
                    "The difference is {second} minus {first}. The 95% interval and p are from a paired t test over seeds, \
                     so they are about training runs with other seeds. p ({name}) is corrected for {tests}: {corrected}."
                )
            }
        }];
        notes.extend(Scale::note_on_costs(self.rows.iter().map(|row| row.metric.as_str())));
        let single = self.rows.iter().filter(|row| row.seeds.len() == 1).count();
        if single > 0 && (self.overall.is_none() || single < self.rows.len()) {
            notes.push(
                "Rows with one seed have no interval and no p, because a single seed shows no spread.".to_owned(),
            );
        }
        if self.rows.iter().any(|row| row.seeds.len() > 1 && row.test.is_none()) {
            notes.push("— in a row with several seeds: the difference is the same for each of them.".to_owned());
        }
        if let Some(margin) = margin {
            notes.push(format!(
                "p (±{margin}) is from two one-sided t tests; below 0.05, a difference of {} or more is ruled out.",
                points(margin)
            ));
        }
        if pooled {
            notes.push(
                "The pooled interval and p use the residual spread of all conditions of the task and model (score = \
                 condition + seed + residual), which is valid if all conditions are equally noisy."
                    .to_owned(),
            );
            notes.extend(self.noisy());
        }
        notes.extend(self.overall.as_ref().filter(|overall| overall.pairs_left_out > 0).map(|overall| {
            let left_out = counted(overall.pairs_left_out as u64, "pair");
            format!("The sentence above the table leaves out {left_out} with other seeds.")
        }));
        notes.extend(self.left_out_of_the_sentence());
        notes.extend(self.missing());
        notes.extend(self.marks.iter().cloned());
        if !self.same_jobs.is_empty() {
            let tasks = self.same_jobs.join(", ");
            notes.push(format!("Left out because both sides are the same job: {tasks}."));
        }
        notes
    }

    /// A note on what the sentence above the table is about, if not all rows.
    fn left_out_of_the_sentence(&self) -> Option<String> {
        let overall = self.overall.as_ref()?;
        let entering = |row: &&ComparedRow| row.metric == ACCURACY && overall.tasks.contains(&row.task);
        let all = self.rows.iter().all(|row| entering(&row));
        let modes: BTreeSet<&str> = self.rows.iter().filter(entering).map(|row| row.mode.as_str()).collect();
        let tasks = overall.tasks.join(", ");
        match (all, modes.len()) {
            (true, ..2) => None,
            (false, ..2) => Some(format!(
                "The sentence above the table is about the accuracies that all pairs have for every seed: {tasks}."
            )),
            _ => Some(format!(
                "The sentence above the table counts each of {tasks} once, in the first of its scoring modes in the table."
            )),
        }
    }

    /// A warning about the rows whose own spread is well above the pooled one.
    fn noisy(&self) -> Option<String> {
        let ratio = |row: &ComparedRow| Some(row.test?.sd / row.pooled?.sd);
        let noisy = |row: &ComparedRow| {
            let ratio = ratio(row).filter(|ratio| *ratio > NOISY_RATIO)?;
            Some(format!("{} ({ratio:.1} times)", self.name(row)))
        };
        let noisy: Vec<String> = self.rows.iter().filter_map(noisy).collect();
        let rows = noisy.join(", ");
        (!noisy.is_empty()).then(|| {
            format!(
                "Warning: the pooled interval is too narrow for pairs that are noisier than the other conditions: {rows}."
            )
        })
    }

    /// The name of a row: its labels and its task.
    fn name(&self, row: &ComparedRow) -> String {
        let labels = row.labels.iter().map(Label::text).filter(|text| !text.is_empty());
        labels.chain([row.head.clone()]).collect::<Vec<String>>().join(" ")
    }

    /// Notes on the missing seeds, each with the tasks that lack them and the reason.
    fn missing(&self) -> Vec<String> {
        let mut tasks: BTreeMap<(&str, &str, u64), BTreeSet<&str>> = BTreeMap::new();
        for row in &self.rows {
            for MissingSeed { seed, condition, reason } in &row.missing {
                tasks.entry((condition, reason, *seed)).or_default().insert(&row.head);
            }
        }
        let mut seeds: BTreeMap<(&str, &str, &BTreeSet<&str>), Vec<u64>> = BTreeMap::new();
        for ((condition, reason, seed), tasks) in &tasks {
            seeds.entry((condition, reason, tasks)).or_default().push(*seed);
        }
        let all: BTreeSet<&str> = self.rows.iter().map(|row| row.head.as_str()).collect();
        let note = |((condition, reason, tasks), seeds): (&(&str, &str, &BTreeSet<&str>), &Vec<u64>)| {
            let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
            let seeds = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let of = if condition.is_empty() { String::new() } else { format!(" of {condition}") };
            let tasks = tasks.iter().copied().collect::<Vec<_>>();
            let on = if tasks.len() == all.len() { String::new() } else { format!(" on {}", tasks.join(", ")) };
            format!("Missing: {noun} {seeds}{of}{on} ({reason}).")
        };
        let mut notes: Vec<String> = seeds.iter().take(MAX_MISSING_NOTES).map(note).collect();
        if seeds.len() > MAX_MISSING_NOTES {
            notes
                .push(format!("Missing: {} more; `--format json` lists all of them.", seeds.len() - MAX_MISSING_NOTES));
        }
        notes
    }

    /// The columns from which a program can repeat the tests: the difference for each seed, their standard deviation and
    /// the degrees of freedom.
    fn columns(&self) -> Vec<Column> {
        let column = |head: &str, cell: &dyn Fn(&ComparedRow) -> Cell| Column {
            head: head.to_owned(),
            cells: self.rows.iter().map(cell).collect(),
        };
        let number = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Number(value, 3));
        let seeds: BTreeSet<u64> = self.rows.iter().flat_map(|row| &row.seeds).map(|seed| seed.seed).collect();
        let mut columns = vec![
            column("suite", &|row| Cell::Label(row.suite.to_owned())),
            column("metric", &|row| Cell::Label(row.metric.clone())),
            column("mode", &|row| Cell::Label(row.mode.clone())),
            column("sd", &|row| number(row.test.map(|test| test.sd))),
            column("df", &|row| row.test.map_or(Cell::Missing, |test| Cell::Count(test.df))),
            column("method", &|_| Cell::Label(self.method.to_owned())),
            column("schema", &|_| Cell::Count(u64::from(self.schema))),
        ];
        columns.extend(seeds.into_iter().map(|seed| {
            let of_seed =
                |row: &ComparedRow| row.seeds.iter().find(|known| known.seed == seed).map(|known| known.difference);
            column(&format!("difference_seed_{seed}"), &|row| number(of_seed(row)))
        }));
        columns
    }
}

fn marked(value: f64, digits: usize, marks: &str) -> Cell {
    match marks {
        "" => Cell::Number(value, digits),
        marks => Cell::Marked(value, digits, marks.to_owned()),
    }
}

fn probability(p: Option<f64>) -> Cell {
    p.map_or(Cell::Missing, Cell::Probability)
}
