//! The errors of the database.

use std::path::PathBuf;

use crate::domain::JobId;

/// Why the database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database has the layout of a newer grid.
    #[error(
        "open {}: it was written by a newer grid (its layout is {found}, the newest that this grid knows is {known}); update grid, or choose another folder with --runs-dir",
        .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The number of its newest migration.
        found: i64,
        /// The number of the newest migration of this program.
        known: i64,
    },
    /// A migration of the database differs from the migration of this program with the same number.
    #[error(
        "open {}: its layout {version} is not the layout of any released grid; choose another folder with --runs-dir",
        .path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The number of the migration that differs.
        version: i64,
    },
    /// Another program held the lock for too long.
    #[error("use the database: it is locked by another program; wait for that program to finish, then try again")]
    Locked(#[source] sqlx::Error),
    /// Another file took the place of the database while it was open.
    #[error(
        "write {}: another file took its place during the run; nothing is lost, `grid resume` records in the new file what \
         the jobs did", .path.display()
    )]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// The folder is on a network filesystem, where SQLite is not safe.
    #[error(
        "open a database in {}: the folder is on {filesystem}, a network filesystem, where SQLite loses data; choose a folder on a local disk, with --database-dir for the database alone or with --runs-dir for everything",
        .folder.display()
    )]
    Network {
        /// The folder.
        folder: PathBuf,
        /// The name of the filesystem.
        filesystem: String,
    },
    /// The folder has no database.
    #[error(
        "find {}/runs.db: nothing has run here yet; start with `grid run SPEC`, or choose another folder with --runs-dir",
        .folder.display()
    )]
    Absent {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder cannot be created or resolved, or a file in it cannot be read or written.
    #[error("use {}: {source}", .path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// There is no experiment of this name.
    #[error("find the experiment '{name}' in the database; known experiments: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownExperiment {
        /// The name that was asked for.
        name: String,
        /// The names of the experiments, the most recently run first.
        known: Vec<String>,
    },
    /// The database has no experiment.
    #[error("find an experiment: the database does not contain any; start with `grid run SPEC`")]
    NoExperiment,
    /// A path cannot be stored as text.
    #[error("record the path {}: it is not valid UTF-8; rename the folder", .0.display())]
    NotUtf8(PathBuf),
    /// A column has a value that this program does not know.
    #[error("read the database: the column {column} has the unknown value '{value}'")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// Its value.
        value: String,
    },
    /// A path that is not inside the folder of runs.
    #[error(
        "use the path {} in runs.db: it leads out of the runs folder {}, in which all results must be without symbolic links that lead elsewhere; if the whole folder should be elsewhere, move it and name it with --runs-dir",
        .path.display(), .runs.display()
    )]
    Outside {
        /// The path.
        path: PathBuf,
        /// The folder of runs.
        runs: PathBuf,
    },
    /// A folder to be removed that is not that of the job or attempt of its row.
    #[error("remove {} for the job {}: this is not how the folders of its attempts are named; correct or delete the row in runs.db", .path.display(), .job)]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// The id of the job.
        job: String,
    },
    /// An update of a job could not be recorded.
    #[error("record what happened to job {}: {source}", .job.short())]
    Record {
        /// The job.
        job: JobId,
        /// The reason.
        source: Box<StoreError>,
    },
    /// The database file is damaged.
    #[error(
        "read runs.db: it is damaged ({0}); move it away together with the -wal and -shm files beside it, and \
         `grid run SPEC` will create a new database from the folders of the jobs"
    )]
    Damaged(#[source] sqlx::Error),
    /// Any other error of SQLite.
    #[error("use the database: {0}")]
    Database(#[source] sqlx::Error),
}

/// Primary result codes of SQLite, <https://www.sqlite.org/rescode.html>.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READ_ONLY: u32 = 8;
const CORRUPT: u32 = 11;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// The primary result code of SQLite.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

impl StoreError {
    /// Whether another program holds the lock.
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Locked(_) => true,
            Self::Record { source, .. } => source.is_locked(),
            _ => false,
        }
    }

    /// Whether the database or its folder cannot be written.
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
