//! What can be wrong with text, tokenizers and token files.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::WorldPart;

use super::download::FetchError;

/// A fault in the data or in its files: where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A source without files.
    #[error("find data: nothing at {location}; check the path, or fetch the data first")]
    Missing {
        /// What the spec called it.
        location: String,
    },
    /// Data of another machine that did not come, or are not what they should be.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A service whose key is not there.
    #[error("ask the service: it wants a key, but the environment variable {variable} is not set")]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// A folder where files were meant.
    #[error("read {}: it is a folder; name its files with a pattern such as {}", path.display(), path.join("*").display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A path that is no valid pattern.
    #[error("understand the file pattern '{pattern}': {reason}; put literal brackets and stars in [ ]")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the pattern library says.
        reason: String,
    },
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Bytes that are not text.
    #[error("read {}: line {line} is not UTF-8 at its byte {byte}; convert the file, for example with iconv", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Byte within the line, from 1.
        byte: usize,
    },
    /// A line that does not follow its format.
    #[error("read {}: line {line}: {problem}; expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
        /// What the format asks for.
        expected: String,
    },
    /// An archive of evaluation files that cannot be read.
    #[error("read {}: {reason}; download it again, or unpack it in its place", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A part of the toy world that cannot be what it was asked to be.
    #[error("use the toy world's {part:?} as {wanted}; choose one of {choices}")]
    WrongPart {
        /// The part asked for.
        part: WorldPart,
        /// What was to be made of it.
        wanted: &'static str,
        /// The parts that would do.
        choices: &'static str,
    },
    /// A tokenizer that cannot be trained, read, written or applied.
    #[error("{action}: {reason}")]
    Tokenizer {
        /// What was being done, with the file where there is one.
        action: String,
        /// Why it failed.
        reason: String,
    },
    /// A folder of somebody else's model that cannot be used.
    #[error("use the model {}: {problem}", path.display())]
    Model {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A folder to be written that has something in it.
    #[error("write to {}: the folder is not empty; name a new folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file to be written that is there already.
    #[error("write {}: it is there already; name a new file, or remove it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A table of a kind that cannot be written.
    #[error("write {}: a table is a .csv or a .parquet file; let its name end in one of these", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
    },
    /// A token file that is not what its ledger says.
    #[error("open {}: {problem}; delete its folder and run again to prepare the data anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        problem: String,
    },
}

impl DataError {
    /// Says what was being done to which file when the operating system refused; for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| DataError::Io { action, path, source }
    }
}
