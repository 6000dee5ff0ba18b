//! The order of rows in a mixture of parts, as a pure function of (seed, epoch, position).

use crate::domain::{RecordOrder, Replay};

use super::order::Permutation;
use crate::domain::mix;

/// The rows of several parts in one order, for every epoch.
///
/// A part contributes the same number of rows in every epoch: all of its rows, or the number for its share of the mixture.
/// A part that contributes more rows than it has starts again from its beginning; one that contributes fewer continues in
/// the next epoch where it stopped. Each pass over a part has its own shuffle.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    seed: u64,
    order: RecordOrder,
    parts: Vec<MixturePart>,
    /// Whether the last part is replayed text, which is spread evenly among the others in any order.
    replay: bool,
    /// Whether all parts contribute exactly their rows in one shuffle.
    union: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct MixturePart {
    /// The rows of the part.
    len: u64,
    /// The rows it contributes to an epoch.
    taken: u64,
}

/// Pretraining text to mix into records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayedRows<'a> {
    /// The share of this text among the tokens that receive loss.
    pub share: Replay,
    /// The number of available rows.
    pub rows: u64,
    /// The tokens per row that receive loss.
    pub row_tokens: u32,
    /// For each dataset, the tokens of all its records that receive loss.
    pub trained: &'a [u64],
}

impl Mixture {
    /// A mixture of datasets with these numbers of rows. `shares` has a weight for each dataset, or is empty if each
    /// contributes all of its rows. `replay` adds a last part with as many rows as its share of the tokens that receive
    /// loss requires, to within half a row.
    ///
    /// With shares, an epoch has the total number of rows of the datasets.
    pub fn new(seed: u64, order: RecordOrder, lens: &[u64], shares: &[f64], replay: Option<ReplayedRows>) -> Self {
        let rows: u64 = lens.iter().sum();
        let taken = if shares.is_empty() { lens.to_vec() } else { divide(rows, lens, shares) };
        let mut parts: Vec<MixturePart> =
            lens.iter().zip(taken).map(|(&len, taken)| MixturePart { len, taken }).collect();
        let union = shares.is_empty() && replay.is_none() && order == RecordOrder::Shuffled;
        if let Some(ReplayedRows { share, rows, row_tokens, trained }) = replay {
            // If a dataset contributes more or fewer rows than it has, each row counts with the mean number of tokens.
            let tokens =
                |(part, &trained): (&MixturePart, &u64)| part.taken as f64 * trained as f64 / part.len.max(1) as f64;
            let trained: f64 = parts.iter().zip(trained).map(tokens).sum();
            parts.push(MixturePart { len: rows, taken: if rows == 0 { 0 } else { share.rows(trained, row_tokens) } });
        }
        Self { seed, order, parts, replay: replay.is_some(), union }
    }

    /// The number of rows in an epoch.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.taken).sum()
    }

    /// The part and the row within it at this position of this epoch.
    ///
    /// # Panics
    /// If `position` is not below [`Mixture::rows`].
    pub fn at(&self, epoch: u64, position: u64) -> (usize, u64) {
        assert!(position < self.rows(), "row {position} of a mixture of {}", self.rows());
        let (part, nth) = match self.order {
            RecordOrder::Shuffled => self.nth(Permutation::new(self.seed, epoch, self.rows()).at(position)),
            RecordOrder::Interleaved => self.spread(position, &(0..self.parts.len()).collect::<Vec<_>>()),
            RecordOrder::InTurn if self.replay => {
                let last = self.parts.len() - 1;
                match self.taken_before(position, last, self.rows()) {
                    (true, before) => (last, before),
                    (false, before) => self.nth(position - before),
                }
            }
            RecordOrder::InTurn => self.nth(position),
        };
        if self.union {
            return (part, nth);
        }
        let MixturePart { len, taken } = self.parts[part];
        let place = epoch * taken + nth;
        let seed = mix(self.seed ^ mix(part as u64 + 1));
        (part, Permutation::new(seed, place / len, len).at(place % len))
    }

    /// The part and row at this position if the parts are concatenated.
    fn nth(&self, mut row: u64) -> (usize, u64) {
        for (index, part) in self.parts.iter().enumerate() {
            if row < part.taken {
                return (index, row);
            }
            row -= part.taken;
        }
        unreachable!("a row of the mixture")
    }

    /// Whether part `index`, spread evenly over `rows` rows, has a row at this position, and how many rows it has before.
    fn taken_before(&self, position: u64, index: usize, rows: u64) -> (bool, u64) {
        let upto =
            |position: u64| (u128::from(position) * u128::from(self.parts[index].taken) / u128::from(rows)) as u64;
        let before = upto(position);
        (upto(position + 1) > before, before)
    }

    /// The part and row at this position if every part is spread evenly: the first over all rows, the second over the
    /// remaining ones, and so on.
    fn spread(&self, position: u64, parts: &[usize]) -> (usize, u64) {
        let rows = parts.iter().map(|&part| self.parts[part].taken).sum();
        match self.taken_before(position, parts[0], rows) {
            (true, before) => (parts[0], before),
            (false, before) => self.spread(position - before, &parts[1..]),
        }
    }
}

/// Divides rows in proportion to the shares. Remainders go to the largest fractions, the first of equal ones; a part
/// without rows gets none.
fn divide(rows: u64, lens: &[u64], shares: &[f64]) -> Vec<u64> {
    let shares: Vec<f64> = lens.iter().zip(shares).map(|(&len, &share)| if len == 0 { 0.0 } else { share }).collect();
    let total: f64 = shares.iter().sum();
    if total <= 0.0 {
        return vec![0; lens.len()];
    }
    let exact: Vec<f64> = shares.iter().map(|share| rows as f64 * share / total).collect();
    let mut taken: Vec<u64> = exact.iter().map(|rows| rows.floor() as u64).collect();
    let mut order: Vec<usize> = (0..taken.len()).filter(|&part| shares[part] > 0.0).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let left = rows.saturating_sub(taken.iter().sum());
    for &part in order.iter().cycle().take(left as usize) {
        taken[part] += 1;
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(mixture: &Mixture, epoch: u64) -> Vec<(usize, u64)> {
        (0..mixture.rows()).map(|position| mixture.at(epoch, position)).collect()
    }

    fn parts(mixture: &Mixture) -> String {
        epoch(mixture, 0).iter().map(|(part, _)| char::from(b'a' + *part as u8)).collect()
    }

    /// Replayed text with one token in each row, among datasets that have `trained` tokens.
    fn replay(share: f64, rows: u64, trained: &[u64]) -> Option<ReplayedRows<'_>> {
        Some(ReplayedRows { share: Replay::new(share).unwrap(), rows, row_tokens: 1, trained })
    }

    #[test]
    fn orders() {
        assert_eq!(parts(&Mixture::new(1, RecordOrder::InTurn, &[3, 2], &[], None)), "aaabb");
        assert_eq!(parts(&Mixture::new(1, RecordOrder::Interleaved, &[3, 3], &[], None)), "bababa");
        assert_eq!(parts(&Mixture::new(1, RecordOrder::Interleaved, &[6, 2, 2], &[], None)), "cabaacabaa");
        assert_eq!(parts(&Mixture::new(1, RecordOrder::Interleaved, &[9, 1], &[2.0, 3.0], None)), "bbababbaba");
        assert_eq!(parts(&Mixture::new(1, RecordOrder::InTurn, &[4, 4], &[], replay(0.2, 100, &[4, 4]))), "aaaacbbbbc");
    }

    /// What was measured before mixtures were there keeps its order.
    #[test]
    fn a_plain_union_is_one_permutation() {
        let mixture = Mixture::new(7, RecordOrder::Shuffled, &[10, 0, 5], &[], None);
        let permutation = Permutation::new(7, 3, 15);
        let expected = |position| match permutation.at(position) {
            row @ 0..10 => (0, row),
            row => (2, row - 10),
        };
        assert_eq!(epoch(&mixture, 3), (0..15).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_part_takes_nothing() {
        let mixture = Mixture::new(7, RecordOrder::Shuffled, &[10, 0], &[1.0, 1.0], replay(0.5, 0, &[10, 0]));
        assert_eq!(mixture.rows(), 10);
        assert!(epoch(&mixture, 0).iter().all(|(part, _)| *part == 0));
        assert_eq!(Mixture::new(7, RecordOrder::Interleaved, &[0, 0], &[1.0, 1.0], None).rows(), 0);
    }

    proptest! {
        /// Whatever the order, each part gives its share, and passes over it take every row once before any twice.
        #[test]
        fn rows_come_round(
            seed: u64, order in prop::sample::select(vec![RecordOrder::Shuffled, RecordOrder::Interleaved, RecordOrder::InTurn]),
            sizes in prop::collection::vec((1u64..40, 1u32..5, 1u64..30), 1..4), weighted: bool, share in 0.0f64..0.6,
            row_tokens in 1u32..40,
        ) {
            let lens: Vec<u64> = sizes.iter().map(|(len, ..)| *len).collect();
            let weights = sizes.iter().map(|(_, share, _)| f64::from(*share)).collect();
            let shares: Vec<f64> = if weighted { weights } else { vec![] };
            let trained: Vec<u64> = sizes.iter().map(|(len, _, tokens)| len * tokens).collect();
            let text = |share| ReplayedRows { share, rows: 17, row_tokens, trained: &trained };
            let replay = Replay::new(share).map(text);
            let mixture = Mixture::new(seed, order, &lens, &shares, replay);
            let epochs = 3;
            let seen: Vec<(usize, u64)> = (0..epochs).flat_map(|number| epoch(&mixture, number)).collect();
            let mut all = lens.clone();
            all.extend(replay.map(|replay| replay.rows));
            let rows: u64 = lens.iter().sum();
            let one = epoch(&mixture, 0);
            let (of_records, of_text): (Vec<_>, Vec<_>) = one.iter().partition(|(part, _)| *part < lens.len());
            prop_assert_eq!(of_records.len() as u64, rows);
            let tokens: u64 = of_records.iter().map(|(part, _)| sizes[*part].2).sum();
            let wanted = if replay.is_some() { share / (1.0 - share) * tokens as f64 } else { 0.0 };
            let replayed = of_text.len() as f64 * f64::from(row_tokens);
            prop_assert!((replayed - wanted).abs() <= 0.5001 * f64::from(row_tokens), "{replayed} of {wanted} tokens");
            for (part, &len) in all.iter().enumerate() {
                let mut counts = vec![0u64; len as usize];
                seen.iter().filter(|(of, _)| *of == part).for_each(|(_, row)| counts[*row as usize] += 1);
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - least <= 1, "part {part}: {counts:?}");
                if weighted && part < lens.len() {
                    let wanted = rows as f64 * shares[part] / shares.iter().sum::<f64>();
                    let taken = counts.iter().sum::<u64>() as f64 / epochs as f64;
                    prop_assert!((taken - wanted).abs() <= 1.0, "part {part}: {taken} of {wanted}");
                }
            }
        }
    }
}
