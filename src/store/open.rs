//! Opening the database, and bringing its layout up to date.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Sqlite, Transaction};

use super::error::StoreError;
use super::filesystem::network_filesystem;

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// A folder, absolute: as it is named, and without symbolic links.
fn resolve(folder: &Path) -> Result<[PathBuf; 2], StoreError> {
    let folder_error = |source| StoreError::Folder { path: folder.to_owned(), source };
    let named = std::path::absolute(folder).map_err(folder_error)?;
    Ok([named, folder.canonicalize().map_err(folder_error)?])
}

/// How long to wait for another program's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database.
///
/// One connection, so that a write never waits for a read of the same process; other processes may read meanwhile.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
    /// The folder of results, absolute: as it was named, and without symbolic links.
    roots: [PathBuf; 2],
    /// The file.
    path: PathBuf,
    /// Whether anything can be written.
    writable: bool,
}

impl Store {
    /// Opens `runs.db`, which is about the results in `runs_dir` and lies there too, or in a folder of its own, making
    /// all where they are missing.
    pub async fn open(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        for path in [runs_dir].into_iter().chain(database_dir) {
            std::fs::create_dir_all(path).map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        }
        Self::open_with(runs_dir, database_dir, PATIENCE).await
    }

    /// Opens `runs.db` for a verb that needs something to have run before.
    pub async fn open_existing(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        let folder = database_dir.unwrap_or(runs_dir);
        if !folder.join("runs.db").is_file() {
            return Err(StoreError::Absent { folder: folder.to_owned() });
        }
        match Self::open_with(runs_dir, database_dir, PATIENCE).await {
            // Somebody else's results, or archived ones, can be read all the same.
            Err(error) if error.is_unwritable() => Self::open_to_read(runs_dir, database_dir).await,
            opened => opened,
        }
    }

    /// Opens `runs.db` where nothing can be written.
    pub(crate) async fn open_to_read(runs_dir: &Path, database_dir: Option<&Path>) -> Result<Self, StoreError> {
        let roots = resolve(runs_dir)?;
        let [named, resolved] = resolve(database_dir.unwrap_or(runs_dir))?;
        // The files beside it, which readers share with a writer, cannot be made here; but where no writer left any
        // there is nothing in them.
        let alone = std::fs::metadata(resolved.join("runs.db-wal")).map_or(true, |about| about.len() == 0);
        let options = SqliteConnectOptions::new()
            .filename(resolved.join("runs.db"))
            .read_only(true)
            .immutable(alone)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let pool = || SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let path = named.join("runs.db");
        let opened = pool().connect_with(options.clone()).await?;
        let store = Self { pool: opened, roots, path, writable: false };
        if !store.behind().await? {
            return Ok(store);
        }
        store.pool.close().await;
        // Of every connection, as the pool replaces old ones.
        let pool = pool().after_connect(|connection, _| {
            Box::pin(async move {
                for statement in stand_ins() {
                    sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
        Ok(Self { pool: pool.connect_with(options).await?, ..store })
    }

    pub(super) async fn open_with(
        runs_dir: &Path,
        database_dir: Option<&Path>,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let roots = resolve(runs_dir)?;
        let [named, resolved] = resolve(database_dir.unwrap_or(runs_dir))?;
        if let Some(filesystem) = network_filesystem(&resolved) {
            return Err(StoreError::Network { folder: named, filesystem });
        }
        // synchronous = FULL: a submission that is on record stays on record after a power cut, so that nothing
        // is submitted twice. JobUpdate are recorded in batches, which pays for it.
        let options = SqliteConnectOptions::new()
            .filename(resolved.join("runs.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(patience)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let deadline = Instant::now() + patience;
        let pool = loop {
            // SQLite does not wait for the lock under which another program switches a new database to WAL.
            match pool.clone().connect_with(options.clone()).await.map_err(StoreError::from) {
                Err(StoreError::Locked(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => break opened?,
            }
        };
        let store = Self { pool, roots, path: named.join("runs.db"), writable: true };
        if store.behind().await? {
            store.migrate().await?;
        }
        Ok(store)
    }

    /// Closes the database; dropping it does so too, a little later.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// The database file.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Whether anything can be written: false for somebody else's database, or one in an archive.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether migrations are left to apply; an error where the database is not one that this program can use.
    async fn behind(&self) -> Result<bool, StoreError> {
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&self.pool)
            .await?;
        if tables == 0 {
            return Ok(true);
        }
        let applied: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&self.pool)
                .await?;
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        if let Some(&(found, _)) = applied.last().filter(|(version, _)| *version > known) {
            return Err(StoreError::Newer { path: self.path(), found, known });
        }
        for (version, checksum) in &applied {
            if !MIGRATOR.iter().any(|m| m.version == *version && *m.checksum == **checksum) {
                return Err(StoreError::Foreign { path: self.path(), version: *version });
            }
        }
        Ok(applied.len() < MIGRATOR.iter().count())
    }

    /// Applies what is missing, all or nothing, while others wait.
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        MIGRATOR.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
            other => StoreError::Database(sqlx::Error::Migrate(Box::new(other))),
        })?;
        Ok(transaction.commit().await?)
    }

    /// A transaction that has the write lock from the start.
    pub(super) async fn write(&self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A path as the tables have it: relative to the folder of the database where it lies in it, so that the folder
    /// can be moved.
    pub(super) fn stored(&self, path: &Path) -> Result<String, StoreError> {
        let inner = self.roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        text(inner).map(str::to_owned)
    }

    /// The opposite of [`Self::stored`]; absolute.
    pub(super) fn resolved(&self, stored: &str) -> PathBuf {
        self.roots[0].join(stored)
    }
}

/// What a connection that cannot write needs to read a database of layout 1 like one of today: temporary views, which
/// SQLite keeps outside the file and prefers to what the file has under the same names.
fn stand_ins() -> Vec<String> {
    let item = "CREATE TEMP VIEW item AS SELECT *, NULL AS cluster FROM main.item".to_owned();
    let statements =
        MIGRATOR.iter().filter(|migration| migration.version > 1).flat_map(|m| m.sql.as_str().split(";\n"));
    let views = statements.filter_map(|statement| statement.split_once("CREATE VIEW "));
    [item].into_iter().chain(views.map(|(_, view)| format!("CREATE TEMP VIEW {view}"))).collect()
}

/// A path as text.
pub(super) fn text(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| StoreError::NotUtf8(path.to_owned()))
}
