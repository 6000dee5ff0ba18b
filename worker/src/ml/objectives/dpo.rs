//! Direct preference optimization, with the losses of its relatives.

use grid::domain::objective::{Dpo, DpoLoss};

use super::pair_loss::{PairLoss, negative_log_sigmoid};
use super::replies::ReplyLogprob;

/// The loss of a pair; see [`Dpo`].
pub(super) fn loss(settings: &Dpo, chosen: ReplyLogprob, rejected: ReplyLogprob) -> PairLoss {
    let beta = settings.beta;
    let difference = chosen.log_ratio() - rejected.log_ratio();
    // The loss of `difference` and of its negative, each with its derivative by `difference`.
    let given = || {
        let (loss, slope) = negative_log_sigmoid(beta * difference);
        (loss, beta * slope)
    };
    let swapped = || {
        let (loss, slope) = negative_log_sigmoid(-beta * difference);
        (loss, -beta * slope)
    };
    let mix = |first: f64, second: f64| {
        let (given, swapped) = (given(), swapped());
        (first * given.0 + second * swapped.0, first * given.1 + second * swapped.1)
    };
    let lengths = [chosen.length as f64, rejected.length as f64];
    let (loss, slope) = match settings.loss {
        DpoLoss::Sigmoid => given(),
        DpoLoss::Conservative { label_noise } => mix(1.0 - label_noise, label_noise),
        DpoLoss::Robust { label_noise } => {
            let scale = 1.0 - 2.0 * label_noise;
            mix((1.0 - label_noise) / scale, -label_noise / scale)
        }
        DpoLoss::Hinge => ((1.0 - beta * difference).max(0.0), if beta * difference < 1.0 { -beta } else { 0.0 }),
        DpoLoss::Ipo => squared(difference, beta),
        DpoLoss::IpoMeans => squared(chosen.log_ratio() / lengths[0] - rejected.log_ratio() / lengths[1], beta),
    };
    let slopes = match settings.loss {
        DpoLoss::IpoMeans => [slope / lengths[0], -slope / lengths[1]],
        _ => [slope, -slope],
    };
    PairLoss { loss, slopes, rewards: [beta * chosen.log_ratio(), beta * rejected.log_ratio()] }
}

/// (h - 1 / (2 beta))², and its derivative by h.
fn squared(difference: f64, beta: f64) -> (f64, f64) {
    let distance = difference - 1.0 / (2.0 * beta);
    (distance * distance, 2.0 * distance)
}
