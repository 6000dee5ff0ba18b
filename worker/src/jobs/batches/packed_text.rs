//! Pretraining text, packed into windows of equal length.

use std::path::{Path, PathBuf};

use grid::data::{DataError, Permutation, PreparedCorpus, Split};

use super::epochs::{BatchPositions, BatchRow, batch_of, positions_of};
use super::parts::PartStarts;
use crate::ml::{self, Batch, Batches, TrainingSequence};

/// The windows of several corpora, shuffled together for each epoch.
pub(in super::super) struct PackedText {
    /// The folders of the corpora, for error messages.
    folders: Vec<PathBuf>,
    corpora: Vec<PreparedCorpus>,
    /// The windows of each corpus.
    starts: PartStarts,
    sequence_length: u32,
    batch_size: u32,
    seed: u64,
}

impl PackedText {
    /// Opens prepared corpora. A window has `sequence_length` predicted tokens, and begins with the last token of the
    /// previous window.
    pub(in super::super) fn open(
        folders: &[&Path],
        split: Split,
        sequence_length: u32,
        batch_size: u32,
        seed: u64,
    ) -> Result<Self, DataError> {
        let corpora: Vec<PreparedCorpus> =
            folders.iter().map(|folder| PreparedCorpus::open(folder, split)).collect::<Result<_, _>>()?;
        let windows = |corpus: &PreparedCorpus| corpus.tokens().saturating_sub(1) / u64::from(sequence_length);
        let starts = PartStarts::new(corpora.iter().map(windows));
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        Ok(Self { folders, corpora, starts, sequence_length, batch_size, seed })
    }

    /// The number of windows.
    pub(in super::super) fn len(&self) -> u64 {
        self.starts.total()
    }

    /// The number of words in all windows, approximately the sum of [`Batch::words`] over an epoch.
    pub(in super::super) fn words(&self) -> f64 {
        let of_corpus = |corpus| self.words_per_window(corpus) * self.starts.len(corpus) as f64;
        (0..self.corpora.len()).map(of_corpus).sum()
    }

    /// The mean number of words in a window of a corpus.
    fn words_per_window(&self, corpus: usize) -> f64 {
        let corpus = &self.corpora[corpus];
        f64::from(self.sequence_length) * corpus.words() as f64 / (corpus.tokens() as f64).max(1.0)
    }

    /// The window at a position of an epoch.
    fn window_at(&self, epoch: u64, position: u64) -> u64 {
        Permutation::new(self.seed, epoch, self.len()).at(position)
    }

    /// Text that says where these windows are in their files.
    pub(super) fn describe(&self, windows: impl Iterator<Item = u64>) -> String {
        self.starts.describe(&format!("windows (of {} tokens)", self.sequence_length), windows, &self.folders)
    }

    /// The first window with a token for which this is true: where it is in its file, and the token.
    pub(in super::super) fn find(&self, wrong: &dyn Fn(u32) -> bool) -> Result<Option<(String, u32)>, DataError> {
        for number in 0..self.len() {
            if let Some(id) = self.row(number)?.ids().iter().copied().find(|&id| wrong(id)) {
                return Ok(Some((self.describe(std::iter::once(number)), id)));
            }
        }
        Ok(None)
    }

    /// The tokens of the window with this number, in the order of the corpora.
    pub(in super::super) fn row(&self, number: u64) -> Result<TrainingSequence, DataError> {
        Ok(self.window(number)?.example)
    }

    /// The window with this number, in the order of the corpora.
    pub(super) fn window(&self, number: u64) -> Result<BatchRow<TrainingSequence>, DataError> {
        let corpus = self.starts.part_of(number);
        let start = (number - self.starts.start(corpus)) * u64::from(self.sequence_length);
        let ids = self.corpora[corpus].window(start, self.sequence_length as usize + 1)?;
        let example = TrainingSequence::predicting_from(ids, 1);
        Ok(BatchRow { example, words: self.words_per_window(corpus) })
    }
}

impl Batches<TrainingSequence> for PackedText {
    fn batch(&self, step: u64) -> Result<Batch<TrainingSequence>, ml::Error> {
        batch_of(step, self.len(), self.batch_size, |epoch, position| self.window(self.window_at(epoch, position)))
    }

    fn places(&self, step: u64) -> String {
        let BatchPositions { epoch, positions } = positions_of(step, self.len(), self.batch_size);
        self.describe(positions.map(|position| self.window_at(epoch, position)))
    }
}
