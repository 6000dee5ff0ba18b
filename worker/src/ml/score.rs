//! Log-probabilities of token sequences.

mod pack;

use std::ops::Range;

use tch::{Device, Tensor};

use super::attention::Forest;
use super::error::Error;
use super::model::Model;
use super::shim::{self, Head};
use pack::Row;

/// A sequence and the positions whose log-probabilities are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Positions within `ids`; the first cannot be scored, because nothing stands before it.
    pub scored: Range<usize>,
}

/// Scores sequences with one model.
///
/// What sequences share at their beginning is computed once: they are packed into rows, each a forest of texts in which
/// a token sees those before it in its own text. Only scored positions go through the vocabulary head. A result depends
/// on the other sequences of the request, on the tokens of a forward pass and on the device by rounding only.
#[derive(Debug)]
pub struct Scorer<'a> {
    model: &'a Model,
    /// Tokens of one forward pass, padding counted.
    tokens: usize,
}

/// A request under way.
#[derive(Debug)]
pub struct Scoring<'a> {
    model: &'a Model,
    tokens: usize,
    /// Widest first.
    rows: Vec<Row>,
    next: usize,
    done: usize,
    total: usize,
    results: Vec<Vec<f32>>,
}

/// A masked place adds this to an attention score: far below every score, and unlike minus infinity no NaN where
/// everything in sight of a kernel's block is masked.
const UNSEEN: f32 = -1e30;

impl<'a> Scorer<'a> {
    /// A scorer for this model.
    pub fn new(model: &'a Model) -> Self {
        // On a CPU small batches stay in its caches; a GPU wants large ones.
        let tokens = if model.device() == Device::Cpu { 2048 } else { 65_536 };
        Self { model, tokens }
    }

    /// The same with another limit to the tokens of one forward pass.
    pub fn with_tokens(self, tokens: usize) -> Self {
        Self { tokens: tokens.max(1), ..self }
    }

    /// Natural-log probability of each scored id given those before it, for each sequence in the order given.
    pub fn tokens_logprobs(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>, Error> {
        let mut scoring = self.begin(sequences)?;
        while scoring.advance()? {}
        Ok(scoring.finish())
    }

    /// Sum of the scored log-probabilities of each sequence, in nats, added in f64.
    pub fn logprobs(&self, sequences: &[Sequence]) -> Result<Vec<f64>, Error> {
        let tokens = self.tokens_logprobs(sequences)?;
        Ok(tokens.into_iter().map(|values| values.into_iter().map(f64::from).sum()).collect())
    }

    /// Packs the sequences, after looking at all of them: what cannot be scored is refused before anything is.
    pub fn begin(&self, sequences: &[Sequence]) -> Result<Scoring<'a>, Error> {
        sequences.iter().enumerate().try_for_each(|(index, sequence)| self.check(index, sequence))?;
        let mut rows = pack::pack(sequences, self.model.config());
        rows.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
        let total = rows.iter().map(|row| row.members.len()).sum();
        let results = vec![Vec::new(); sequences.len()];
        Ok(Scoring { model: self.model, tokens: self.tokens, rows, next: 0, done: 0, total, results })
    }

    fn check(&self, index: usize, Sequence { ids, scored }: &Sequence) -> Result<(), Error> {
        if scored.is_empty() {
            return Ok(());
        }
        let (vocab, most) = (self.model.config().vocab_size, self.model.config().max_positions as usize);
        let refuse = |reason: String| Err(Error::Input(format!("sequence {index}: {reason}")));
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
        match ids[..scored.end].iter().find(|&&id| id >= vocab) {
            Some(id) => refuse(format!("id {id} is not in the vocabulary of {vocab}")),
            None => Ok(()),
        }
    }
}

impl Scoring<'_> {
    /// Rows whose logits exist at one time: small enough to stay in a processor's cache.
    const CHUNK: i64 = 128;

    /// Computes the next forward pass; false when nothing is left. Where memory runs out it goes on with half as many
    /// tokens at once, down to one row.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let Some(widest) = self.rows.get(self.next) else { return Ok(false) };
        let most = self.rows.len() - self.next;
        let count = (self.tokens / widest.ids.len()).clamp(1, most);
        let rows = &self.rows[self.next..self.next + count];
        let values = match forward(self.model, rows, Self::CHUNK) {
            Err(Error::OutOfMemory(_)) if count > 1 => {
                self.tokens = widest.ids.len() * count / 2;
                return Ok(true);
            }
            values => values?,
        };
        let mut start = 0;
        for row in rows {
            for member in &row.members {
                self.results[member.sequence] = member.asked.iter().map(|&index| values[start + index]).collect();
            }
            start += row.asked.len();
            self.done += row.members.len();
        }
        self.next += count;
        Ok(self.next < self.rows.len())
    }

    /// How many sequences are scored, of how many.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.total)
    }

    /// The results so far, in the order of the request; empty for a sequence that is not scored.
    pub fn finish(self) -> Vec<Vec<f32>> {
        self.results
    }
}

/// The log-probabilities that the rows ask for, one after another.
fn forward(model: &Model, rows: &[Row], chunk: i64) -> Result<Vec<f32>, Error> {
    let _no_grad = tch::no_grad_guard();
    let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
    let (mut ids, mut depths) = (vec![0i64; rows.len() * width], vec![0i64; rows.len() * width]);
    let mut mask = vec![UNSEEN; rows.len() * width * width]; // [row, token, token it sees]
    let (mut positions, mut targets) = (vec![], vec![]);
    for (index, row) in rows.iter().enumerate() {
        let start = index * width;
        for token in 0..width {
            let (done, rest) = mask.split_at_mut((start + token) * width);
            if let Some(&Some(before)) = row.before.get(token) {
                rest[..token].copy_from_slice(&done[(start + before) * width..][..token]);
            }
            rest[token] = 0.0; // itself; padding too, or it would see nothing
        }
        for (token, (&id, &depth)) in row.ids.iter().zip(&row.depths).enumerate() {
            (ids[start + token], depths[start + token]) = (i64::from(id), depth as i64);
        }
        for &(token, target) in &row.asked {
            positions.push((start + token) as i64);
            targets.push(i64::from(target));
        }
    }
    let (device, shape) = (model.device(), [rows.len() as i64, width as i64]);
    let put = |numbers: &[i64]| -> Result<Tensor, Error> { Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?) };
    let mask = Tensor::f_from_slice(&mask)?.f_to_device(device)?.f_view([shape[0], 1, shape[1], shape[1]])?;
    let forest = Forest { depths: put(&depths)?.f_view(shape)?, mask };
    let hidden = model.hidden_of_forest(&put(&ids)?.f_view(shape)?, &forest)?; // [row, token, hidden]
    let hidden = hidden.f_flatten(0, 1)?.f_index_select(0, &put(&positions)?)?; // [asked, hidden]
    let (weight, targets) = (model.head(), put(&targets)?);
    let head = Head { hidden: &hidden, weight, targets: &targets, chunk, bf16: false };
    Ok(Vec::try_from(shim::target_logprobs(head)?.f_to_device(Device::Cpu)?)?)
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

    /// The promise of the module, where a difference would not drown: sums of many tokens, all of them scored.
    #[test]
    fn tokens_of_a_forward_pass_change_no_sum_by_more_than_1e_5() {
        for arch in [Arch::Llama, Arch::Gpt2] {
            let model = Model::random(&small(arch), 5, Device::Cpu).unwrap();
            let sequences: Vec<Sequence> = (0..300u32)
                .map(|i| {
                    let ids: Vec<u32> = (0..3 + i % 37).map(|place| (place * (1 + i % 5) + i / 90) % 61).collect();
                    Sequence { scored: 1..ids.len(), ids }
                })
                .collect();
            let sums = |tokens| Scorer::new(&model).with_tokens(tokens).logprobs(&sequences).unwrap();
            let wanted = sums(1);
            for tokens in [200, 1_000, 100_000] {
                let worst =
                    sums(tokens).iter().zip(&wanted).map(|(sum, wanted)| (sum - wanted).abs()).fold(0.0, f64::max);
                assert!(worst <= 1e-5, "{arch:?} {tokens}: {worst}");
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
