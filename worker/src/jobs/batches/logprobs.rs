//! The output of a logprobs job.
//!
//! It has, for the splits `train` and `validation`, `<split>.logprobs`: for each record of the prepared dataset the
//! log-probability of its reply in nats, as a little-endian `f64`; for a dataset with labelled replies two of them, the
//! second for the same prompt with the reply of another record.

use std::path::{Path, PathBuf};
use std::{fs, io};

use grid::data::{DataError, Split};

/// The log-probabilities of one split of a dataset.
#[derive(Debug, Clone)]
pub(in super::super) struct Logprobs {
    values: Vec<f64>,
    per_record: usize,
}

impl Logprobs {
    /// Reads the outputs of logprobs jobs of datasets with these numbers of records, and this many numbers for each record.
    pub(super) fn of_datasets(
        folders: &[&Path],
        split: Split,
        records: &[u64],
        per_record: usize,
    ) -> Result<Vec<Self>, DataError> {
        folders.iter().zip(records).map(|(folder, records)| Self::read(folder, split, *records, per_record)).collect()
    }

    /// Writes the numbers of a split into the output of a logprobs job.
    pub(in super::super) fn write(folder: &Path, split: Split, values: &[f64]) -> io::Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(path_of(folder, split), bytes)
    }

    fn read(folder: &Path, split: Split, records: u64, per_record: usize) -> Result<Self, DataError> {
        let path = path_of(folder, split);
        let bytes = fs::read(&path).map_err(|error| DataError::Damaged {
            path: path.clone(),
            problem: format!("failed to read it: {error}"),
        })?;
        let values: Vec<f64> = bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        if bytes.len() != 8 * per_record * records as usize {
            let problem =
                format!("it has {} bytes, not {per_record} numbers for each of {records} records", bytes.len());
            return Err(DataError::Damaged { path, problem });
        }
        Ok(Self { values, per_record })
    }

    /// The log-probability of the reply of a record.
    pub(super) fn own(&self, record: u64) -> f64 {
        self.values[self.per_record * record as usize]
    }

    /// The log-probability of the reply of a record, and of the reply of another record behind its prompt.
    pub(super) fn both(&self, record: u64) -> [f64; 2] {
        let last = self.values[self.per_record * record as usize + self.per_record - 1];
        [self.own(record), last]
    }
}

fn path_of(folder: &Path, split: Split) -> PathBuf {
    folder.join(split.name()).with_extension("logprobs")
}
