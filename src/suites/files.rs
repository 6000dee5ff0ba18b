//! Which of the files of a folder a suite reads.

use crate::domain::{Suite, counted, plain_text};

use super::error::SuiteError;
use super::item::Item;

/// The files with an extension, such as `.jsonl`, sorted by their base names; hidden files are skipped.
pub(super) fn with_extension<'a>(
    files: &'a [(String, Vec<u8>)],
    extension: &str,
) -> Result<Vec<(&'a str, &'a [u8])>, SuiteError> {
    let mut matching: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, bytes)| (path.rsplit('/').next().unwrap_or(path), bytes.as_slice()))
        .filter(|(name, _)| !name.starts_with('.') && name.len() > extension.len() && name.ends_with(extension))
        .collect();
    matching.sort_unstable();
    match matching.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(SuiteError::DuplicateFile { file: pair[0].0.to_owned() }),
        None => Ok(matching),
    }
}

/// The text of a file, without its byte-order mark.
pub(super) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, SuiteError> {
    plain_text(bytes).map_err(|problem| SuiteError::NotText { file: file.to_owned(), problem })
}

/// The error for a file that is not valid CSV.
pub(super) fn not_csv(file: &str, error: &csv::Error) -> SuiteError {
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {}, but the header line has {expected_len}", counted(*len, "value"))
        }
        _ => format!("not valid CSV: {error}"),
    };
    let line = error.position().map_or(1, |position| position.line() as usize);
    SuiteError::Row { file: file.to_owned(), line, reason }
}

/// Refuses a file without rows, such as an interrupted download.
pub(super) fn require_rows<T>(file: &str, rows: Vec<T>) -> Result<Vec<T>, SuiteError> {
    if rows.is_empty() { Err(SuiteError::NoRows { file: file.to_owned() }) } else { Ok(rows) }
}

/// Refuses an empty suite. `wanted` is the file, or the extension of the files, that the suite reads.
pub(super) fn require_items(
    items: Vec<Item>,
    suite: Suite,
    files: &[(String, Vec<u8>)],
    wanted: &'static str,
) -> Result<Vec<Item>, SuiteError> {
    match items.is_empty() {
        true => Err(SuiteError::NoItems { suite: suite.name(), files: files.len(), wanted }),
        false => Ok(items),
    }
}
