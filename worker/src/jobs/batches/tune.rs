//! The batches of a tune job.

use grid::data::{DataError, Mixture, ReplayedRows};
use grid::domain::{Length, TuneJob, TunePart};

use super::epochs::{BatchPositions, BatchRow, batch_of, positions_of, total_steps};
use super::parts::PartStarts;
use super::records::Truncation;
use super::rows::{InstructionRows, Rows};
use crate::ml::{self, Batch, Batches};

/// The batches of a part of a tune job: rows of several datasets and, if the part replays text, windows of it, in the
/// order of a [`Mixture`].
pub(in super::super) struct PartBatches<R> {
    rows: R,
    pub(super) mixture: Mixture,
    batch_size: u32,
}

impl PartBatches<InstructionRows> {
    /// The batches of a part with replayed text, if there is any. `truncations` are those of the records.
    pub(in super::super) fn with_replay(
        job: &TuneJob,
        part: &TunePart,
        rows: InstructionRows,
        truncations: &[Truncation],
    ) -> Self {
        let trained: Vec<u64> = truncations.iter().map(|truncation| truncation.predicted).collect();
        let windows = part.replay.as_ref().zip(rows.replayed.as_ref()).map(|(replay, text)| ReplayedRows {
            share: replay.share,
            rows: text.len(),
            row_tokens: replay.sequence_length, // a window has one more, which begins it
            trained: &trained,
        });
        let mixture = Mixture::new(job.seed, part.order, &rows.lengths(), &part.shares, windows);
        Self { rows, mixture, batch_size: job.training.batch_size }
    }
}

impl<R: Rows> PartBatches<R> {
    /// The batches of a part without replayed text.
    pub(in super::super) fn new(job: &TuneJob, part: &TunePart, rows: R) -> Self {
        let mixture = Mixture::new(job.seed, part.order, &rows.lengths(), &part.shares, None);
        Self { rows, mixture, batch_size: job.training.batch_size }
    }

    /// The number of rows in an epoch.
    pub(super) fn len(&self) -> u64 {
        self.mixture.rows()
    }

    pub(super) fn row(&self, epoch: u64, position: u64) -> Result<BatchRow<R::Example>, DataError> {
        let (dataset, index) = self.mixture.at(epoch, position);
        self.rows.row(epoch, dataset, index)
    }
}

impl<R: Rows> Batches<R::Example> for PartBatches<R> {
    fn batch(&self, step: u64) -> Result<Batch<R::Example>, ml::Error> {
        batch_of(step, self.len(), self.batch_size, |epoch, position| self.row(epoch, position))
    }

    fn places(&self, step: u64) -> String {
        let BatchPositions { epoch, positions } = positions_of(step, self.len(), self.batch_size);
        let rows: Vec<(usize, u64)> = positions.map(|position| self.mixture.at(epoch, position)).collect();
        self.rows.describe(&rows)
    }
}

/// The parts of a tune job, one after the other, each for its own length. A part has the batches that it would have on its
/// own, so that its position affects nothing but the learning rate.
pub(in super::super) struct TuneBatches<R> {
    parts: Vec<PartBatches<R>>,
    /// The steps of each part.
    starts: PartStarts,
}

impl<R: Rows> TuneBatches<R> {
    /// These parts, at least one, each with its length.
    pub(in super::super) fn new(parts: Vec<(Length, PartBatches<R>)>) -> Self {
        let steps = parts.iter().map(|(length, part)| total_steps(*length, part.batch_size, part.len()));
        let starts = PartStarts::new(steps);
        Self { parts: parts.into_iter().map(|(_, part)| part).collect(), starts }
    }

    /// The number of optimizer steps.
    pub(in super::super) fn total_steps(&self) -> u64 {
        self.starts.total()
    }

    /// The number of rows in an epoch of the part that has the fewest.
    pub(in super::super) fn fewest_rows(&self) -> u64 {
        self.parts.iter().map(PartBatches::len).min().unwrap_or(0)
    }

    /// The part of a step, and the number of the step in it. Steps beyond the end belong to the last part.
    fn part_of(&self, step: u64) -> (&PartBatches<R>, u64) {
        let part = self.starts.part_of(step).min(self.parts.len() - 1);
        (&self.parts[part], step - self.starts.start(part))
    }
}

impl<R: Rows> Batches<R::Example> for TuneBatches<R> {
    fn batch(&self, step: u64) -> Result<Batch<R::Example>, ml::Error> {
        let (part, step) = self.part_of(step);
        part.batch(step)
    }

    fn places(&self, step: u64) -> String {
        let (part, step) = self.part_of(step);
        part.places(step)
    }
}
