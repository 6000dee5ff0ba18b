//! Errors on their way to the user, with the exit codes that they lead to.

use std::fmt;
use std::process::ExitCode;

use crate::data::DataError;
use crate::runner::RunError;
use crate::spec::Problems;
use crate::store::StoreError;

/// How `grid` ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// A usage error, or an error in a spec, which includes missing files that it names.
    Usage = 1,
    /// Some jobs failed.
    JobsFailed = 2,
    /// Interrupted; the experiment can be resumed.
    Interrupted = 3,
    /// Nothing matches the given name, or there is nothing to show yet.
    NothingMatches = 4,
    /// A problem with the disk, a device, or data.
    Environment = 6,
    /// The database is locked, or was written by a newer version.
    Database = 7,
    /// A check failed.
    CheckFailed = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The complete text for standard error, in its plain form.
    pub message: String,
    /// The problems of a spec, which a terminal shows with excerpts of the file instead of `message`.
    pub problems: Option<Problems>,
}

impl Failure {
    /// An error that prints as `grid: failed to` and its chain of causes.
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
        Self::text(exit, format!("grid: failed to {message}"))
    }

    /// An error with this complete text.
    pub fn text(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), problems: None }
    }

    /// An error of the operating system about a path.
    pub fn path(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::text(Exit::Environment, format!("grid: {}: {error}", path.display()))
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self { exit: Exit::Usage, message: problems.to_string(), problems: Some(problems) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(exit_of(&error), error)
    }
}

fn exit_of(error: &StoreError) -> Exit {
    match error {
        StoreError::Newer { .. } | StoreError::Foreign { .. } | StoreError::Locked(_) => Exit::Database,
        StoreError::UnknownExperiment { .. } | StoreError::Absent { .. } => Exit::NothingMatches,
        StoreError::Record { source, .. } => exit_of(source),
        _ => Exit::Environment,
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Locked { .. } => Exit::Database,
            RunError::Record(source) => source.downcast_ref().map_or(Exit::Environment, exit_of),
            _ => Exit::Environment,
        };
        Self::new(exit, error)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::new(Exit::Environment, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
