//! The state of the data that a spec names.

use std::path::PathBuf;

use serde::Serialize;

use super::failure::Failure;
use super::fetch::{UsedSource, fresh_survey, used_sources};
use super::spec_text::SpecText;
use crate::data::DataError;
use crate::data::download::{CacheState, DataCache};
use crate::domain::{DataEntry, Grid, Source};

/// A source in a list; `null` in JSON means unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedData {
    /// Its name in the spec.
    pub data: String,
    /// Where it comes from.
    pub from: String,
    /// Number of files.
    pub files: Option<u64>,
    /// Size of the files.
    pub bytes: Option<u64>,
    /// `built in`, `local`, `fetched`, `locked`, `differs` or `missing`, followed by `, not used` if no cell reads it.
    pub state: String,
    /// Licence.
    pub licence: Option<String>,
}

/// A fetched source that was read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedData {
    /// Its names in the spec.
    pub data: String,
    /// Number of files.
    pub files: u64,
    /// `fetched`, `locked`, `differs` or `missing`.
    pub state: &'static str,
    /// The first file that differs.
    pub path: Option<String>,
    /// The SHA-256 that it should have.
    pub wanted: Option<String>,
    /// The SHA-256 that it has.
    pub found: Option<String>,
}

impl VerifiedData {
    /// Whether all files are present and unchanged.
    pub fn is_intact(&self) -> bool {
        matches!(self.state, "fetched" | "locked")
    }
}

/// Every source that a spec names. Nothing is fetched.
///
/// # Errors
/// A lock file, a cache or a folder that cannot be read.
pub fn list_data(spec: &SpecText, grid: &Grid) -> Result<Vec<ListedData>, Failure> {
    let cache = spec.data_cache()?;
    let used = used_sources(grid);
    let mut rows = vec![];
    for entry in &grid.data {
        let mut row = listed(entry, &cache)?;
        if !used.iter().any(|used| *used.source == entry.source) {
            row.state.push_str(", not used");
        }
        rows.push(row);
    }
    Ok(rows)
}

fn listed(entry: &DataEntry, cache: &DataCache) -> Result<ListedData, Failure> {
    let from = match &entry.source {
        Source::World { part, seed, size } => format!("toy world {seed}: {part}, {size}"),
        Source::Files(path) | Source::Folder(path) => path.display().to_string(),
        Source::Model(model) => model.name.clone(),
        Source::Remote(remote) => remote.to_string(),
    };
    let mut row = ListedData {
        data: entry.name.clone(),
        from,
        files: None,
        bytes: None,
        state: String::new(),
        licence: entry.licence.clone(),
    };
    if let Some(remote) = &entry.source.remote() {
        row.licence = row.licence.or_else(|| cache.licence(&remote.place));
        let status = cache.status(remote).map_err(DataError::from)?;
        if status.state != CacheState::Missing || matches!(entry.source, Source::Remote(_)) {
            row.state = state_name(&status.state).to_owned();
            row.files = Some(status.files.len() as u64);
            row.bytes = Some(status.files.values().map(|content| content.bytes).sum());
            return Ok(row);
        }
    }
    let files = fresh_survey(cache).files(&entry.source)?;
    row.state = match (&entry.source, &files[..]) {
        (Source::World { .. }, _) => "built in",
        (_, []) => "missing",
        _ => "local",
    }
    .to_owned();
    if !files.is_empty() {
        let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        (row.files, row.bytes) = (Some(files.len() as u64), Some(files.iter().map(bytes).sum()));
    }
    Ok(row)
}

fn state_name(state: &CacheState) -> &'static str {
    match state {
        CacheState::Missing => "missing",
        CacheState::Fetched => "fetched",
        CacheState::Locked => "locked",
        CacheState::Differs(_) => "differs",
    }
}

/// Reads every fetched file again and compares it with the lock file and with what was fetched.
///
/// # Errors
/// A lock file or a cache that cannot be read. A file that differs is no error.
pub fn verify_data(spec: &SpecText, grid: &Grid) -> Result<Vec<VerifiedData>, Failure> {
    let cache = spec.data_cache()?;
    let mut rows = vec![];
    for UsedSource { names, source } in used_sources(grid) {
        let Some(remote) = source.remote() else { continue };
        let status = cache.verify(&remote).map_err(DataError::from)?;
        let is_local = status.state == CacheState::Missing && fresh_survey(&cache).unfetched(source)?.is_none();
        if is_local {
            continue;
        }
        let mut row = VerifiedData {
            data: names.join(", "),
            files: status.files.len() as u64,
            state: state_name(&status.state),
            path: None,
            wanted: None,
            found: None,
        };
        if let CacheState::Differs(difference) = status.state {
            (row.path, row.wanted, row.found) =
                (Some(difference.path), Some(difference.wanted), Some(difference.found));
        }
        rows.push(row);
    }
    Ok(rows)
}
