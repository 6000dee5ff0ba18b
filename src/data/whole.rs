//! Folders that appear whole or not at all.

use std::fs;
use std::path::Path;

use super::error::DataError;

/// Makes a new folder of what `write` puts into the folder it is given: whole, or not at all.
///
/// # Errors
/// A folder that is there and not empty, or cannot be made; and those of `write`.
pub fn write_whole(to: &Path, write: impl FnOnce(&Path) -> Result<(), DataError>) -> Result<(), DataError> {
    let occupied = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => to.exists(),
    };
    if occupied {
        return Err(DataError::Occupied { path: to.to_owned() });
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let aside = to.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(&aside).map_err(DataError::io("make folder", &aside))?;
    let written = write(&aside).and_then(|()| fs::rename(&aside, to).map_err(DataError::io("make folder", to)));
    if written.is_err() {
        // Whatever is left of it is in nobody's way; the error that counts is the first.
        let _ = fs::remove_dir_all(&aside);
    }
    written
}

/// Makes a new folder of these files, given by path within it and content.
///
/// # Errors
/// A folder or files that cannot be written.
pub fn write_files(to: &Path, files: &[(String, String)]) -> Result<(), DataError> {
    write_whole(to, |folder| {
        for (path, text) in files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(DataError::io("make folder", parent))?;
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
    fn a_folder_is_new_and_whole() {
        let root = tempfile::tempdir().unwrap();
        let to = root.path().join("out");
        fs::create_dir(&to).unwrap();
        write_files(&to, &[("a/b.txt".to_owned(), "b".to_owned()), ("c.txt".to_owned(), "c".to_owned())]).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b.txt")).unwrap(), "b");
        let refused = write_files(&to, &[]).unwrap_err().to_string();
        assert!(refused.contains("is not empty; name a new folder"), "{refused}");
        let other = root.path().join("other");
        let failed = write_whole(&other, |folder| Err(DataError::Missing { location: folder.display().to_string() }));
        assert!(failed.is_err() && fs::read_dir(root.path()).unwrap().count() == 1, "nothing is left of it");
    }
}
