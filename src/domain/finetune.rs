//! The tasks of the suite `glue`, and how models are fine-tuned on them.

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
    /// Whether the answer to the question about the passage is yes.
    Boolq,
    /// Whether the premise entails the hypothesis, contradicts it, or neither.
    Mnli,
    /// Whether two sentences are paraphrases.
    Mrpc,
    /// Whether this is a correct answer to a question about the paragraph.
    Multirc,
    /// Whether two questions are equivalent.
    Qqp,
    /// Whether the first sentence entails the second.
    Rte,
    /// Whether the pronoun refers to the noun.
    Wsc,
}

impl GlueTask {
    /// All tasks, in alphabetical order.
    pub const ALL: [GlueTask; GlueTask::COUNT] = all(GlueTask::VARIANTS);

    /// The tasks for which the toy world has files.
    pub const IN_WORLD: [GlueTask; 2] = [GlueTask::Rte, GlueTask::Wsc];

    /// The name used in specs, tables, file names and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The name of the file with the training rows.
    pub fn train_file(self) -> String {
        format!("{self}.train.jsonl")
    }

    /// The name of the file with the rows to predict.
    pub fn valid_file(self) -> String {
        format!("{self}.valid.jsonl")
    }

    /// The number of classes; labels are `0..classes`.
    pub fn classes(self) -> u32 {
        match self {
            GlueTask::Mnli => 3,
            _ => 2,
        }
    }

    /// The metric by which the best epoch is selected.
    pub fn criterion(self) -> Criterion {
        match self {
            GlueTask::Mrpc | GlueTask::Qqp => Criterion::F1,
            _ => Criterion::Accuracy,
        }
    }

    /// The hyperparameters of the official script.
    pub fn official(self) -> Hyperparameters {
        let batch_size = if matches!(self, GlueTask::Boolq | GlueTask::Multirc) { 16 } else { 32 };
        let epochs = if self == GlueTask::Wsc { 30 } else { 10 };
        Hyperparameters { learning_rate: 3e-5, batch_size, epochs }
    }
}

/// The metric by which the best epoch is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// The share of correct predictions.
    Accuracy,
    /// F1 of class 1.
    F1,
}

/// The position of the input whose hidden state is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token, which in a causal model attends only to itself: the official default.
    First,
    /// The last token that is not padding, which attends to the whole input.
    Last,
    /// The last token of inputs that are padded on the left to the longest one of their batch: the official pipeline of
    /// 2026. Only models that [count the padding](super::arch::Arch::counts_left_padding) differ from [`Pooling::Last`].
    LastLeft,
}

/// Dropout inside the body of a classifier while it is fine-tuned. The head has its own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyDropout {
    /// Nothing is dropped.
    #[default]
    None,
    /// What the `config.json` of the model says: the official recipe.
    Model,
    /// This share in place of every probability of the `config.json`.
    Share(f64),
}

impl BodyDropout {
    /// Whether this is the default, which is not part of a job's identity.
    pub fn is_none(&self) -> bool {
        *self == BodyDropout::None
    }
}

/// The hyperparameters that may differ between tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Rows per optimizer step.
    pub batch_size: u32,
    /// The number of passes over the training rows.
    pub epochs: u32,
}

impl Hyperparameters {
    /// Optimizer steps per epoch over this number of rows; the last, incomplete batch is dropped.
    pub fn steps_per_epoch(&self, rows: u64) -> u64 {
        rows / u64::from(self.batch_size.max(1))
    }

    /// The official optimization over this number of rows: AdamW on all weights, warm-up over 6% of the steps (rounded
    /// down), then a cosine decay to a tenth.
    pub fn training(&self, rows: u64, precision: Precision) -> Training {
        let total = self.steps_per_epoch(rows) * u64::from(self.epochs);
        Training {
            schedule: Schedule::Cosine,
            warmup: Warmup::Steps((0.06 * total as f64) as u64),
            min_learning_rate_ratio: 0.1,
            weight_decay: 0.01,
            precision,
            ..Training::plain(Length::Steps(total), self.batch_size, self.learning_rate)
        }
    }
}

/// The epoch and hyperparameters whose predictions are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The epoch that is best on the scored rows themselves: the official procedure, which is optimistically biased.
    Test(Hyperparameters),
    /// The last epoch.
    LastEpoch(Hyperparameters),
    /// For each half of the rows, the epoch (and hyperparameters, if there are several) that is best on the other half.
    HeldOut(Vec<Hyperparameters>),
}

impl Selection {
    /// The hyperparameters to train with, in order.
    pub fn candidates(&self) -> &[Hyperparameters] {
        match self {
            Selection::Test(one) | Selection::LastEpoch(one) => std::slice::from_ref(one),
            Selection::HeldOut(many) => many,
        }
    }
}

/// Everything about a fine-tuning except model, data and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneRecipe {
    /// The position that is classified.
    pub pooling: Pooling,
    /// The predictions that are scored.
    pub selection: Selection,
    /// The longest input in tokens, also limited by the positions of the model.
    pub max_length: u32,
    /// The factor of every gradient: the official gradient accumulation sums the mean losses of micro-batches instead of
    /// averaging them.
    pub gradient_scale: u32,
    /// The arithmetic of the forward and backward passes.
    pub precision: Precision,
    /// Dropout inside the body.
    #[serde(default, skip_serializing_if = "BodyDropout::is_none")]
    pub dropout: BodyDropout,
    /// Whether the fine-tuned weights are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the official script: training rows, steps, warm-up steps.
    #[test]
    fn steps_and_warm_up_match_the_official_script() {
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

    /// Zero at the first step, the peak after the warm-up, a tenth of the peak at the end.
    #[test]
    fn the_learning_rate_rises_from_zero_and_ends_at_a_tenth() {
        let training = GlueTask::Rte.official().training(2_490, Precision::F32);
        let rate = |step| training.learning_rate_at(step, 770);
        assert_eq!((rate(0), rate(46)), (0.0, 3e-5));
        assert!((rate(23) - 1.5e-5).abs() < 1e-12);
        // Halfway down: 0.1 + 0.9 / 2.
        assert!((rate(46 + 362) - 3e-5 * 0.55).abs() < 1e-12);
        assert!((rate(770) - 3e-6).abs() < 1e-12);
    }
}
