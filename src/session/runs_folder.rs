//! The folder of results, and the database that belongs to it.

use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use crate::data::Survey;
use crate::data::download::DataCache;
use crate::domain::one_line;
use crate::store::{Store, StoreError};

/// Where results are, and where `runs.db` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsFolder {
    /// The folder of results.
    pub path: PathBuf,
    /// The folder of `runs.db`, if it is another one.
    pub database: Option<PathBuf>,
}

impl RunsFolder {
    /// Opens the database, and creates it if it is missing.
    ///
    /// # Errors
    /// A database that is locked, newer than this program, or on a network filesystem; errors of SQLite.
    pub async fn open(&self) -> Result<Store, Failure> {
        self.check()?;
        Ok(Store::open(&self.path, self.database.as_deref()).await?)
    }

    /// Opens the database of earlier runs.
    ///
    /// # Errors
    /// As [`RunsFolder::open`]; also if nothing has run yet.
    pub async fn open_existing(&self) -> Result<Store, Failure> {
        self.check()?;
        Ok(Store::open_existing(&self.path, self.database.as_deref()).await?)
    }

    /// Opens the database if there is one.
    ///
    /// # Errors
    /// As [`RunsFolder::open`].
    pub async fn open_if_present(&self) -> Result<Option<Store>, Failure> {
        self.check()?;
        match Store::open_existing(&self.path, self.database.as_deref()).await {
            Ok(store) => Ok(Some(store)),
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the folder if it is missing; returns its canonical path.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn create(&self) -> Result<PathBuf, Failure> {
        let created = std::fs::create_dir_all(&self.path).and_then(|()| std::fs::canonicalize(&self.path));
        created.map_err(|error| unusable(&self.path, &error.to_string()))
    }

    /// As [`Self::check`], and refuses folders that this user must not write.
    ///
    /// # Errors
    /// As [`Self::check`]; a lack of permission.
    pub fn check_for_writing(&self) -> Result<(), Failure> {
        self.check()?;
        check_writable(&self.path)?;
        self.database.as_deref().map_or(Ok(()), check_writable)
    }

    /// Refuses folders that cannot hold results, before anything fails on them with a message that does not say why.
    ///
    /// # Errors
    /// A line break in the path, because workers read one folder on each line; a link to nothing; a file; a path that is
    /// too long for SQLite.
    pub fn check(&self) -> Result<(), Failure> {
        let database = self.database.as_deref().unwrap_or(&self.path);
        for folder in [&self.path, database] {
            if folder.as_os_str().as_encoded_bytes().contains(&b'\n') {
                return Err(unusable(folder, "its path contains a line break"));
            }
            for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
                let dangling = part.is_symlink() && !part.exists();
                if let (true, Ok(target)) = (dangling, std::fs::read_link(part)) {
                    let reason = format!("{} is a link to {}, which does not exist", part.display(), target.display());
                    return Err(unusable(folder, &reason));
                }
                if part.exists() && !part.is_dir() {
                    return Err(unusable(folder, &format!("{} is a file and not a folder", part.display())));
                }
            }
        }
        let resolved = database.canonicalize().or_else(|_| std::path::absolute(database));
        let length = resolved.map_or(0, |folder| folder.join("runs.db").as_os_str().len());
        if length > MAX_DATABASE_PATH {
            let reason =
                format!("the path of its runs.db has {length} bytes, and SQLite opens at most {MAX_DATABASE_PATH}");
            return Err(unusable(database, &reason));
        }
        Ok(())
    }
}

/// Refuses a folder that cannot be written, or that cannot be created.
fn check_writable(folder: &Path) -> Result<(), Failure> {
    use rustix::fs::{Access, access};
    let named = folder.ancestors().map(|part| if part.as_os_str().is_empty() { Path::new(".") } else { part });
    let Some(existing) = named.into_iter().find(|part| part.is_dir()) else { return Ok(()) };
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let reason = std::io::Error::from(error);
        unusable(folder, &format!("{} cannot be written: {reason}", existing.display()))
    })
}

/// The longest path of a database that SQLite opens on Unix, in bytes; it needs eight more for its other files.
const MAX_DATABASE_PATH: usize = 504;

/// The failure for a folder that cannot hold results or the database.
fn unusable(folder: &Path, reason: &str) -> Failure {
    let name = one_line(&folder.display().to_string()).into_owned();
    let help = "name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`";
    Failure::text(Exit::Environment, format!("grid: cannot use the folder {name}: {reason}\n  help: {help}"))
}

/// The survey of data with the cache of digests in this runs folder.
pub(super) fn survey_of(runs: &Path, cache: Option<DataCache>) -> Survey {
    let survey = Survey::open(&runs.join("survey.json"));
    match cache {
        Some(cache) => survey.with_cache(cache),
        None => survey,
    }
}
