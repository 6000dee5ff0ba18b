//! The rows that a tuning takes its batches from.

use std::path::Path;

use grid::data::{DataError, PreparedRecord, Split};
use grid::domain::TuneJob;

use super::epochs::BatchRow;
use super::logprobs::Logprobs;
use super::packed_text::PackedText;
use super::records::InstructionRecords;
use crate::ml::{LabelledReply, PreferencePair, Reply, TrainingSequence};

/// Rows of several datasets, of which a tuning takes its batches.
pub(in super::super) trait Rows: Send + Sync {
    /// What a row becomes.
    type Example;

    /// The records that the rows consist of.
    fn records(&self) -> &InstructionRecords;

    /// The number of rows in each dataset.
    fn lengths(&self) -> Vec<u64> {
        self.records().lengths()
    }

    /// A row of a dataset in an epoch, or a window of replayed text, which comes after the last dataset.
    fn row(&self, epoch: u64, dataset: usize, index: u64) -> Result<BatchRow<Self::Example>, DataError>;

    /// Text that says where rows are in their files.
    fn describe(&self, rows: &[(usize, u64)]) -> String;
}

/// Records of instruction datasets, with the text that is replayed beside them.
pub(in super::super) struct InstructionRows {
    pub(in super::super) records: InstructionRecords,
    /// The text that the part replays, if any.
    pub(in super::super) replayed: Option<PackedText>,
}

impl Rows for InstructionRows {
    type Example = TrainingSequence;

    fn records(&self) -> &InstructionRecords {
        &self.records
    }

    fn row(&self, _epoch: u64, dataset: usize, index: u64) -> Result<BatchRow<TrainingSequence>, DataError> {
        match &self.replayed {
            Some(text) if dataset == self.records.datasets() => text.window(index),
            _ => self.records.record(dataset, index),
        }
    }

    fn describe(&self, rows: &[(usize, u64)]) -> String {
        let (records, windows): (Vec<_>, Vec<_>) =
            rows.iter().copied().partition(|(dataset, _)| *dataset < self.records.datasets());
        let mut text = self.records.describe(&records);
        if let (Some(replayed), false) = (&self.replayed, windows.is_empty()) {
            text.push_str(&format!("; {}", replayed.describe(windows.into_iter().map(|(_, index)| index))));
        }
        text
    }
}

/// Pairs of a chosen and a rejected reply: records that follow each other.
pub(in super::super) struct PairRows {
    records: InstructionRecords,
    /// The log-probabilities under the reference, by dataset and record; empty without a reference.
    references: Vec<Logprobs>,
}

impl PairRows {
    /// Opens prepared datasets, each with its log-probabilities under the reference if there is one.
    pub(in super::super) fn open(
        folders: &[&Path],
        references: &[&Path],
        split: Split,
        job: &TuneJob,
    ) -> Result<Self, DataError> {
        let records = InstructionRecords::open(folders, split, job)?;
        let references = Logprobs::of_datasets(references, split, &records.lengths(), 1)?;
        Ok(Self { records, references })
    }

    fn pair(&self, dataset: usize, pair: u64) -> Result<PreferencePair, DataError> {
        let record =
            |place: u64| Ok::<_, DataError>(self.records.reply(self.records.prepared(dataset, 2 * pair + place)?));
        let reference =
            |place: u64| self.references.get(dataset).map_or(0.0, |logprobs| logprobs.own(2 * pair + place));
        let (chosen, rejected) = (record(0)?, record(1)?);
        Ok(PreferencePair { chosen, rejected, references: [reference(0), reference(1)] })
    }
}

impl Rows for PairRows {
    type Example = PreferencePair;

    fn records(&self) -> &InstructionRecords {
        &self.records
    }

    fn lengths(&self) -> Vec<u64> {
        self.records.lengths().into_iter().map(|records| records / 2).collect()
    }

    fn row(&self, _epoch: u64, dataset: usize, index: u64) -> Result<BatchRow<PreferencePair>, DataError> {
        Ok(BatchRow { example: self.pair(dataset, index)?, words: 2.0 * self.records.words(dataset) })
    }

    fn describe(&self, rows: &[(usize, u64)]) -> String {
        let records: Vec<(usize, u64)> =
            rows.iter().flat_map(|(dataset, pair)| [(*dataset, 2 * pair), (*dataset, 2 * pair + 1)]).collect();
        self.records.describe(&records)
    }
}

/// Replies that are labelled good or bad.
pub(in super::super) struct LabelledRows {
    records: InstructionRecords,
    /// The log-probabilities under the reference, by dataset and record.
    references: Vec<Logprobs>,
    /// For each record of each dataset, the record whose reply is put behind its prompt.
    others: Vec<Vec<u64>>,
}

impl LabelledRows {
    /// Opens prepared datasets, each with its log-probabilities under the reference.
    pub(in super::super) fn open(
        folders: &[&Path],
        references: &[&Path],
        split: Split,
        job: &TuneJob,
    ) -> Result<Self, DataError> {
        let records = InstructionRecords::open(folders, split, job)?;
        let references = Logprobs::of_datasets(references, split, &records.lengths(), 2)?;
        let others =
            (0..records.datasets()).map(|dataset| other_records(&records, dataset)).collect::<Result<_, _>>()?;
        Ok(Self { records, references, others })
    }
}

impl Rows for LabelledRows {
    type Example = LabelledReply;

    fn records(&self) -> &InstructionRecords {
        &self.records
    }

    fn row(&self, _epoch: u64, dataset: usize, index: u64) -> Result<BatchRow<LabelledReply>, DataError> {
        let record = self.records.prepared(dataset, index)?;
        let other = self.others[dataset][index as usize];
        let example = LabelledReply {
            mismatched: mismatched_reply(&self.records, dataset, &record, other)?,
            desirable: !record.rejected,
            references: self.references[dataset].both(index),
            reply: self.records.reply(record),
        };
        Ok(BatchRow { example, words: self.records.words(dataset) })
    }

    fn describe(&self, rows: &[(usize, u64)]) -> String {
        self.records.describe(rows)
    }
}

/// For each record of a dataset, the nearest record before it with another prompt; before the first record comes the last
/// one. If all prompts are the same, it is the record before it.
pub(in super::super) fn other_records(records: &InstructionRecords, dataset: usize) -> Result<Vec<u64>, DataError> {
    let count = records.lengths()[dataset];
    let prompts: Vec<blake3::Hash> = (0..count)
        .map(|index| {
            let record = records.prepared(dataset, index)?;
            let ids = record.ids[..length_of_prompt(&record)].iter();
            Ok(blake3::hash(&ids.flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()))
        })
        .collect::<Result<_, DataError>>()?;
    let before = |index: u64, distance: u64| (index + count - distance) % count;
    let other = |index: u64| {
        let differs = |distance: &u64| prompts[before(index, *distance) as usize] != prompts[index as usize];
        before(index, (1..count).find(differs).unwrap_or(1).min(count))
    };
    Ok((0..count).map(other).collect())
}

/// The prompt of a record with the reply of another record, truncated to the maximum length.
pub(in super::super) fn mismatched_reply(
    records: &InstructionRecords,
    dataset: usize,
    record: &PreparedRecord,
    other: u64,
) -> Result<Reply, DataError> {
    let other = records.prepared(dataset, other)?;
    let (prompt, start) = (&record.ids[..length_of_prompt(record)], length_of_prompt(&other));
    let mut ids = [prompt, &other.ids[start..]].concat();
    let mut scored = vec![false; prompt.len()];
    scored.extend(&other.trained[start..other.ids.len()]);
    ids.truncate(records.max_length());
    Ok(Reply::new(TrainingSequence::predicting_where(ids, &scored)))
}

/// The number of ids before the first one that is trained on.
fn length_of_prompt(record: &PreparedRecord) -> usize {
    record.trained.iter().take(record.ids.len()).position(|trained| *trained).unwrap_or(record.ids.len())
}
