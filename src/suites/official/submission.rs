//! The collated file of a submission: every prediction of the final model, and the fast scores of its checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::{Edition, Gap, GlueTask, Milestone, OfficialData, ScoringBackend, Suite};

use super::has_files;
use super::track::Track;

/// The content of the collated file.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// The predictions of each zero-shot suite, an object as text.
    full: BTreeMap<Suite, String>,
    /// The predictions of each fine-tuning.
    glue: BTreeMap<GlueTask, Value>,
    /// The checkpoints at which the surprisals of the suite `aoa` were measured.
    aoa_checkpoints: BTreeSet<Milestone>,
    /// The correlation of the suite `aoa`.
    aoa: Option<Value>,
    /// Suites whose predictions the official collation does not take.
    rejected: BTreeSet<Suite>,
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

    /// Adds the predictions of a fine-tuning that the official collation takes.
    pub fn add_classifications(&mut self, task: GlueTask, predictions: Value) {
        self.glue.insert(task, predictions);
    }

    /// Adds the result of the fast evaluation of a checkpoint.
    pub fn add_checkpoint(&mut self, suite: Suite, milestone: Milestone, result: Value) {
        self.fast.entry(suite).or_default().insert(milestone, result);
    }

    /// Adds the correlation of the suite `aoa`, from -1 to 1.
    pub fn add_aoa(&mut self, correlation: Value) {
        self.aoa = Some(correlation);
    }

    /// Names a suite that was evaluated, but whose predictions the official collation does not take.
    pub fn reject(&mut self, suite: Suite) {
        self.rejected.insert(suite);
    }

    /// What the submission lacks.
    pub fn missing(&self, edition: Edition, track: Track) -> Vec<Gap> {
        let absent = full(edition).filter(|suite| !self.full.contains_key(suite) && !self.rejected.contains(suite));
        let mut missing: Vec<Gap> =
            absent.map(|suite| Gap::new(key(edition, suite), "not evaluated on the full set")).collect();
        let not_tuned = GlueTask::ALL.iter().filter(|task| !self.glue.contains_key(task));
        let not_tuned: Vec<&str> = not_tuned.map(|task| task.name()).collect();
        if !not_tuned.is_empty() {
            missing.push(Gap::new(Suite::Glue.name(), format!("not fine-tuned for {}", not_tuned.join(", "))));
        }
        let required = track.checkpoints();
        let lacking = |has: &dyn Fn(&Milestone) -> bool| -> Vec<String> {
            required.iter().filter(|milestone| !has(milestone)).filter_map(|milestone| milestone.revision()).collect()
        };
        let without_aoa = lacking(&|milestone| self.aoa_checkpoints.contains(milestone));
        if self.full.contains_key(&Suite::Aoa) && !without_aoa.is_empty() {
            let reason = format!("not evaluated at the checkpoints {}", without_aoa.join(", "));
            missing.push(Gap::new(key(edition, Suite::Aoa), reason));
        }
        for suite in fast(edition) {
            let results = self.fast.get(&suite);
            let lacking = lacking(&|milestone| results.is_some_and(|results| results.contains_key(milestone)));
            let key = key(edition, suite);
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
        let Self { full, glue, fast, aoa: _, aoa_checkpoints: _, rejected: _ } = self;
        full.is_empty() && glue.is_empty() && fast.is_empty()
    }

    /// The name and the text of the collated file. Parts that the submission lacks are left out of the file of 2025, and
    /// `null` in that of 2026.
    pub fn file(&self, edition: Edition, track: Track, backend: ScoringBackend) -> (String, String) {
        let name = format!("all_full_preds_and_fast_scores_{backend}.json");
        // Concatenated as text, because a NaN in the predictions is not JSON.
        let mut parts: Vec<String> = match edition {
            Edition::Of2025 => {
                let there = full(edition).filter_map(|suite| Some((key(edition, suite), self.full.get(&suite)?)));
                there.map(|(key, text)| format!("\"{key}\": {text}")).collect()
            }
            Edition::Of2026 => {
                let text = |suite| self.full.get(&suite).map_or("null", String::as_str);
                full(edition).map(|suite| format!("\"{}\": {}", key(edition, suite), text(suite))).collect()
            }
        };
        if edition == Edition::Of2026 {
            let correlation = self.aoa.as_ref().map_or(Value::Null, |correlation| json!({"aoa": correlation}));
            parts.push(format!("\"aoa\": {correlation}"));
        }
        if !self.glue.is_empty() || edition == Edition::Of2026 {
            let tasks = self.glue.values().filter_map(Value::as_object).flatten();
            let merged: serde_json::Map<String, Value> =
                tasks.map(|(task, rows)| (task.clone(), rows.clone())).collect();
            parts.push(format!("\"glue\": {}", Value::Object(merged)));
        }
        parts.push(format!("\"fast_eval_results\": {}", Value::Object(self.fast_lists(edition, track))));
        (name, format!("{{{}}}", parts.join(", ")))
    }

    /// The fast results of each suite, in the order of the checkpoints.
    fn fast_lists(&self, edition: Edition, track: Track) -> serde_json::Map<String, Value> {
        let checkpoints = track.checkpoints();
        let list = |suite: Suite| {
            let results = self.fast.get(&suite);
            let at = |milestone: &Milestone| results.and_then(|results| results.get(milestone));
            match edition {
                Edition::Of2025 => {
                    results?;
                    Some(checkpoints.iter().filter_map(at).cloned().collect())
                }
                Edition::Of2026 => {
                    Some(checkpoints.iter().map(|milestone| at(milestone).cloned().unwrap_or(Value::Null)).collect())
                }
            }
        };
        fast(edition).filter_map(|suite| Some((key(edition, suite), Value::Array(list(suite)?)))).collect()
    }
}

/// The key of a suite in the collated file.
fn key(edition: Edition, suite: Suite) -> String {
    match (edition, suite) {
        // Rows with an option "nothing" are left out.
        (Edition::Of2026, Suite::EntityTracking) => "entity_tracking_filtered".to_owned(),
        // The key `aoa` has the correlation.
        (Edition::Of2026, Suite::Aoa) => "aoa_surprisals".to_owned(),
        _ => suite.name().replace('-', "_"),
    }
}

/// The suites of the file, in its order. A suite with official files that is not listed comes after them.
const ORDER: [Suite; 11] = [
    Suite::Blimp,
    Suite::BlimpSupplement,
    Suite::Ewok,
    Suite::EntityTracking,
    Suite::WugAdj,
    Suite::WugPast,
    Suite::Comps,
    Suite::GlobalPiqaParallel,
    Suite::GlobalPiqaNonparallel,
    Suite::Reading,
    Suite::Aoa,
];

/// The suites with full zero-shot results.
fn full(edition: Edition) -> impl Iterator<Item = Suite> {
    let further = Suite::official().filter(|suite| !ORDER.contains(suite));
    ORDER.into_iter().chain(further).filter(move |suite| edition.has(*suite) && has_files(*suite))
}

/// The suites with fast results of checkpoints.
fn fast(edition: Edition) -> impl Iterator<Item = Suite> {
    full(edition).filter(|suite| suite.official_data().is_some_and(OfficialData::has_fast_set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_the_order_of_the_official_file() {
        let names = |edition: Edition, suites: &mut dyn Iterator<Item = Suite>| {
            suites.map(|suite| key(edition, suite)).collect::<Vec<_>>().join(" ")
        };
        let of = |edition| (names(edition, &mut full(edition)), names(edition, &mut fast(edition)));
        let (full, fast) = of(Edition::Of2025);
        insta::assert_snapshot!(full, @"blimp blimp_supplement ewok entity_tracking wug_adj wug_past comps reading aoa");
        insta::assert_snapshot!(fast, @"blimp blimp_supplement ewok entity_tracking wug_adj wug_past reading");
        let (full, fast) = of(Edition::Of2026);
        insta::assert_snapshot!(full, @"blimp blimp_supplement ewok entity_tracking_filtered comps global_piqa_parallel global_piqa_nonparallel reading aoa_surprisals");
        insta::assert_snapshot!(fast, @"blimp blimp_supplement ewok entity_tracking_filtered global_piqa_parallel global_piqa_nonparallel reading");
    }

    #[test]
    fn what_is_absent_is_null_in_2026() {
        let mut submission = Submission::default();
        submission.add_checkpoint(Suite::Ewok, Milestone::Words(2_000_000), json!({"d": 0.5}));
        submission.add_aoa(json!(0.25));
        let (name, text) = submission.file(Edition::Of2026, Track::StrictSmall, ScoringBackend::Mntp);
        assert_eq!(name, "all_full_preds_and_fast_scores_mntp.json");
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&file["entity_tracking_filtered"], &file["aoa_surprisals"]), (&Value::Null, &Value::Null));
        assert_eq!((&file["aoa"], &file["glue"]), (&json!({"aoa": 0.25}), &json!({})));
        let lists = file["fast_eval_results"].as_object().unwrap();
        assert_eq!((lists.len(), lists["reading"].as_array().unwrap()), (7, &vec![Value::Null; 19]));
        assert_eq!((&lists["ewok"][0], &lists["ewok"][1]), (&Value::Null, &json!({"d": 0.5})));
    }
}
