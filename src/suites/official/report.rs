//! The text of `best_temperature_report.txt`, and the scores of one checkpoint in the collated file.

use serde_json::{Value, json};

use super::super::item::Item;
use super::predictions::answered;
use crate::domain::{ItemOutcome, Score, Suite};

/// The name of the report of every suite but `reading`.
pub(in crate::suites) const FILE: &str = "best_temperature_report.txt";

/// A report of accuracies in percent: for each UID, for each further label of the items, and on average.
pub(in crate::suites) fn accuracies(
    suite: Suite,
    items: &[Item],
    outcomes: &[ItemOutcome],
    scores: &[&Score],
) -> String {
    with_blocks(suite, items, outcomes, scores, |report, of_subtasks| report.block("UID", &of_subtasks))
}

/// The same with blocks of the suite's own in place of the block of UIDs; `write` is given the accuracy for each UID.
pub(in crate::suites) fn with_blocks(
    suite: Suite,
    items: &[Item],
    outcomes: &[ItemOutcome],
    scores: &[&Score],
    write: impl FnOnce(&mut Report, Vec<(String, f64)>),
) -> String {
    let mut report = Report::new("ACCURACY");
    write(&mut report, accuracy_by(items, outcomes, |item| &item.subtask));
    let labels = items.first().map_or(&[][..], |item| &item.report_labels);
    for (place, label) in labels.iter().enumerate() {
        let by_label = accuracy_by(items, outcomes, |item| match item.report_labels.get(place) {
            Some(label) => &label.value,
            None => &item.group,
        });
        report.block(label.block, &by_label);
    }
    report.finish(aggregate(suite, scores).map_or(f64::NAN, |score| score.value))
}

/// A report in the official format.
pub(in crate::suites) struct Report {
    text: String,
    metric: &'static str,
}

impl Report {
    pub(in crate::suites) fn new(metric: &'static str) -> Report {
        Report { text: "TEMPERATURE: 1.00\n\n".to_owned(), metric }
    }

    /// Adds a block with a line for each name.
    pub(in crate::suites) fn block(&mut self, key: &str, lines: &[(String, f64)]) {
        self.text.push_str(&format!("### {key} {}\n", self.metric));
        for (name, value) in lines {
            self.text.push_str(&format!("{name}: {value:.2}\n"));
        }
        self.text.push('\n');
    }

    /// Adds the block of the average, the last one.
    pub(in crate::suites) fn finish(mut self, average: f64) -> String {
        self.text.push_str(&format!("### AVERAGE {}\n{average:.2}\n\n", self.metric));
        self.text
    }
}

/// The accuracy in percent over all items with the same label, in order of first appearance of the labels.
pub(in crate::suites) fn accuracy_by(
    items: &[Item],
    outcomes: &[ItemOutcome],
    label: impl Fn(&Item) -> &String,
) -> Vec<(String, f64)> {
    struct Count<'a> {
        label: &'a String,
        correct: u64,
        all: u64,
    }
    let mut counts: Vec<Count> = vec![];
    for (item, outcome) in answered(items, outcomes) {
        let label = label(item);
        let place = counts.iter().rposition(|count| count.label == label).unwrap_or_else(|| {
            counts.push(Count { label, correct: 0, all: 0 });
            counts.len() - 1
        });
        counts[place].correct += u64::from(outcome.correct);
        counts[place].all += 1;
    }
    counts.into_iter().map(|count| (count.label.clone(), 100.0 * count.correct as f64 / count.all as f64)).collect()
}

/// The official aggregate of a suite with a single task.
pub(in crate::suites) fn aggregate<'a>(suite: Suite, scores: &[&'a Score]) -> Option<&'a Score> {
    aggregate_of_task(suite.name(), scores)
}

/// The official aggregate of a task.
pub(in crate::suites) fn aggregate_of_task<'a>(task: &str, scores: &[&'a Score]) -> Option<&'a Score> {
    scores.iter().find(|score| score.subtask.is_none() && score.task == task).copied()
}

/// A score in percent as the fraction that the collated file has; `null` if there is none.
pub(in crate::suites) fn fraction(score: Option<&Score>) -> Value {
    score.map_or(Value::Null, |score| json!(score.value / 100.0))
}

/// The entry of the collated file for a suite of accuracies: the fraction of correct answers in each subtask.
pub(in crate::suites) fn fast_accuracies(_: Suite, scores: &[&Score]) -> Value {
    let subtasks = scores.iter().filter(|score| score.metric == "accuracy");
    let pairs = subtasks.filter_map(|score| Some((score.subtask.clone()?, fraction(Some(score)))));
    Value::Object(pairs.collect())
}
