//! The batches of a tune job.

use grid::data::{DataError, Mixture, ReplayedRows};
use grid::domain::{Length, TuneJob, TunePart};

use super::epochs::{BatchPositions, BatchRow, batch_of, positions_of, total_steps};
use super::packed_text::PackedText;
use super::parts::PartStarts;
use super::records::{InstructionRecords, Truncation};
use crate::ml::{self, Batch, Batches, TrainingSequence};

/// The rows of a part of a tune job.
pub(in super::super) struct TunePartRows<'a> {
    pub(in super::super) records: InstructionRecords,
    /// The truncations of the records; used where text is replayed.
    pub(in super::super) truncations: &'a [Truncation],
    /// The text that the part replays, if any.
    pub(in super::super) replayed: Option<PackedText>,
}

/// The batches of a part of a tune job: records of several datasets and, if the part replays text, windows of it, in the
/// order of a [`Mixture`].
pub(in super::super) struct PartBatches {
    records: InstructionRecords,
    replayed: Option<PackedText>,
    pub(super) mixture: Mixture,
    batch_size: u32,
}

impl PartBatches {
    /// The batches of a part of a job.
    pub(in super::super) fn new(job: &TuneJob, part: &TunePart, rows: TunePartRows<'_>) -> Self {
        let TunePartRows { records, truncations, replayed } = rows;
        let trained: Vec<u64> = truncations.iter().map(|truncation| truncation.predicted).collect();
        let windows = part.replay.as_ref().zip(replayed.as_ref()).map(|(replay, text)| ReplayedRows {
            share: replay.share,
            rows: text.len(),
            row_tokens: replay.sequence_length, // a window has one more, which begins it
            trained: &trained,
        });
        let mixture = Mixture::new(job.seed, part.order, &records.lengths(), &part.shares, windows);
        Self { records, replayed, mixture, batch_size: job.training.batch_size }
    }

    /// The number of rows in an epoch.
    pub(super) fn len(&self) -> u64 {
        self.mixture.rows()
    }

    pub(super) fn row(&self, epoch: u64, position: u64) -> Result<BatchRow, DataError> {
        let (part, index) = self.mixture.at(epoch, position);
        match &self.replayed {
            Some(text) if part == self.records.datasets() => text.window(index),
            _ => self.records.record(part, index),
        }
    }
}

impl Batches<TrainingSequence> for PartBatches {
    fn batch(&self, step: u64) -> Result<Batch<TrainingSequence>, ml::Error> {
        batch_of(step, self.len(), self.batch_size, |epoch, position| self.row(epoch, position))
    }

    fn places(&self, step: u64) -> String {
        let BatchPositions { epoch, positions } = positions_of(step, self.len(), self.batch_size);
        let (records, windows): (Vec<_>, Vec<_>) = positions
            .map(|position| self.mixture.at(epoch, position))
            .partition(|(part, _)| *part < self.records.datasets());
        let mut text = self.records.describe(&records);
        if let (Some(replayed), false) = (&self.replayed, windows.is_empty()) {
            text.push_str(&format!("; {}", replayed.describe(windows.into_iter().map(|(_, index)| index))));
        }
        text
    }
}

/// The parts of a tune job, one after the other, each for its own length. A part has the batches that it would have on its
/// own, so that its position affects nothing but the learning rate.
pub(in super::super) struct TuneBatches {
    parts: Vec<PartBatches>,
    /// The steps of each part.
    starts: PartStarts,
}

impl TuneBatches {
    /// These parts, at least one, each with its length.
    pub(in super::super) fn new(parts: Vec<(Length, PartBatches)>) -> Self {
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
    fn part_of(&self, step: u64) -> (&PartBatches, u64) {
        let part = self.starts.part_of(step).min(self.parts.len() - 1);
        (&self.parts[part], step - self.starts.start(part))
    }
}

impl Batches<TrainingSequence> for TuneBatches {
    fn batch(&self, step: u64) -> Result<Batch<TrainingSequence>, ml::Error> {
        let (part, step) = self.part_of(step);
        part.batch(step)
    }

    fn places(&self, step: u64) -> String {
        let (part, step) = self.part_of(step);
        part.places(step)
    }
}
