//! Digests of files, which are remembered for as long as a file is the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, LocatedSource, Origin};

use super::archive::{self, is_archive};
use super::error::DataError;
use super::files::{file_name, is_evaluation_file};
use super::stamp::FileStamp;

/// How often a file that changes while it is read is read.
const TRIES: u32 = 3;

/// The digests of files by their absolute paths.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FileDigests {
    known: BTreeMap<String, FileDigest>,
    /// The stamps of the files whose digests this process used.
    #[serde(skip)]
    used: BTreeMap<PathBuf, FileStamp>,
}

/// The digest of a file, with the stamp at which it was computed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FileDigest {
    stamp: FileStamp,
    digest: Digest,
}

impl FileDigests {
    /// The digest of a file.
    pub(super) fn of_file(&mut self, path: &Path) -> Result<Digest, DataError> {
        self.remembered(path, "", file_digest)
    }

    /// The digest that a folder with the evaluation files of this archive would have.
    pub(super) fn within_archive(&mut self, path: &Path) -> Result<Digest, DataError> {
        self.remembered(path, "within ", archive_digest)
    }

    /// Refuses a file that has changed since this process used its digest.
    pub(super) fn check_unchanged(&self, files: &[PathBuf]) -> Result<(), DataError> {
        for path in files {
            let stamp = FileStamp::of(path).map_err(DataError::io("read", path))?;
            if self.used.get(path).is_some_and(|used| *used != stamp) {
                return Err(DataError::Changing { path: path.clone() });
            }
        }
        Ok(())
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
    ) -> Result<Digest, DataError> {
        let absolute = std::path::absolute(path).map_err(DataError::io("read", path))?;
        let key = format!("{what}{}", absolute.display());
        let look = || FileStamp::of(path).map_err(DataError::io("read", path));
        let mut stamp = look()?;
        if let Some(known) = self.known.get(&key)
            && known.stamp == stamp
        {
            self.used.insert(path.to_owned(), stamp);
            return Ok(known.digest);
        }
        self.known.remove(&key);
        for _ in 0..TRIES {
            let digest = compute(path)?;
            let after = look()?;
            if after == stamp {
                self.used.insert(path.to_owned(), stamp);
                if stamp.is_reliable(path) {
                    self.known.insert(key, FileDigest { stamp, digest });
                }
                return Ok(digest);
            }
            stamp = after;
        }
        Err(DataError::Changing { path: path.to_owned() })
    }
}

/// Refuses files that no longer have the content of their origin, because they were changed after the plan was made or
/// while they were read. To be called after reading.
///
/// # Errors
/// Such files, and files that cannot be read.
pub fn check_unchanged(located: &LocatedSource) -> Result<(), DataError> {
    let Origin::Content { digest } = located.origin else { return Ok(()) };
    let files = &located.files;
    let unchanged = match &files[..] {
        [archive] if is_archive(archive) && archive_digest(archive).is_ok_and(|found| found == digest) => true,
        _ => {
            let digests = files.iter().map(|path| file_digest(path)).collect::<Result<Vec<_>, _>>()?;
            // Whether the names of the files are part of the content depends on the kind of the source.
            [true, false].into_iter().any(|named| combined(files, &digests, named) == digest)
        }
    };
    if unchanged {
        return Ok(());
    }
    let location = match &files[..] {
        [] => String::new(),
        [file] => file.display().to_string(),
        [file, ..] => file.parent().unwrap_or(file).display().to_string(),
    };
    Err(DataError::Outdated { location })
}

/// The digest of several files, and of their names if `named`.
pub(super) fn combined(files: &[PathBuf], digests: &[Digest], named: bool) -> Digest {
    let names: Vec<String> = files.iter().map(|path| if named { file_name(path) } else { String::new() }).collect();
    Digest::of_named(names.iter().map(String::as_str).zip(digests.iter().copied()))
}

/// The digest of the content of a file, which is read and not mapped: a mapped file that is cut while it is read would end
/// the process.
fn file_digest(path: &Path) -> Result<Digest, DataError> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(DataError::io("read", path))?;
    Ok(Digest::from_hash(hasher.finalize()))
}

fn archive_digest(path: &Path) -> Result<Digest, DataError> {
    let mut files = archive::files(path, is_evaluation_file)?;
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

    fn located(path: &Path, content: &[u8]) -> LocatedSource {
        let files = vec![path.to_owned()];
        let digest = combined(&files, &[Digest::of(content)], false);
        LocatedSource { origin: Origin::Content { digest }, files }
    }

    #[test]
    fn files_that_were_changed_after_the_plan_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "one").unwrap();
        let planned = located(&path, b"one");
        check_unchanged(&planned).unwrap();
        fs::write(&path, "two").unwrap();
        let error = check_unchanged(&planned).unwrap_err().to_string();
        assert!(error.contains("a.txt") && error.contains("run `grid run` again"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(check_unchanged(&planned).is_err());
    }

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
                    assert_eq!(digests.of_file(&path("folder/x")).unwrap(), Digest::of(b"new"), "{change}");
                    continue;
                }
                _ => write("x", "old"),
            }
            let mut digests = FileDigests::default();
            trust(&mut digests, &path("x"), Digest::of(b"old"));
            assert_eq!(digests.of_file(&path("x")).unwrap(), Digest::of(b"old"), "{change}");
            next_tick();
            apply();
            assert_eq!(digests.of_file(&path("x")).unwrap(), Digest::of(b"new"), "{change}");
        }
    }

    /// Remembers a digest as if the file were old.
    fn trust(digests: &mut FileDigests, path: &Path, digest: Digest) {
        let stamp = FileStamp::of(path).unwrap();
        digests.known.insert(path.display().to_string(), FileDigest { stamp, digest });
    }

    #[test]
    fn a_file_that_changes_between_its_digest_and_its_size_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "one").unwrap();
        let mut digests = FileDigests::default();
        digests.of_file(&path).unwrap();
        let files = [path.clone()];
        digests.check_unchanged(&files).unwrap();
        fs::write(&path, "two, longer").unwrap();
        let error = digests.check_unchanged(&files).unwrap_err().to_string();
        assert!(error.contains("a.txt: it changes while it is read"), "{error}");
    }
}
