//! Scoring of requests, packed into rows with shared prefixes.

use grid::domain::{ScoringBackend, ScoringRequest};
use tch::{Device, Tensor};

use super::masked::{self, MaskedRow, Masking};
use super::pack::{self, PackedRow};
use super::unscorable::Unscorable;
use crate::ml::error::Error;
use crate::ml::models::{MASKED, Model, PrefixTree};
use crate::ml::shim::{self, VocabularyHead};

/// Scores sequences with one model.
///
/// Shared prefixes are computed once: the sequences are packed into rows, in which a token attends to the preceding tokens
/// of its own text. Only scored positions go through the vocabulary head. The other requests, the number of tokens in a
/// forward pass and the device change a result by rounding only.
#[derive(Debug)]
pub struct Scorer<'a> {
    model: &'a Model,
    /// How tokens are masked; `None` to predict each from those in front of it.
    masking: Option<Masking>,
    /// The number of tokens in one forward pass, padding included.
    tokens: usize,
}

/// Requests that are being scored.
#[derive(Debug)]
pub struct Scoring<'a> {
    model: &'a Model,
    tokens: usize,
    rows: Rows,
    next: usize,
    done: usize,
    total: usize,
    results: Vec<Vec<f32>>,
}

/// The rows of all forward passes, the widest first.
#[derive(Debug)]
enum Rows {
    /// With shared prefixes.
    Packed(Vec<PackedRow>),
    /// With one masked token each.
    Masked(Vec<MaskedRow>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Packed(rows) => rows.len(),
            Rows::Masked(rows) => rows.len(),
        }
    }

    fn width(&self, row: usize) -> usize {
        match self {
            Rows::Packed(rows) => rows[row].ids.len(),
            Rows::Masked(rows) => rows[row].ids.len(),
        }
    }
}

impl<'a> Scorer<'a> {
    /// A scorer for a model.
    pub fn new(model: &'a Model) -> Self {
        // On a CPU, small batches stay in its caches; a GPU needs large ones.
        let tokens = if model.device() == Device::Cpu { 2048 } else { 65_536 };
        Self { model, masking: None, tokens }
    }

    /// The same scorer for masked tokens.
    pub fn with_masking(self, masking: Option<Masking>) -> Self {
        Self { masking, ..self }
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
        let (rows, total) = match self.masking {
            None => {
                let mut rows = pack::pack(requests, self.model.config());
                rows.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
                let total = rows.iter().map(|row| row.members.len()).sum();
                (Rows::Packed(rows), total)
            }
            Some(masking) => {
                let rows = masked::rows(requests, masking);
                let total = rows.len();
                (Rows::Masked(rows), total)
            }
        };
        let results = requests.iter().map(|request| vec![0.0; request.scored.len()]).collect();
        Ok(Scoring { model: self.model, tokens: self.tokens, rows, next: 0, done: 0, total, results })
    }

    /// Checks that a request can be scored; one without a scored position always can.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, ScoringRequest { ids, scored, .. }: &ScoringRequest) -> Result<(), Unscorable> {
        if scored.is_empty() {
            return Ok(());
        }
        let backend = self.masking.map_or(ScoringBackend::Causal, |masking| masking.backend);
        if scored.start < backend.first_scored() {
            return Err(Unscorable::NothingBefore);
        }
        if scored.end > ids.len() {
            return Err(Unscorable::Range { scored: scored.clone(), ids: ids.len() });
        }
        // From the left, the last id is only predicted and needs no position; a masked text is read as a whole.
        let (read, positions) = if backend.masks() { (ids.len(), ids.len()) } else { (scored.end, scored.end - 1) };
        if let Some(limit) = self.model.position_limit().filter(|&limit| positions > limit as usize) {
            return Err(Unscorable::TooLong { ids: read, limit });
        }
        let vocab_size = self.model.config().vocab_size;
        let mask = self.masking.map(|masking| masking.mask);
        match ids[..read].iter().chain(&mask).find(|&&id| id >= vocab_size) {
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
        if self.next == self.rows.len() {
            return Ok(false);
        }
        let (left, widest) = (self.rows.len() - self.next, self.rows.width(self.next));
        let count = (self.tokens / widest).clamp(1, left);
        let chosen = self.next..self.next + count;
        let done = match &self.rows {
            Rows::Packed(rows) => packed(self.model, &rows[chosen], Self::CHUNK, &mut self.results),
            Rows::Masked(rows) => masked::forward(self.model, &rows[chosen], &mut self.results).map(|()| count),
        };
        match done {
            Err(Error::OutOfMemory(_)) if count > 1 => {
                self.tokens = widest * count / 2;
                tracing::info!(tokens = self.tokens, "out of memory while scoring: continuing with smaller batches");
                return Ok(true);
            }
            done => self.done += done?,
        }
        self.next += count;
        Ok(self.next < self.rows.len())
    }

    /// The number of sequences or masked texts that have been scored, and of all that are to be scored.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.total)
    }

    /// The log-probabilities in the order of the requests; empty for one without a scored position.
    pub fn finish(self) -> Vec<Vec<f32>> {
        self.results
    }
}

/// Computes rows in one forward pass, and puts the log-probabilities into the results of their requests. Returns the number
/// of these requests.
fn packed(model: &Model, rows: &[PackedRow], chunk: i64, results: &mut [Vec<f32>]) -> Result<usize, Error> {
    let values = forward(model, rows, chunk)?;
    let (mut start, mut done) = (0, 0);
    for row in rows {
        for member in &row.members {
            results[member.request] = member.targets.iter().map(|&index| values[start + index]).collect();
        }
        start += row.targets.len();
        done += row.members.len();
    }
    Ok(done)
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
    if let Some(bias) = model.head_bias() {
        let logits = hidden.f_linear(weight, Some(bias))?;
        let values = logits.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_sub(&logits.f_logsumexp([1], true)?)?;
        return Ok(Vec::try_from(values.f_flatten(0, 1)?.f_to_device(Device::Cpu)?)?);
    }
    let head = VocabularyHead { hidden: &hidden, weight, targets: &targets, chunk, bf16: false };
    Ok(Vec::try_from(shim::target_logprobs(head)?.f_to_device(Device::Cpu)?)?)
}

/// The attention mask, `[row, token, token that it attends to]`.
fn mask(rows: &[PackedRow], width: usize) -> Vec<f32> {
    let mut mask = vec![MASKED as f32; rows.len() * width * width];
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
mod tests;
