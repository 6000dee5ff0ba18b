//! The text of `predictions.json` for suites whose items have candidates to choose from.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::item::{Candidate, Item, Truth};
use crate::domain::ItemOutcome;

/// The completion that was chosen for each item.
pub(in crate::suites) fn chosen_completions(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    chosen(items, outcomes, Candidate::scored)
}

/// The completion that was chosen for each item; where all candidates have the same one, the sentence.
pub(in crate::suites) fn chosen_texts(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    let differ = |item: &Item| item.candidates.iter().any(|other| other.scored() != item.candidates[0].scored());
    match items.iter().any(differ) {
        true => chosen_completions(items, outcomes),
        false => chosen_sentences(items, outcomes),
    }
}

/// The sentence that was chosen for each item, for a suite whose candidates all have the same completion.
pub(in crate::suites) fn chosen_sentences(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    chosen(items, outcomes, |candidate| &candidate.text)
}

fn chosen(items: &[Item], outcomes: &[ItemOutcome], text: impl Fn(&Candidate) -> &str) -> String {
    let mut subtasks: Vec<(&str, Vec<Value>)> = vec![];
    for (item, outcome) in answered(items, outcomes) {
        let place = subtasks.iter().rposition(|(subtask, _)| *subtask == item.subtask).unwrap_or_else(|| {
            subtasks.push((&item.subtask, vec![]));
            subtasks.len() - 1
        });
        let rows = &mut subtasks[place].1;
        let candidate = item.candidates.get(outcome.chosen as usize);
        // Rows that the mode leaves out are not counted, unlike in the index of the item.
        let mut row = json!({
            "id": format!("{}_{}", item.subtask, rows.len()),
            "pred": candidate.map_or("", &text),
        });
        if let Truth::Share(_) = item.truth {
            row["prob"] = probability_of_first(&outcome.scores).into();
        }
        rows.push(row);
    }
    let object: serde_json::Map<String, Value> =
        subtasks.into_iter().map(|(subtask, rows)| (subtask.to_owned(), json!({"predictions": rows}))).collect();
    Value::Object(object).to_string()
}

/// The items that have an outcome, each with its outcome.
pub(in crate::suites) fn answered<'a>(
    items: &'a [Item],
    outcomes: &'a [ItemOutcome],
) -> impl Iterator<Item = (&'a Item, &'a ItemOutcome)> {
    let by_item: HashMap<(&str, u32), &ItemOutcome> =
        outcomes.iter().map(|outcome| ((outcome.subtask.as_str(), outcome.item), outcome)).collect();
    items.iter().filter_map(move |item| Some((item, *by_item.get(&(item.subtask.as_str(), item.index))?)))
}

/// The surprisal for a log-probability, as JSON.
///
/// A missing one is a bare `NaN`, as in the official files. That is not JSON, but Python reads and writes it.
pub(in crate::suites) fn surprisal(score: Option<&Option<f64>>) -> String {
    match score {
        Some(Some(score)) => json!(-score).to_string(),
        _ => "NaN".to_owned(),
    }
}

/// The probability of the first of two candidates, computed in float32 as the official pipeline does.
fn probability_of_first(scores: &[Option<f64>]) -> f64 {
    let score = |index: usize| scores.get(index).copied().flatten().map_or(f32::NEG_INFINITY, |score| score as f32);
    let (first, second) = (score(0), score(1));
    let greatest = first.max(second);
    let (first, second) = ((first - greatest).exp(), (second - greatest).exp());
    f64::from(first / (first + second))
}
