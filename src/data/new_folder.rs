//! New folders that appear complete or not at all.

use std::fs;
use std::path::Path;

use super::atomic::{publish_folder, temporary};
use super::error::DataError;

/// Creates a folder with what `write` puts into the folder that it is given.
///
/// # Errors
/// A folder that exists and is not empty, or cannot be created; the errors of `write`.
pub(super) fn create_folder(path: &Path, write: impl FnOnce(&Path) -> Result<(), DataError>) -> Result<(), DataError> {
    let occupied = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    };
    if occupied {
        return Err(DataError::Occupied { path: path.to_owned() });
    }
    let temporary = temporary(path);
    fs::create_dir_all(&temporary).map_err(DataError::io("create folder", &temporary))?;
    let publish = || publish_folder(&temporary, path).map_err(DataError::io("create folder", path));
    let created = write(&temporary).and_then(|()| publish());
    if created.is_err() {
        // The first error is the one that matters.
        let _ = fs::remove_dir_all(&temporary);
    }
    created
}

/// Creates a folder with these files, given by their path in the folder and their content.
///
/// # Errors
/// A folder that exists and is not empty; a folder or files that cannot be written.
pub fn write_files(folder: &Path, files: &[(String, String)]) -> Result<(), DataError> {
    create_folder(folder, |folder| {
        for (path, text) in files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(DataError::io("create folder", parent))?;
            }
            fs::write(&path, text).map_err(DataError::io("write", &path))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_new_and_complete() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        fs::create_dir(&folder).unwrap();
        write_files(&folder, &[("a/b.txt".to_owned(), "b".to_owned()), ("c.txt".to_owned(), "c".to_owned())]).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a/b.txt")).unwrap(), "b");
        let refused = write_files(&folder, &[]).unwrap_err().to_string();
        insta::assert_snapshot!(
            refused.replace(&root.path().display().to_string(), "ROOT"),
            @"write to ROOT/out: the folder is not empty; name a new folder"
        );
        let other = root.path().join("other");
        let failed = create_folder(&other, |folder| Err(DataError::Missing { location: folder.display().to_string() }));
        assert!(failed.is_err() && fs::read_dir(root.path()).unwrap().count() == 1, "nothing remains of it");
    }
}
