//! Which epoch's predictions count.

use serde::{Deserialize, Serialize};

use crate::domain::{GlueTask, Selection};

use super::{Example, criterion};

/// The scores of the classes of every row, as a classifier gave them (logits).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Classes(Vec<Vec<f32>>);

impl Classes {
    /// `logits[row][class]`, at least two classes in each row.
    pub fn new(logits: Vec<Vec<f32>>) -> Classes {
        Classes(logits)
    }

    /// `[row][class]`
    pub(super) fn logits(&self) -> &[Vec<f32>] {
        &self.0
    }

    /// The class with the greatest score, the first of a tie; a score that is not a number never wins.
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

/// An epoch that is the best so far by some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Best {
    criterion: f64,
    candidate: usize,
    epoch: u32,
    classes: Classes,
}

/// The predictions that count, of the epochs seen so far; small enough to travel with a checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Chosen {
    /// By the rows that choose: all of them, or the two halves.
    best: Vec<Option<Best>>,
    last: Classes,
}

impl Chosen {
    /// Takes in the predictions after an epoch (from 1) of a candidate of the selection.
    ///
    /// An epoch takes the place of another one only when it is strictly better.
    pub fn offer(
        &mut self,
        (task, selection): (GlueTask, &Selection),
        examples: &[Example],
        (candidate, epoch): (usize, u32),
        classes: Classes,
    ) {
        let predicted = classes.predicted();
        let folds = folds(selection);
        self.best.resize(folds, None);
        for (fold, best) in self.best.iter_mut().enumerate() {
            // Half `fold` is predicted by what is best on the other half.
            let chooses = |row: usize| folds == 1 || half(row) != fold;
            let criterion = criterion(task, examples, &predicted, chooses);
            if best.as_ref().is_none_or(|best| criterion > best.criterion) {
                *best = Some(Best { criterion, candidate, epoch, classes: classes.clone() });
            }
        }
        self.last = classes;
    }

    /// The predictions that count, every row by the epoch that was chosen for it.
    pub fn predictions(&self) -> Classes {
        let of = |row: usize| match &self.best[..] {
            [] => self.last.0[row].clone(),
            [only] => only.as_ref().map_or_else(Vec::new, |best| best.classes.0[row].clone()),
            halves => halves[half(row)].as_ref().map_or_else(Vec::new, |best| best.classes.0[row].clone()),
        };
        Classes((0..self.last.0.len()).map(of).collect())
    }

    /// The predictions of the last epoch.
    pub fn last(&self) -> &Classes {
        &self.last
    }

    /// Candidate (from 0) and epoch (from 1) of each choice that was made.
    pub fn choices(&self) -> Vec<(usize, u32)> {
        self.best.iter().flatten().map(|best| (best.candidate, best.epoch)).collect()
    }
}

/// How many choices a selection makes.
fn folds(selection: &Selection) -> usize {
    match selection {
        Selection::LastEpoch(_) => 0,
        Selection::Test(_) => 1,
        Selection::HeldOut(_) => 2,
    }
}

/// Even rows are one half, odd rows the other: the same for every model and seed, so that items can be paired.
fn half(row: usize) -> usize {
    row % 2
}
