//! Rows of token ids, and the tensors made of them ahead of time on another thread.

use std::iter::successors;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use tch::{Device, Tensor};

use super::error::Error;
use super::phases::{Phase, timed};

/// One training sequence: `ids[loss_from..]` are predicted, each from all that stands before it.
///
/// The first id is never predicted, so 0 and 1 mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Position of the first predicted id.
    pub loss_from: usize,
}

impl Row {
    /// How many ids are predicted.
    pub fn scored(&self) -> usize {
        self.ids.len().saturating_sub(self.loss_from.max(1))
    }
}

/// What one optimiser step learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The sequences.
    pub rows: Vec<Row>,
    /// Whitespace-separated words in them, for the ledger.
    pub words: u64,
}

/// The data of a training job: a pure function of the step.
pub trait Batches: Send + Sync {
    /// The batch of this step, from 0; equal for equal steps, in this process and in any other.
    fn batch(&self, step: u64) -> Batch;

    /// Where the rows of the batch of this step stand in their files, for people who look for the cause of trouble.
    fn places(&self, step: u64) -> String;
}

/// Rows that go through the model together, right-padded to the longest.
#[derive(Debug)]
pub struct MicroBatch {
    /// `[rows, longest - 1]` int64: every id but the last of each row.
    pub ids: Tensor,
    /// `[scored]` int64: indices into `rows * (longest - 1)` of the positions before a predicted id.
    pub positions: Tensor,
    /// `[scored]` int64: the predicted ids.
    pub targets: Tensor,
    /// Length of `positions`.
    pub scored: usize,
}

impl MicroBatch {
    /// Lays rows out as tensors on the CPU; `None` when nothing in them is predicted.
    pub fn new(rows: &[&Row]) -> Result<Option<Self>, Error> {
        let scored: usize = rows.iter().map(|row| row.scored()).sum();
        if scored == 0 {
            return Ok(None);
        }
        let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0) - 1;
        let mut ids = vec![0i64; rows.len() * width];
        let (mut positions, mut targets) = (Vec::with_capacity(scored), Vec::with_capacity(scored));
        for (index, row) in rows.iter().enumerate() {
            let start = index * width;
            // The last id is predicted only; zeros behind a row are seen by none of its positions.
            for (slot, &id) in ids[start..start + width].iter_mut().zip(row.ids.split_last().map_or(&[][..], |s| s.1)) {
                *slot = i64::from(id);
            }
            for place in row.loss_from.max(1)..row.ids.len() {
                positions.push((start + place - 1) as i64);
                targets.push(i64::from(row.ids[place]));
            }
        }
        Ok(Some(Self {
            ids: Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, width as i64])?,
            positions: Tensor::f_from_slice(&positions)?,
            targets: Tensor::f_from_slice(&targets)?,
            scored,
        }))
    }

    /// The same on a device; the copy of pinned memory runs beside other work.
    pub fn to_device(&self, device: Device) -> Result<Self, Error> {
        let (ids, positions, targets) = (&self.ids, &self.positions, &self.targets);
        let put = |x: &Tensor| -> Result<Tensor, Error> {
            Ok(match device {
                Device::Cpu => x.shallow_clone(),
                _ => x.f_pin_memory(device)?.f_to_device_(device, x.kind(), true, false)?,
            })
        };
        Ok(Self { ids: put(ids)?, positions: put(positions)?, targets: put(targets)?, scored: self.scored })
    }
}

/// Groups rows of similar length, the longest first, in the cheapest way for this device; at most `most` to a group.
///
/// Rows of equal length keep their order, and the grouping is a function of its input.
pub fn group<'a>(rows: impl IntoIterator<Item = &'a Row>, most: Option<u32>, device: Device) -> Vec<Vec<&'a Row>> {
    let mut rows: Vec<&Row> = rows.into_iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
    let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
    let mut rest = rows.into_iter();
    cuts(&lengths, most, device).into_iter().map(|size| rest.by_ref().take(size).collect()).collect()
}

/// Sizes of the cheapest pieces of these lengths (falling), at most `most` in each: a piece costs its padded tokens, and
/// on a CPU about 48 more for the gradients that it adds, on a GPU as many as it takes to fill it.
pub fn cuts(lengths: &[usize], most: Option<u32>, device: Device) -> Vec<usize> {
    let most = most.map_or(usize::MAX, |most| most as usize).max(1);
    cheapest(lengths, if device == Device::Cpu { 48 } else { 16_384 }, most)
}

fn cheapest(lengths: &[usize], constant: usize, most: usize) -> Vec<usize> {
    // costs[i]: the least cost of lengths[i..]; firsts[i]: how many its first piece takes.
    let (mut costs, mut firsts) = (vec![0; lengths.len() + 1], vec![0; lengths.len()]);
    for start in (0..lengths.len()).rev() {
        let cost = |rows: usize| constant + rows * lengths[start] + costs[start + rows];
        let best = (1..=most.min(lengths.len() - start)).map(|rows| (cost(rows), rows)).min();
        (costs[start], firsts[start]) = best.unwrap_or_default();
    }
    let starts = successors(Some(0), |&start: &usize| Some(start + firsts.get(start)?));
    starts.map_while(|start| firsts.get(start).copied()).collect()
}

/// What a batch must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows that go through the model together; `None` takes all.
    pub micro_batch: Option<u32>,
    /// Ids are smaller than this.
    pub vocab: u32,
    /// Where the model is.
    pub device: Device,
}

/// A batch as tensors.
#[derive(Debug)]
pub struct Prepared {
    /// Its pieces.
    pub pieces: Vec<MicroBatch>,
    /// Predicted ids in all of them.
    pub scored: usize,
    /// Ids in all rows, padding not counted.
    pub tokens: u64,
    /// Words in all rows.
    pub words: u64,
}

impl Prepared {
    fn new(batch: &Batch, limits: Limits) -> Result<Self, Error> {
        if let Some(id) = batch.rows.iter().flat_map(|row| &row.ids).find(|&&id| id >= limits.vocab) {
            let vocab = limits.vocab;
            return Err(Error::Input(format!(
                "id {id} is not in the model's vocabulary of {vocab}: another tokenizer's?"
            )));
        }
        let mut pieces = Vec::new();
        for rows in group(&batch.rows, limits.micro_batch, limits.device) {
            pieces.extend(MicroBatch::new(&rows)?);
        }
        let scored = pieces.iter().map(|piece| piece.scored).sum();
        let tokens = batch.rows.iter().map(|row| row.ids.len() as u64).sum();
        Ok(Self { pieces, scored, tokens, words: batch.words })
    }
}

/// Batches made ahead of the training loop by a thread that ends with this value.
#[derive(Debug)]
pub struct Feed {
    receiver: Option<Receiver<Result<Prepared, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// How many finished batches may wait.
    const AHEAD: usize = 3;

    /// Starts preparing the steps `from..to`.
    pub fn start(batches: Arc<dyn Batches>, limits: Limits, from: u64, to: u64) -> Self {
        let (sender, receiver) = sync_channel(Self::AHEAD);
        let thread = std::thread::spawn(move || {
            for step in from..to {
                if sender.send(Prepared::new(&batches.batch(step), limits)).is_err() {
                    break;
                }
            }
        });
        Self { receiver: Some(receiver), thread: Some(thread) }
    }

    /// The next batch.
    pub fn take(&mut self) -> Result<Prepared, Error> {
        timed(Phase::Data, || {
            let next = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok());
            next.unwrap_or_else(|| {
                Err(Error::Input("the thread that prepares batches ended early: it panicked".to_owned()))
            })
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        drop(self.receiver.take()); // its next send fails
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic has been reported by `take`
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(ids: &[u32], loss_from: usize) -> Row {
        Row { ids: ids.to_vec(), loss_from }
    }

    #[test]
    fn rows_are_padded_and_their_predicted_ids_found() {
        let (long, short) = (row(&[1, 2, 3, 4], 0), row(&[5, 6, 7], 2));
        let piece = MicroBatch::new(&[&long, &short]).unwrap().unwrap();
        assert_eq!(piece.ids.size(), [2, 3]);
        assert_eq!(Vec::<i64>::try_from(piece.ids.flatten(0, -1)).unwrap(), [1, 2, 3, 5, 6, 0]);
        assert_eq!(Vec::<i64>::try_from(piece.positions).unwrap(), [0, 1, 2, 4]);
        assert_eq!(Vec::<i64>::try_from(piece.targets).unwrap(), [2, 3, 4, 7]);
        assert_eq!((piece.scored, long.scored(), short.scored()), (4, 3, 1));
    }

    #[test]
    fn rows_without_a_predicted_id_make_no_tensors() {
        for rows in [&[][..], &[&row(&[], 0)], &[&row(&[3], 0), &row(&[3, 4], 2), &row(&[3, 4], 9)]] {
            assert!(MicroBatch::new(rows).unwrap().is_none());
        }
    }

    #[test]
    fn groups_hold_rows_of_similar_length() {
        let rows = [row(&[1], 0), row(&[1, 2, 3], 0), row(&[2], 0), row(&[4, 5, 6], 0)];
        let sorted = [1, 3, 0, 2].map(|index: usize| &rows[index]);
        assert_eq!(group(&rows, None, Device::Cpu), [sorted.to_vec()]);
        assert_eq!(group(&rows, Some(2), Device::Cpu), [sorted[..2].to_vec(), sorted[2..].to_vec()]);
        let (long, short) = (row(&[0; 100], 0), row(&[0; 10], 0));
        let rows = [&short, &long, &short].map(Row::clone);
        assert_eq!(group(&rows, None, Device::Cpu), [vec![&long], vec![&short, &short]]);
        assert_eq!(group(&rows, None, Device::Cuda(0)).len(), 1, "a GPU would wait for its work");
    }

    proptest! {
        /// Never dearer than one piece or pieces of one, and within the limit.
        #[test]
        fn pieces_are_cheap(
            mut lengths in prop::collection::vec(1usize..300, 1..40), constant in 0usize..200, most in 1usize..50,
        ) {
            lengths.sort_by_key(|length| std::cmp::Reverse(*length));
            let sizes = cheapest(&lengths, constant, most);
            let (mut start, mut cost) = (0, 0);
            for rows in sizes {
                prop_assert!(rows >= 1 && rows <= most);
                cost += constant + rows * lengths[start];
                start += rows;
            }
            prop_assert_eq!(start, lengths.len());
            prop_assert!(cost <= lengths.iter().sum::<usize>() + constant * lengths.len());
            prop_assert!(lengths.len() > most || cost <= constant + lengths.len() * lengths[0]);
        }
    }

    #[test]
    fn a_panic_in_the_data_becomes_an_error() {
        struct Broken;
        impl Batches for Broken {
            fn batch(&self, step: u64) -> Batch {
                assert!(step < 1, "no such batch");
                Batch { rows: vec![row(&[1, 2], 0)], words: 1 }
            }

            fn places(&self, step: u64) -> String {
                format!("batch {step}")
            }
        }
        let mut feed = Feed::start(Arc::new(Broken), Limits { micro_batch: None, vocab: 3, device: Device::Cpu }, 0, 3);
        assert_eq!(feed.take().unwrap().tokens, 2);
        assert!(feed.take().is_err());
    }
}
