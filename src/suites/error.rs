//! What can be wrong with evaluation files.

use thiserror::Error;

/// A reason why evaluation files could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SuiteError {
    /// A row is not as its format says.
    #[error("{file}:{line}: {reason}")]
    Row {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, naming the field.
        reason: String,
    },
    /// Two files have one name and would be mixed into one subtask.
    #[error("two files are named {file}; keep one of them")]
    TwoFiles {
        /// File name.
        file: String,
    },
    /// The files hold no item of the suite.
    #[error(
        "no {suite} item found: none of the {files} files is a {extension} file with rows; is it the right folder?"
    )]
    NoItems {
        /// Suite name.
        suite: &'static str,
        /// How many files were given.
        files: usize,
        /// What the suite reads.
        extension: &'static str,
    },
    /// A file of the suite holds no row, as one whose download broke off.
    #[error("{file} holds no row; a mean without its subtask would not be the suite's: fetch it again, or remove it")]
    NoRows {
        /// File name.
        file: String,
    },
    /// The suite is not scored by the model alone.
    #[error("{suite} is scored after fine-tuning, not by an eval job")]
    Finetuned {
        /// Suite name.
        suite: &'static str,
    },
}
