//! Files to items.

use std::collections::HashMap;

use crate::domain::{Mode, Suite};

use super::error::SuiteError;
use super::item::{Candidate, Item, Truth};
use super::row::Row;

const JSON_LINES: &str = ".jsonl";

/// See [`super::read`].
pub(super) fn read(suite: Suite, _mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    let mut items = Vec::new();
    for (name, bytes) in files_of_kind(files, JSON_LINES)? {
        json_lines(suite, name, bytes, &mut items)?;
    }
    if items.is_empty() {
        return Err(SuiteError::NoItems { suite: suite.name(), files: files.len(), extension: JSON_LINES });
    }
    Ok(items)
}

/// The files with an extension and no leading dot, sorted by their base names.
fn files_of_kind<'a>(files: &'a [(String, Vec<u8>)], extension: &str) -> Result<Vec<(&'a str, &'a [u8])>, SuiteError> {
    let mut kept: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, bytes)| (path.rsplit('/').next().unwrap_or(path), bytes.as_slice()))
        .filter(|(name, _)| !name.starts_with('.') && name.len() > extension.len() && name.ends_with(extension))
        .collect();
    kept.sort_unstable();
    match kept.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(SuiteError::TwoFiles { file: pair[0].0.to_owned() }),
        None => Ok(kept),
    }
}

/// What a row says, before it is numbered.
struct Parsed {
    subtask: String,
    group: String,
    candidates: Vec<Candidate>,
    truth: Truth,
}

fn json_lines(suite: Suite, file: &str, bytes: &[u8], items: &mut Vec<Item>) -> Result<(), SuiteError> {
    // The whole name: a dot within it belongs to the UID.
    let stem = file.strip_suffix(JSON_LINES).unwrap_or(file);
    let mut rows: HashMap<String, u32> = HashMap::new();
    for row in Row::all(file, bytes) {
        let row = row?;
        let Parsed { subtask, group, candidates, truth } = parse(suite, stem, &row)?;
        let next = rows.entry(subtask.clone()).or_default();
        let index = *next;
        *next += 1;
        items.push(Item { task: suite.name().to_owned(), subtask, group, index, candidates, truth });
    }
    Ok(())
}

fn parse(suite: Suite, stem: &str, row: &Row) -> Result<Parsed, SuiteError> {
    match suite {
        Suite::Blimp | Suite::BlimpSupplement => minimal_pair(stem, row),
    }
}

/// BLiMP and its supplement: a good and a bad sentence, scored whole.
fn minimal_pair(stem: &str, row: &Row) -> Result<Parsed, SuiteError> {
    let field = if row.has("field") { row.text("field")? } else { "supplement" };
    Ok(Parsed {
        subtask: stem.to_owned(),
        group: field.replace("syntax_semantics", "syntax/semantics"),
        candidates: vec![Candidate::whole(row.text("sentence_good")?), Candidate::whole(row.text("sentence_bad")?)],
        truth: Truth::First,
    })
}

#[cfg(test)]
mod tests;
