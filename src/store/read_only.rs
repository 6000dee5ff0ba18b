//! Databases that this user may only read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::SqliteConnectOptions;

use super::error::StoreError;

/// Whether this user may write the database in a folder, and the files that SQLite keeps beside it.
pub(super) fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    let files = ["runs.db", "runs.db-wal", "runs.db-shm"].map(|name| folder.join(name));
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && files.iter().all(|file| !file.exists() || access(file, Access::WRITE_OK).is_ok())
}

/// How a database is read in whose folder nothing may be written.
pub(super) enum ReadOnlySource {
    /// Together with a writer, whose -wal and -shm files exist.
    Shared,
    /// The database file alone has all content.
    Alone,
    /// In a copy. A writer that died left the newest changes in the -wal file, which cannot be read without a -shm file.
    Copy(Snapshot),
}

impl ReadOnlySource {
    /// Finds out how to read the database in this folder.
    pub(super) fn of(folder: &Path) -> Result<Self, StoreError> {
        let wal = std::fs::metadata(folder.join("runs.db-wal"));
        match (wal, folder.join("runs.db-shm").exists()) {
            (Ok(_), true) => Ok(Self::Shared),
            (Ok(wal), false) if wal.len() > 0 => Snapshot::of(folder).map(Self::Copy),
            (Ok(_) | Err(_), _) => Ok(Self::Alone),
        }
    }

    /// The options of a connection.
    pub(super) fn options(&self, folder: &Path) -> SqliteConnectOptions {
        let options = |folder: &Path| SqliteConnectOptions::new().filename(folder.join("runs.db"));
        match self {
            Self::Shared => options(folder).read_only(true),
            Self::Alone => options(folder).read_only(true).immutable(true),
            Self::Copy(copy) => options(&copy.folder),
        }
    }
}

/// A copy of a database, which is removed when this is dropped.
pub(super) struct Snapshot {
    folder: PathBuf,
}

impl Snapshot {
    /// Copies the database in this folder into a new temporary folder.
    fn of(folder: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::DirBuilderExt;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let copy = Self { folder: std::env::temp_dir().join(format!("grid-{}-{number}", std::process::id())) };
        let error = |path: PathBuf| move |source| StoreError::Folder { path, source };
        std::fs::DirBuilder::new().mode(0o700).create(&copy.folder).map_err(error(copy.folder.clone()))?;
        for name in ["runs.db", "runs.db-wal"] {
            let read = std::fs::read(folder.join(name)).map_err(error(folder.join(name)))?;
            std::fs::write(copy.folder.join(name), read).map_err(error(copy.folder.join(name)))?;
        }
        Ok(copy)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What is left in the folder of temporary files is harmless.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
