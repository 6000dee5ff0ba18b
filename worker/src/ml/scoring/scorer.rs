//! Scoring of requests, packed into rows with shared prefixes.

use grid::domain::ScoringRequest;
use tch::{Device, Tensor};

use super::pack::{self, PackedRow};
use super::unscorable::Unscorable;
use crate::ml::error::Error;
use crate::ml::models::{Model, PrefixTree};
use crate::ml::shim::{self, VocabularyHead};

/// Scores sequences with one model.
///
/// Shared prefixes are computed once: the sequences are packed into rows, in which a token attends to the preceding tokens
/// of its own text. Only scored positions go through the vocabulary head. The other requests, the number of tokens in a
/// forward pass and the device change a result by rounding only.
#[derive(Debug)]
pub struct Scorer<'a> {
    model: &'a Model,
    /// The number of tokens in one forward pass, padding included.
    tokens: usize,
}

/// Requests that are being scored.
#[derive(Debug)]
pub struct Scoring<'a> {
    model: &'a Model,
    tokens: usize,
    /// The widest first.
    rows: Vec<PackedRow>,
    next: usize,
    done: usize,
    total: usize,
    results: Vec<Vec<f32>>,
}

/// What the mask adds to an attention score that does not count. It is far below every score. Minus infinity would give
/// NaN where a kernel processes a block that is masked entirely.
const MASKED: f32 = -1e30;

impl<'a> Scorer<'a> {
    /// A scorer for a model.
    pub fn new(model: &'a Model) -> Self {
        // On a CPU, small batches stay in its caches; a GPU needs large ones.
        let tokens = if model.device() == Device::Cpu { 2048 } else { 65_536 };
        Self { model, tokens }
    }

    /// The same scorer with another limit to the number of tokens in one forward pass.
    pub fn with_tokens(self, tokens: usize) -> Self {
        Self { tokens: tokens.max(1), ..self }
    }

    /// The log-probability in nats of each scored id given the ids before it, for each request in the given order.
    ///
    /// # Errors
    /// See [`Scorer::begin`] and [`Scoring::advance`].
    pub fn tokens_logprobs(&self, requests: &[ScoringRequest]) -> Result<Vec<Vec<f32>>, Error> {
        let mut scoring = self.begin(requests)?;
        while scoring.advance()? {}
        Ok(scoring.finish())
    }

    /// The sum of the scored log-probabilities of each request in nats, added in f64.
    ///
    /// # Errors
    /// See [`Scorer::begin`] and [`Scoring::advance`].
    pub fn logprobs(&self, requests: &[ScoringRequest]) -> Result<Vec<f64>, Error> {
        let tokens = self.tokens_logprobs(requests)?;
        Ok(tokens.into_iter().map(|values| values.into_iter().map(f64::from).sum()).collect())
    }

    /// Checks and packs the requests.
    ///
    /// # Errors
    /// If any of the requests cannot be scored.
    pub fn begin(&self, requests: &[ScoringRequest]) -> Result<Scoring<'a>, Error> {
        for (index, request) in requests.iter().enumerate() {
            self.check(request).map_err(|problem| Error::Input(format!("sequence {index}: {problem}")))?;
        }
        let mut rows = pack::pack(requests, self.model.config());
        rows.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
        let total = rows.iter().map(|row| row.members.len()).sum();
        let results = vec![Vec::new(); requests.len()];
        Ok(Scoring { model: self.model, tokens: self.tokens, rows, next: 0, done: 0, total, results })
    }

    /// Checks that a request can be scored; one without a scored position always can.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, ScoringRequest { ids, scored }: &ScoringRequest) -> Result<(), Unscorable> {
        if scored.is_empty() {
            return Ok(());
        }
        if scored.start == 0 {
            return Err(Unscorable::NothingBefore);
        }
        if scored.end > ids.len() {
            return Err(Unscorable::Range { scored: scored.clone(), ids: ids.len() });
        }
        // The last id is only predicted and needs no position.
        if let Some(limit) = self.model.position_limit().filter(|&limit| scored.end - 1 > limit as usize) {
            return Err(Unscorable::TooLong { ids: scored.end, limit });
        }
        let vocab_size = self.model.config().vocab_size;
        match ids[..scored.end].iter().find(|&&id| id >= vocab_size) {
            Some(&id) => Err(Unscorable::NotInVocabulary { id, vocab_size }),
            None => Ok(()),
        }
    }
}

impl Scoring<'_> {
    /// The number of positions whose logits exist at the same time; few enough that they stay in the cache of a CPU.
    const CHUNK: i64 = 128;

    /// Computes the next forward pass, and returns whether more are left. When memory runs out, the next forward passes
    /// have half as many tokens, down to a single row.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let Some(widest) = self.rows.get(self.next) else { return Ok(false) };
        let left = self.rows.len() - self.next;
        let count = (self.tokens / widest.ids.len()).clamp(1, left);
        let rows = &self.rows[self.next..self.next + count];
        let values = match forward(self.model, rows, Self::CHUNK) {
            Err(Error::OutOfMemory(_)) if count > 1 => {
                self.tokens = widest.ids.len() * count / 2;
                tracing::info!(tokens = self.tokens, "out of memory while scoring: continuing with smaller batches");
                return Ok(true);
            }
            values => values?,
        };
        let mut start = 0;
        for row in rows {
            for member in &row.members {
                self.results[member.request] = member.targets.iter().map(|&index| values[start + index]).collect();
            }
            start += row.targets.len();
            self.done += row.members.len();
        }
        self.next += count;
        Ok(self.next < self.rows.len())
    }

    /// The number of sequences that have been scored, and of all that are to be scored.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.total)
    }

    /// The log-probabilities in the order of the requests; empty for one without a scored position.
    pub fn finish(self) -> Vec<Vec<f32>> {
        self.results
    }
}

/// The log-probabilities of the targets of these rows, one row after the other.
fn forward(model: &Model, rows: &[PackedRow], chunk: i64) -> Result<Vec<f32>, Error> {
    let _no_grad = tch::no_grad_guard();
    let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
    let (mut ids, mut position_ids) = (vec![0i64; rows.len() * width], vec![0i64; rows.len() * width]);
    let (mut positions, mut targets) = (vec![], vec![]);
    for (index, row) in rows.iter().enumerate() {
        let start = index * width;
        for (token, (&id, &position_id)) in row.ids.iter().zip(&row.position_ids).enumerate() {
            (ids[start + token], position_ids[start + token]) = (i64::from(id), position_id as i64);
        }
        for target in &row.targets {
            positions.push((start + target.token) as i64);
            targets.push(i64::from(target.id));
        }
    }
    let (device, shape) = (model.device(), [rows.len() as i64, width as i64]);
    let put = |numbers: &[i64]| -> Result<Tensor, Error> { Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?) };
    let mask = Tensor::f_from_slice(&mask(rows, width))?.f_to_device(device)?;
    let mask = mask.f_view([shape[0], 1, shape[1], shape[1]])?;
    let longest = position_ids.iter().max().map_or(0, |last| last + 1);
    let prefix_tree = PrefixTree { position_ids: put(&position_ids)?.f_view(shape)?, positions: longest, mask };
    let hidden = model.hidden_of_prefix_tree(&put(&ids)?.f_view(shape)?, &prefix_tree)?; // [row, token, hidden]
    let hidden = hidden.f_flatten(0, 1)?.f_index_select(0, &put(&positions)?)?; // [target, hidden]
    let (weight, targets) = (model.head(), put(&targets)?);
    let head = VocabularyHead { hidden: &hidden, weight, targets: &targets, chunk, bf16: false };
    Ok(Vec::try_from(shim::target_logprobs(head)?.f_to_device(Device::Cpu)?)?)
}

/// The attention mask, `[row, token, token that it attends to]`.
fn mask(rows: &[PackedRow], width: usize) -> Vec<f32> {
    let mut mask = vec![MASKED; rows.len() * width * width];
    for (index, row) in rows.iter().enumerate() {
        let start = index * width;
        for token in 0..width {
            let (done, rest) = mask.split_at_mut((start + token) * width);
            if let Some(&Some(parent)) = row.parents.get(token) {
                rest[..token].copy_from_slice(&done[(start + parent) * width..][..token]);
            }
            rest[token] = 0.0; // every token attends to itself, padding included
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::small;
    use grid::domain::Arch;
    use proptest::prelude::*;
    use std::ops::Range;
    use tch::Kind;

    fn request(ids: &[u32], scored: Range<usize>) -> ScoringRequest {
        ScoringRequest { ids: ids.to_vec(), scored }
    }

    /// The log-probabilities of one request, alone and without padding, with a softmax in f64.
    fn logprobs_alone(model: &Model, request: &ScoringRequest) -> Vec<f64> {
        let _no_grad = tch::no_grad_guard();
        let ids: Vec<i64> = request.ids.iter().map(|&id| id.into()).collect();
        let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, -1])).unwrap();
        let all = hidden.matmul(&model.head().tr()).log_softmax(-1, Kind::Double);
        request.scored.clone().map(|place| all.double_value(&[0, place as i64 - 1, ids[place]])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn scores_do_not_depend_on_the_other_requests(
            gpt2: bool,
            lengths in prop::collection::vec((2usize..38, 0usize..40, 0usize..40, 0u32..3), 1..20),
            tokens in 1usize..400,
        ) {
            let model = Model::random(&small(if gpt2 { Arch::Gpt2 } else { Arch::Llama }), 5, Device::Cpu).unwrap();
            let requests: Vec<ScoringRequest> = lengths
                .into_iter()
                .map(|(length, a, b, variant)| {
                    let ids = (0..length as u32).map(|i| (i * i + variant) % 61).collect();
                    let (a, b) = (1 + a % (length - 1), 1 + b % length);
                    ScoringRequest { ids, scored: a.min(b)..a.max(b) }
                })
                .collect();
            let scorer = Scorer::new(&model).with_tokens(tokens);
            let values = scorer.tokens_logprobs(&requests).unwrap();
            for (request, values) in requests.iter().zip(&values) {
                let wanted = logprobs_alone(&model, request);
                prop_assert_eq!(values.len(), wanted.len());
                for (value, wanted) in values.iter().zip(wanted) {
                    prop_assert!((f64::from(*value) - wanted).abs() < 1e-5, "{} {}", value, wanted);
                }
            }
            let sums = scorer.logprobs(&requests).unwrap();
            for (sum, values) in sums.iter().zip(values) {
                prop_assert_eq!(*sum, values.into_iter().map(f64::from).sum::<f64>());
            }
        }
    }

    /// Sums over many scored tokens, in which a difference would be visible.
    #[test]
    fn the_tokens_of_a_forward_pass_change_sums_by_at_most_1e_5() {
        for arch in Arch::ALL {
            let model = Model::random(&small(arch), 5, Device::Cpu).unwrap();
            let requests: Vec<ScoringRequest> = (0..300u32)
                .map(|i| {
                    let ids: Vec<u32> = (0..3 + i % 37).map(|place| (place * (1 + i % 5) + i / 90) % 61).collect();
                    ScoringRequest { scored: 1..ids.len(), ids }
                })
                .collect();
            let sums = |tokens| Scorer::new(&model).with_tokens(tokens).logprobs(&requests).unwrap();
            let wanted = sums(1);
            for tokens in [200, 1_000, 100_000] {
                let worst =
                    sums(tokens).iter().zip(&wanted).map(|(sum, wanted)| (sum - wanted).abs()).fold(0.0, f64::max);
                assert!(worst <= 1e-5, "{arch:?} {tokens}: {worst}");
            }
        }
    }

    /// Rotary positions are computed for texts of any length; the tables of angles end at the model's own length.
    #[test]
    fn rotary_positions_have_no_limit() {
        let short = Model::random(&small(Arch::Llama), 5, Device::Cpu).unwrap();
        let long = grid::domain::ModelConfig { max_positions: 100, ..small(Arch::Llama) };
        let long = Model::random(&long, 5, Device::Cpu).unwrap();
        let ids: Vec<u32> = (0..90u32).map(|place| place * 7 % 61).collect();
        let requests = [request(&ids, 1..90), request(&ids[..60], 30..60)];
        let values = Scorer::new(&short).tokens_logprobs(&requests).unwrap();
        for (request, values) in requests.iter().zip(values) {
            let wanted = logprobs_alone(&long, request);
            assert_eq!(values.len(), wanted.len());
            assert!(values.iter().zip(wanted).all(|(value, wanted)| (f64::from(*value) - wanted).abs() < 1e-5));
        }
    }

    #[test]
    fn a_request_that_cannot_be_scored_is_named() {
        let models = [Arch::Llama, Arch::Gpt2].map(|arch| Model::random(&small(arch), 5, Device::Cpu).unwrap());
        let [llama, gpt2] = &models;
        let refusal = |wrong: ScoringRequest| {
            let requests = [request(&[1, 2], 1..2), wrong];
            Scorer::new(gpt2).logprobs(&requests).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(request(&[1, 2], 0..1)),
            "sequence 1: its first token cannot be scored, because nothing precedes it"
        );
        assert_eq!(refusal(request(&[1, 2], 1..3)), "sequence 1: positions 1..3 of 2 tokens cannot be scored");
        assert_eq!(refusal(request(&[1, 61], 1..2)), "sequence 1: id 61 is not in the model's vocabulary of 61");
        assert_eq!(
            refusal(request(&[1; 50], 1..50)),
            "sequence 1: it has 50 tokens, but the model has a context of 40 positions"
        );
        assert_eq!(Scorer::new(llama).logprobs(&[request(&[], 0..0)]).unwrap(), [0.0]);
        for model in &models {
            assert_eq!(Scorer::new(model).tokens_logprobs(&[request(&[1; 41], 1..41)]).unwrap()[0].len(), 40);
        }
    }
}
