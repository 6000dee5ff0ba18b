//! The models that jobs produced.

use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::domain::JobId;
use crate::store::ModelJob;

/// A finished job that produced a model.
pub struct FinishedModel {
    /// The job.
    pub id: JobId,
    /// Name for people.
    pub label: String,
    /// The folder of the model.
    pub output: PathBuf,
}

/// The only model among the jobs that `text` matches.
///
/// # Errors
/// If no job matches, several do, or the job is not done.
pub fn only_model(text: &str, mut jobs: Vec<ModelJob>) -> Result<FinishedModel, Failure> {
    let no_match = |message: String| Err(Failure::text(Exit::NothingMatches, message));
    match jobs.len() {
        0 => no_match(format!("grid: no job with a model has the id or name '{text}'; see `grid status EXPERIMENT`")),
        1 => {
            let ModelJob { id, label, output, .. } = jobs.remove(0);
            match output {
                Some(output) => Ok(FinishedModel { id, label, output }),
                None => no_match(format!("grid: {label} has not produced its model yet; see `grid status`")),
            }
        }
        _ => {
            let list = jobs.iter().map(|job| format!("  {}  {} {}", job.id.short(), job.kind, job.label));
            let list = list.collect::<Vec<_>>().join("\n");
            no_match(format!("grid: '{text}' matches several models:\n{list}"))
        }
    }
}
