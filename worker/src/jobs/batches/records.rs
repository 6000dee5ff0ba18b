//! Instruction records with the loss mask of a tune job.

use std::path::{Path, PathBuf};

use grid::data::{DataError, PreparedDataset, PreparedRecord, Split};
use grid::domain::{LossMask, Replies, TuneJob};

use super::epochs::BatchRow;
use super::parts::PartStarts;
use crate::ml::{Reply, TrainingSequence};

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
    smoothing: Option<SmoothingByUncertainty>,
}

/// How the label smoothing of a record follows from its uncertainty; see [`grid::domain::Training::smoothing_max`].
#[derive(Debug, Clone, Copy, PartialEq)]
struct SmoothingByUncertainty {
    /// The wanted mean.
    mean: f64,
    max: f64,
    /// The mean uncertainty of all records.
    mean_uncertainty: f64,
}

impl SmoothingByUncertainty {
    fn of(self, uncertainty: f64) -> f64 {
        (self.mean * uncertainty / self.mean_uncertainty).clamp(0.0, self.max)
    }
}

impl InstructionRecords {
    /// Opens prepared datasets.
    pub(in super::super) fn open(folders: &[&Path], split: Split, job: &TuneJob) -> Result<Self, DataError> {
        let TuneJob { max_length, loss, objective, .. } = *job;
        Self::with(folders, split, objective.replies(), max_length, loss)
    }

    /// Opens prepared datasets, which must have these replies.
    pub(in super::super) fn with(
        folders: &[&Path],
        split: Split,
        replies: Replies,
        max_length: u32,
        loss: LossMask,
    ) -> Result<Self, DataError> {
        let datasets: Vec<PreparedDataset> =
            folders.iter().map(|folder| PreparedDataset::open(folder, split)).collect::<Result<_, _>>()?;
        if let Some(place) = datasets.iter().position(|dataset| dataset.replies() != replies) {
            let problem = format!("it has the replies {:?}, not {replies:?}", datasets[place].replies());
            return Err(DataError::Damaged { path: folders[place].to_owned(), problem });
        }
        let lacks = |dataset: &PreparedDataset| loss == LossMask::Instruction && !dataset.marks_own_text();
        if let Some(place) = datasets.iter().position(lacks) {
            let problem = "the tokens of the records' own text are not marked, which `loss: instruction` needs";
            return Err(DataError::Damaged { path: folders[place].to_owned(), problem: problem.to_owned() });
        }
        let starts = PartStarts::new(datasets.iter().map(PreparedDataset::len));
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        Ok(Self { folders, datasets, starts, max_length, loss, smoothing: None })
    }

    /// The same records, each with a label smoothing in proportion to its uncertainty. Also returns the mean smoothing, which
    /// is below `mean` if the smoothing of some records is limited by `max`.
    pub(in super::super) fn smoothed_by_uncertainty(self, mean: f64, max: f64) -> Result<(Self, f64), DataError> {
        if let Some(place) =
            self.datasets.iter().position(|dataset| dataset.uncertainties().len() as u64 != dataset.len())
        {
            let problem = "its records have no uncertainty".to_owned();
            return Err(DataError::Damaged { path: self.folders[place].clone(), problem });
        }
        let all = || self.datasets.iter().flat_map(PreparedDataset::uncertainties).copied();
        let count = all().count().max(1) as f64;
        let mean_uncertainty = all().sum::<f64>() / count;
        if mean_uncertainty == 0.0 {
            let problem =
                "the uncertainty of every record is 0, so that no smoothing is in proportion to it".to_owned();
            return Err(DataError::Damaged { path: self.folders.first().cloned().unwrap_or_default(), problem });
        }
        let smoothing = SmoothingByUncertainty { mean, max, mean_uncertainty };
        let reached = all().map(|uncertainty| smoothing.of(uncertainty)).sum::<f64>() / count;
        Ok((Self { smoothing: Some(smoothing), ..self }, reached))
    }

    /// The number of records.
    pub(in super::super) fn len(&self) -> u64 {
        self.starts.total()
    }

    /// The longest record in tokens.
    pub(super) fn max_length(&self) -> usize {
        self.max_length as usize
    }

    /// The number of datasets.
    pub(super) fn datasets(&self) -> usize {
        self.datasets.len()
    }

    /// The number of records in each dataset.
    pub(in super::super) fn lengths(&self) -> Vec<u64> {
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
                let predicted = self.record(dataset, index)?.example.predicted() as u64;
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
        Ok(self.record(dataset, number - self.starts.start(dataset))?.example)
    }

    /// A record of a dataset. If what is trained on is beyond the maximum length, no token is predicted.
    pub(super) fn record(&self, dataset: usize, index: u64) -> Result<BatchRow<TrainingSequence>, DataError> {
        let record = self.prepared(dataset, index)?;
        let uncertainty = self.datasets[dataset].uncertainties().get(index as usize);
        let smoothing =
            self.smoothing.zip(uncertainty).map(|(smoothing, uncertainty)| smoothing.of(*uncertainty) as f32);
        Ok(BatchRow { example: self.trained(record).with_smoothing(smoothing), words: self.words(dataset) })
    }

    /// A record of a dataset, truncated to the maximum length.
    pub(in super::super) fn prepared(&self, dataset: usize, index: u64) -> Result<PreparedRecord, DataError> {
        let mut record = self.datasets[dataset].record(index)?;
        record.ids.truncate(self.max_length as usize);
        Ok(record)
    }

    /// The ids of a record that the loss mask selects.
    fn trained(&self, PreparedRecord { ids, trained, own, .. }: PreparedRecord) -> TrainingSequence {
        match self.loss {
            LossMask::Reply => TrainingSequence::predicting_where(ids, &trained),
            LossMask::Instruction => {
                let either: Vec<bool> = trained.iter().zip(&own).map(|(trained, own)| *trained || *own).collect();
                TrainingSequence::predicting_where(ids, &either)
            }
            LossMask::All => TrainingSequence::predicting_from(ids, 1),
        }
    }

    /// A record as a reply whose log-probability counts. The cross entropy beside it never covers a bad reply.
    pub(in super::super) fn reply(&self, record: PreparedRecord) -> Reply {
        let scored = TrainingSequence::predicting_where(record.ids.clone(), &record.trained);
        let covers_more = self.loss != LossMask::Reply && !record.rejected;
        Reply { scored, trained: covers_more.then(|| self.trained(record)) }
    }

    /// The words of a record of a dataset, on average.
    pub(super) fn words(&self, dataset: usize) -> f64 {
        let dataset = &self.datasets[dataset];
        dataset.words() as f64 / dataset.len() as f64
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
