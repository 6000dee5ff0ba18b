//! What training minimizes, one file for each objective.
//!
//! To add an objective, write a file like `language_modeling.rs` that implements [`Objective`], and export it here. The
//! training loop, [`crate::ml::training::Trainer`], works with any objective. `jobs/tune.rs` chooses the objective of a
//! tuning.

mod classification;
mod distill;
mod dpo;
mod kto;
mod language_modeling;
mod objective;
mod orpo;
mod pair_loss;
mod preference;
mod replies;
mod simpo;

pub use classification::{Classification, ClassifierDropout, LabelledSequence};
pub use distill::Distillation;
pub use kto::{LabelledReplies, LabelledReply};
pub use language_modeling::{LanguageModeling, TrainingSequence};
pub use objective::{BatchLimits, LossSum, MetricSums, MicroBatch, Objective, Purpose, add_metrics, metric_means};
pub use preference::{PairObjective, Preference, PreferencePair};
pub use replies::{Reply, reply_logprobs};
