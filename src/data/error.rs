//! Errors of this package.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Digest, NotText, WorldPart, brief};

use super::download::FetchError;

/// An error in data or their files. Messages name the file and a remedy, and continue "failed to".
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A source has no files.
    #[error("find data: nothing at {location}; check the path, or fetch the data first")]
    Missing {
        /// The location in the spec.
        location: String,
    },
    /// Remote data could not be fetched, or differ from the expected data.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The API key of a service is missing.
    #[error("send a request to the service: it requires a key, but the environment variable {variable} is not set")]
    NoKey {
        /// The environment variable.
        variable: String,
    },
    /// Answers of a teacher are missing, and no request may be sent.
    #[error(
        "ask the teacher: {missing} of {of} answers are not in {}, and grid is offline; run it with a network first",
        folder.display()
    )]
    NoAnswers {
        /// The number of replies without an answer.
        missing: usize,
        /// The number of all replies.
        of: usize,
        /// The folder with the answers.
        folder: PathBuf,
    },
    /// A folder where files are expected.
    #[error("read {}: it is a folder; name its files with a pattern such as {}", path.display(), path.join("*").display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// An invalid glob pattern.
    #[error("parse the file pattern '{}': {reason}; enclose literal brackets and stars in [ ]", brief(pattern))]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: String,
    },
    /// An operation on a file failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// The operation: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file that another program is writing.
    #[error("read {}: it changes while it is read; wait until it is complete, and run the command again", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A file that was changed after the plan was made.
    #[error("use {}: it has changed since the plan was made, from the digest {planned} to {found}; run `grid run` again", path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
        /// The digest of the content that the plan was made for.
        planned: Digest,
        /// The digest of the content that was read.
        found: Digest,
    },
    /// A file that is not a text in UTF-8.
    #[error("read {}: {problem}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is instead, and the remedy.
        problem: NotText,
    },
    /// A line or row that does not follow its format.
    #[error("read {}: line {line}: {}; expected {expected}", path.display(), brief(problem))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The problem.
        problem: String,
        /// The expected format.
        expected: String,
    },
    /// An archive of evaluation files that cannot be read.
    #[error("read {}: {}; download it again, or unpack it into this folder", path.display(), brief(reason))]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A part of the toy world that cannot be used in this place.
    #[error("use the part '{part}' of the toy world as {wanted}; choose one of {choices}")]
    WrongPart {
        /// The requested part.
        part: WorldPart,
        /// The intended use.
        wanted: &'static str,
        /// The parts for this use.
        choices: &'static str,
    },
    /// A tokenizer that cannot be trained, read, written or applied.
    #[error("{action}: {}", brief(reason))]
    Tokenizer {
        /// The operation, including the file if there is one.
        action: String,
        /// The reason.
        reason: String,
    },
    /// A record, or a chat template, that cannot be used.
    #[error("format {}: {}", record.map_or("the records".to_owned(), |number| format!("record {number} of the dataset")), brief(reason))]
    Unformattable {
        /// The number of the record, from 1 and without those that have no text to train on; `None` if it concerns all.
        record: Option<usize>,
        /// The reason.
        reason: String,
    },
    /// An imported model that cannot be used.
    #[error("use the model {}: {}", path.display(), brief(problem))]
    Model {
        /// The model folder, or a file in it.
        path: PathBuf,
        /// The problem and the remedy.
        problem: String,
    },
    /// A new folder that exists and is not empty.
    #[error("write to {}: the folder is not empty; name a new folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A new file that exists already.
    #[error("write {}: the file exists already; name a new file, or remove it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A table file with an unknown extension.
    #[error("write {}: unknown table format; use the extension .csv or .parquet", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
    },
    /// A token file that does not match its ledger.
    #[error("open {}: {}; delete its folder and run again to prepare the data again", path.display(), brief(problem))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
}

impl DataError {
    /// Adds the number of the record that cannot be formatted.
    pub(super) fn of_record(self, number: usize) -> Self {
        match self {
            DataError::Unformattable { record: None, reason } => {
                DataError::Unformattable { record: Some(number), reason }
            }
            other => other,
        }
    }

    /// Adds the file to a reason why it is not text; for `map_err`.
    pub(super) fn not_text(path: &Path) -> impl FnOnce(NotText) -> Self {
        let path = path.to_owned();
        move |problem| DataError::NotText { path, problem }
    }

    /// Adds the operation and the file to an I/O error; for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| DataError::Io { action, path, source }
    }
}
