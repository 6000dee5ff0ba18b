//! Records with demonstrations before them.

use std::path::Path;

use grid::data::{DataError, PairTexts, PreparedDataset, Split, Tokenizer};
use grid::domain::{JobId, Shots, TuneJob, draw_distinct, mix};

use super::epochs::BatchRow;
use super::records::InstructionRecords;
use super::rows::Rows;
use crate::ml::TrainingSequence;

/// Records of several datasets, each after demonstrations from the training part of its own dataset, or of one for all.
pub(in super::super) struct ShotRows {
    records: InstructionRecords,
    /// The texts of the records, by dataset.
    texts: Vec<Vec<PairTexts>>,
    /// The records that demonstrations are drawn from: of each dataset, or the same for all.
    pools: Vec<Pool>,
    tokenizer: Tokenizer,
    shots: Shots<JobId>,
    max_length: usize,
    seed: u64,
}

/// The training records of a dataset.
struct Pool {
    texts: Vec<PairTexts>,
    /// The dataset whose rows are these records, so that a record must not be its own demonstration.
    rows_of: Option<usize>,
    /// The words of a record, on average.
    words: f64,
}

impl Pool {
    /// The demonstrations of a record, in the order in which they were drawn: distinct records with another prompt and, if
    /// replies must not overlap, with another reply, each with the same probability.
    fn draw(
        &self,
        query: &PairTexts,
        (dataset, index): (usize, u64),
        shots: &Shots<JobId>,
        seed: u64,
    ) -> Vec<&PairTexts> {
        let fits = |place: usize| {
            let one = &self.texts[place];
            !(self.rows_of == Some(dataset) && place as u64 == index)
                && one.prompt != query.prompt
                && (shots.label_overlap || one.reply != query.reply)
        };
        let drawn = draw_distinct(seed, self.texts.len(), shots.k as usize, fits);
        drawn.into_iter().map(|place| &self.texts[place]).collect()
    }
}

impl ShotRows {
    /// Opens prepared datasets, whose texts must have been kept. `pool` is the folder of the dataset that
    /// demonstrations are drawn from, if it is the same for all.
    pub(in super::super) fn open(
        folders: &[&Path],
        pool: Option<&Path>,
        split: Split,
        job: &TuneJob,
        shots: &Shots<JobId>,
        tokenizer: Tokenizer,
    ) -> Result<Self, DataError> {
        let records = InstructionRecords::open(folders, split, job)?;
        let open_pool = |folder: &Path| {
            let dataset = PreparedDataset::open(folder, Split::Train)?;
            let of_rows = folders.iter().position(|known| *known == folder);
            let words = dataset.words() as f64 / dataset.len().max(1) as f64;
            Ok(Pool { texts: dataset.texts()?, rows_of: of_rows.filter(|_| split == Split::Train), words })
        };
        let pools = match pool {
            Some(folder) => vec![open_pool(folder)?],
            None => folders.iter().map(|folder| open_pool(folder)).collect::<Result<_, DataError>>()?,
        };
        let texts = folders.iter().map(|folder| PreparedDataset::open(folder, split)?.texts());
        let (texts, max_length) = (texts.collect::<Result<_, _>>()?, job.max_length as usize);
        Ok(Self { records, texts, pools, tokenizer, shots: shots.clone(), max_length, seed: job.seed })
    }

    /// The records that the demonstrations of a dataset are drawn from.
    fn pool(&self, dataset: usize) -> &Pool {
        match self.shots.pool {
            Some(_) => &self.pools[0],
            None => &self.pools[dataset],
        }
    }

    /// A record after its demonstrations of an epoch. If they do not fit into the maximum length, the first ones are left
    /// out; the record itself loses its end only if it does not fit alone.
    fn sequence(&self, epoch: u64, dataset: usize, index: u64) -> Result<(TrainingSequence, usize), DataError> {
        let query = &self.texts[dataset][index as usize];
        let seed = [epoch, dataset as u64, index].into_iter().fold(mix(self.seed), |seed, part| mix(seed ^ part));
        let drawn = self.pool(dataset).draw(query, (dataset, index), &self.shots, seed);
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
        let words = self.records.words(dataset) + self.pool(dataset).words * demonstrations as f64;
        Ok(BatchRow { example, words })
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
        let pool = |texts: &[PairTexts], rows_of| Pool { texts: texts.to_vec(), rows_of, words: 1.0 };
        let own = pool(&[texts("a", "x"), texts("b", "y"), texts("c", "x"), texts("a", "z")], Some(0));
        let shots = |k, label_overlap| Shots { k, delimiter: "\n".to_owned(), label_overlap, pool: None };
        let draw = |index: usize, shots: &Shots<JobId>, number| -> Vec<String> {
            let drawn = own.draw(&own.texts[index], (0, index as u64), shots, mix(number));
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
        // Of held-out records and of those of another dataset, every record of the pool with another prompt can be one.
        let draw = |pool: &Pool, dataset| pool.draw(&texts("p", "y"), (dataset, 0), &shots(2, true), mix(1)).len();
        assert_eq!(draw(&pool(&[texts("q", "y")], None), 0), 1);
        assert_eq!(draw(&pool(&[texts("q", "y"), texts("p", "z"), texts("r", "z")], Some(0)), 1), 2);
        assert_eq!(draw(&pool(&[texts("q", "y"), texts("r", "z")], Some(1)), 1), 1, "the first is the record itself");
        assert_eq!(draw(&pool(&[], Some(0)), 0), 0);
    }
}
