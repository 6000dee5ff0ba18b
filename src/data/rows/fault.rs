//! What is wrong with a row.

use std::path::Path;

use super::super::error::DataError;

/// An error in a row, before the file and the expected format are added.
pub(in super::super) struct Fault {
    /// The line, or the row of a Parquet file, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

impl Fault {
    /// Adds the file and the expected format.
    pub(in super::super) fn expecting(self, path: &Path, expected: impl Into<String>) -> DataError {
        DataError::Malformed {
            path: path.to_owned(),
            line: self.line,
            problem: self.problem,
            expected: expected.into(),
        }
    }
}
