//! Replies whose log-probabilities an objective compares.

use tch::{Device, Tensor};

use super::language_modeling::{LanguageModeling, TokenBatch, TrainingSequence};
use super::objective::MicroBatch;
use crate::ml::error::Error;
use crate::ml::models::Model;
use crate::ml::phases::{Phase, timed};
use crate::ml::shim;

/// A prompt with a reply, whose log-probability counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Prompt and reply; the predicted ids are those of the reply.
    pub scored: TrainingSequence,
    /// The same ids with those that the cross entropy beside the objective covers, if it covers more than the reply.
    pub trained: Option<TrainingSequence>,
}

impl Reply {
    /// A reply of which nothing else is trained on.
    pub fn new(scored: TrainingSequence) -> Self {
        Self { scored, trained: None }
    }

    /// The sequence with all ids that the objective predicts.
    fn whole(&self) -> &TrainingSequence {
        self.trained.as_ref().unwrap_or(&self.scored)
    }

    /// The number of ids of the cross entropy beside the objective.
    pub(super) fn trained(&self) -> usize {
        self.whole().predicted()
    }

    /// The number of ids.
    pub fn tokens(&self) -> usize {
        self.scored.ids().len()
    }
}

/// The log-probability of a reply under the model, and under the reference if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ReplyLogprob {
    /// The sum over its tokens, in nats.
    pub sum: f64,
    /// The number of its tokens.
    pub length: usize,
    /// The sum under the reference; 0 without one.
    pub reference: f64,
}

impl ReplyLogprob {
    /// The mean over the tokens.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.length as f64
    }

    /// The logarithm of the ratio between model and reference.
    pub(super) fn log_ratio(&self) -> f64 {
        self.sum - self.reference
    }
}

/// A predicted id of a batch of replies.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplyTarget {
    /// The number of its row.
    pub row: usize,
    /// Whether it belongs to the reply, whose log-probability counts.
    pub scored: bool,
}

/// Replies that go through the model together, one in each row.
#[derive(Debug)]
pub(super) struct ReplyBatch {
    tokens: TokenBatch,
    targets: Vec<ReplyTarget>,
    /// The number of tokens of each reply.
    pub lengths: Vec<usize>,
}

impl ReplyBatch {
    /// Lays out replies on the CPU; `None` if none of them has a predicted id.
    pub(super) fn new(replies: &[&Reply]) -> Result<Option<Self>, Error> {
        let rows: Vec<&TrainingSequence> = replies.iter().map(|reply| reply.whole()).collect();
        let Some(tokens) = TokenBatch::new(&rows)? else { return Ok(None) };
        let mut targets = vec![];
        for (row, reply) in replies.iter().enumerate() {
            let mut scored = reply.scored.targets().peekable();
            targets.extend(reply.whole().targets().map(|place| {
                let scored = scored.next_if_eq(&place).is_some();
                ReplyTarget { row, scored }
            }));
        }
        let lengths = replies.iter().map(|reply| reply.scored.predicted()).collect();
        Ok(Some(Self { tokens, targets, lengths }))
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.tokens.rows()
    }

    /// A copy on a device; see [`MicroBatch::to_device`].
    pub(super) fn to_device(&self, device: Device) -> Result<Self, Error> {
        let tokens = self.tokens.to_device(device)?;
        Ok(Self { tokens, targets: self.targets.clone(), lengths: self.lengths.clone() })
    }

    /// The forward pass.
    pub(super) fn forward(&self, model: &Model, text: &LanguageModeling) -> Result<ForwardPass, Error> {
        let hidden = timed(Phase::Forward, || text.hidden(model, &self.tokens))?;
        let losses = timed(Phase::Head, || shim::token_losses(text.head(model, &hidden, &self.tokens)))?;
        let losses = Vec::<f32>::try_from(losses.f_to_device(Device::Cpu)?)?;
        let (mut sums, mut entropies) = (vec![0.0; self.rows()], vec![0.0; self.rows()]);
        for (target, loss) in self.targets.iter().zip(losses) {
            entropies[target.row] += f64::from(loss);
            if target.scored {
                sums[target.row] -= f64::from(loss);
            }
        }
        Ok(ForwardPass { hidden, sums, entropies })
    }

    /// Adds the gradients of `scale` times the sum of the negative log-probabilities of all targets, each times its weight.
    pub(super) fn backward(
        &self,
        model: &Model,
        text: &LanguageModeling,
        pass: &ForwardPass,
        scale: f64,
        weight: impl Fn(ReplyTarget) -> f64,
    ) -> Result<(), Error> {
        let weights: Vec<f32> = self.targets.iter().map(|target| weight(*target) as f32).collect();
        let weights = Tensor::f_from_slice(&weights)?.f_to_device(model.device())?;
        let head = text.head(model, &pass.hidden, &self.tokens);
        let gradient = timed(Phase::Head, || shim::weighted_head_gradient(head, &weights, scale))?;
        timed(Phase::Backward, || shim::backward(&pass.hidden, &gradient))
    }
}

/// What the forward pass of a batch of replies gives.
pub(super) struct ForwardPass {
    hidden: Tensor,
    /// The log-probability of each reply.
    pub sums: Vec<f64>,
    /// The summed cross entropy of all targets of each row.
    pub entropies: Vec<f64>,
}

/// The log-probabilities of replies under a model, in their order, without gradients. At most `max_rows` of them go
/// through the model together. Replies without a predicted id have 0.
///
/// # Errors
/// Ids that the model does not know; libtorch fails, also by running out of memory.
pub fn reply_logprobs(
    model: &Model,
    text: &LanguageModeling,
    replies: &[Reply],
    max_rows: Option<u32>,
) -> Result<Vec<f64>, Error> {
    text.check_vocabulary(replies.iter().map(|reply| &reply.scored))?;
    let _no_grad = tch::no_grad_guard();
    let mut logprobs = vec![0.0; replies.len()];
    let numbered: Vec<(usize, &Reply)> = replies.iter().enumerate().collect();
    let groups = crate::ml::batching::grouping::group_by_length(
        &numbered,
        |(_, reply)| reply.tokens(),
        max_rows,
        model.device(),
    );
    for group in groups {
        let rows: Vec<&Reply> = group.iter().map(|(_, reply)| *reply).collect();
        let Some(batch) = ReplyBatch::new(&rows)? else { continue };
        let pass = batch.to_device(model.device())?.forward(model, text)?;
        for ((number, _), sum) in group.into_iter().zip(pass.sums) {
            logprobs[*number] = sum;
        }
    }
    Ok(logprobs)
}
