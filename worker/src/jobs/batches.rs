//! Training batches as pure functions of the step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grid::data::{Corpus, DataError, Instructions, Permutation, Split};
use grid::domain::{Length, Loss, PretrainJob, Training, TuneJob};

use crate::ml::{Batch, Batches, Row};

/// Packed windows of several corpora, shuffled together anew in each epoch.
pub(super) struct Packed {
    /// The folders of the corpora, for messages.
    folders: Vec<PathBuf>,
    corpora: Vec<Corpus>,
    /// Number of the first window of each corpus; one more entry for the end.
    starts: Vec<u64>,
    sequence_length: u32,
    batch_size: u32,
    seed: u64,
}

impl Packed {
    /// A window is `sequence_length` predicted tokens; it begins with the last token of the one before.
    pub(super) fn open(folders: &[&Path], split: Split, job: &PretrainJob) -> Result<Self, DataError> {
        let corpora = open(folders, split, Corpus::open)?;
        let PretrainJob { sequence_length, seed, .. } = *job;
        let batch_size = job.training.batch_size;
        let windows = |corpus: &Corpus| corpus.tokens().saturating_sub(1) / u64::from(sequence_length);
        let starts = running_sum(corpora.iter().map(windows));
        Ok(Self { folders: owned(folders), corpora, starts, sequence_length, batch_size, seed })
    }

    /// Words in all windows, about as many as [`Batch::words`] adds up to in an epoch.
    pub(super) fn words(&self) -> f64 {
        self.corpora.iter().enumerate().map(|(index, _)| self.words_of(index) * self.windows_of(index)).sum()
    }

    fn windows_of(&self, corpus: usize) -> f64 {
        (self.starts[corpus + 1] - self.starts[corpus]) as f64
    }

    /// Words in a window of a corpus: their mean, as tokens do not tell where words end.
    fn words_of(&self, corpus: usize) -> f64 {
        let corpus = &self.corpora[corpus];
        f64::from(self.sequence_length) * corpus.words() as f64 / (corpus.tokens() as f64).max(1.0)
    }

    /// Windows in all.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Window number `index` in corpus order, and the words in it.
    pub(super) fn row(&self, index: u64) -> (Row, f64) {
        let corpus = which(&self.starts, index);
        let start = (index - self.starts[corpus]) * u64::from(self.sequence_length);
        let ids = self.corpora[corpus].window(start, self.sequence_length as usize + 1);
        (Row { ids, loss_from: 1 }, self.words_of(corpus))
    }
}

impl Batches for Packed {
    fn batch(&self, step: u64) -> Batch {
        batch_of(step, self.len(), self.batch_size, self.seed, |index| self.row(index))
    }

    fn places(&self, step: u64) -> String {
        let rows = rows_of(step, self.len(), self.batch_size, self.seed);
        let unit = format!("windows (of {} tokens)", self.sequence_length);
        places(&unit, rows, &self.starts, &self.folders)
    }
}

/// Records of several datasets, shuffled together anew in each epoch.
pub(super) struct Records {
    /// The folders of the datasets, for messages.
    folders: Vec<PathBuf>,
    datasets: Vec<Instructions>,
    starts: Vec<u64>,
    max_length: u32,
    loss: Loss,
    batch_size: u32,
    seed: u64,
}

impl Records {
    pub(super) fn open(folders: &[&Path], split: Split, job: &TuneJob) -> Result<Self, DataError> {
        let datasets = open(folders, split, Instructions::open)?;
        let starts = running_sum(datasets.iter().map(Instructions::len));
        let TuneJob { max_length, loss, seed, .. } = *job;
        let batch_size = job.training.batch_size;
        Ok(Self { folders: owned(folders), datasets, starts, max_length, loss, batch_size, seed })
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

    fn places(&self, step: u64) -> String {
        places("records", rows_of(step, self.len(), self.batch_size, self.seed), &self.starts, &self.folders)
    }
}

/// The rows of batch `step` of a shuffled pass over `len` rows, then the next pass; the last batch of a pass may be
/// smaller.
fn rows_of(step: u64, len: u64, batch_size: u32, seed: u64) -> impl Iterator<Item = u64> {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    let (epoch, within) = (step / per_epoch, step % per_epoch);
    let order = Permutation::new(seed, epoch, len);
    let positions = within * batch_size..((within + 1) * batch_size).min(len);
    positions.map(move |position| order.at(position))
}

fn batch_of(step: u64, len: u64, batch_size: u32, seed: u64, row: impl Fn(u64) -> (Row, f64)) -> Batch {
    let (rows, words): (Vec<Row>, Vec<f64>) = rows_of(step, len, batch_size, seed).map(row).unzip();
    Batch { rows, words: words.iter().sum::<f64>().round() as u64 }
}

/// `windows 3, 9 of a/train.bin; 0 of b/train.bin`: rows by the number they have in their part, counted from 0.
fn places(unit: &str, rows: impl Iterator<Item = u64>, starts: &[u64], folders: &[PathBuf]) -> String {
    let mut by_part: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let part = which(starts, row);
        by_part.entry(part).or_default().push(row - starts[part]);
    }
    let part = |(part, numbers): (usize, Vec<u64>)| {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        format!("{} of {}", numbers.join(", "), folders[part].join("train.bin").display())
    };
    format!("{unit} {}", by_part.into_iter().map(part).collect::<Vec<_>>().join("; "))
}

fn owned(folders: &[&Path]) -> Vec<PathBuf> {
    folders.iter().map(|folder| folder.to_path_buf()).collect()
}

/// Optimiser steps of a stage over `len` rows.
pub(super) fn total_steps(training: &Training, len: u64) -> u64 {
    match training.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => u64::from(epochs) * len.div_ceil(u64::from(training.batch_size)),
    }
}

/// Rows that `steps` optimiser steps take from passes over `len` rows.
pub(super) fn rows_in_all(training: &Training, steps: u64, len: u64) -> u64 {
    let batch_size = u64::from(training.batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    (steps / per_epoch) * len + ((steps % per_epoch) * batch_size).min(len)
}

/// Opens a split of several prepared folders.
fn open<T>(
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

    #[test]
    fn the_places_of_rows_name_their_files() {
        let text = places("windows", [4, 0, 3].into_iter(), &[0, 3, 3, 5], &["a", "b", "c"].map(PathBuf::from));
        assert_eq!(text, "windows 0 of a/train.bin; 1, 0 of c/train.bin");
    }
}
