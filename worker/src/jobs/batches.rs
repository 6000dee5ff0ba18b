//! Training batches as pure functions of the step.

use std::path::Path;

use grid::data::{Corpus, DataError, Instructions, Permutation, Split};
use grid::domain::{Length, Loss, Training};

use crate::ml::{Batch, Batches, Row};

/// Packed windows of several corpora, shuffled together anew in each epoch.
pub(super) struct Packed {
    corpora: Vec<Corpus>,
    /// Number of the first window of each corpus; one more entry for the end.
    starts: Vec<u64>,
    sequence_length: u32,
    batch_size: u32,
    seed: u64,
}

impl Packed {
    /// A window is `sequence_length` predicted tokens; it begins with the last token of the one before.
    pub(super) fn new(corpora: Vec<Corpus>, sequence_length: u32, batch_size: u32, seed: u64) -> Self {
        let windows = |corpus: &Corpus| corpus.tokens().saturating_sub(1) / u64::from(sequence_length);
        let starts = running_sum(corpora.iter().map(windows));
        Self { corpora, starts, sequence_length, batch_size, seed }
    }

    /// Windows in all.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Window number `index` in corpus order, and the words in it.
    pub(super) fn row(&self, index: u64) -> (Row, f64) {
        let corpus = which(&self.starts, index);
        let start = (index - self.starts[corpus]) * u64::from(self.sequence_length);
        let corpus = &self.corpora[corpus];
        let ids = corpus.window(start, self.sequence_length as usize + 1);
        let words = f64::from(self.sequence_length) * corpus.words() as f64 / corpus.tokens() as f64;
        (Row { ids, loss_from: 1 }, words)
    }
}

impl Batches for Packed {
    fn batch(&self, step: u64) -> Batch {
        batch_of(step, self.len(), self.batch_size, self.seed, |index| self.row(index))
    }
}

/// Records of several datasets, shuffled together anew in each epoch.
pub(super) struct Records {
    datasets: Vec<Instructions>,
    starts: Vec<u64>,
    max_length: u32,
    loss: Loss,
    batch_size: u32,
    seed: u64,
}

impl Records {
    pub(super) fn new(datasets: Vec<Instructions>, max_length: u32, loss: Loss, batch_size: u32, seed: u64) -> Self {
        let starts = running_sum(datasets.iter().map(Instructions::len));
        Self { datasets, starts, max_length, loss, batch_size, seed }
    }

    /// Records in all.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Record number `index` in dataset order, and the words of a mean record. Where the prompt leaves no room for a
    /// reply, nothing of the row is predicted.
    pub(super) fn row(&self, index: u64) -> (Row, f64) {
        let dataset = which(&self.starts, index);
        let (mut ids, prompt_length) = self.datasets[dataset].record(index - self.starts[dataset]);
        let words = self.datasets[dataset].words() as f64 / self.datasets[dataset].len() as f64;
        ids.truncate(self.max_length as usize);
        let loss_from = match self.loss {
            Loss::Reply => prompt_length.max(1),
            Loss::All => 1,
        };
        (Row { ids, loss_from }, words)
    }
}

impl Batches for Records {
    fn batch(&self, step: u64) -> Batch {
        batch_of(step, self.len(), self.batch_size, self.seed, |index| self.row(index))
    }
}

/// Batch `step` of a shuffled pass over `len` rows, then the next pass; the last batch of a pass may be smaller.
fn batch_of(step: u64, len: u64, batch_size: u32, seed: u64, row: impl Fn(u64) -> (Row, f64)) -> Batch {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    let (epoch, within) = (step / per_epoch, step % per_epoch);
    let order = Permutation::new(seed, epoch, len);
    let positions = within * batch_size..((within + 1) * batch_size).min(len);
    let (rows, words): (Vec<Row>, Vec<f64>) = positions.map(|position| row(order.at(position))).unzip();
    Batch { rows, words: words.iter().sum::<f64>().round() as u64 }
}

/// Optimiser steps of a stage over `len` rows.
pub(super) fn total_steps(training: &Training, len: u64) -> u64 {
    match training.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => u64::from(epochs) * len.div_ceil(u64::from(training.batch_size)),
    }
}

/// Opens a split of several prepared folders.
pub(super) fn open<T>(
    folders: &[&Path],
    split: Split,
    open: fn(&Path, Split) -> Result<T, DataError>,
) -> Result<Vec<T>, DataError> {
    folders.iter().map(|folder| open(folder, split)).collect()
}

fn running_sum(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut starts = vec![0];
    for length in lengths {
        starts.push(starts[starts.len() - 1] + length);
    }
    starts
}

/// The part that holds row `index`.
fn which(starts: &[u64], index: u64) -> usize {
    starts.partition_point(|start| *start <= index) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_their_parts_and_empty_parts_have_none() {
        let starts = running_sum([3, 0, 2].into_iter());
        assert_eq!(starts, [0, 3, 3, 5]);
        assert_eq!([0, 2, 3, 4].map(|index| which(&starts, index)), [0, 0, 2, 2]);
    }

    #[test]
    fn an_epoch_takes_every_row_once_and_the_next_in_another_order() {
        let batch = |step| {
            let row = |index: u64| (Row { ids: vec![index as u32], loss_from: 1 }, 1.0);
            batch_of(step, 10, 4, 7, row).rows.into_iter().map(|row| row.ids[0]).collect::<Vec<_>>()
        };
        let epoch = |first| (first..first + 3).flat_map(batch).collect::<Vec<_>>();
        assert_eq!(batch(2).len(), 2);
        let (mut one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        one.sort();
        assert_eq!(one, (0..10).collect::<Vec<u32>>());
    }
}
