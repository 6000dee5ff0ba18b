//! Instruction records with the loss mask of a tune job.

use std::path::{Path, PathBuf};

use grid::data::{DataError, PreparedDataset, PreparedRecord, Split};
use grid::domain::{LossMask, TuneJob};

use super::epochs::BatchRow;
use super::parts::PartStarts;
use crate::ml::TrainingSequence;

/// How many records of a dataset the maximum length truncates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Truncation {
    /// All records.
    pub(in super::super) records: u64,
    /// Records that lose their end.
    pub(in super::super) truncated: u64,
    /// Records that have no predicted token.
    pub(in super::super) without_target: u64,
    /// Predicted tokens in all records.
    pub(in super::super) predicted: u64,
}

/// The records of several datasets.
pub(in super::super) struct InstructionRecords {
    /// The folders of the datasets, for error messages.
    folders: Vec<PathBuf>,
    datasets: Vec<PreparedDataset>,
    /// The records of each dataset.
    starts: PartStarts,
    max_length: u32,
    loss: LossMask,
}

impl InstructionRecords {
    /// Opens prepared datasets.
    pub(in super::super) fn open(folders: &[&Path], split: Split, job: &TuneJob) -> Result<Self, DataError> {
        let datasets: Vec<PreparedDataset> =
            folders.iter().map(|folder| PreparedDataset::open(folder, split)).collect::<Result<_, _>>()?;
        let TuneJob { max_length, loss, .. } = *job;
        let lacks = |dataset: &PreparedDataset| loss == LossMask::Instruction && !dataset.marks_own_text();
        if let Some(place) = datasets.iter().position(lacks) {
            let problem = "the tokens of the records' own text are not marked, which `loss: instruction` needs";
            return Err(DataError::Damaged { path: folders[place].to_owned(), problem: problem.to_owned() });
        }
        let starts = PartStarts::new(datasets.iter().map(PreparedDataset::len));
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        Ok(Self { folders, datasets, starts, max_length, loss })
    }

    /// The number of records.
    pub(in super::super) fn len(&self) -> u64 {
        self.starts.total()
    }

    /// The number of datasets.
    pub(super) fn datasets(&self) -> usize {
        self.datasets.len()
    }

    /// The number of records in each dataset.
    pub(super) fn lengths(&self) -> Vec<u64> {
        self.datasets.iter().map(PreparedDataset::len).collect()
    }

    /// How the maximum length truncates the records of each dataset.
    pub(in super::super) fn truncations(&self) -> Result<Vec<Truncation>, DataError> {
        let of_dataset = |dataset: usize| {
            let records = self.datasets[dataset].len();
            let mut truncation = Truncation { records, truncated: 0, without_target: 0, predicted: 0 };
            for index in 0..records {
                let length = self.datasets[dataset].record(index)?.ids.len();
                truncation.truncated += u64::from(length > self.max_length as usize);
                let predicted = self.record(dataset, index)?.sequence.predicted() as u64;
                truncation.without_target += u64::from(predicted == 0);
                truncation.predicted += predicted;
            }
            Ok(truncation)
        };
        (0..self.datasets.len()).map(of_dataset).collect()
    }

    /// The record with this number, in the order of the datasets.
    pub(in super::super) fn row(&self, number: u64) -> Result<TrainingSequence, DataError> {
        let dataset = self.starts.part_of(number);
        Ok(self.record(dataset, number - self.starts.start(dataset))?.sequence)
    }

    /// A record of a dataset. If what is trained on is beyond the maximum length, no token is predicted.
    pub(super) fn record(&self, dataset: usize, index: u64) -> Result<BatchRow, DataError> {
        let dataset = &self.datasets[dataset];
        let PreparedRecord { mut ids, trained, own } = dataset.record(index)?;
        ids.truncate(self.max_length as usize);
        let sequence = match self.loss {
            LossMask::Reply => TrainingSequence::predicting_where(ids, &trained),
            LossMask::Instruction => {
                let either: Vec<bool> = trained.iter().zip(&own).map(|(trained, own)| *trained || *own).collect();
                TrainingSequence::predicting_where(ids, &either)
            }
            LossMask::All => TrainingSequence::predicting_from(ids, 1),
        };
        let words = dataset.words() as f64 / dataset.len() as f64;
        Ok(BatchRow { sequence, words })
    }

    /// The first record with a token for which this is true: where it is in its file, and the token.
    pub(in super::super) fn find(&self, wrong: &dyn Fn(u32) -> bool) -> Result<Option<(String, u32)>, DataError> {
        for number in 0..self.len() {
            if let Some(id) = self.row(number)?.ids().iter().copied().find(|&id| wrong(id)) {
                return Ok(Some((self.starts.describe("records", std::iter::once(number), &self.folders), id)));
            }
        }
        Ok(None)
    }

    /// Text that says where records are in their files, given as (dataset, index in it).
    pub(super) fn describe(&self, records: &[(usize, u64)]) -> String {
        let numbers = records.iter().map(|(dataset, index)| self.starts.start(*dataset) + index);
        self.starts.describe("records", numbers, &self.folders)
    }
}
