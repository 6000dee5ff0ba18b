//! The examples of each optimizer step.

use crate::ml::error::Error;

/// The examples of one optimizer step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<E> {
    /// The examples.
    pub examples: Vec<E>,
    /// The number of whitespace-separated words in them, for the word count of the training; 0 where it is not known.
    pub words: u64,
}

/// The data of a training, as a pure function of the step.
pub trait Batches<E>: Send + Sync {
    /// The batch of a step, from 0. Equal steps give equal batches, in this process and in any other.
    ///
    /// # Errors
    /// If the examples cannot be read.
    fn batch(&self, step: u64) -> Result<Batch<E>, Error>;

    /// Where the examples of a step are in their files, for error messages.
    fn places(&self, step: u64) -> String;
}
