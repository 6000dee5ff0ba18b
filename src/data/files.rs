//! Finding local files by pattern and by folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::evaluation::is_evaluation_file;

/// The files of a pattern, or the one file of that very name.
pub(super) fn matches(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    if pattern.is_dir() {
        return Err(DataError::IsFolder { path: pattern.to_owned() });
    }
    if pattern.is_file() {
        return Ok(vec![pattern.to_owned()]);
    }
    // A folder that is really called `runs[1]` is taken at its word; only what comes after it is a pattern.
    let text = match pattern.ancestors().skip(1).find(|ancestor| ancestor.is_dir()) {
        Some(folder) => {
            let rest = pattern.strip_prefix(folder).expect("an ancestor is a prefix");
            PathBuf::from(glob::Pattern::escape(&folder.to_string_lossy())).join(rest)
        }
        None => pattern.to_owned(),
    };
    let text = text.to_string_lossy();
    let found = glob::glob(&text)
        .map_err(|error| DataError::Pattern { pattern: text.to_string(), reason: error.to_string() })?;
    let mut files = Vec::new();
    for entry in found {
        let path = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::Io { action: "read", path, source: error.into() }
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(visible_by_name(files))
}

/// The evaluation files of a folder; none where there is no such folder.
pub(super) fn evaluation_files_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io("read", folder))? {
        let path = entry.map_err(DataError::io("read", folder))?.path();
        if is_evaluation_file(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(visible_by_name(files))
}

/// Without hidden ones, sorted by name.
pub(super) fn visible_by_name(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|path| !file_name(path).starts_with('.'));
    files.sort_by_cached_key(|path| (file_name(path), path.clone()));
    files
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
