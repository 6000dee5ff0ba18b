//! Reading the files of sources, whose content is compared with what the plan was made for.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::Path;

use crate::domain::{Digest, FileStamp, SourceFile};

use super::error::DataError;

/// Reads a file whole. The digest is that of the bytes that are returned.
///
/// # Errors
/// A file that cannot be read, or that has another content than the plan was made for.
pub(super) fn read(file: &SourceFile) -> Result<Vec<u8>, DataError> {
    let bytes = fs::read(&file.path).map_err(DataError::io("read", &file.path))?;
    check(file, Digest::of(&bytes))?;
    Ok(bytes)
}

/// Copies a file into a folder under its name, and compares the copy with what the plan was made for.
///
/// # Errors
/// A file that cannot be copied, or that has another content than the plan was made for.
pub fn copy_source(file: &SourceFile, folder: &Path) -> Result<(), DataError> {
    let copy = folder.join(file.path.file_name().unwrap_or_default());
    fs::copy(&file.path, &copy).map_err(DataError::io("copy", &file.path))?;
    check(file, file_digest(&copy)?)
}

/// Refuses another content than that which the plan was made for.
fn check(file: &SourceFile, found: Digest) -> Result<(), DataError> {
    let SourceFile { path, digest: planned } = file;
    match found == *planned {
        true => Ok(()),
        false => Err(DataError::Outdated { path: path.clone(), planned: *planned, found }),
    }
}

/// A file that is too large to be read whole, and whose content was digested through the same handle.
pub(super) struct OpenedFile<'a> {
    file: &'a SourceFile,
    handle: File,
    stamp: FileStamp,
}

impl<'a> OpenedFile<'a> {
    /// Opens a file and compares its content with that which the plan was made for.
    pub(super) fn open(file: &'a SourceFile) -> Result<Self, DataError> {
        let opened = || -> io::Result<(File, FileStamp, Digest)> {
            let mut handle = File::open(&file.path)?;
            let stamp = FileStamp::from(&handle.metadata()?);
            let digest = Digest::of_reader(&handle)?;
            handle.rewind()?;
            Ok((handle, stamp, digest))
        };
        let (handle, stamp, digest) = opened().map_err(DataError::io("read", &file.path))?;
        check(file, digest)?;
        Ok(Self { file, handle, stamp })
    }

    /// A handle of the file, at its start.
    pub(super) fn handle(&self) -> Result<File, DataError> {
        self.handle.try_clone().map_err(DataError::io("read", &self.file.path))
    }

    /// Refuses a file that was written to since it was opened. To be called after reading.
    pub(super) fn finish(self) -> Result<(), DataError> {
        let path = &self.file.path;
        let after = self.handle.metadata().map_err(DataError::io("read", path))?;
        match FileStamp::from(&after) == self.stamp {
            true => Ok(()),
            false => Err(DataError::Changing { path: path.clone() }),
        }
    }
}

/// The digest of the content of a file.
pub(super) fn file_digest(path: &Path) -> Result<Digest, DataError> {
    File::open(path).and_then(Digest::of_reader).map_err(DataError::io("read", path))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file as a plan made now finds it.
    pub(crate) fn planned(path: &Path) -> SourceFile {
        SourceFile { path: path.to_owned(), digest: file_digest(path).unwrap() }
    }

    #[test]
    fn another_content_than_the_planned_one_is_refused_with_both_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "one").unwrap();
        let file = planned(&path);
        assert_eq!(read(&file).unwrap(), b"one");
        OpenedFile::open(&file).unwrap().finish().unwrap();
        fs::write(&path, "two").unwrap();
        let errors = [read(&file).unwrap_err(), OpenedFile::open(&file).err().unwrap()];
        let shown = errors.map(|error| error.to_string().replace(&folder.path().display().to_string(), "data"));
        let [one, two] = [b"one", b"two"].map(|content| Digest::of(content).to_string());
        insta::allow_duplicates! {
            for error in shown {
                insta::assert_snapshot!(error.replace(&one, "ONE").replace(&two, "TWO"), @"use data/a.txt: it has changed since the plan was made, from the digest ONE to TWO; run `grid run` again");
            }
        }
    }

    #[test]
    fn a_file_that_is_written_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        fs::write(&path, "one").unwrap();
        let file = planned(&path);
        let opened = OpenedFile::open(&file).unwrap();
        // Another file in its place does not matter: the first one stays open.
        fs::write(folder.path().join("b"), "two").unwrap();
        fs::remove_file(&path).unwrap();
        fs::hard_link(folder.path().join("b"), &path).unwrap();
        assert_eq!(io::read_to_string(opened.handle().unwrap()).unwrap(), "one");

        let file = planned(&path);
        let opened = OpenedFile::open(&file).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "TWO").unwrap();
        assert!(matches!(opened.finish(), Err(DataError::Changing { .. })));
    }
}
