//! Log-probabilities of token sequences.

use std::collections::HashMap;
use std::ops::Range;

use tch::{Device, Tensor};

use super::error::Error;
use super::model::Model;
use super::shim::{self, Head};

/// A sequence and the positions whose log-probabilities are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Positions within `ids`; the first cannot be scored, because nothing stands before it.
    pub scored: Range<usize>,
}

/// Scores sequences with one model.
#[derive(Debug)]
pub struct Scorer<'a> {
    model: &'a Model,
    /// Ids of one forward pass, padding counted.
    tokens: usize,
}

/// Sequences with equal ids: where they stand in the request and the positions that any of them wants.
struct Distinct<'a> {
    ids: &'a [u32],
    scored: Range<usize>,
    members: Vec<usize>,
}

impl<'a> Scorer<'a> {
    /// Rows whose logits exist at one time: small enough to stay in a processor's cache.
    const CHUNK: i64 = 256;

    /// A scorer for this model.
    pub fn new(model: &'a Model) -> Self {
        // On a CPU small batches stay in its caches; a GPU wants large ones.
        let tokens = if model.device() == Device::Cpu { 2048 } else { 65_536 };
        Self { model, tokens }
    }

    /// The same with another limit to the ids of one forward pass, after memory ran out.
    pub fn with_tokens(self, tokens: usize) -> Self {
        Self { tokens: tokens.max(1), ..self }
    }

    /// The limit to the ids of one forward pass.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Natural-log probability of each scored id given those before it, for each sequence in the order given.
    ///
    /// Equal sequences are computed once; which others stand in the request changes a result by rounding only.
    pub fn tokens_logprobs(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>, Error> {
        let _no_grad = tch::no_grad_guard();
        let mut distinct = self.distinct(sequences)?;
        distinct.sort_by(|a, b| b.ids.len().cmp(&a.ids.len()).then_with(|| a.members[0].cmp(&b.members[0])));
        let mut results = vec![Vec::new(); sequences.len()];
        let mut rest = &distinct[..];
        while let Some(longest) = rest.first() {
            let rows = (self.tokens / longest.scored.end.max(1)).clamp(1, rest.len());
            let (batch, later) = rest.split_at(rows);
            rest = later;
            let values = self.forward(batch)?;
            let mut start = 0;
            for row in batch {
                let length = row.scored.len();
                for &member in &row.members {
                    let wanted = &sequences[member].scored;
                    let from = start + wanted.start.saturating_sub(row.scored.start);
                    results[member] = values[from..from + wanted.len()].to_vec();
                }
                start += length;
            }
        }
        Ok(results)
    }

    /// Sum of the scored log-probabilities of each sequence, in nats, added in f64.
    pub fn logprobs(&self, sequences: &[Sequence]) -> Result<Vec<f64>, Error> {
        let tokens = self.tokens_logprobs(sequences)?;
        Ok(tokens.into_iter().map(|values| values.into_iter().map(f64::from).sum()).collect())
    }

    fn distinct<'s>(&self, sequences: &'s [Sequence]) -> Result<Vec<Distinct<'s>>, Error> {
        let (vocab, most) = (self.model.config().vocab_size, self.model.config().max_positions as usize);
        let mut distinct: Vec<Distinct> = Vec::new();
        let mut seen: HashMap<&[u32], usize> = HashMap::new();
        for (member, Sequence { ids, scored }) in sequences.iter().enumerate() {
            if scored.is_empty() {
                continue;
            }
            let refuse = |reason: String| Err(Error::Input(format!("sequence {member}: {reason}")));
            if scored.start == 0 {
                return refuse("its first id cannot be scored, because nothing stands before it".to_owned());
            }
            if scored.end > ids.len() {
                return refuse(format!("positions {scored:?} of {} ids cannot be scored", ids.len()));
            }
            // The last id is only predicted, so one more than the positions fits.
            if scored.end - 1 > most {
                return refuse(format!("{} ids are too many for the model's {most} positions", scored.end));
            }
            if let Some(id) = ids.iter().find(|&&id| id >= vocab) {
                return refuse(format!("id {id} is not in the vocabulary of {vocab}"));
            }
            // Ids behind the last scored one change nothing.
            let ids = &ids[..scored.end];
            let index = *seen.entry(ids).or_insert_with(|| {
                distinct.push(Distinct { ids, scored: scored.clone(), members: vec![] });
                distinct.len() - 1
            });
            distinct[index].scored.start = distinct[index].scored.start.min(scored.start);
            distinct[index].members.push(member);
        }
        Ok(distinct)
    }

    /// Log-probabilities of the scored positions of all rows, one after another.
    fn forward(&self, rows: &[Distinct<'_>]) -> Result<Vec<f32>, Error> {
        let width = rows.iter().map(|row| row.ids.len() - 1).max().unwrap_or(0);
        let mut ids = vec![0i64; rows.len() * width];
        let (mut positions, mut targets) = (vec![], vec![]);
        for (index, row) in rows.iter().enumerate() {
            let start = index * width;
            for (slot, &id) in ids[start..].iter_mut().zip(&row.ids[..row.ids.len() - 1]) {
                *slot = i64::from(id);
            }
            for place in row.scored.clone() {
                positions.push((start + place - 1) as i64);
                targets.push(i64::from(row.ids[place]));
            }
        }
        let device = self.model.device();
        let put =
            |numbers: &[i64]| -> Result<Tensor, Error> { Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?) };
        let hidden = self.model.hidden(&put(&ids)?.f_view([rows.len() as i64, width as i64])?)?; // [rows, width, hidden]
        let hidden = hidden.f_flatten(0, 1)?.f_index_select(0, &put(&positions)?)?; // [scored, hidden]
        let (weight, targets) = (self.model.head(), put(&targets)?);
        let head = Head { hidden: &hidden, weight, targets: &targets, chunk: Self::CHUNK, bf16: false };
        Ok(Vec::try_from(shim::target_logprobs(head)?.f_to_device(Device::Cpu)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::small;
    use super::*;
    use grid::domain::Arch;
    use proptest::prelude::*;
    use tch::Kind;

    fn sequence(ids: &[u32], scored: Range<usize>) -> Sequence {
        Sequence { ids: ids.to_vec(), scored }
    }

    /// One row, no padding, log-softmax in f64.
    fn plainly(model: &Model, sequence: &Sequence) -> Vec<f64> {
        let _no_grad = tch::no_grad_guard();
        let ids: Vec<i64> = sequence.ids.iter().map(|&id| id.into()).collect();
        let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, -1])).unwrap();
        let all = hidden.matmul(&model.head().tr()).log_softmax(-1, Kind::Double);
        sequence.scored.clone().map(|place| all.double_value(&[0, place as i64 - 1, ids[place]])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn scores_do_not_depend_on_their_company(
            gpt2: bool,
            lengths in prop::collection::vec((2usize..38, 0usize..40, 0usize..40, 0u32..3), 1..20),
            tokens in 1usize..400,
        ) {
            let model = Model::random(&small(if gpt2 { Arch::Gpt2 } else { Arch::Llama }), 5, Device::Cpu).unwrap();
            let sequences: Vec<Sequence> = lengths
                .into_iter()
                .map(|(length, a, b, variant)| {
                    let ids = (0..length as u32).map(|i| (i * i + variant) % 61).collect();
                    let (a, b) = (1 + a % (length - 1), 1 + b % length);
                    Sequence { ids, scored: a.min(b)..a.max(b) }
                })
                .collect();
            let scorer = Scorer::new(&model).with_tokens(tokens);
            let values = scorer.tokens_logprobs(&sequences).unwrap();
            for (sequence, values) in sequences.iter().zip(&values) {
                let wanted = plainly(&model, sequence);
                prop_assert_eq!(values.len(), wanted.len());
                for (value, wanted) in values.iter().zip(wanted) {
                    prop_assert!((f64::from(*value) - wanted).abs() < 1e-5, "{} {}", value, wanted);
                }
            }
            let sums = scorer.logprobs(&sequences).unwrap();
            for (sum, values) in sums.iter().zip(values) {
                prop_assert_eq!(*sum, values.into_iter().map(f64::from).sum::<f64>());
            }
        }
    }

    #[test]
    fn what_cannot_be_scored_is_refused_by_name() {
        let model = Model::random(&small(Arch::Llama), 5, Device::Cpu).unwrap();
        let refusal = |wrong: Sequence| {
            let sequences = [sequence(&[1, 2], 1..2), wrong];
            Scorer::new(&model).logprobs(&sequences).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(sequence(&[1, 2], 0..1)),
            "sequence 1: its first id cannot be scored, because nothing stands before it"
        );
        assert_eq!(refusal(sequence(&[1, 2], 1..3)), "sequence 1: positions 1..3 of 2 ids cannot be scored");
        assert_eq!(refusal(sequence(&[1, 61], 1..2)), "sequence 1: id 61 is not in the vocabulary of 61");
        assert_eq!(refusal(sequence(&[1; 50], 1..50)), "sequence 1: 50 ids are too many for the model's 40 positions");
        assert_eq!(Scorer::new(&model).logprobs(&[sequence(&[], 0..0)]).unwrap(), [0.0]);
        assert_eq!(Scorer::new(&model).tokens_logprobs(&[sequence(&[1; 41], 1..41)]).unwrap()[0].len(), 40);
    }
}
