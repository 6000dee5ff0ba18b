//! The lock file next to a spec, which pins its remote data.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{RemoteLocation, plain_text};

use super::super::atomic::replace_file;
use super::error::FetchError;

const VERSION: u32 = 1;

/// The lock file of a spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The path of the spec; empty if there is none.
    spec: PathBuf,
    /// Pinned data by the name of their location.
    places: BTreeMap<String, Pinned>,
}

/// The format of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: u32,
    data: BTreeMap<String, Pinned>,
}

/// The pinned data of a location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The commit of the branch or tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The licence, if the server reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The files that the spec uses, by path.
    pub files: BTreeMap<String, Content>,
}

/// The length and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The length in bytes.
    pub bytes: u64,
    /// The SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

impl Lock {
    /// An empty lock for a spec; that of `class-it.yaml` is `class-it.lock`.
    pub fn beside(spec: &Path) -> Self {
        Self { spec: spec.to_owned(), places: BTreeMap::new() }
    }

    /// Reads the lock of a spec; a missing file counts as empty.
    ///
    /// # Errors
    /// A file that cannot be read or is not a lock file.
    pub fn read(spec: &Path) -> Result<Self, FetchError> {
        let empty = Self::beside(spec);
        let path = empty.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(empty);
            }
            Err(error) => return Err(FetchError::disk("read", &path)(error)),
        };
        let broken = |reason: String| FetchError::Lock { path: path.clone(), reason };
        let text = plain_text(&bytes).map_err(|problem| broken(problem.to_string()))?;
        let file: LockFile = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        match file.version {
            VERSION => Ok(Self { places: file.data, ..empty }),
            version => Err(broken(format!("it has version {version}, but this program supports {VERSION}"))),
        }
    }

    /// Writes the lock file atomically.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self) -> Result<(), FetchError> {
        let file = LockFile { version: VERSION, data: self.places.clone() };
        let json = serde_json::to_string_pretty(&file).expect("a lock has string keys") + "\n";
        let path = self.path();
        replace_file(&path, json.as_bytes()).map_err(FetchError::disk("write", &path))
    }

    /// The path of the lock file.
    pub fn path(&self) -> PathBuf {
        self.spec.with_extension("lock")
    }

    /// The pinned data of a location.
    pub fn place(&self, place: &RemoteLocation) -> Option<&Pinned> {
        self.places.get(&place.to_string())
    }

    /// The pinned content of a file.
    pub fn file(&self, place: &RemoteLocation, path: &str) -> Option<&Content> {
        self.place(place)?.files.get(path)
    }

    /// Adds files that are not yet pinned. Returns whether anything was added.
    pub fn add(&mut self, place: &RemoteLocation, more: Pinned) -> bool {
        let before = self.place(place).cloned();
        let pinned = self.places.entry(place.to_string()).or_default();
        pinned.revision = pinned.revision.take().or(more.revision);
        pinned.licence = pinned.licence.take().or(more.licence);
        for (path, content) in more.files {
            pinned.files.entry(path).or_insert(content);
        }
        before.as_ref() != Some(pinned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_round_trips_and_keeps_pinned_files() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("spec.yaml");
        let mut lock = Lock::read(&spec).unwrap();
        assert_eq!(lock, Lock::beside(&spec));
        let place = RemoteLocation::Osf { project: "abc12".into() };
        let content = |digit: &str| Content { bytes: 6, sha256: digit.repeat(64) };
        let more =
            |path: &str, digit: &str| Pinned { files: [(path.to_owned(), content(digit))].into(), ..Pinned::default() };
        assert!(lock.add(&place, more("a.txt", "0")) && lock.add(&place, more("b.txt", "1")));
        assert!(!lock.add(&place, more("a.txt", "2")), "pinned files do not change");
        lock.write().unwrap();
        assert!(folder.path().join("spec.lock").is_file());
        assert_eq!(Lock::read(&spec).unwrap(), lock);
        assert_eq!(lock.file(&place, "a.txt"), Some(&content("0")));
        for text in ["{", r#"{"version": 9, "data": {}}"#, r#"{"version": 1, "data": {}, "more": 1}"#] {
            fs::write(lock.path(), text).unwrap();
            assert!(matches!(Lock::read(&spec), Err(FetchError::Lock { .. })));
        }
    }
}
