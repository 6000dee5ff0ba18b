//! The models that jobs left.

use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::domain::JobId;
use crate::store::ModelJob;

/// A job that left a model.
pub struct LeftModel {
    /// The job.
    pub id: JobId,
    /// What people call it.
    pub label: String,
    /// The folder of the model.
    pub output: PathBuf,
}

/// The one model among those that `text` may mean.
pub fn one_model(text: &str, mut jobs: Vec<ModelJob>) -> Result<LeftModel, Failure> {
    let nothing = |message: String| Err(Failure::text(Exit::NothingMatches, message));
    match jobs.len() {
        0 => nothing(format!("grid: no job with a model has the id or name '{text}'; see `grid status EXPERIMENT`")),
        1 => {
            let ModelJob { id, label, output, .. } = jobs.remove(0);
            match output {
                Some(output) => Ok(LeftModel { id, label, output }),
                None => nothing(format!("grid: {label} has left no model yet; `grid status` says where it stands")),
            }
        }
        _ => {
            let list = jobs.iter().map(|job| format!("  {}  {} {}", job.id.short(), job.kind, job.label));
            nothing(format!("grid: '{text}' names several models:\n{}", list.collect::<Vec<_>>().join("\n")))
        }
    }
}
