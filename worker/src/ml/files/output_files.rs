//! Files that a training leaves in its output folder before its end. Its checkpoints contain them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use grid::domain::Digest;

use super::tensor_file;
use crate::ml::error::Error;

/// The files that a training has left in its output folder so far.
///
/// A checkpoint contains them as hard links, for a training that continues from it. For that reason, a file is never
/// written to again: a new version is a new file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputFiles {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Digest>,
}

impl OutputFiles {
    /// No files in this folder so far.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    /// The digests of the files, by their path relative to the folder.
    pub fn files(&self) -> &BTreeMap<PathBuf, Digest> {
        &self.files
    }

    /// Replaces the files of a subfolder by those that `write` puts directly into it, and waits until they are on disk.
    ///
    /// # Errors
    /// The error of `write`, or one of the file system.
    pub fn replace<E: From<Error>>(
        &mut self,
        subfolder: &Path,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let folder = self.folder.join(subfolder);
        let old: Vec<PathBuf> = self.files.keys().filter(|path| path.parent() == Some(subfolder)).cloned().collect();
        for path in old {
            let file = self.folder.join(&path);
            fs::remove_file(&file).map_err(Error::io(&file))?;
            self.files.remove(&path);
        }
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        write(&folder)?;
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let path = entry.map_err(Error::io(&folder))?.path();
            let name = subfolder.join(path.file_name().unwrap_or_default());
            if path.is_file() && !self.files.contains_key(&name) {
                File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io(&path))?;
                self.files.insert(name, tensor_file::digest(&path)?);
            }
        }
        Ok(())
    }

    /// Links every file into another folder.
    ///
    /// # Errors
    /// If a file cannot be linked.
    pub fn link_to(&self, target: &Path) -> Result<(), Error> {
        link(&self.folder, target, &self.files)
    }

    /// Links the files of a checkpoint, whose digests have been compared, into this folder.
    ///
    /// # Errors
    /// If a file cannot be linked.
    pub fn restore(&mut self, source: &Path, files: &BTreeMap<PathBuf, Digest>) -> Result<(), Error> {
        link(source, &self.folder, files)?;
        self.files.clone_from(files);
        Ok(())
    }
}

fn link(source: &Path, target: &Path, files: &BTreeMap<PathBuf, Digest>) -> Result<(), Error> {
    for path in files.keys() {
        let to = target.join(path);
        let folder = to.parent().unwrap_or(target);
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        fs::hard_link(source.join(path), &to).map_err(Error::io(&to))?;
        File::open(folder).and_then(|handle| handle.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_version_does_not_change_links_to_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        fs::create_dir(&output).unwrap();
        let write =
            |text: &'static str| move |folder: &Path| fs::write(folder.join("x"), text).map_err(Error::io(folder));
        let mut files = OutputFiles::new(&output);
        files.replace(Path::new("a/b"), write("deep")).unwrap();
        files.replace(Path::new(""), write("old")).unwrap();
        files.link_to(&folder.path().join("checkpoint")).unwrap();
        files.replace(Path::new(""), write("new")).unwrap();
        let text = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!([text("output/x"), text("output/a/b/x"), text("checkpoint/x")], ["new", "deep", "old"]);
        assert_eq!(files.files()[Path::new("x")], Digest::of(b"new"));

        let later = folder.path().join("later");
        let mut restored = OutputFiles::new(&later);
        let digests = BTreeMap::from([("x", b"old" as &[u8]), ("a/b/x", b"deep")]);
        let digests = digests.into_iter().map(|(path, text)| (path.into(), Digest::of(text))).collect();
        restored.restore(&folder.path().join("checkpoint"), &digests).unwrap();
        restored.replace(Path::new("a/b"), write("deeper")).unwrap();
        assert_eq!([text("later/x"), text("later/a/b/x"), text("checkpoint/a/b/x")], ["old", "deeper", "deep"]);
    }
}
