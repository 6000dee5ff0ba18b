//! The folder of results, and the database that belongs to it.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::data::Survey;
use crate::data::download::DataCache;
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
        Ok(Store::open(&self.path, self.database.as_deref()).await?)
    }

    /// Opens the database of earlier runs.
    ///
    /// # Errors
    /// As [`RunsFolder::open`]; also if nothing has run yet.
    pub async fn open_existing(&self) -> Result<Store, Failure> {
        Ok(Store::open_existing(&self.path, self.database.as_deref()).await?)
    }

    /// Opens the database if there is one.
    ///
    /// # Errors
    /// As [`RunsFolder::open`].
    pub async fn open_if_present(&self) -> Result<Option<Store>, Failure> {
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
        created.map_err(|error| Failure::path(&self.path, &error))
    }
}

/// The survey of data with the cache of digests in this runs folder.
pub(super) fn survey_of(runs: &Path, cache: Option<DataCache>) -> Survey {
    let survey = Survey::open(&runs.join("survey.json"));
    match cache {
        Some(cache) => survey.with_cache(cache),
        None => survey,
    }
}
