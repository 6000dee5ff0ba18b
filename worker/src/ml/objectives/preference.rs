//! Objectives of pairs of a chosen and a rejected reply: DPO, SimPO and ORPO.
//!
//! A pair goes through the model as two rows. The hidden states of all replies are computed once; the head gives the
//! log-probabilities, from which the loss and its derivatives follow, and then runs again to give the gradients.

use grid::domain::objective::{Dpo, Orpo, Simpo};
use tch::{Device, Tensor};

use super::language_modeling::LanguageModeling;
use super::objective::{BatchLimits, MicroBatch, Objective, Purpose};
use super::pair_loss::PairLoss;
use super::replies::{ForwardPass, Reply, ReplyBatch, ReplyLogprob};
use super::{dpo, orpo, simpo};
use crate::ml::batching::grouping::group_by_length;
use crate::ml::error::Error;
use crate::ml::models::Model;

/// A prompt with two replies.
#[derive(Debug, Clone, PartialEq)]
pub struct PreferencePair {
    /// The better reply.
    pub chosen: Reply,
    /// The worse reply.
    pub rejected: Reply,
    /// The log-probabilities of both replies under the reference model; zeros for an objective without one.
    pub references: [f64; 2],
}

impl PreferencePair {
    /// Whether both replies have a token to predict.
    fn is_complete(&self) -> bool {
        self.chosen.scored.predicted() > 0 && self.rejected.scored.predicted() > 0
    }

    fn replies(&self) -> [&Reply; 2] {
        [&self.chosen, &self.rejected]
    }

    fn longest(&self) -> usize {
        self.chosen.tokens().max(self.rejected.tokens())
    }
}

/// A loss of pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PairObjective {
    /// Direct preference optimization.
    Dpo(Dpo),
    /// Simple preference optimization.
    Simpo(Simpo),
    /// Odds ratio preference optimization.
    Orpo(Orpo),
}

impl PairObjective {
    fn sft_weight(&self) -> f64 {
        match self {
            Self::Dpo(dpo) => dpo.sft_weight,
            Self::Simpo(simpo) => simpo.sft_weight,
            Self::Orpo(orpo) => orpo.sft_weight,
        }
    }

    fn loss(&self, chosen: ReplyLogprob, rejected: ReplyLogprob) -> PairLoss {
        match self {
            Self::Dpo(settings) => dpo::loss(settings, chosen, rejected),
            Self::Simpo(settings) => simpo::loss(settings, chosen, rejected),
            Self::Orpo(settings) => orpo::loss(settings, chosen, rejected),
        }
    }
}

/// Training on pairs. The loss is a mean over pairs; the cross entropy beside it, a mean over the tokens of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// How log-probabilities are computed.
    pub text: LanguageModeling,
    /// The loss of a pair.
    pub objective: PairObjective,
}

/// Pairs that go through the model together: in the rows, the chosen and the rejected reply of each in turn.
#[derive(Debug)]
pub struct PairBatch {
    replies: ReplyBatch,
    references: Vec<[f64; 2]>,
    /// The weight of the cross entropy of a token of a chosen reply.
    sft_scale: f64,
}

impl Preference {
    fn losses(&self, pass: &ForwardPass, batch: &PairBatch) -> Vec<PairLoss> {
        let reply = |row: usize| ReplyLogprob {
            sum: pass.sums[row],
            length: batch.replies.lengths[row],
            reference: batch.references[row / 2][row % 2],
        };
        (0..batch.references.len()).map(|pair| self.objective.loss(reply(2 * pair), reply(2 * pair + 1))).collect()
    }

    /// The summed loss and metrics; see [`Objective::backward`].
    fn numbers(
        &self,
        losses: &[PairLoss],
        pass: &ForwardPass,
        batch: &PairBatch,
        device: Device,
    ) -> Result<Tensor, Error> {
        let entropy: f64 = pass.entropies.iter().step_by(2).sum();
        let total = losses.iter().map(|pair| pair.loss).sum::<f64>() + batch.sft_scale * entropy;
        let sum = |number: &dyn Fn(&PairLoss) -> f64| losses.iter().map(number).sum::<f64>();
        let logprobs = |first: usize| pass.sums.iter().skip(first).step_by(2).sum::<f64>();
        let accuracy = |pair: &PairLoss| match pair.rewards[0].total_cmp(&pair.rewards[1]) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        let sums = [
            sum(&|pair| pair.rewards[0]),
            sum(&|pair| pair.rewards[1]),
            sum(&|pair| pair.rewards[0] - pair.rewards[1]),
            sum(&accuracy),
            logprobs(0),
            logprobs(1),
        ];
        let count = losses.len() as f64;
        let numbers: Vec<f64> = std::iter::once(total).chain(sums.into_iter().flat_map(|sum| [sum, count])).collect();
        Ok(Tensor::f_from_slice(&numbers)?.f_to_device(device)?)
    }
}

impl Objective for Preference {
    type Model = Model;
    type Example = PreferencePair;
    type MicroBatch = PairBatch;

    fn tokens(&self, pair: &PreferencePair) -> usize {
        pair.chosen.tokens() + pair.rejected.tokens()
    }

    fn terms(&self, pair: &PreferencePair) -> usize {
        usize::from(pair.is_complete())
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["reward_chosen", "reward_rejected", "reward_margin", "reward_accuracy", "logprob_chosen", "logprob_rejected"]
    }

    /// Pairs of similar length, the longest first. A pair of which a reply has no token left is left out.
    fn micro_batches(
        &self,
        pairs: &[PreferencePair],
        _: Purpose,
        BatchLimits { max_rows, device }: BatchLimits,
    ) -> Result<Vec<PairBatch>, Error> {
        let pairs: Vec<&PreferencePair> = pairs.iter().filter(|pair| pair.is_complete()).collect();
        self.text.check_vocabulary(pairs.iter().flat_map(|pair| pair.replies()).map(|reply| &reply.scored))?;
        let trained: usize = pairs.iter().map(|pair| pair.chosen.trained()).sum();
        let sft_scale = self.objective.sft_weight() * pairs.len() as f64 / trained.max(1) as f64;
        let max_pairs = max_rows.map(|rows| (rows / 2).max(1));
        let groups = group_by_length(&pairs, |pair| 2 * pair.longest(), max_pairs, device);
        let mut micro_batches = vec![];
        for group in groups {
            let rows: Vec<&Reply> = group.iter().flat_map(|pair| pair.replies()).collect();
            let Some(replies) = ReplyBatch::new(&rows)? else { continue };
            let references = group.iter().map(|pair| pair.references).collect();
            micro_batches.push(PairBatch { replies, references, sft_scale });
        }
        Ok(micro_batches)
    }

    fn backward(&self, model: &Model, batch: &PairBatch, scale: f64) -> Result<Tensor, Error> {
        let pass = batch.replies.forward(model, &self.text)?;
        let losses = self.losses(&pass, batch);
        batch.replies.backward(model, &self.text, &pass, scale, |target| {
            let (pair, place) = (target.row / 2, target.row % 2);
            let compared = if target.scored { -losses[pair].slopes[place] } else { 0.0 };
            compared + if place == 0 { batch.sft_scale } else { 0.0 }
        })?;
        self.numbers(&losses, &pass, batch, model.device())
    }

    fn loss(&self, model: &Model, batch: &PairBatch) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let pass = batch.replies.forward(model, &self.text)?;
        self.numbers(&self.losses(&pass, batch), &pass, batch, model.device())
    }
}

impl MicroBatch for PairBatch {
    fn rows(&self) -> usize {
        self.replies.rows()
    }

    fn count(&self) -> usize {
        self.references.len()
    }

    fn to_device(&self, device: Device) -> Result<Self, Error> {
        let (references, sft_scale) = (self.references.clone(), self.sft_scale);
        Ok(Self { replies: self.replies.to_device(device)?, references, sft_scale })
    }
}

#[cfg(test)]
mod tests;
