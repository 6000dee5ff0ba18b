//! How the tasks of the suite `glue` are fine-tuned.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

use super::training::{Length, Precision, Schedule, Training, Warmup};
use super::variants::all;

/// A classification task of the (Super)GLUE subset of the BabyLM 2025 evaluation.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    VariantArray,
    IntoStaticStr,
    Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum GlueTask {
    /// Does the passage answer the question with yes?
    Boolq,
    /// Does the premise entail the hypothesis, say nothing of it, or contradict it?
    Mnli,
    /// Do two sentences say the same?
    Mrpc,
    /// Is this a right answer to a question about the paragraph?
    Multirc,
    /// Do two questions ask the same?
    Qqp,
    /// Does the first sentence entail the second?
    Rte,
    /// Does the pronoun refer to that noun?
    Wsc,
}

impl GlueTask {
    /// All tasks.
    pub const ALL: [GlueTask; GlueTask::COUNT] = all(GlueTask::VARIANTS);

    /// The tasks that the toy world has files of.
    pub const IN_WORLD: [GlueTask; 2] = [GlueTask::Rte, GlueTask::Wsc];

    /// The name used in specs, tables, file names and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The file whose rows are trained on.
    pub fn train_file(self) -> String {
        format!("{self}.train.jsonl")
    }

    /// The file whose rows are predicted.
    pub fn valid_file(self) -> String {
        format!("{self}.valid.jsonl")
    }

    /// How many classes there are; labels are `0..classes`.
    pub fn classes(self) -> u32 {
        match self {
            GlueTask::Mnli => 3,
            _ => 2,
        }
    }

    /// What tells a good epoch from a bad one.
    pub fn criterion(self) -> Criterion {
        match self {
            GlueTask::Mrpc | GlueTask::Qqp => Criterion::F1,
            _ => Criterion::Accuracy,
        }
    }

    /// What the official script trains with.
    pub fn official(self) -> Hyperparameters {
        let batch_size = if matches!(self, GlueTask::Boolq | GlueTask::Multirc) { 16 } else { 32 };
        let epochs = if self == GlueTask::Wsc { 30 } else { 10 };
        Hyperparameters { learning_rate: 3e-5, batch_size, epochs }
    }
}

/// The metric by which an epoch is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Share of right predictions.
    Accuracy,
    /// F1 of class 1.
    F1,
}

/// Which position of the input is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token, which in a causal model has seen nothing but itself: the official default.
    First,
    /// The last token that is not padding, which has seen the whole input.
    Last,
}

/// The hyperparameters that a task may want of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Rows per optimiser step.
    pub batch_size: u32,
    /// Passes over the training rows.
    pub epochs: u32,
}

impl Hyperparameters {
    /// Optimiser steps of an epoch over so many rows: whole batches only.
    pub fn steps_per_epoch(&self, rows: u64) -> u64 {
        rows / u64::from(self.batch_size.max(1))
    }

    /// The official optimisation over so many rows: AdamW on every weight, 6 % warm-up rounded down, cosine to a tenth.
    pub fn training(&self, rows: u64, precision: Precision) -> Training {
        let total = self.steps_per_epoch(rows) * u64::from(self.epochs);
        Training {
            length: Length::Steps(total),
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            schedule: Schedule::Cosine,
            warmup: Warmup::Steps((0.06 * total as f64) as u64),
            min_learning_rate_ratio: 0.1,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
            clip_norm: None,
            validation: None,
            label_smoothing: 0.0,
            precision,
        }
    }
}

/// Which epoch's predictions are scored, of which hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The epoch that is best on the very rows that are scored: the official way, optimistic by design.
    Test(Hyperparameters),
    /// The last epoch.
    LastEpoch(Hyperparameters),
    /// Each half of the rows by the epoch (and hyperparameters, where there are several) that is best on the other half.
    HeldOut(Vec<Hyperparameters>),
}

impl Selection {
    /// All that is trained with, in order.
    pub fn candidates(&self) -> &[Hyperparameters] {
        match self {
            Selection::Test(one) | Selection::LastEpoch(one) => std::slice::from_ref(one),
            Selection::HeldOut(many) => many,
        }
    }
}

/// Everything about a fine-tuning but model, data and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneRecipe {
    /// What the classifier sees.
    pub pooling: Pooling,
    /// What is scored.
    pub selection: Selection,
    /// Longest input in tokens; a model with fewer positions cuts at these.
    pub max_length: u32,
    /// Factor of every gradient: the official accumulation adds up the mean losses of the parts of a batch.
    pub gradient_scale: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Whether the weights that the scores come from stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the official script: training rows, steps, warm-up steps.
    #[test]
    fn steps_and_warm_up_are_the_official_ones() {
        let known = [
            (GlueTask::Boolq, 9_427, 5_890, 353),
            (GlueTask::Multirc, 10_000, 6_250, 375),
            (GlueTask::Rte, 2_490, 770, 46),
            (GlueTask::Wsc, 554, 510, 30),
            (GlueTask::Mrpc, 3_668, 1_140, 68),
            (GlueTask::Qqp, 10_000, 3_120, 187),
            (GlueTask::Mnli, 10_000, 3_120, 187),
        ];
        assert_eq!(known.len(), GlueTask::ALL.len());
        for (task, rows, steps, warmup) in known {
            let training = task.official().training(rows, Precision::F32);
            assert_eq!(training.length, Length::Steps(steps), "{task}");
            assert_eq!(training.warmup_steps(steps), warmup, "{task}");
        }
    }

    /// Zero at the first step, the peak after the warm-up, a tenth of it in the end.
    #[test]
    fn the_rate_rises_from_zero_and_ends_at_a_tenth() {
        let training = GlueTask::Rte.official().training(2_490, Precision::F32);
        let rate = |step| training.learning_rate_at(step, 770);
        assert_eq!((rate(0), rate(46)), (0.0, 3e-5));
        assert!((rate(23) - 1.5e-5).abs() < 1e-12);
        // Half way down: 0.1 + 0.9 / 2.
        assert!((rate(46 + 362) - 3e-5 * 0.55).abs() < 1e-12);
        assert!((rate(770) - 3e-6).abs() < 1e-12);
    }
}
