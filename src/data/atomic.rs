//! Files and folders that appear complete or not at all, also after a crash or a power failure.
//!
//! Everything is written under a temporary name in the same folder, synced to disk, renamed, and the rename is synced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// A name for what will be renamed to `path`: hidden, in the same folder, and different for each process.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

/// Creates or replaces a file.
///
/// # Errors
/// A folder that does not exist; a disk that cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| file.write_all(bytes));
    let published = written.and_then(|()| publish_file(&temporary, path));
    if published.is_err() {
        // The first error is the one that matters.
        let _ = fs::remove_file(&temporary);
    }
    published
}

/// Renames a complete file to its final name.
pub(super) fn publish_file(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_parent(path)
}

/// Renames a complete folder to its final name, which must not exist or be an empty folder.
pub(super) fn publish_folder(temporary: &Path, folder: &Path) -> io::Result<()> {
    for entry in WalkDir::new(temporary) {
        File::open(entry?.path())?.sync_all()?;
    }
    fs::rename(temporary, folder)?;
    sync_parent(folder)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace_file(&path, b"old").unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(replace_file(&folder.path().join("none/a.json"), b"").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
