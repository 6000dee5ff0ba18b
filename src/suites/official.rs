//! The result files of the official BabyLM 2025 pipeline, as its collation and its leaderboard read them.
//!
//! They are made from what was recorded, never scored anew. The pipeline's own analyses beside them (correlations and
//! regressions of reading times with every variable) are left out: nothing reads them.

mod sizes;
mod submission;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::domain::{GlueTask, ItemOutcome, Milestone, Score, Size, Suite};

use super::item::{Item, Truth};
pub use sizes::{glue_problems, problems};
pub use submission::{Submission, Track, revision};

/// A result file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    /// Path below the folder of a model's revision: `zero_shot/causal/blimp/blimp_filtered/predictions.json`.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The word for a suite in the collated file.
pub fn key(suite: Suite) -> &'static str {
    match suite {
        Suite::Blimp => "blimp",
        Suite::BlimpSupplement => "blimp_supplement",
        Suite::EntityTracking => "entity_tracking",
        Suite::Ewok => "ewok",
        Suite::Comps => "comps",
        Suite::WugAdj => "wug_adj",
        Suite::WugPast => "wug_past",
        Suite::Reading => "reading",
        Suite::Aoa => "aoa",
        Suite::Glue => "glue",
    }
}

/// Where the files of a zero-shot suite lie.
fn folder(suite: Suite, size: Size) -> String {
    let task = match suite {
        Suite::Reading => return "zero_shot/causal/reading".to_owned(),
        Suite::Aoa => return "zero_shot/causal/AoA_word".to_owned(),
        // The supplement is run as the same task on another folder.
        Suite::BlimpSupplement => key(Suite::Blimp),
        suite => key(suite),
    };
    let set = suite.folder(size).rsplit('/').next().unwrap_or_default();
    format!("zero_shot/causal/{task}/{set}")
}

/// The files of a zero-shot evaluation on one of the official data sets: predictions and report.
pub fn files(suite: Suite, size: Size, items: &[Item], outcomes: &[ItemOutcome], scores: &[&Score]) -> Vec<ResultFile> {
    let folder = folder(suite, size);
    let file = |name: &str, text: String| ResultFile { path: format!("{folder}/{name}"), text };
    let name = match suite {
        Suite::Aoa => return vec![file("surprisal.json", surprisals(items, outcomes))],
        Suite::Reading => "report.txt",
        _ => "best_temperature_report.txt",
    };
    vec![
        file("predictions.json", predictions(suite, items, outcomes)),
        file(name, report(suite, items, outcomes, scores)),
    ]
}

/// The files of a fine-tuning: predicted classes, and the metrics as shares.
pub fn glue_files(task: GlueTask, outcomes: &[ItemOutcome], scores: &[&Score]) -> Vec<ResultFile> {
    let file = |name: &str, text: String| ResultFile { path: format!("finetune/{task}/{name}"), text };
    let metrics = ["accuracy", "f1", "mcc"].iter().filter_map(|metric| {
        let found = scores.iter().find(|score| score.subtask.is_some() && score.metric == *metric)?;
        Some(format!("{metric}: {}", found.value / 100.0))
    });
    let metrics: Vec<String> = metrics.collect();
    vec![
        file("predictions.json", glue_predictions(task, outcomes).to_string()),
        file("results.txt", metrics.join("\n")),
    ]
}

/// The object of `predictions.json` of a fine-tuning.
pub fn glue_predictions(task: GlueTask, outcomes: &[ItemOutcome]) -> Value {
    let row = |outcome: &ItemOutcome| json!({"id": format!("{task}_{}", outcome.item), "pred": outcome.chosen});
    let rows: Vec<Value> = outcomes.iter().map(row).collect();
    json!({task.name(): {"predictions": rows}})
}

/// The text of `surprisal.json`: what every official checkpoint said of each word in each context, in nats.
///
/// The number of a context counts those of its word.
pub fn surprisals(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let contexts: HashMap<u32, (&Item, usize)> = items
        .iter()
        .map(|item| {
            let next = seen.entry(&item.subtask).or_default();
            *next += 1;
            (item.index, (item, *next - 1))
        })
        .collect();
    let row = |outcome: &ItemOutcome| {
        let (milestone, step) = checkpoint(outcome)?;
        let (item, context_id) = contexts.get(&outcome.item)?;
        let candidate = item.candidates.first()?;
        let context = candidate.text.strip_suffix(candidate.scored()).unwrap_or_default().trim();
        let surprisal = match outcome.scores.first() {
            Some(Some(score)) => json!(-score).to_string(),
            _ => "NaN".to_owned(),
        };
        Some(format!(
            "{{\"step\": {}, \"word_count\": {}, \"target_word\": {}, \"context_id\": {context_id}, \"context\": {}, \
             \"surprisal\": {surprisal}}}",
            json!(step),
            milestone.count(),
            json!(item.subtask),
            json!(context),
        ))
    };
    let rows: Vec<String> = outcomes.iter().filter_map(row).collect();
    let steps = checkpoints(outcomes).len();
    let metadata = json!({"use_bos_only": false, "total_steps": steps, "completed_steps": steps});
    format!("{{\"metadata\": {metadata}, \"results\": [{}]}}", rows.join(", "))
}

/// The official checkpoint that an outcome of the suite `aoa` belongs to, and its name.
fn checkpoint(outcome: &ItemOutcome) -> Option<(Milestone, String)> {
    let milestone: Milestone = outcome.subtask.parse().ok()?;
    Some((milestone, revision(milestone)?))
}

/// The official checkpoints that the suite `aoa` has seen.
pub fn checkpoints(outcomes: &[ItemOutcome]) -> BTreeSet<Milestone> {
    outcomes.iter().filter_map(|outcome| Some(checkpoint(outcome)?.0)).collect()
}

/// The text of `predictions.json` of a zero-shot evaluation; of ages of acquisition, [`surprisals`].
///
/// Where a surprisal is missing there stands a bare `NaN`, as in the official file, which is no JSON but is what
/// Python reads and writes.
pub fn predictions(suite: Suite, items: &[Item], outcomes: &[ItemOutcome]) -> String {
    if suite == Suite::Aoa {
        return surprisals(items, outcomes);
    }
    let by_item = by_item(outcomes);
    let answered = items.iter().filter_map(|item| Some((item, *by_item.get(&(item.subtask.as_str(), item.index))?)));
    if suite == Suite::Reading {
        let number = |score: Option<&Option<f64>>| match score {
            Some(Some(score)) => json!(-score).to_string(),
            _ => "NaN".to_owned(),
        };
        let row = |(item, outcome): (&Item, &ItemOutcome)| {
            let (this, previous) = (number(outcome.scores.first()), number(outcome.scores.get(1)));
            format!("{{\"id\": {}, \"pred\": {this}, \"prev_pred\": {previous}}}", item.index)
        };
        let rows: Vec<String> = answered.map(row).collect();
        return format!("{{\"reading\": {{\"predictions\": [{}]}}}}", rows.join(", "));
    }
    let mut uids: Vec<(&str, Vec<Value>)> = vec![];
    for (item, outcome) in answered {
        let mut row = json!({
            "id": format!("{}_{}", item.subtask, item.index),
            "pred": predicted(suite, item, outcome.chosen),
        });
        if let Truth::Share(_) = item.truth {
            row["prob"] = probability(&outcome.scores).into();
        }
        match uids.iter_mut().rev().find(|(uid, _)| *uid == item.subtask) {
            Some((_, rows)) => rows.push(row),
            None => uids.push((&item.subtask, vec![row])),
        }
    }
    let object: serde_json::Map<String, Value> =
        uids.into_iter().map(|(uid, rows)| (uid.to_owned(), json!({"predictions": rows}))).collect();
    Value::Object(object).to_string()
}

/// The outcomes by subtask and index.
fn by_item(outcomes: &[ItemOutcome]) -> HashMap<(&str, u32), &ItemOutcome> {
    outcomes.iter().map(|outcome| ((outcome.subtask.as_str(), outcome.item), outcome)).collect()
}

/// The chosen completion; of COMPS, whose completions are alike, the whole sentence.
fn predicted(suite: Suite, item: &Item, chosen: u32) -> String {
    let Some(candidate) = item.candidates.get(chosen as usize) else { return String::new() };
    match suite {
        Suite::Comps => candidate.text.clone(),
        _ => candidate.scored().to_owned(),
    }
}

/// The preference for the first of two, as the official pipeline computes it: in float32.
fn probability(scores: &[Option<f64>]) -> f64 {
    let score = |index: usize| scores.get(index).copied().flatten().map_or(f32::NEG_INFINITY, |score| score as f32);
    let (first, second) = (score(0), score(1));
    let greatest = first.max(second);
    let (first, second) = ((first - greatest).exp(), (second - greatest).exp());
    f64::from(first / (first + second))
}

/// The text of the report: accuracies in percent, of each field and UID and in all, or the two scores of reading.
fn report(suite: Suite, items: &[Item], outcomes: &[ItemOutcome], scores: &[&Score]) -> String {
    let total = |task: &str| {
        let found = scores.iter().find(|score| score.subtask.is_none() && score.task == task);
        found.map_or(f64::NAN, |score| score.value)
    };
    if suite == Suite::Reading {
        return format!(
            "EYE TRACKING SCORE: {:.2}\nSELF-PACED READING SCORE: {:.2}\n",
            total("eye-tracking"),
            total("self-paced")
        );
    }
    let (metric, unit) = match suite {
        Suite::WugAdj | Suite::WugPast => ("SPEARMAN'S RHO", 100.0),
        _ => ("ACCURACY", 1.0),
    };
    let average = total(suite.name()) / unit;
    let mut text = "TEMPERATURE: 1.00\n\n".to_owned();
    let mut block = |key: &str, lines: &[(String, f64)]| {
        text.push_str(&format!("### {key} {metric}\n"));
        for (name, value) in lines {
            text.push_str(&format!("{name}: {value:.2}\n"));
        }
        text.push('\n');
    };
    let by_uid = accuracies(items, outcomes, |item| &item.subtask);
    match suite {
        Suite::WugAdj | Suite::WugPast => block("UID", &[("avg".to_owned(), average)]),
        Suite::EntityTracking => {
            // After its numbers of operations, each split has its mean.
            let mut splits: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for (uid, value) in &by_uid {
                let split = items.iter().find(|item| item.subtask == *uid).map_or("", |item| &item.group);
                splits.entry(split).or_default().push(*value);
            }
            let mean = |(split, values): (&str, Vec<f64>)| {
                (split.to_owned(), values.iter().sum::<f64>() / values.len() as f64)
            };
            block("UID", &[by_uid, splits.into_iter().map(mean).collect()].concat());
        }
        Suite::Blimp | Suite::BlimpSupplement => {
            block("FIELD", &accuracies(items, outcomes, |item| &item.group));
            block("UID", &by_uid);
        }
        Suite::Ewok | Suite::Comps | Suite::Reading | Suite::Aoa | Suite::Glue => block("UID", &by_uid),
    }
    let kinds = items.first().map_or(&[][..], |item| &item.kinds);
    for (place, (key, _)) in kinds.iter().enumerate() {
        block(key, &accuracies(items, outcomes, |item| item.kinds.get(place).map_or(&item.group, |(_, word)| word)));
    }
    text.push_str(&format!("### AVERAGE {metric}\n{average:.2}\n\n"));
    text
}

/// The accuracy over all items of one word, in the order in which the words first come.
fn accuracies(items: &[Item], outcomes: &[ItemOutcome], word: impl Fn(&Item) -> &String) -> Vec<(String, f64)> {
    let by_item = by_item(outcomes);
    let mut counts: Vec<(&String, u64, u64)> = vec![];
    for item in items {
        let Some(outcome) = by_item.get(&(item.subtask.as_str(), item.index)) else { continue };
        let word = word(item);
        let place = counts.iter().rposition(|(known, ..)| *known == word).unwrap_or_else(|| {
            counts.push((word, 0, 0));
            counts.len() - 1
        });
        counts[place].1 += u64::from(outcome.correct);
        counts[place].2 += 1;
    }
    counts.into_iter().map(|(word, correct, all)| (word.clone(), 100.0 * correct as f64 / all as f64)).collect()
}

/// What the fast evaluation of one checkpoint says in the collated file: the share of right answers of each subtask, a
/// correlation, or the two scores of reading as shares.
pub fn fast_result(suite: Suite, scores: &[&Score]) -> Value {
    let share = |score: &Score| Value::from(score.value / 100.0);
    let total = |task: &str| {
        let found = scores.iter().find(|score| score.subtask.is_none() && score.task == task);
        found.map_or(Value::Null, |score| share(score))
    };
    match suite {
        Suite::Reading => json!({"spr": total("self-paced"), "rt": total("eye-tracking")}),
        Suite::WugAdj | Suite::WugPast => json!({key(suite): total(suite.name())}),
        _ => {
            let subtasks = scores.iter().filter(|score| score.metric == "accuracy");
            let pairs = subtasks.filter_map(|score| Some((score.subtask.clone()?, share(score))));
            Value::Object(pairs.collect())
        }
    }
}
