//! Records with demonstrations before them.

use std::path::Path;

use grid::data::{DataError, PairTexts, PreparedDataset, Split, Tokenizer};
use grid::domain::{Shots, TuneJob, draw_distinct, mix};

use super::epochs::BatchRow;
use super::records::InstructionRecords;
use super::rows::Rows;
use crate::ml::TrainingSequence;

/// Records of several datasets, each after demonstrations from the training part of its own dataset.
pub(in super::super) struct ShotRows {
    records: InstructionRecords,
    /// The texts of the records, by dataset.
    texts: Vec<Vec<PairTexts>>,
    /// The records that demonstrations are drawn from, by dataset.
    pools: Vec<Pool>,
    tokenizer: Tokenizer,
    shots: Shots,
    max_length: usize,
    seed: u64,
}

/// The training records of a dataset.
struct Pool {
    texts: Vec<PairTexts>,
    /// Whether the records themselves are those of the pool, so that a record must not be its own demonstration.
    is_own: bool,
}

impl Pool {
    /// The demonstrations of a record, in the order in which they were drawn: distinct records with another prompt and, if
    /// replies must not overlap, with another reply, each with the same probability.
    fn draw(&self, query: &PairTexts, index: u64, shots: &Shots, seed: u64) -> Vec<&PairTexts> {
        let fits = |place: usize| {
            let one = &self.texts[place];
            !(self.is_own && place as u64 == index)
                && one.prompt != query.prompt
                && (shots.label_overlap || one.reply != query.reply)
        };
        let drawn = draw_distinct(seed, self.texts.len(), shots.k as usize, fits);
        drawn.into_iter().map(|place| &self.texts[place]).collect()
    }
}

impl ShotRows {
    /// Opens prepared datasets, whose texts must have been kept.
    pub(in super::super) fn open(
        folders: &[&Path],
        split: Split,
        job: &TuneJob,
        shots: &Shots,
        tokenizer: Tokenizer,
    ) -> Result<Self, DataError> {
        let records = InstructionRecords::open(folders, split, job)?;
        let texts = |split| -> Result<Vec<Vec<PairTexts>>, DataError> {
            folders.iter().map(|folder| PreparedDataset::open(folder, split)?.texts()).collect()
        };
        let is_own = split == Split::Train;
        let pools = texts(Split::Train)?.into_iter().map(|texts| Pool { texts, is_own }).collect();
        let (texts, max_length) = (texts(split)?, job.max_length as usize);
        Ok(Self { records, texts, pools, tokenizer, shots: shots.clone(), max_length, seed: job.seed })
    }

    /// A record after its demonstrations of an epoch. If they do not fit into the maximum length, the first ones are left
    /// out; the record itself loses its end only if it does not fit alone.
    fn sequence(&self, epoch: u64, dataset: usize, index: u64) -> Result<(TrainingSequence, usize), DataError> {
        let query = &self.texts[dataset][index as usize];
        let seed = [epoch, dataset as u64, index].into_iter().fold(mix(self.seed), |seed, part| mix(seed ^ part));
        let drawn = self.pools[dataset].draw(query, index, &self.shots, seed);
        for first in 0..=drawn.len() {
            let used = &drawn[first..];
            let context: String =
                used.iter().map(|one| format!("{}{}{}", one.prompt, one.reply, self.shots.delimiter)).collect();
            let mut tokenized = query.tokenize_after(&context, &self.tokenizer)?;
            if tokenized.ids.len() <= self.max_length || used.is_empty() {
                tokenized.ids.truncate(self.max_length);
                return Ok((TrainingSequence::predicting_where(tokenized.ids, &tokenized.trained), used.len()));
            }
        }
        unreachable!("a record without demonstrations is always used")
    }
}

impl Rows for ShotRows {
    type Example = TrainingSequence;

    fn records(&self) -> &InstructionRecords {
        &self.records
    }

    fn row(&self, epoch: u64, dataset: usize, index: u64) -> Result<BatchRow<TrainingSequence>, DataError> {
        let (example, demonstrations) = self.sequence(epoch, dataset, index)?;
        Ok(BatchRow { example, words: self.records.words(dataset) * (1 + demonstrations) as f64 })
    }

    fn describe(&self, rows: &[(usize, u64)]) -> String {
        self.records.describe(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prompt: &str, reply: &str) -> PairTexts {
        PairTexts { prompt: prompt.to_owned(), reply: reply.to_owned() }
    }

    #[test]
    fn demonstrations_are_other_records() {
        let pool =
            Pool { texts: vec![texts("a", "x"), texts("b", "y"), texts("c", "x"), texts("a", "z")], is_own: true };
        let shots = |k, label_overlap| Shots { k, delimiter: "\n".to_owned(), label_overlap };
        let draw = |index: usize, shots: &Shots, number| -> Vec<String> {
            let drawn = pool.draw(&pool.texts[index], index as u64, shots, mix(number));
            drawn.into_iter().map(|one| format!("{}{}", one.prompt, one.reply)).collect()
        };
        let mut seen = std::collections::BTreeMap::new();
        for number in 0..400 {
            let [one] = &draw(0, &shots(1, true), number)[..] else { panic!("one demonstration") };
            *seen.entry(one.clone()).or_insert(0) += 1;
            // Both others in either order, however many are asked for; the record with the same prompt never.
            let mut both = draw(0, &shots(9, true), number);
            both.sort();
            assert_eq!(both, ["by", "cx"]);
            assert_eq!(draw(0, &shots(2, false), number), ["by"], "the reply x is that of the record");
        }
        assert!(seen.len() == 2 && seen.values().all(|count| (150..250).contains(count)), "{seen:?}");
        assert_eq!(draw(0, &shots(2, true), 7), draw(0, &shots(2, true), 7));
        // Of held-out records, every training record can be a demonstration.
        let other = Pool { texts: vec![texts("q", "y")], is_own: false };
        assert_eq!(other.draw(&texts("p", "y"), 0, &shots(2, true), mix(1)).len(), 1);
        assert!(Pool { texts: vec![], is_own: true }.draw(&texts("p", "y"), 0, &shots(2, true), mix(1)).is_empty());
    }
}
