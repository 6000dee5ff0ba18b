//! What the held-out losses of a training say: which step was best, and whether more steps are worth it.

use grid::domain::{EarlyStopping, Validation};
use serde::{Deserialize, Serialize};

/// The looks at the held-out loss so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Steps taken at the last look.
    pub last: Option<u64>,
    /// Steps taken at the best look, the earliest of equals, and its loss.
    pub best: Option<(u64, f64)>,
    /// What a look must undercut by the rule's `min_delta` to count as progress.
    bar: Option<f64>,
    /// Looks since the last progress.
    waited: u32,
}

impl Selection {
    /// Takes in the loss after `step` steps; says whether it is the lowest so far.
    pub fn look(&mut self, rule: Option<&Validation>, step: u64, loss: f64) -> bool {
        let delta = rule.and_then(|rule| rule.early_stopping).map_or(0.0, |stopping| stopping.min_delta);
        let best = self.best.is_none_or(|(_, best)| loss < best);
        if best {
            self.best = Some((step, loss));
        }
        if self.bar.is_none_or(|bar| loss < bar - delta) {
            (self.bar, self.waited) = (Some(loss), 0);
        } else {
            self.waited += 1;
        }
        self.last = Some(step);
        best
    }

    /// Whether so many looks in a row brought nothing that the training ends.
    pub fn is_out_of_patience(&self, rule: Option<&Validation>) -> bool {
        let stopping = rule.and_then(|rule| rule.early_stopping);
        stopping.is_some_and(|EarlyStopping { patience, .. }| self.waited >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::domain::KeptWeights;

    #[test]
    fn the_best_is_the_lowest_and_patience_counts_looks_without_progress() {
        let early_stopping = Some(EarlyStopping { patience: 2, min_delta: 0.5 });
        let rule = Validation { every: 10, early_stopping, keep: KeptWeights::Best };
        let mut selection = Selection::default();
        let mut looks = vec![];
        for (step, loss) in [(10, 4.0), (20, 3.6), (30, 3.4), (40, 3.4), (50, 3.1)] {
            let best = selection.look(Some(&rule), step, loss);
            looks.push((best, selection.is_out_of_patience(Some(&rule))));
        }
        // 3.6 is lower, but not by enough; 3.4 is; then 3.4 and 3.1 are not.
        assert_eq!(looks, [(true, false), (true, false), (true, false), (false, false), (true, true)]);
        assert_eq!((selection.best, selection.last), (Some((50, 3.1)), Some(50)));
        assert!(!selection.is_out_of_patience(None));
    }

    #[test]
    fn its_numbers_come_back_bit_for_bit() {
        let mut selection = Selection::default();
        selection.look(None, 3, 0.1 + 0.2);
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
    }
}
