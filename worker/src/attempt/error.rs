//! Why a job ended without a result.

use std::io;

use grid::domain::{FailureKind, JobId};

/// Why a job ended without a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    /// It was asked to stop, and has saved its state.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Optimizer steps saved; 0 for a job without a state to save.
        step: u64,
    },
    /// A file of a parent is not the one that the parent left.
    #[error("{message}")]
    DamagedInput {
        /// The parent.
        parent: JobId,
        /// The file and both digests, for people.
        message: String,
    },
    /// It failed.
    #[error("{message}")]
    Failed {
        /// The kind of failure, which decides whether another attempt is made.
        failure: FailureKind,
        /// The reason, for people.
        message: String,
    },
}

impl JobError {
    /// A failure of the job itself.
    pub fn failed(reason: impl ToString) -> Self {
        Self::Failed { failure: FailureKind::Job, message: reason.to_string() }
    }

    /// A lack of memory.
    pub fn out_of_memory(reason: impl ToString) -> Self {
        Self::Failed { failure: FailureKind::OutOfMemory, message: reason.to_string() }
    }

    /// A number that must be finite and is not.
    pub fn non_finite(reason: impl ToString) -> Self {
        Self::Failed { failure: FailureKind::NonFinite, message: reason.to_string() }
    }

    /// A panic with this message. A panic carries no other information than its text, in which libtorch and C++ report a
    /// lack of memory.
    pub(super) fn panicked(text: &str) -> Self {
        let signs = ["out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc"];
        let lower = text.to_lowercase();
        let message = format!("panicked: {text}");
        match signs.iter().any(|sign| lower.contains(sign)) {
            true => Self::out_of_memory(message),
            false => Self::failed(message),
        }
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::OutOfMemory => Self::out_of_memory(error),
            _ => Self::failed(error),
        }
    }
}
