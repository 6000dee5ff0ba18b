//! Kahneman-Tversky optimization: replies that are good or bad, without pairs.

use grid::domain::objective::Kto;
use tch::{Device, Tensor};

use super::language_modeling::LanguageModeling;
use super::objective::{BatchLimits, MicroBatch, Objective, Purpose};
use super::pair_loss::sigmoid;
use super::replies::{ForwardPass, Reply, ReplyBatch};
use crate::ml::batching::grouping::group_by_length;
use crate::ml::error::Error;
use crate::ml::models::Model;

/// A reply that is good or bad, and the same prompt with a reply to another one.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledReply {
    /// The reply.
    pub reply: Reply,
    /// Whether it is good.
    pub desirable: bool,
    /// The prompt with a reply to another prompt.
    pub mismatched: Reply,
    /// The log-probabilities of both under the reference model.
    pub references: [f64; 2],
}

impl LabelledReply {
    fn is_complete(&self) -> bool {
        self.reply.scored.predicted() > 0
    }
}

/// Training on labelled replies. The loss is a mean over replies; the cross entropy beside it, a mean over the tokens of
/// the good replies of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledReplies {
    /// How log-probabilities are computed.
    pub text: LanguageModeling,
    /// The loss of a reply.
    pub settings: Kto,
}

/// Replies that go through the model together.
#[derive(Debug)]
pub struct LabelledBatch {
    replies: ReplyBatch,
    /// The prompts with replies to other prompts, as far as these have a token.
    mismatched: Option<ReplyBatch>,
    desirable: Vec<bool>,
    references: Vec<[f64; 2]>,
    /// The point that rewards are compared with, the same for all micro-batches of a batch.
    zero_point: f64,
    /// The weight of the cross entropy of a token of a good reply.
    sft_scale: f64,
}

/// The loss of a reply with this logarithm of the ratio between model and reference, and the derivative by it.
pub(super) fn loss(settings: &Kto, desirable: bool, log_ratio: f64, zero_point: f64) -> (f64, f64) {
    let (sign, weight) = if desirable { (1.0, settings.desirable_weight) } else { (-1.0, settings.undesirable_weight) };
    let value = sigmoid(sign * settings.beta * (log_ratio - zero_point));
    (weight * (1.0 - value), -weight * sign * settings.beta * value * (1.0 - value))
}

impl LabelledReplies {
    /// The loss of each reply, and the derivative by its log-probability.
    fn losses(&self, pass: &ForwardPass, batch: &LabelledBatch) -> Vec<(f64, f64)> {
        let of_row = |row: usize| {
            let log_ratio = pass.sums[row] - batch.references[row][0];
            loss(&self.settings, batch.desirable[row], log_ratio, batch.zero_point)
        };
        (0..batch.desirable.len()).map(of_row).collect()
    }

    /// The summed loss and metrics; see [`Objective::backward`].
    fn numbers(
        &self,
        losses: &[(f64, f64)],
        pass: &ForwardPass,
        batch: &LabelledBatch,
        device: Device,
    ) -> Result<Tensor, Error> {
        let rows = || batch.desirable.iter().enumerate();
        let entropy: f64 = rows().filter(|(_, good)| **good).map(|(row, _)| pass.entropies[row]).sum();
        let mut numbers = vec![losses.iter().map(|(loss, _)| loss).sum::<f64>() + batch.sft_scale * entropy];
        let reward = |row: usize| self.settings.beta * (pass.sums[row] - batch.references[row][0]);
        for number in [&reward as &dyn Fn(usize) -> f64, &|row| pass.sums[row]] {
            for label in [true, false] {
                let (mut sum, mut count) = (0.0, 0.0);
                for (row, _) in rows().filter(|(_, good)| **good == label) {
                    (sum, count) = (sum + number(row), count + 1.0);
                }
                numbers.extend([sum, count]);
            }
        }
        let count = batch.desirable.len() as f64;
        numbers.extend([batch.zero_point * count, count]);
        Ok(Tensor::f_from_slice(&numbers)?.f_to_device(device)?)
    }
}

impl Objective for LabelledReplies {
    type Model = Model;
    type Example = LabelledReply;
    type MicroBatch = LabelledBatch;

    fn tokens(&self, example: &LabelledReply) -> usize {
        example.reply.tokens()
    }

    fn terms(&self, example: &LabelledReply) -> usize {
        usize::from(example.is_complete())
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["reward_chosen", "reward_rejected", "logprob_chosen", "logprob_rejected", "zero_point"]
    }

    /// Replies of similar length, the longest first. A reply that has no token left is left out.
    fn micro_batches(
        &self,
        examples: &[LabelledReply],
        _: Purpose,
        BatchLimits { max_rows, device }: BatchLimits,
    ) -> Result<Vec<LabelledBatch>, Error> {
        let examples: Vec<&LabelledReply> = examples.iter().filter(|example| example.is_complete()).collect();
        let sequences = examples.iter().flat_map(|example| [&example.reply.scored, &example.mismatched.scored]);
        self.text.check_vocabulary(sequences)?;
        let good = || examples.iter().filter(|example| example.desirable);
        let trained: usize = good().map(|example| example.reply.trained()).sum();
        let sft_scale = self.settings.sft_weight * examples.len() as f64 / trained.max(1) as f64;
        let length = |example: &&LabelledReply| example.reply.tokens().max(example.mismatched.tokens());
        let mut micro_batches = vec![];
        for group in group_by_length(&examples, length, max_rows, device) {
            let rows: Vec<&Reply> = group.iter().map(|example| &example.reply).collect();
            let Some(replies) = ReplyBatch::new(&rows)? else { continue };
            let mismatched: Vec<&Reply> = group.iter().map(|example| &example.mismatched).collect();
            micro_batches.push(LabelledBatch {
                replies,
                mismatched: ReplyBatch::new(&mismatched)?,
                desirable: group.iter().map(|example| example.desirable).collect(),
                references: group.iter().map(|example| example.references).collect(),
                zero_point: 0.0,
                sft_scale,
            });
        }
        Ok(micro_batches)
    }

    /// Sets the zero point: the mean log ratio of replies to other prompts over the whole batch, or 0 if that is negative.
    fn prepare_batch(&self, model: &Model, micro_batches: &mut [LabelledBatch]) -> Result<(), Error> {
        let _no_grad = tch::no_grad_guard();
        let (mut sum, mut count) = (0.0, 0);
        for batch in micro_batches.iter() {
            let Some(mismatched) = &batch.mismatched else { continue };
            let pass = mismatched.to_device(model.device())?.forward(model, &self.text)?;
            for (row, _) in mismatched.lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
                sum += pass.sums[row] - batch.references[row][1];
                count += 1;
            }
        }
        let mean = if count > 0 { sum / f64::from(count) } else { 0.0 };
        micro_batches.iter_mut().for_each(|batch| batch.zero_point = mean.max(0.0));
        Ok(())
    }

    fn backward(&self, model: &Model, batch: &LabelledBatch, scale: f64) -> Result<Tensor, Error> {
        let pass = batch.replies.forward(model, &self.text)?;
        let losses = self.losses(&pass, batch);
        batch.replies.backward(model, &self.text, &pass, scale, |target| {
            let compared = if target.scored { -losses[target.row].1 } else { 0.0 };
            compared + if batch.desirable[target.row] { batch.sft_scale } else { 0.0 }
        })?;
        self.numbers(&losses, &pass, batch, model.device())
    }

    fn loss(&self, model: &Model, batch: &LabelledBatch) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let pass = batch.replies.forward(model, &self.text)?;
        self.numbers(&self.losses(&pass, batch), &pass, batch, model.device())
    }
}

impl MicroBatch for LabelledBatch {
    fn rows(&self) -> usize {
        self.replies.rows()
    }

    fn count(&self) -> usize {
        self.desirable.len()
    }

    /// The replies to other prompts stay behind: [`Objective::prepare_batch`] has used them.
    fn to_device(&self, device: Device) -> Result<Self, Error> {
        Ok(Self {
            replies: self.replies.to_device(device)?,
            mismatched: None,
            desirable: self.desirable.clone(),
            references: self.references.clone(),
            zero_point: self.zero_point,
            sft_scale: self.sft_scale,
        })
    }
}
