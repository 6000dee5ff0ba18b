//! Odds ratio preference optimization.

use grid::domain::objective::Orpo;

use super::pair_loss::{PairLoss, negative_log_sigmoid};
use super::replies::ReplyLogprob;

/// The greatest mean log-probability; at 0 the odds are infinite.
const MOST: f64 = -1e-7;

/// The loss of a pair without the cross entropy; see [`Orpo`].
pub(super) fn loss(settings: &Orpo, chosen: ReplyLogprob, rejected: ReplyLogprob) -> PairLoss {
    let [good, bad] = [chosen, rejected].map(|reply| log_odds(reply.mean()));
    let (loss, slope) = negative_log_sigmoid(good.0 - bad.0);
    let slope = settings.beta * slope;
    PairLoss {
        loss: settings.beta * loss,
        slopes: [slope * good.1 / chosen.length as f64, -slope * bad.1 / rejected.length as f64],
        rewards: [chosen, rejected].map(|reply| settings.beta * reply.mean()),
    }
}

/// The logarithm of the odds of a probability, given its logarithm; and the derivative by that.
fn log_odds(logprob: f64) -> (f64, f64) {
    let bounded = logprob.min(MOST);
    let rest = -bounded.exp_m1(); // 1 - the probability
    (bounded - rest.ln(), if logprob < MOST { 1.0 / rest } else { 0.0 })
}
