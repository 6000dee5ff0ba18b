//! Exit codes, and errors on their way to the user.

use std::fmt;
use std::process::ExitCode;

use crate::store::StoreError;

/// How `grid` ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// Wrong usage, a wrong spec, or one that names files that are not there.
    Usage = 1,
    /// Some jobs failed.
    JobsFailed = 2,
    /// Interrupted; can be resumed.
    Interrupted = 3,
    /// Nothing matches the name given, or there is nothing to show yet.
    NothingMatches = 4,
    /// The disk, a device, or data.
    Environment = 6,
    /// The database is locked, or newer than this program.
    Database = 7,
    /// A check found what must not be.
    CheckFailed = 8,
}

/// The table behind `grid help exit-codes`.
pub const EXIT_CODES: &str = "\
0  done
1  usage or spec error; files that the spec names are not there
2  some jobs failed; the others are done
3  interrupted; `grid resume` goes on
4  nothing matches the name given, or there is nothing to show yet
6  environment: disk, device, data that cannot be had or have changed
7  runs folder or database locked by another grid, or made by a newer one
8  a check failed
";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to print on stderr, complete.
    pub message: String,
}

impl Failure {
    /// An error that prints as `grid: ` and its chain of causes.
    pub fn new(exit: Exit, error: impl std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message.push_str(&format!(": {cause_text}"));
            }
            source = cause.source();
        }
        Self { exit, message: format!("grid: failed to {message}") }
    }

    /// An error made of text.
    pub fn text(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

/// An error of the database, with its exit code.
pub fn store_failure(error: StoreError) -> Failure {
    let exit = match &error {
        StoreError::Newer { .. } | StoreError::Foreign { .. } | StoreError::Locked(_) => Exit::Database,
        StoreError::UnknownExperiment { .. } | StoreError::Absent { .. } => Exit::NothingMatches,
        _ => Exit::Environment,
    };
    Failure::new(exit, error)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
