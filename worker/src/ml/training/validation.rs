//! The validation losses of a training: which step was best, and whether training stops early.

use grid::domain::{EarlyStopping, Validation};
use serde::{Deserialize, Serialize};

/// The validations so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationHistory {
    /// Steps taken at the last validation.
    pub last: Option<u64>,
    /// Steps taken at the validation with the lowest loss (the earliest of equals), and that loss.
    pub best: Option<(u64, f64)>,
    /// The loss of the last improvement. A loss lower by more than `min_delta` is an improvement.
    #[serde(rename = "bar")]
    threshold: Option<f64>,
    /// The number of validations since the last improvement.
    waited: u32,
}

impl ValidationHistory {
    /// Records the loss after `step` steps, and returns whether it is the lowest so far.
    pub fn record(&mut self, settings: Option<&Validation>, step: u64, loss: f64) -> bool {
        let stopping = settings.and_then(|settings| settings.early_stopping);
        let delta = stopping.map_or(0.0, |stopping| stopping.min_delta);
        let best = self.best.is_none_or(|(_, best)| loss < best);
        if best {
            self.best = Some((step, loss));
        }
        if self.threshold.is_none_or(|threshold| loss < threshold - delta) {
            (self.threshold, self.waited) = (Some(loss), 0);
        } else {
            self.waited += 1;
        }
        self.last = Some(step);
        best
    }

    /// Whether training stops early, because `patience` validations in a row brought no improvement.
    pub fn is_out_of_patience(&self, settings: Option<&Validation>) -> bool {
        let stopping = settings.and_then(|settings| settings.early_stopping);
        stopping.is_some_and(|EarlyStopping { patience, .. }| self.waited >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::domain::KeptWeights;

    #[test]
    fn patience_counts_validations_without_improvement() {
        let early_stopping = Some(EarlyStopping { patience: 2, min_delta: 0.5 });
        let settings = Validation { every: 10, early_stopping, keep: KeptWeights::Best };
        let mut history = ValidationHistory::default();
        let mut results = vec![];
        for (step, loss) in [(10, 4.0), (20, 3.6), (30, 3.4), (40, 3.4), (50, 3.1)] {
            let best = history.record(Some(&settings), step, loss);
            results.push((best, history.is_out_of_patience(Some(&settings))));
        }
        // 3.6 is lower than 4.0, but not by enough; 3.4 is an improvement; the second 3.4 and 3.1 are not.
        assert_eq!(results, [(true, false), (true, false), (true, false), (false, false), (true, true)]);
        assert_eq!((history.best, history.last), (Some((50, 3.1)), Some(50)));
        assert!(!history.is_out_of_patience(None));
    }

    #[test]
    fn serialization_is_exact() {
        let mut history = ValidationHistory::default();
        history.record(None, 3, 0.1 + 0.2);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<ValidationHistory>(&text).unwrap(), history);
    }
}
