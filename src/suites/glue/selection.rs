//! The selection of the epoch whose predictions count.

use serde::{Deserialize, Serialize};

use crate::domain::{GlueTask, Selection};

use super::example::Example;
use super::metrics::criterion;

/// The logits of a classifier: a score for every class of every row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassLogits(Vec<Vec<f32>>);

impl ClassLogits {
    /// Wraps `logits[row][class]`; each row has at least two classes.
    pub fn new(logits: Vec<Vec<f32>>) -> ClassLogits {
        ClassLogits(logits)
    }

    /// The logits, `[row][class]`.
    pub(super) fn logits(&self) -> &[Vec<f32>] {
        &self.0
    }

    /// The class of each row with the greatest score, the first one of a tie; NaN never wins.
    pub fn predicted(&self) -> Vec<u32> {
        let best = |logits: &Vec<f32>| {
            let mut best = 0;
            for (class, logit) in logits.iter().enumerate() {
                if *logit > logits[best] || logits[best].is_nan() {
                    best = class;
                }
            }
            best as u32
        };
        self.0.iter().map(best).collect()
    }
}

/// An epoch of one of the candidates that a selection tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateEpoch {
    /// The candidate, counted from 0.
    pub candidate: usize,
    /// The epoch, counted from 1.
    pub epoch: u32,
}

/// The best epoch so far on some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Best {
    criterion: f64,
    candidate: usize,
    epoch: u32,
    classes: ClassLogits,
}

/// The predictions that count among the epochs so far; small enough to be saved with every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSelection {
    /// One entry for each set of rows that selects: all rows, or each of two halves.
    best: Vec<Option<Best>>,
    last: ClassLogits,
}

impl EpochSelection {
    /// Offers the predictions after an epoch of a candidate of the selection.
    ///
    /// An epoch replaces an earlier one only if it is strictly better.
    pub fn offer(
        &mut self,
        task: GlueTask,
        selection: &Selection,
        examples: &[Example],
        CandidateEpoch { candidate, epoch }: CandidateEpoch,
        classes: ClassLogits,
    ) {
        let predicted = classes.predicted();
        let folds = folds(selection);
        self.best.resize(folds, None);
        for (fold, best) in self.best.iter_mut().enumerate() {
            // The best epoch on one half predicts the other half.
            let selects = |row: usize| folds == 1 || half(row) != fold;
            let criterion = criterion(task, examples, &predicted, selects);
            if best.as_ref().is_none_or(|best| criterion > best.criterion) {
                *best = Some(Best { criterion, candidate, epoch, classes: classes.clone() });
            }
        }
        self.last = classes;
    }

    /// The predictions that count: for each row, those of the epoch that was selected for it.
    pub fn predictions(&self) -> ClassLogits {
        let of = |row: usize| match &self.best[..] {
            [] => self.last.0[row].clone(),
            [only] => only.as_ref().map_or_else(Vec::new, |best| best.classes.0[row].clone()),
            halves => halves[half(row)].as_ref().map_or_else(Vec::new, |best| best.classes.0[row].clone()),
        };
        ClassLogits((0..self.last.0.len()).map(of).collect())
    }

    /// The predictions of the last epoch.
    pub fn last(&self) -> &ClassLogits {
        &self.last
    }

    /// The epoch that was selected on each set of rows.
    pub fn choices(&self) -> Vec<CandidateEpoch> {
        let epoch = |best: &Best| CandidateEpoch { candidate: best.candidate, epoch: best.epoch };
        self.best.iter().flatten().map(epoch).collect()
    }
}

/// The number of epochs that a selection selects.
fn folds(selection: &Selection) -> usize {
    match selection {
        Selection::LastEpoch(_) => 0,
        Selection::Test(_) => 1,
        Selection::HeldOut(_) => 2,
    }
}

/// Even rows are one half and odd rows the other, for every model and seed, so that items can be paired.
fn half(row: usize) -> usize {
    row % 2
}
