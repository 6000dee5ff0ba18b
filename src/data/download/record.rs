//! The record of a location in the cache: what the server listed, and what was received.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::FileStamp;

use super::disk::file_stamp;
use super::error::FetchError;
use super::listing::{ListedFile, Listing};
use super::transfer::{Received, examine};

/// What the server listed at a location, and the files received from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    pub listing: Listing,
    pub received: BTreeMap<String, StoredFile>,
}

/// A received file, with the stamp at which its digest was computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredFile {
    pub bytes: u64,
    pub sha256: String,
    /// That of no file in a record of an older version, so that the file is read again.
    #[serde(default)]
    stamp: FileStamp,
}

impl StoredFile {
    /// Describes a received file at its final path.
    pub(super) fn of(file: &Path, received: Received) -> Result<Self, FetchError> {
        let stamp = file_stamp(file).ok_or_else(|| {
            FetchError::disk("read", file)(std::io::Error::other("the file was removed in the meantime"))
        })?;
        Ok(Self { bytes: received.bytes, sha256: received.sha256, stamp })
    }

    /// Reads a file.
    pub(super) fn read(file: &Path) -> Result<Self, FetchError> {
        let before = file_stamp(file);
        let stored = Self::of(file, examine(file)?)?;
        match before == Some(stored.stamp) {
            true => Ok(stored),
            // It was changed while it was read, so the digest holds for no stamp.
            false => Ok(Self { stamp: FileStamp::default(), ..stored }),
        }
    }

    /// The stamp; see [`file_stamp`].
    pub(super) fn stamp(&self) -> FileStamp {
        self.stamp
    }

    /// The length and digest.
    pub(super) fn received(&self) -> Received {
        Received { bytes: self.bytes, sha256: self.sha256.clone() }
    }
}

/// Whether a file has the length and digest that the server lists, as far as it lists them.
pub(super) fn matches_listing(entry: &ListedFile, stored: &StoredFile) -> bool {
    entry.bytes.is_none_or(|bytes| bytes == stored.bytes)
        && entry.sha256.as_ref().is_none_or(|sha256| *sha256 == stored.sha256)
}
