//! Files that a training leaves in its output before its end, and that go with its checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use grid::domain::Digest;

use super::error::Error;
use super::tensors;

/// The files that a training has put into its output folder so far.
///
/// A checkpoint holds them as hard links, so that whoever goes on from it has them, too. That is why they are never
/// written to: a new version of a file is a new file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Digest>,
}

impl Kept {
    /// Nothing is kept in this folder so far.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    /// The files, relative to the folder, with their digests.
    pub fn files(&self) -> &BTreeMap<PathBuf, Digest> {
        &self.files
    }

    /// Keeps what `write` puts directly into the subfolder, in place of what is kept there, and waits until it is on
    /// disk.
    pub fn put<E: From<Error>>(
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
                self.files.insert(name, tensors::digest(&path)?);
            }
        }
        Ok(())
    }

    /// Links every file into another folder.
    pub fn link_to(&self, target: &Path) -> Result<(), Error> {
        link(&self.folder, target, &self.files)
    }

    /// Takes over the files that a checkpoint holds; their digests have been compared.
    pub fn take_over(&mut self, source: &Path, files: &BTreeMap<PathBuf, Digest>) -> Result<(), Error> {
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
    fn a_new_version_leaves_the_links_to_the_old_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        fs::create_dir(&output).unwrap();
        let write =
            |text: &'static str| move |folder: &Path| fs::write(folder.join("x"), text).map_err(Error::io(folder));
        let mut kept = Kept::new(&output);
        kept.put(Path::new("a/b"), write("deep")).unwrap();
        kept.put(Path::new(""), write("old")).unwrap();
        kept.link_to(&folder.path().join("checkpoint")).unwrap();
        kept.put(Path::new(""), write("new")).unwrap();
        let text = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!([text("output/x"), text("output/a/b/x"), text("checkpoint/x")], ["new", "deep", "old"]);
        assert_eq!(kept.files()[Path::new("x")], Digest::of(b"new"));

        let later = folder.path().join("later");
        let mut taken = Kept::new(&later);
        let files = BTreeMap::from([("x", b"old" as &[u8]), ("a/b/x", b"deep")]);
        let files = files.into_iter().map(|(path, text)| (path.into(), Digest::of(text))).collect();
        taken.take_over(&folder.path().join("checkpoint"), &files).unwrap();
        taken.put(Path::new("a/b"), write("deeper")).unwrap();
        assert_eq!([text("later/x"), text("later/a/b/x"), text("checkpoint/a/b/x")], ["old", "deeper", "deep"]);
    }
}
