//! What training minimises, one file for each objective. [`Objective`] says what an objective provides; the training loop
//! is [`crate::ml::training::Trainer`].

mod classification;
mod language_modeling;
mod objective;

pub use classification::{Classification, LabelledSequence};
pub use language_modeling::{LanguageModeling, TrainingSequence};
pub use objective::{BatchLimits, LossSum, MicroBatch, Objective, Purpose};
