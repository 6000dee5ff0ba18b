//! What every loss of a pair of replies consists of.

/// The loss of a pair, with its derivatives by the log-probabilities of the replies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PairLoss {
    /// The loss.
    pub loss: f64,
    /// Its derivatives by the summed log-probability of the chosen and of the rejected reply.
    pub slopes: [f64; 2],
    /// The rewards of the chosen and of the rejected reply.
    pub rewards: [f64; 2],
}

/// -ln σ(x), and its derivative by x.
pub(super) fn negative_log_sigmoid(x: f64) -> (f64, f64) {
    let loss = if x < 0.0 { (x.exp()).ln_1p() - x } else { (-x).exp().ln_1p() };
    (loss, -sigmoid(-x))
}

/// The logistic function.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
