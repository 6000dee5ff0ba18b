//! Digests of files, which are remembered for as long as a file is the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, FileStamp, SourceFile};

use super::archive;
use super::error::DataError;
use super::files::{file_name, is_evaluation_file};
use super::source_file::file_digest;
use super::stamp::{is_reliable, stamp_of};

/// How often a file that changes while it is read is read.
const TRIES: u32 = 3;

/// The digests of files by their absolute paths.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FileDigests {
    known: BTreeMap<String, FileDigest>,
}

/// The digest of a file, with the stamp at which it was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// The stamp of the file while it was digested.
    pub stamp: FileStamp,
    /// The digest of its content.
    pub digest: Digest,
}

impl FileDigests {
    /// The digest of a file, with the stamp that it had.
    ///
    /// # Errors
    /// A file that cannot be read, or that changes while it is read.
    pub fn of_file(&mut self, path: &Path) -> Result<FileDigest, DataError> {
        self.remembered(path, "", file_digest)
    }

    /// The digest that a folder with the evaluation files of this archive would have.
    pub(super) fn within_archive(&mut self, path: &Path) -> Result<FileDigest, DataError> {
        self.remembered(path, "within ", archive_digest)
    }

    /// The number of files whose digests are remembered.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// The remembered digest of a file if the file is the same, or else the result of `compute`.
    fn remembered(
        &mut self,
        path: &Path,
        what: &str,
        compute: fn(&Path) -> Result<Digest, DataError>,
    ) -> Result<FileDigest, DataError> {
        let absolute = std::path::absolute(path).map_err(DataError::io("read", path))?;
        let key = format!("{what}{}", absolute.display());
        let look = || stamp_of(path).map_err(DataError::io("read", path));
        let mut stamp = look()?;
        if let Some(known) = self.known.get(&key)
            && known.stamp == stamp
        {
            return Ok(*known);
        }
        self.known.remove(&key);
        for _ in 0..TRIES {
            let digest = compute(path)?;
            let after = look()?;
            if after == stamp {
                let found = FileDigest { stamp, digest };
                if is_reliable(&stamp, path) {
                    self.known.insert(key, found);
                }
                return Ok(found);
            }
            stamp = after;
        }
        Err(DataError::Changing { path: path.to_owned() })
    }
}

/// The digest of several files, and of their names if `named`.
pub(super) fn combined(files: &[SourceFile], named: bool) -> Digest {
    let name = |file: &SourceFile| if named { file_name(&file.path) } else { String::new() };
    let parts: Vec<(String, Digest)> = files.iter().map(|file| (name(file), file.digest)).collect();
    Digest::of_named(parts.iter().map(|(name, digest)| (name.as_str(), *digest)))
}

fn archive_digest(path: &Path) -> Result<Digest, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    let mut files = archive::files(path, file, is_evaluation_file)?;
    if files.is_empty() {
        let reason = "it contains no JSON or CSV file".to_owned();
        return Err(DataError::Archive { path: path.to_owned(), reason });
    }
    files.sort();
    Ok(Digest::of_named(files.iter().map(|(name, content)| (name.as_str(), Digest::of(content)))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::stamp::tests::{next_tick, set_old};
    use super::*;

    /// All of these leave the path, the length and the modification time as they were.
    #[test]
    fn no_digest_is_remembered_for_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| {
            fs::write(path(name), text).unwrap();
            set_old(&path(name));
        };
        let link = |target: &str| {
            let _ = fs::remove_file(path("x"));
            std::os::unix::fs::symlink(path(target), path("x")).unwrap();
        };
        write("a", "old");
        write("b", "new");
        let changes: [(&str, &dyn Fn()); 5] = [
            ("written in place", &|| write("x", "new")),
            ("replaced by a rename", &|| fs::rename(path("b"), path("x")).unwrap()),
            ("a switched link", &|| {
                write("b", "new");
                link("b");
            }),
            ("a switched folder", &|| {}),
            ("written through a link", &|| write("a", "new")),
        ];
        for (change, apply) in changes {
            let _ = fs::remove_file(path("x"));
            match change {
                "a switched link" => link("a"),
                "written through a link" => {
                    write("a", "old");
                    link("a");
                }
                "a switched folder" => {
                    for (name, text) in [("one", "old"), ("two", "new")] {
                        fs::create_dir_all(path(name)).unwrap();
                        write(&format!("{name}/x"), text);
                    }
                    std::os::unix::fs::symlink(path("one"), path("folder")).unwrap();
                    let mut digests = FileDigests::default();
                    trust(&mut digests, &path("folder/x"), Digest::of(b"old"));
                    fs::remove_file(path("folder")).unwrap();
                    std::os::unix::fs::symlink(path("two"), path("folder")).unwrap();
                    assert_eq!(digests.of_file(&path("folder/x")).unwrap().digest, Digest::of(b"new"), "{change}");
                    continue;
                }
                _ => write("x", "old"),
            }
            let mut digests = FileDigests::default();
            trust(&mut digests, &path("x"), Digest::of(b"old"));
            assert_eq!(digests.of_file(&path("x")).unwrap().digest, Digest::of(b"old"), "{change}");
            next_tick();
            apply();
            assert_eq!(digests.of_file(&path("x")).unwrap().digest, Digest::of(b"new"), "{change}");
        }
    }

    /// Remembers a digest as if the file were old.
    fn trust(digests: &mut FileDigests, path: &Path, digest: Digest) {
        let stamp = stamp_of(path).unwrap();
        digests.known.insert(path.display().to_string(), FileDigest { stamp, digest });
    }
}
