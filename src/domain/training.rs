//! Optimization: length, learning rate schedule, AdamW, precision, validation.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// The length of a stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Passes over the training part of the data.
    Epochs(u32),
    /// Optimizer steps; 0 keeps the initial weights.
    Steps(u64),
}

/// The learning rate over the steps after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The peak rate, without decay.
    Constant,
    /// Linear decay to the minimum.
    Linear,
    /// Half a cosine, from the peak to the minimum.
    Cosine,
    /// Several half cosines, each starting from the peak (hard restarts).
    CosineWithRestarts {
        /// The number of half cosines.
        cycles: u32,
    },
    /// Warm-up, stable, decay: the peak until the last fraction of the steps, then a linear decay.
    Wsd {
        /// The share of all steps in the decay, in 0..=1.
        decay: f64,
    },
}

/// The length of the warm-up, in which the learning rate rises from zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// This number of optimizer steps.
    Steps(u64),
    /// This share of all steps, in 0..=1.
    Fraction(f64),
}

/// The arithmetic of the forward and backward passes; master weights are always 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats throughout.
    F32,
    /// bfloat16 forward and backward passes.
    Bf16,
}

impl Precision {
    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The weights that a training job outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptWeights {
    /// The weights after the last step.
    Last,
    /// The weights with the lowest validation loss.
    Best,
}

/// When training stops before the last step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// The number of consecutive validations without improvement after which training stops.
    pub patience: u32,
    /// The smallest decrease of the validation loss that counts as an improvement, in nats per token.
    pub min_delta: f64,
}

/// Validation during training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps between two validations; there is always one after the last step.
    pub every: u64,
    /// Early stopping; `None` trains for all steps.
    pub early_stopping: Option<EarlyStopping>,
    /// The weights to output.
    pub keep: KeptWeights,
}

/// One stage of training with AdamW, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The length of the stage.
    pub length: Length,
    /// Sequences (of packed text) or records (of instructions) per optimizer step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// The learning rate after the warm-up.
    pub schedule: Schedule,
    /// The warm-up before the schedule.
    pub warmup: Warmup,
    /// The minimum of the decay as a share of the peak.
    pub min_learning_rate_ratio: f64,
    /// Decay rates of the first and second moments.
    pub betas: [f64; 2],
    /// The epsilon of AdamW, added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, applied to matrices only, not to norms and biases.
    pub weight_decay: f64,
    /// The global norm to which gradients are clipped; `None` for no clipping.
    pub clip_norm: Option<f64>,
    /// Label smoothing: the share of each target's probability that is spread evenly over the vocabulary, in 0..1.
    /// Validation losses are computed without it.
    pub label_smoothing: f64,
    /// If given, the smoothing of each record is in proportion to its uncertainty: with u the uncertainty of the record and
    /// m the mean over all training records, `label_smoothing` u / m, and at most this (uncertainty-aware learning, arXiv
    /// 2406.04854). In 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoothing_max: Option<f64>,
    /// The scale of uniform noise on the embeddings of a row of L tokens and width d: values between
    /// ±`neftune_alpha` / √(L d) (NEFTune, arXiv 2310.05914); 0 for none. Validation losses are computed without it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub neftune_alpha: f64,
    /// The arithmetic of the forward and backward passes.
    pub precision: Precision,
    /// Validation during training; `None` validates once, after the last step.
    pub validation: Option<Validation>,
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

impl Training {
    /// Training at a constant rate in 32 bits, with the moments of AdamW's usual defaults and without warm-up, weight decay,
    /// clipping, smoothing and validation.
    pub fn plain(length: Length, batch_size: u32, learning_rate: f64) -> Training {
        Training {
            length,
            batch_size,
            learning_rate,
            schedule: Schedule::Constant,
            warmup: Warmup::Steps(0),
            min_learning_rate_ratio: 0.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
            label_smoothing: 0.0,
            smoothing_max: None,
            neftune_alpha: 0.0,
            precision: Precision::F32,
            validation: None,
        }
    }

    /// The number of warm-up steps in a stage of `total` steps.
    pub fn warmup_steps(&self, total: u64) -> u64 {
        match self.warmup {
            Warmup::Steps(steps) => steps.min(total),
            Warmup::Fraction(share) => (share * total as f64).round() as u64,
        }
    }

    /// The learning rate at step `step` (from 0) of `total`. The first step after a warm-up of `w` steps has the peak rate.
    ///
    /// Follows Hugging Face `get_*_schedule_with_warmup`: `t/w` while `t < w`, then the decay over `total - w`.
    pub fn learning_rate_at(&self, step: u64, total: u64) -> f64 {
        let warmup = self.warmup_steps(total);
        if step < warmup {
            return self.learning_rate * step as f64 / warmup as f64;
        }
        let span = total.saturating_sub(warmup).max(1) as f64;
        let progress = ((step - warmup) as f64 / span).min(1.0);
        let cosine = |p: f64| 0.5 * (1.0 + (std::f64::consts::PI * p).cos());
        let share = match self.schedule {
            Schedule::Constant => return self.learning_rate,
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => cosine(progress),
            Schedule::CosineWithRestarts { .. } if progress >= 1.0 => 0.0,
            Schedule::CosineWithRestarts { cycles } => cosine((progress * f64::from(cycles)).fract()),
            Schedule::Wsd { decay } => {
                let start = total as f64 * (1.0 - decay);
                if decay <= 0.0 || (step as f64) < start {
                    1.0
                } else {
                    ((total as f64 - step as f64) / (total as f64 - start)).clamp(0.0, 1.0)
                }
            }
        };
        let minimum = self.min_learning_rate_ratio;
        self.learning_rate * (minimum + (1.0 - minimum) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(schedule: Schedule, warmup: Warmup) -> Training {
        Training { schedule, warmup, clip_norm: Some(1.0), ..Training::plain(Length::Steps(100), 8, 1.0) }
    }

    #[test]
    fn linear_rises_to_the_peak_and_falls_to_zero() {
        let t = training(Schedule::Linear, Warmup::Steps(5));
        let rates: Vec<f64> = [0, 1, 5, 15, 30].map(|s| t.learning_rate_at(s, 30)).into();
        assert_eq!(rates, [0.0, 0.2, 1.0, 0.6, 0.0]);
    }

    #[test]
    fn one_restart_cycle_is_the_plain_cosine() {
        let (plain, restarts) = (
            training(Schedule::Cosine, Warmup::Fraction(0.1)),
            training(Schedule::CosineWithRestarts { cycles: 1 }, Warmup::Fraction(0.1)),
        );
        for step in 0..100 {
            assert!((plain.learning_rate_at(step, 100) - restarts.learning_rate_at(step, 100)).abs() < 1e-12);
        }
    }

    #[test]
    fn restarts_return_to_the_peak() {
        let t = training(Schedule::CosineWithRestarts { cycles: 2 }, Warmup::Steps(0));
        assert_eq!(t.learning_rate_at(0, 100), 1.0);
        assert!(t.learning_rate_at(49, 100) < 0.01);
        assert_eq!(t.learning_rate_at(50, 100), 1.0);
        assert_eq!(t.learning_rate_at(100, 100), 0.0);
    }

    #[test]
    fn wsd_is_constant_then_linear() {
        let t = training(Schedule::Wsd { decay: 0.2 }, Warmup::Steps(10));
        assert_eq!(t.learning_rate_at(79, 100), 1.0);
        assert!((t.learning_rate_at(90, 100) - 0.5).abs() < 1e-12);
    }
}
