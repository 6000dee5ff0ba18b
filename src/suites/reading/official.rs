//! The official result files of the reading suite.

use serde_json::{Value, json};

use super::super::item::Item;
use super::super::official::{predictions, report};
use super::word::{EYE_TRACKING, SELF_PACED};
use crate::domain::{ItemOutcome, Score, Suite};

/// The surprisal of each word and of the word before it, in nats.
pub(super) fn surprisals(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    let row = |(item, outcome): (&Item, &ItemOutcome)| {
        let this = predictions::surprisal(outcome.scores.first());
        let previous = predictions::surprisal(outcome.scores.get(1));
        format!("{{\"id\": {}, \"pred\": {this}, \"prev_pred\": {previous}}}", item.index)
    };
    let rows: Vec<String> = predictions::answered(items, outcomes).map(row).collect();
    format!("{{\"reading\": {{\"predictions\": [{}]}}}}", rows.join(", "))
}

/// The two scores in percent.
pub(super) fn write_report(_: Suite, _: &[Item], _: &[ItemOutcome], scores: &[&Score]) -> String {
    let value = |task: &str| report::aggregate_of_task(task, scores).map_or(f64::NAN, |score| score.value);
    format!("EYE TRACKING SCORE: {:.2}\nSELF-PACED READING SCORE: {:.2}\n", value(EYE_TRACKING.0), value(SELF_PACED.0))
}

/// The two scores as fractions.
pub(super) fn fast_result(_: Suite, scores: &[&Score]) -> Value {
    let fraction = |task: &str| report::fraction(report::aggregate_of_task(task, scores));
    json!({"spr": fraction(SELF_PACED.0), "rt": fraction(EYE_TRACKING.0)})
}
