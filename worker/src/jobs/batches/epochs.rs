//! Steps, epochs and positions in them. An epoch is one pass over all rows.

use std::ops::Range;

use grid::data::DataError;
use grid::domain::Length;

use crate::ml::{self, Batch};

/// A row of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct BatchRow<E> {
    pub(in super::super) example: E,
    /// Words in it: a mean over its part, since tokens do not say where words end.
    pub(super) words: f64,
}

/// The positions of a batch in an epoch.
pub(super) struct BatchPositions {
    pub(super) epoch: u64,
    pub(super) positions: Range<u64>,
}

/// The positions of batch `step` of epochs over `len` rows. The last batch of an epoch may be smaller.
pub(super) fn positions_of(step: u64, len: u64, batch_size: u32) -> BatchPositions {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    let (epoch, within) = (step / per_epoch, step % per_epoch);
    BatchPositions { epoch, positions: within * batch_size..((within + 1) * batch_size).min(len) }
}

/// Batch `step` of epochs over `len` rows; `row` gets the epoch and the position in it.
pub(super) fn batch_of<E>(
    step: u64,
    len: u64,
    batch_size: u32,
    row: impl Fn(u64, u64) -> Result<BatchRow<E>, DataError>,
) -> Result<Batch<E>, ml::Error> {
    let BatchPositions { epoch, positions } = positions_of(step, len, batch_size);
    let rows: Result<Vec<BatchRow<E>>, _> = positions.map(|position| row(epoch, position)).collect();
    let rows = rows.map_err(|error| ml::Error::Examples(error.to_string()))?;
    let words = rows.iter().map(|row| row.words).sum::<f64>().round() as u64;
    Ok(Batch { examples: rows.into_iter().map(|row| row.example).collect(), words })
}

/// The number of optimizer steps of a training, or of a part of one, whose epochs have `len` rows.
pub(in super::super) fn total_steps(length: Length, batch_size: u32, len: u64) -> u64 {
    match length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => u64::from(epochs) * len.div_ceil(u64::from(batch_size)),
    }
}

/// The number of rows that `steps` optimizer steps take from epochs of `len` rows.
pub(in super::super) fn rows_of_steps(batch_size: u32, steps: u64, len: u64) -> u64 {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    (steps / per_epoch) * len + ((steps % per_epoch) * batch_size).min(len)
}

#[cfg(test)]
mod tests {
    use grid::data::Permutation;

    use super::*;
    use crate::ml::TrainingSequence;

    #[test]
    fn an_epoch_takes_every_row_once_and_the_next_in_another_order() {
        let batch = |step| {
            let order = |epoch, position| Permutation::new(7, epoch, 10).at(position);
            let sequence = |id| TrainingSequence::predicting_from(vec![id as u32], 1);
            let row = |epoch, position| Ok(BatchRow { example: sequence(order(epoch, position)), words: 1.0 });
            batch_of(step, 10, 4, row)
                .unwrap()
                .examples
                .into_iter()
                .map(|sequence| sequence.ids()[0])
                .collect::<Vec<_>>()
        };
        let epoch = |first| (first..first + 3).flat_map(batch).collect::<Vec<_>>();
        assert_eq!(batch(2).len(), 2);
        let (mut one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        one.sort();
        assert_eq!(one, (0..10).collect::<Vec<u32>>());
    }
}
