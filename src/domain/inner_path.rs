//! Paths that cannot lead out of the folder that they are relative to.
//!
//! Records name files and folders by such paths, and records may be damaged, or come from another machine. A path that
//! could lead elsewhere is refused where a record is read, so that no reader has to check it.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The error for a path that could lead out of its folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OuterPath {
    /// The path is absolute, is empty, or contains `.` or `..`.
    #[error("'{}' is not a path inside a folder: it must be relative, without `.` and `..`", .0.display())]
    Path(PathBuf),
    /// The name is not that of one folder.
    #[error("'{0}' is not the name of a folder")]
    Name(String),
}

/// A relative path of names only: neither empty nor absolute, and without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct InnerPath(PathBuf);

impl TryFrom<PathBuf> for InnerPath {
    type Error = OuterPath;
    fn try_from(path: PathBuf) -> Result<Self, OuterPath> {
        let is_inner = path.components().all(|part| matches!(part, Component::Normal(_)));
        // `a/./b` has the components of `a/b`, but is another text.
        let is_plain = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
        match is_inner && is_plain && path.components().next().is_some() {
            true => Ok(Self(path)),
            false => Err(OuterPath::Path(path)),
        }
    }
}

impl FromStr for InnerPath {
    type Err = OuterPath;
    fn from_str(text: &str) -> Result<Self, OuterPath> {
        PathBuf::from(text).try_into()
    }
}

impl Deref for InnerPath {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for InnerPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl<'de> Deserialize<'de> for InnerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathBuf::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// The name of a folder: an [`InnerPath`] of a single name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FolderName(String);

impl FolderName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FolderName {
    type Error = OuterPath;
    fn try_from(name: String) -> Result<Self, OuterPath> {
        let path = Path::new(&name);
        match path.file_name() == Some(path.as_os_str()) {
            true => Ok(Self(name)),
            false => Err(OuterPath::Name(name)),
        }
    }
}

impl FromStr for FolderName {
    type Err = OuterPath;
    fn from_str(text: &str) -> Result<Self, OuterPath> {
        text.to_owned().try_into()
    }
}

impl AsRef<Path> for FolderName {
    fn as_ref(&self) -> &Path {
        Path::new(OsStr::new(&self.0))
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FolderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_stay_inside_are_accepted() {
        for inner in ["a", "a/b.txt", ".hidden", "..a/b..", "a b/c"] {
            let path: InnerPath = inner.parse().unwrap();
            assert_eq!(&*path, Path::new(inner));
            assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{inner}\""));
        }
        for outer in ["", ".", "..", "/", "/etc/passwd", "../a", "a/../../b", "a/..", "./a", "a/./b", "a//b", "a/"] {
            assert_eq!(outer.parse::<InnerPath>(), Err(OuterPath::Path(outer.into())), "{outer}");
            assert!(serde_json::from_str::<InnerPath>(&format!("\"{outer}\"")).is_err(), "{outer}");
        }
    }

    #[test]
    fn the_name_of_a_folder_is_a_single_name() {
        for name in ["t-1", ".a", "a b"] {
            assert_eq!(name.parse::<FolderName>().unwrap().as_str(), name);
        }
        for other in ["", ".", "..", "/", "a/b", "a/", "../a", "/a", "a/.."] {
            assert_eq!(other.parse::<FolderName>(), Err(OuterPath::Name(other.into())), "{other}");
            assert!(serde_json::from_str::<FolderName>(&format!("\"{other}\"")).is_err(), "{other}");
        }
    }
}
