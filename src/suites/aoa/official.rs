//! The official result file of the suite `aoa`: the surprisals of every word at every checkpoint.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::super::item::Item;
use super::super::official::{predictions, report};
use crate::domain::{ItemOutcome, Milestone, Score, Suite};

/// The text of `surprisal.json`: the surprisal of each word in each context at every official checkpoint, in nats.
///
/// The contexts of a word are numbered from 0.
pub fn surprisals(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    let mut next_context: HashMap<&str, usize> = HashMap::new();
    let contexts: HashMap<u32, (&Item, usize)> = items
        .iter()
        .map(|item| {
            let next = next_context.entry(&item.subtask).or_default();
            *next += 1;
            (item.index, (item, *next - 1))
        })
        .collect();
    let row = |outcome: &ItemOutcome| {
        let milestone = checkpoint(outcome)?;
        let (item, context_id) = contexts.get(&outcome.item)?;
        let candidate = item.candidates.first()?;
        let context = candidate.text.strip_suffix(candidate.scored()).unwrap_or_default().trim();
        Some(format!(
            "{{\"step\": {}, \"word_count\": {}, \"target_word\": {}, \"context_id\": {context_id}, \"context\": {}, \
             \"surprisal\": {}}}",
            json!(milestone.revision()?),
            milestone.count(),
            json!(item.subtask),
            json!(context),
            predictions::surprisal(outcome.scores.first()),
        ))
    };
    let rows: Vec<String> = outcomes.iter().filter_map(row).collect();
    let steps = checkpoints(outcomes).len();
    let metadata = json!({"use_bos_only": false, "total_steps": steps, "completed_steps": steps});
    format!("{{\"metadata\": {metadata}, \"results\": [{}]}}", rows.join(", "))
}

/// The text of `aoa_score.json`: the correlation, from -1 to 1.
pub(super) fn correlation(suite: Suite, _: &[Item], _: &[ItemOutcome], scores: &[&Score]) -> String {
    json!({"aoa": report::fraction(report::aggregate(suite, scores))}).to_string()
}

/// The official checkpoints that the outcomes of the suite `aoa` are about.
pub fn checkpoints(outcomes: &[ItemOutcome]) -> BTreeSet<Milestone> {
    outcomes.iter().filter_map(checkpoint).collect()
}

/// The official checkpoint that an outcome is about.
fn checkpoint(outcome: &ItemOutcome) -> Option<Milestone> {
    let milestone: Milestone = outcome.subtask.parse().ok()?;
    milestone.revision().map(|_| milestone)
}
