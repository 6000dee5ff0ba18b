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
        if !folder.join("runs.db").is_file() {
            return Err(StoreError::Absent { folder: folder.to_owned() });
        }
        match Self::open_with(runs_dir, database_dir, BUSY_TIMEOUT).await {
            Err(error) if error.is_unwritable() => Self::open_read_only(runs_dir, database_dir).await,
            opened => opened,
        }
    }

    /// Opens `runs.db` for reading only, such as that of another user or in an archive.
    pub(crate) async fn open_read_only(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        let roots = resolve(runs_dir)?;
        let [named, resolved] = resolve(database_dir.unwrap_or(runs_dir))?;
        // Readers share the -wal and -shm files with a writer, and cannot create them here. Where no writer left a
        // non-empty -wal, they are not needed.
        let alone = std::fs::metadata(resolved.join("runs.db-wal")).map_or(true, |about| about.len() == 0);
        let options = SqliteConnectOptions::new()
            .filename(resolved.join("runs.db"))
            .read_only(true)
            .immutable(alone)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let pool = || SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let opened = pool().connect_with(options.clone()).await?;
        let store = Self { pool: opened, roots, path: named.join("runs.db"), writable: false };
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
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
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
        let store = Self { pool, roots, path: named.join("runs.db"), writable: true };
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

    /// A path as the tables store it: relative to the folder of runs if it lies inside, so that the folder can be moved.
    pub(super) fn relative(&self, path: &Path) -> Result<String, StoreError> {
        let inner = self.roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        utf8(inner).map(str::to_owned)
    }

    /// The absolute path of a stored path: the inverse of [`Self::relative`].
    pub(super) fn absolute(&self, stored: &str) -> PathBuf {
        self.roots[0].join(stored)
    }
}

/// The absolute path of a folder: as it is named, and without symbolic links.
fn resolve(folder: &Path) -> Result<[PathBuf; 2], StoreError> {
    let folder_error = |source| StoreError::Folder { path: folder.to_owned(), source };
    let named = std::path::absolute(folder).map_err(folder_error)?;
    Ok([named, folder.canonicalize().map_err(folder_error)?])
}

/// A path as text.
pub(super) fn utf8(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| StoreError::NotUtf8(path.to_owned()))
}
