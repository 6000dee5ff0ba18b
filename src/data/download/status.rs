//! The status of remote data in the cache.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::Mismatch;
use super::lock::Content;

/// Remote data found in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachedData {
    /// Files.
    Files(Vec<PathBuf>),
    /// Files that match a glob pattern.
    Pattern(PathBuf),
    /// A folder of evaluation files, or of a model.
    Folder(PathBuf),
}

/// The status of remote data in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// The files in the cache; for data in an archive, only the archive.
    pub files: BTreeMap<String, Content>,
    /// The state of the data as a whole.
    pub state: CacheState,
}

/// The state of remote data in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheState {
    /// Some files are missing.
    Missing,
    /// All files are present; some are not in the lock file.
    Fetched,
    /// All files are present and match the lock file.
    Locked,
    /// A file differs from the lock file, or from what was fetched.
    Differs(Mismatch),
}
