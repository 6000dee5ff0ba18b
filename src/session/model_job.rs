//! The models that jobs produced.

use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use super::history::{self, output_of};
use crate::data::Survey;
use crate::domain::layout::OPTIMIZER;
use crate::domain::{FinishedOutput, JobId};
use crate::plan::Artifacts;
use crate::store::{ModelJob, Store};

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

/// Compares the files of a model of a job with their records. `within` is the folder of the model in the output of the
/// job: empty for its last model.
///
/// # Errors
/// A file that is missing, or that is not the one that the job left; errors of the database.
pub async fn check_model(store: &Store, id: JobId, within: &Path) -> Result<(), Failure> {
    let history = store.history(&[id]).await?.remove(&id);
    let Some(FinishedOutput { folder, mut artifacts }) = history.as_ref().and_then(output_of) else { return Ok(()) };
    artifacts.retain(|artifact| artifact.path.parent() == Some(within) && !artifact.path.ends_with(OPTIMIZER));
    let damage = match history::state_of(&FinishedOutput { folder, artifacts }, &mut Survey::open(Path::new("")))? {
        Artifacts::Whole => return Ok(()),
        Artifacts::Missing(file) => format!("{file} is missing"),
        Artifacts::Altered(problem) => problem,
    };
    let message =
        format!("grid: the model is not the one that its job left: {damage}\n  help: `grid resume` makes it again");
    Err(Failure::text(Exit::Environment, message))
}
