//! Reasons why evaluation files cannot be read.

use thiserror::Error;

use crate::domain::{NotText, brief, counted};

/// A reason why the files of a suite cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SuiteError {
    /// A row does not have the suite's format.
    #[error("{file}:{line}: {}", brief(reason))]
    Row {
        /// The name of the file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, naming the field or column.
        reason: String,
    },
    /// A file is not a text in UTF-8.
    #[error("{file}: {problem}")]
    NotText {
        /// The name of the file.
        file: String,
        /// What it is instead, and the remedy.
        problem: NotText,
    },
    /// Two files have the same name, so that their rows would be mixed in one subtask.
    #[error("two files are named {file}; keep only one of them")]
    DuplicateFile {
        /// The name of both files.
        file: String,
    },
    /// None of the files holds an item of the suite.
    #[error(
        "found no items of {suite} in {}: there is no {wanted} file with rows; check that this is the right folder",
        counted(*files as u64, "file")
    )]
    NoItems {
        /// The name of the suite or task.
        suite: &'static str,
        /// How many files were given.
        files: usize,
        /// The file, or the extension of the files, that the suite reads.
        wanted: &'static str,
    },
    /// A rule of the mode leaves out every row.
    #[error(
        "the rule `{rule}` leaves out every row of {suite} ({}); set another one under `mode`, or check that these are \
         the right files",
        counted(*rows as u64, "row")
    )]
    AllLeftOut {
        /// The name of the suite.
        suite: &'static str,
        /// How many rows the files have.
        rows: usize,
        /// The switch of the mode, with its value.
        rule: String,
    },
    /// A file has no rows, such as after an interrupted download.
    #[error(
        "{file} has no rows, and without this subtask the suite's mean would be a different number; download the file again, or remove it"
    )]
    NoRows {
        /// The name of the file.
        file: String,
    },
    /// The suite stands for a format of test sets, which have no folder.
    #[error("{suite} is the format of a test set of your own, which is defined under `suites` in a spec")]
    OwnTestSet {
        /// The name of the suite.
        suite: &'static str,
    },
    /// The suite is not scored by an eval job.
    #[error("{suite} is scored after fine-tuning, not by an eval job")]
    Finetuned {
        /// The name of the suite.
        suite: &'static str,
    },
}
