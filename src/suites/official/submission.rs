//! The collated file that is handed in: every prediction of the final model, and the fast scores of its checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{GlueTask, Milestone, Suite};

use super::key;

/// The name of the collated file.
const FILE: &str = "all_full_preds_and_fast_scores_causal.json";

/// How much text a model of the challenge may read, and so at which points it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// 10 million words, ten times: 19 checkpoints.
    StrictSmall,
    /// 100 million words, ten times, and the other tracks: 28 checkpoints.
    Strict,
}

impl Track {
    /// The points at which there is a checkpoint.
    pub fn checkpoints(self) -> Vec<Milestone> {
        Milestone::babylm(match self {
            Track::StrictSmall => 100_000_000,
            Track::Strict => 1_000_000_000,
        })
    }
}

/// The official name of a checkpoint, a revision on the hub: `chck_10M`.
pub fn revision(milestone: Milestone) -> Option<String> {
    match milestone {
        Milestone::Words(words) if words.is_multiple_of(1_000_000) => Some(format!("chck_{}M", words / 1_000_000)),
        Milestone::Words(_) | Milestone::Tokens(_) => None,
    }
}

/// What goes into the collated file.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// The texts of the objects of predictions, by their word in the file.
    full: BTreeMap<&'static str, String>,
    /// Predictions of the fine-tunings.
    glue: BTreeMap<GlueTask, Value>,
    /// The checkpoints at which ages of acquisition were read off.
    acquisition: BTreeSet<Milestone>,
    /// Fast results of each checkpoint, by the word of the suite.
    fast: BTreeMap<&'static str, BTreeMap<Milestone, Value>>,
}

impl Submission {
    /// Adds the predictions of a zero-shot suite, the text of an object.
    pub fn predicted(&mut self, suite: Suite, predictions: String) {
        self.full.insert(key(suite), predictions);
    }

    /// Adds what these checkpoints said of the words whose ages of acquisition are compared.
    pub fn acquired(&mut self, checkpoints: BTreeSet<Milestone>, surprisals: String) {
        self.acquisition = checkpoints;
        self.full.insert(key(Suite::Aoa), surprisals);
    }

    /// Adds the predictions of a fine-tuning.
    pub fn classified(&mut self, task: GlueTask, predictions: Value) {
        self.glue.insert(task, predictions);
    }

    /// Adds what the fast evaluation of a checkpoint gave.
    pub fn checkpoint(&mut self, suite: Suite, milestone: Milestone, result: Value) {
        self.fast.entry(key(suite)).or_default().insert(milestone, result);
    }

    /// What is missing, a sentence for each piece.
    pub fn missing(&self, track: Track) -> Vec<String> {
        let absent = FULL.iter().filter(|key| !self.full.contains_key(*key));
        let mut missing: Vec<String> = absent.map(|key| format!("{key}: not evaluated on the full set")).collect();
        let untuned = GlueTask::ALL.iter().filter(|task| !self.glue.contains_key(task));
        let untuned: Vec<&str> = untuned.map(|task| task.name()).collect();
        if !untuned.is_empty() {
            missing.push(format!("glue: not fine-tuned for {}", untuned.join(", ")));
        }
        let wanted = track.checkpoints();
        let without = |there: &dyn Fn(&Milestone) -> bool| -> Vec<String> {
            wanted.iter().filter(|one| !there(one)).filter_map(|one| revision(*one)).collect()
        };
        let unread = without(&|milestone| self.acquisition.contains(milestone));
        if self.full.contains_key("aoa") && !unread.is_empty() {
            missing.push(format!("aoa: not evaluated at the checkpoints {}", unread.join(", ")));
        }
        for key in FAST {
            let there = self.fast.get(key);
            let lacking = without(&|milestone| there.is_some_and(|results| results.contains_key(milestone)));
            if lacking.len() == wanted.len() {
                missing.push(format!("{key}: none of the {} checkpoints is evaluated on the fast set", wanted.len()));
            } else if !lacking.is_empty() {
                missing.push(format!("{key}: not evaluated on the fast set: {}", lacking.join(", ")));
            }
        }
        missing
    }

    /// Whether there is nothing to hand in.
    pub fn is_empty(&self) -> bool {
        let Self { full, glue, acquisition: _, fast } = self;
        full.is_empty() && glue.is_empty() && fast.is_empty()
    }

    /// Its name and content. What there is nothing for is left out.
    pub fn file(&self, track: Track) -> (&'static str, String) {
        let checkpoints = track.checkpoints();
        let lists = FAST.iter().filter_map(|key| {
            let results = self.fast.get(key)?;
            let list: Vec<&Value> = checkpoints.iter().filter_map(|milestone| results.get(milestone)).collect();
            Some(((*key).to_owned(), serde_json::json!(list)))
        });
        let fast: serde_json::Map<String, Value> = lists.collect();
        // Joined as texts: a NaN among them is no JSON.
        let mut parts: Vec<String> =
            FULL.iter().filter_map(|key| Some(format!("\"{key}\": {}", self.full.get(key)?))).collect();
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

/// The words of the full zero-shot results, in the order of the file.
const FULL: [&str; 9] =
    ["blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "comps", "reading", "aoa"];

/// The words of the fast results.
const FAST: [&str; 7] = ["blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "reading"];
