//! Opening the database and upgrading its layout.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, FromRow, Sqlite, Transaction};

use super::error::StoreError;
use super::filesystem::network_filesystem;
use super::layout::{self, MIGRATOR};
use super::old_layout;
use super::read_only::{ReadOnlySource, is_writable};
use crate::domain::InnerPath;

/// How long to wait for the lock of another program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An open database.
///
/// It uses a single connection, so that a write never waits for a read of the same process; other processes may read
/// meanwhile.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
    /// The absolute path of the folder of runs: as it was named, and without symbolic links.
    roots: [PathBuf; 2],
    /// The database file.
    path: PathBuf,
    writable: bool,
    /// The device and inode of the database file when it was opened.
    file: Option<(u64, u64)>,
}

/// What is at the path of an open database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFile {
    /// The database that is open.
    Same,
    /// Nothing: it was deleted or moved away.
    Missing,
    /// Another file.
    Other,
}

/// The lock of a database for writing.
pub struct WriteLock<'a> {
    _transaction: Transaction<'a, Sqlite>,
}

impl Store {
    /// Opens `runs.db`, which records the results in `runs_dir` and lies in that folder or in `database_dir`. Missing
    /// folders and a missing database are created.
    pub async fn open(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        for path in [runs_dir].into_iter().chain(database_dir) {
            std::fs::create_dir_all(path).map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        }
        Self::open_with(runs_dir, database_dir, BUSY_TIMEOUT).await
    }

    /// Opens `runs.db`, which must exist. A database that cannot be written is opened for reading only.
    pub async fn open_existing(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        let folder = database_dir.unwrap_or(runs_dir);
        match std::fs::metadata(folder.join("runs.db")) {
            Ok(about) if about.is_file() => {}
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(StoreError::Folder { path: folder.to_owned(), source });
            }
            Ok(_) | Err(_) => return Err(StoreError::Absent { folder: folder.to_owned() }),
        }
        // SQLite would create files for a reader that its writer could not write.
        if !is_writable(folder) {
            return Self::open_read_only(runs_dir, database_dir).await;
        }
        match Self::open_with(runs_dir, database_dir, BUSY_TIMEOUT).await {
            Err(error) if error.is_unwritable() => Self::open_read_only(runs_dir, database_dir).await,
            opened => opened,
        }
    }

    /// Opens `runs.db` for reading only, such as that of another user or in an archive. Nothing is written to its folder.
    ///
    /// # Errors
    /// Files that cannot be read; those of [`Self::open_existing`].
    pub(crate) async fn open_read_only(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        let roots = resolve(runs_dir)?;
        let [named, resolved] = resolve(database_dir.unwrap_or(runs_dir))?;
        let unreadable = |source| StoreError::Folder { path: named.join("runs.db"), source };
        std::fs::File::open(resolved.join("runs.db")).map_err(unreadable)?;
        let source = ReadOnlySource::of(&resolved)?;
        let options = source.options(&resolved).busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        let pool = || {
            // One connection for good, which keeps the files of a snapshot open.
            let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
            pool.idle_timeout(None).max_lifetime(None)
        };
        let opened = pool().connect_with(options.clone()).await?;
        let file = identity(&resolved.join("runs.db"));
        let store = Self { pool: opened, roots, path: named.join("runs.db"), writable: false, file };
        if !store.needs_migration().await? {
            return Ok(store);
        }
        let statements: Arc<[String]> = {
            let mut connection = store.pool.acquire().await?;
            old_layout::temporary_views(&mut connection).await?.into()
        };
        store.pool.close().await;
        // Temporary views belong to a connection, and the pool replaces old connections.
        let pool = pool().after_connect(move |connection, _| {
            let statements = Arc::clone(&statements);
            Box::pin(async move {
                for statement in statements.iter() {
                    sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
        Ok(Self { pool: pool.connect_with(options).await?, ..store })
    }

    pub(super) async fn open_with(
        runs_dir: &Path,
        database_dir: Option<&Path>,
        busy_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let roots = resolve(runs_dir)?;
        let [named, resolved] = resolve(database_dir.unwrap_or(runs_dir))?;
        if let Some(filesystem) = network_filesystem(&resolved) {
            return Err(StoreError::Network { folder: named, filesystem });
        }
        // SQLite would create it with a mode that lets nobody else write, whatever the umask; its other files get the same.
        let created = std::fs::File::options().create(true).append(true).open(resolved.join("runs.db"));
        if let Err(source) = created
            && !resolved.join("runs.db").exists()
        {
            return Err(StoreError::Folder { path: named, source });
        }
        // With synchronous = FULL, a recorded submission survives a power cut, so that nothing is submitted twice.
        // Updates are recorded in batches, which limits the cost.
        let options = SqliteConnectOptions::new()
            .filename(resolved.join("runs.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(busy_timeout)
            .disable_statement_logging();
        // One connection for good: a new one would create a database that was deleted meanwhile, and it would be empty.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None);
        let deadline = Instant::now() + busy_timeout;
        let pool = loop {
            // The busy timeout does not apply while another program switches a new database to WAL.
            match pool.clone().connect_with(options.clone()).await.map_err(StoreError::from) {
                Err(StoreError::Locked(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => break opened?,
            }
        };
        let file = identity(&resolved.join("runs.db"));
        let store = Self { pool, roots, path: named.join("runs.db"), writable: true, file };
        if store.needs_migration().await? {
            store.migrate().await?;
        }
        Ok(store)
    }

    /// Closes the database. Dropping the store closes it too, but a little later.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// The path of the database file.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// What is at the path of the database now. While it is open, writing succeeds whatever became of the file.
    pub fn file(&self) -> DatabaseFile {
        match identity(&self.path) {
            None => DatabaseFile::Missing,
            found if found == self.file => DatabaseFile::Same,
            Some(_) => DatabaseFile::Other,
        }
    }

    /// Writes a database whose file was deleted to its path again, and opens it there.
    ///
    /// # Errors
    /// A folder that was deleted as well; a disk that cannot be written.
    pub async fn restore(&mut self) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let copy = folder.join(format!(".runs.db.{}", std::process::id()));
        let folder_error = |source| StoreError::Folder { path: folder.to_owned(), source };
        // An empty file, for the mode that SQLite would not give it.
        std::fs::File::create(&copy).map_err(folder_error)?;
        let written = sqlx::query("VACUUM INTO ?1").bind(utf8(&copy)?).execute(&self.pool).await;
        // This removes the -wal and -shm files of the deleted database, which must not meet the new one.
        self.pool.close().await;
        let published = written.map_err(StoreError::from).and_then(|_| {
            for name in ["runs.db-wal", "runs.db-shm"] {
                match std::fs::remove_file(folder.join(name)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(folder_error(error)),
                    _ => {}
                }
            }
            std::fs::File::open(&copy).and_then(|file| file.sync_all()).map_err(folder_error)?;
            std::fs::rename(&copy, &self.path).map_err(folder_error)
        });
        if published.is_err() {
            // The first error is the one that matters.
            let _ = std::fs::remove_file(&copy);
        }
        published?;
        *self = Self::open_with(&self.roots[0], Some(folder), BUSY_TIMEOUT).await?;
        Ok(())
    }

    /// Whether the database was opened for writing; see [`Self::open_existing`].
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether migrations are left to apply.
    ///
    /// # Errors
    /// [`StoreError::Newer`] and [`StoreError::Foreign`] if this program cannot use the layout.
    async fn needs_migration(&self) -> Result<bool, StoreError> {
        #[derive(FromRow)]
        struct Applied {
            version: i64,
            checksum: Vec<u8>,
        }
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&self.pool)
            .await?;
        if tables == 0 {
            return Ok(true);
        }
        let applied: Vec<Applied> = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&self.pool)
            .await?;
        let known = layout::newest();
        if let Some(newer) = applied.last().filter(|migration| migration.version > known) {
            return Err(StoreError::Newer { path: self.path(), found: newer.version, known });
        }
        for Applied { version, checksum } in &applied {
            if !MIGRATOR.iter().any(|m| m.version == *version && *m.checksum == **checksum) {
                return Err(StoreError::Foreign { path: self.path(), version: *version });
            }
        }
        Ok(applied.len() < MIGRATOR.iter().count())
    }

    /// Applies the missing migrations in one transaction, while other programs wait.
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        layout::migrate(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Begins a transaction that holds the write lock from the start.
    pub(super) async fn write(&self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Keeps every other program from writing until the lock is dropped; `grid verify chaos` checks what they say to that.
    ///
    /// # Errors
    /// Another program that writes for too long.
    pub async fn lock_for_writing(&self) -> Result<WriteLock<'_>, StoreError> {
        Ok(WriteLock { _transaction: self.write().await? })
    }

    /// A path as the tables store it: relative to the folder of runs, so that the folder can be moved.
    ///
    /// # Errors
    /// A path that is not inside the folder of runs.
    pub(super) fn relative(&self, path: &Path) -> Result<String, StoreError> {
        let inner = self.roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        let stored = utf8(inner)?;
        match stored.parse::<InnerPath>() {
            Ok(_) => Ok(stored.to_owned()),
            Err(_) => Err(self.outside(stored)),
        }
    }

    /// The absolute path of a stored path: the inverse of [`Self::relative`].
    ///
    /// # Errors
    /// A path that leads out of the folder of runs, also if a symbolic link does.
    pub(super) fn absolute(&self, stored: &str) -> Result<PathBuf, StoreError> {
        let inner: InnerPath = stored.parse().map_err(|_| self.outside(stored))?;
        let path = self.roots[0].join(&inner);
        // A folder that was removed would be where its nearest parent that exists is.
        let existing = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        let real = existing.and_then(|part| part.canonicalize().ok());
        match real.is_some_and(|real| real.starts_with(&self.roots[1])) {
            true => Ok(path),
            false => Err(self.outside(stored)),
        }
    }

    fn outside(&self, stored: &str) -> StoreError {
        StoreError::Outside { path: PathBuf::from(stored), runs: self.roots[0].clone() }
    }
}

/// The absolute path of a folder: as it is named, and without symbolic links.
fn resolve(folder: &Path) -> Result<[PathBuf; 2], StoreError> {
    let folder_error = |source| StoreError::Folder { path: folder.to_owned(), source };
    let named = std::path::absolute(folder).map_err(folder_error)?;
    Ok([named, folder.canonicalize().map_err(folder_error)?])
}

/// The device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// A path as text.
pub(super) fn utf8(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| StoreError::NotUtf8(path.to_owned()))
}
