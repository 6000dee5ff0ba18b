//! What can go wrong with the database.

use std::path::PathBuf;

use crate::domain::JobId;

/// Why the database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer grid has changed the layout of the database.
    #[error(
        "open {}: it was written by a newer grid (layout {found}, this one knows up to {known}); update grid, or name another folder with --runs-dir",
        .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its newest migration.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// Another build of grid has made the database in another way.
    #[error(
        "open {}: its layout {version} is not that of any released grid; name another folder with --runs-dir",
        .path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The migration that differs.
        version: i64,
    },
    /// Another program is writing.
    #[error("use the database: another program has kept it locked; wait for it to end, then try again")]
    Locked(#[source] sqlx::Error),
    /// SQLite cannot keep its promises here.
    #[error(
        "open a database in {}: it is on {filesystem}, a network filesystem, where SQLite loses data; name a folder on a local disk for the database with --database-dir, or for all with --runs-dir",
        .folder.display()
    )]
    Network {
        /// The folder.
        folder: PathBuf,
        /// Name of the filesystem.
        filesystem: String,
    },
    /// Nothing has run here.
    #[error(
        "find {}/runs.db: nothing has run here yet; start with `grid run SPEC`, or name another folder with --runs-dir",
        .folder.display()
    )]
    Absent {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be made or looked at.
    #[error("use the folder {}: {source}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No such experiment.
    #[error("find the experiment '{name}' in the database; it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownExperiment {
        /// What was asked for.
        name: String,
        /// The experiments there are, newest first.
        known: Vec<String>,
    },
    /// There is no experiment at all.
    #[error("find an experiment: the database has none; start with `grid run SPEC`")]
    NoExperiment,
    /// A path that a database cannot hold.
    #[error("record the path {}: it is not valid UTF-8; rename the folder", .0.display())]
    NotUtf8(PathBuf),
    /// A row that this program did not write.
    #[error("read the database: the column {column} has '{value}', which is not one of its words")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// What happened to a job could not be written down.
    #[error("record what happened to job {}: {source}", .job.short())]
    Record {
        /// The job.
        job: JobId,
        /// Why.
        source: Box<StoreError>,
    },
    /// It is not what was written there.
    #[error(
        "read runs.db: it is damaged ({0}); move it, and the -wal and -shm beside it, away: `grid run SPEC` then makes a \
         new one from the folders of the jobs"
    )]
    Damaged(#[source] sqlx::Error),
    /// SQLite says no.
    #[error("use the database: {0}")]
    Database(#[source] sqlx::Error),
}

/// SQLite's primary result codes: somebody else has the lock; nothing can be written; the file is not what it should be.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READ_ONLY: u32 = 8;
const CORRUPT: u32 = 11;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

impl StoreError {
    /// Whether the database, or its folder, cannot be written.
    pub(super) fn is_unwritable(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(code(error), Some(READ_ONLY | CANNOT_OPEN)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match code(&error) {
            Some(BUSY | LOCKED) => Self::Locked(error),
            Some(CORRUPT | NOT_A_DATABASE) => Self::Damaged(error),
            _ => Self::Database(error),
        }
    }
}
