//! Simple preference optimization.

use grid::domain::objective::Simpo;

use super::pair_loss::{PairLoss, negative_log_sigmoid};
use super::replies::ReplyLogprob;

/// The loss of a pair; see [`Simpo`].
pub(super) fn loss(settings: &Simpo, chosen: ReplyLogprob, rejected: ReplyLogprob) -> PairLoss {
    let rewards = [chosen, rejected].map(|reply| settings.beta * reply.mean());
    let (loss, slope) = negative_log_sigmoid(rewards[0] - rewards[1] - settings.gamma);
    let by_sum = settings.beta * slope;
    PairLoss { loss, slopes: [by_sum / chosen.length as f64, -by_sum / rejected.length as f64], rewards }
}
