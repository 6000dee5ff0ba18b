//! What an attempt at a job without checkpoints has made so far.

use std::fs;

use grid::domain::digested_json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, JobError};

/// The file of an attempt with what it has made so far.
const FILE: &str = "partial.json";

/// What the newest of the earlier attempts left that left anything intact.
pub(super) fn find<T: DeserializeOwned>(attempt: &Attempt) -> Option<T> {
    attempt.earlier().iter().find_map(|folder| {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        digested_json::from_text(&text).ok()
    })
}

/// Saves what an attempt has made so far.
///
/// # Errors
/// A disk that cannot be written.
pub(super) fn save(attempt: &Attempt, made: &impl Serialize) -> Result<(), JobError> {
    let (path, new) = (attempt.folder().join(FILE), attempt.folder().join(format!("{FILE}.new")));
    fs::write(&new, digested_json::to_text(made).map_err(JobError::failed)?)?;
    Ok(fs::rename(new, path)?)
}
