//! The collated file of a submission: every prediction of the final model, and the fast scores of its checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{Gap, GlueTask, Milestone, OfficialData, Suite};

use super::has_files;
use super::track::{Track, revision};

/// The name of the collated file.
const FILE: &str = "all_full_preds_and_fast_scores_causal.json";

/// The content of the collated file.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// The predictions of each zero-shot suite, an object as text.
    full: BTreeMap<Suite, String>,
    /// The predictions of each fine-tuning.
    glue: BTreeMap<GlueTask, Value>,
    /// The checkpoints at which the surprisals of the suite `aoa` were measured.
    aoa_checkpoints: BTreeSet<Milestone>,
    /// The fast results of each suite at each checkpoint.
    fast: BTreeMap<Suite, BTreeMap<Milestone, Value>>,
}

impl Submission {
    /// Adds the predictions of a zero-shot suite, an object as text.
    pub fn add_predictions(&mut self, suite: Suite, predictions: String) {
        self.full.insert(suite, predictions);
    }

    /// Adds the surprisals of the suite `aoa`, measured at these checkpoints.
    pub fn add_surprisals(&mut self, checkpoints: BTreeSet<Milestone>, surprisals: String) {
        self.aoa_checkpoints = checkpoints;
        self.full.insert(Suite::Aoa, surprisals);
    }

    /// Adds the predictions of a fine-tuning.
    pub fn add_classifications(&mut self, task: GlueTask, predictions: Value) {
        self.glue.insert(task, predictions);
    }

    /// Adds the result of the fast evaluation of a checkpoint.
    pub fn add_checkpoint(&mut self, suite: Suite, milestone: Milestone, result: Value) {
        self.fast.entry(suite).or_default().insert(milestone, result);
    }

    /// What the submission lacks.
    pub fn missing(&self, track: Track) -> Vec<Gap> {
        let absent = full().filter(|suite| !self.full.contains_key(suite));
        let mut missing: Vec<Gap> = absent.map(|suite| Gap::new(key(suite), "not evaluated on the full set")).collect();
        let not_tuned = GlueTask::ALL.iter().filter(|task| !self.glue.contains_key(task));
        let not_tuned: Vec<&str> = not_tuned.map(|task| task.name()).collect();
        if !not_tuned.is_empty() {
            missing.push(Gap::new(Suite::Glue.name(), format!("not fine-tuned for {}", not_tuned.join(", "))));
        }
        let required = track.checkpoints();
        let lacking = |has: &dyn Fn(&Milestone) -> bool| -> Vec<String> {
            required.iter().filter(|milestone| !has(milestone)).filter_map(|milestone| revision(*milestone)).collect()
        };
        let without_aoa = lacking(&|milestone| self.aoa_checkpoints.contains(milestone));
        if self.full.contains_key(&Suite::Aoa) && !without_aoa.is_empty() {
            let reason = format!("not evaluated at the checkpoints {}", without_aoa.join(", "));
            missing.push(Gap::new(key(Suite::Aoa), reason));
        }
        for suite in fast() {
            let results = self.fast.get(&suite);
            let lacking = lacking(&|milestone| results.is_some_and(|results| results.contains_key(milestone)));
            let key = key(suite);
            if lacking.len() == required.len() {
                let reason = format!("none of the {} checkpoints is evaluated on the fast set", required.len());
                missing.push(Gap::new(key, reason));
            } else if !lacking.is_empty() {
                missing.push(Gap::new(key, format!("not evaluated on the fast set: {}", lacking.join(", "))));
            }
        }
        missing
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        let Self { full, glue, fast, aoa_checkpoints: _ } = self;
        full.is_empty() && glue.is_empty() && fast.is_empty()
    }

    /// The name and the text of the collated file; parts that the submission lacks are left out.
    pub fn file(&self, track: Track) -> (&'static str, String) {
        let checkpoints = track.checkpoints();
        let lists = fast().filter_map(|suite| {
            let results = self.fast.get(&suite)?;
            let list: Vec<&Value> = checkpoints.iter().filter_map(|milestone| results.get(milestone)).collect();
            Some((key(suite), serde_json::json!(list)))
        });
        let fast: serde_json::Map<String, Value> = lists.collect();
        // Concatenated as text, because a NaN in the predictions is not JSON.
        let full = full().filter_map(|suite| Some(format!("\"{}\": {}", key(suite), self.full.get(&suite)?)));
        let mut parts: Vec<String> = full.collect();
        if !self.glue.is_empty() {
            let tasks = self.glue.values().filter_map(Value::as_object).flatten();
            let merged: serde_json::Map<String, Value> =
                tasks.map(|(task, rows)| (task.clone(), rows.clone())).collect();
            parts.push(format!("\"glue\": {}", Value::Object(merged)));
        }
        parts.push(format!("\"fast_eval_results\": {}", Value::Object(fast)));
        (FILE, format!("{{{}}}", parts.join(", ")))
    }
}

/// The key of a suite in the collated file.
fn key(suite: Suite) -> String {
    suite.name().replace('-', "_")
}

/// The suites of the file, in its order. A suite with official files that is not listed comes after them.
const ORDER: [Suite; 9] = [
    Suite::Blimp,
    Suite::BlimpSupplement,
    Suite::Ewok,
    Suite::EntityTracking,
    Suite::WugAdj,
    Suite::WugPast,
    Suite::Comps,
    Suite::Reading,
    Suite::Aoa,
];

/// The suites with full zero-shot results.
fn full() -> impl Iterator<Item = Suite> {
    let further = Suite::official().filter(|suite| !ORDER.contains(suite));
    ORDER.into_iter().chain(further).filter(|suite| has_files(*suite))
}

/// The suites with fast results of checkpoints.
fn fast() -> impl Iterator<Item = Suite> {
    full().filter(|suite| suite.official_data().is_some_and(OfficialData::has_fast_set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_the_order_of_the_official_file() {
        let names = |suites: &mut dyn Iterator<Item = Suite>| suites.map(key).collect::<Vec<_>>().join(" ");
        insta::assert_snapshot!(names(&mut full()), @"blimp blimp_supplement ewok entity_tracking wug_adj wug_past comps reading aoa");
        insta::assert_snapshot!(names(&mut fast()), @"blimp blimp_supplement ewok entity_tracking wug_adj wug_past reading");
    }
}
