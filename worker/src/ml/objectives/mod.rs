//! What training minimizes, one file for each objective.
//!
//! To add an objective, write a file like `language_modeling.rs` that implements [`Objective`], and export it here. The
//! training loop, [`crate::ml::training::Trainer`], works with any objective. `jobs/training.rs` chooses the objective of a
//! job that trains a language model.

mod classification;
mod language_modeling;
mod objective;

pub use classification::{Classification, LabelledSequence};
pub use language_modeling::{LanguageModeling, TrainingSequence};
pub use objective::{BatchLimits, LossSum, MicroBatch, Objective, Purpose};
