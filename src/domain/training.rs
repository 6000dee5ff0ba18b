//! How a model is optimised: length, schedule, optimiser, precision.

use serde::{Deserialize, Serialize};

/// How long a stage of training lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Passes over the training part of the data.
    Epochs(u32),
    /// Optimiser steps; 0 keeps the initial weights.
    Steps(u64),
}

/// The learning rate over the steps after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// No decay.
    Constant,
    /// Down to the floor in a straight line.
    Linear,
    /// Down to the floor along half a cosine.
    Cosine,
    /// This many half cosines, each from the peak again (hard restarts).
    CosineWithRestarts {
        /// Number of half cosines.
        cycles: u32,
    },
    /// Warm-up, stable, decay: the peak until the last fraction of the steps, then linear.
    Wsd {
        /// Share of all steps spent decaying, in 0..=1.
        decay: f64,
    },
}

/// The rise of the learning rate from zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// So many optimiser steps.
    Steps(u64),
    /// This share of all steps, in 0..=1.
    Fraction(f64),
}

/// The arithmetic of the forward and backward passes; master weights are always 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats throughout.
    F32,
    /// bfloat16 compute.
    Bf16,
}

impl Precision {
    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}

/// The weights that a training gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptWeights {
    /// Those after the last step.
    Last,
    /// Those with the lowest held-out loss of all looks at it.
    Best,
}

/// When a training ends before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Looks in a row that do not lower the held-out loss.
    pub patience: u32,
    /// By how much a look must lower it to count, in nats per token.
    pub min_delta: f64,
}

/// Looks at the held-out loss during training, and what follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps between two looks; there is always one after the last step.
    pub every: u64,
    /// `None` takes all steps.
    pub early_stopping: Option<EarlyStopping>,
    /// Which weights are the result.
    pub keep: KeptWeights,
}

/// One stage of AdamW training, fully resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// How long.
    pub length: Length,
    /// Sequences (packed text) or records (instructions) per optimiser step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay after warm-up.
    pub schedule: Schedule,
    /// Rise before it.
    pub warmup: Warmup,
    /// The floor of the decay as a share of the peak.
    pub min_learning_rate_ratio: f64,
    /// Decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// Decoupled weight decay, applied to matrices only (not to norms and biases).
    pub weight_decay: f64,
    /// Global gradient norm above which gradients are scaled down; `None` never clips.
    pub clip_norm: Option<f64>,
    /// Share of each target's probability that is spread evenly over the vocabulary, in 0..1; validation losses are
    /// measured without it.
    pub label_smoothing: f64,
    /// Arithmetic.
    pub precision: Precision,
    /// Looks at the held-out loss; `None` takes one, after the last step.
    pub validation: Option<Validation>,
}

impl Training {
    /// Warm-up steps of a stage of `total` steps.
    pub fn warmup_steps(&self, total: u64) -> u64 {
        match self.warmup {
            Warmup::Steps(steps) => steps.min(total),
            Warmup::Fraction(share) => (share * total as f64).round() as u64,
        }
    }

    /// The learning rate of step `step` (from 0) of `total`; the first step after a warm-up of `w` steps has the peak.
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
        let floor = self.min_learning_rate_ratio;
        self.learning_rate * (floor + (1.0 - floor) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(schedule: Schedule, warmup: Warmup) -> Training {
        Training {
            length: Length::Steps(100),
            batch_size: 8,
            learning_rate: 1.0,
            schedule,
            warmup,
            min_learning_rate_ratio: 0.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: Some(1.0),
            label_smoothing: 0.0,
            precision: Precision::F32,
            validation: None,
        }
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
    fn wsd_is_flat_then_linear() {
        let t = training(Schedule::Wsd { decay: 0.2 }, Warmup::Steps(10));
        assert_eq!(t.learning_rate_at(79, 100), 1.0);
        assert!((t.learning_rate_at(90, 100) - 0.5).abs() < 1e-12);
    }
}
