//! Finding and reading local files.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::DataError;

/// The files that match a glob pattern, or the one file whose name is exactly the pattern.
pub(super) fn matches(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    if pattern.is_dir() {
        return Err(DataError::IsFolder { path: pattern.to_owned() });
    }
    if pattern.is_file() {
        return Ok(vec![pattern.to_owned()]);
    }
    // An existing folder, even if called `runs[1]`, is taken literally; only the rest of the path is a pattern.
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

/// The evaluation files in a folder; none if it does not exist.
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

/// Drops hidden files and sorts the others by name.
pub(super) fn visible_by_name(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|path| !file_name(path).starts_with('.'));
    files.sort_by_cached_key(|path| (file_name(path), path.clone()));
    files
}

/// The last component of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file of this name may contain evaluation items: JSON or CSV, and not hidden.
pub(super) fn is_evaluation_file(path: &Path) -> bool {
    let kind = path.extension().and_then(|extension| extension.to_str());
    matches!(kind, Some("jsonl" | "json" | "csv")) && !file_name(path).starts_with('.')
}

/// Reads a text file, without its byte-order mark.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(DataError::io("read", path))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        DataError::NotUtf8 { path: path.to_owned(), line, byte: before.len() - line_start + 1 }
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_utf8_is_reported_by_line_and_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.txt");
        fs::write(&path, b"good line\ncaf\xe9").unwrap();
        match read_text(&path) {
            Err(DataError::NotUtf8 { line: 2, byte: 4, .. }) => {}
            other => panic!("{other:?}"),
        }
        fs::write(&path, "\u{feff}text").unwrap();
        assert_eq!(read_text(&path).unwrap(), "text");
    }
}
