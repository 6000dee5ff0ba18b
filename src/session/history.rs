//! What the database and the files on disk say about a job.

use std::path::{Path, PathBuf};

use crate::domain::Artifact;
use crate::domain::layout::{self, OPTIMIZER};
use crate::plan::{Artifacts, LastAttempt, PriorState};
use crate::runner;
use crate::store::{self, JobHistory};

/// What the plan must know of a job: its last outcome and the state of its files. A job whose training another job
/// continues must have left the state of its optimizer, which it does only if both were planned together.
pub(super) fn known(history: &JobHistory, is_continued: bool) -> PriorState {
    let last = match &history.last {
        store::LastAttempt::Never => LastAttempt::Never,
        store::LastAttempt::Submitted | store::LastAttempt::Running if runner::has_living_worker(&history.folder) => {
            LastAttempt::Underway
        }
        store::LastAttempt::Submitted
        | store::LastAttempt::Running
        | store::LastAttempt::Interrupted
        | store::LastAttempt::Lost => LastAttempt::Interrupted,
        store::LastAttempt::Failed { message, .. } => LastAttempt::Failed(message.clone()),
        store::LastAttempt::Done => LastAttempt::Done,
    };
    let artifacts = match output_of(history) {
        Some(output) if is_continued && !output.join(OPTIMIZER).is_file() => {
            Artifacts::Missing(output.join(OPTIMIZER).display().to_string())
        }
        Some(output) => history.artifacts.iter().find_map(|artifact| damage(&output, artifact)).unwrap_or_default(),
        None => Artifacts::default(),
    };
    PriorState { last, artifacts, change: None }
}

/// The folder of the files that a finished job left; `None` for a job that is not done.
pub(super) fn output_of(history: &JobHistory) -> Option<PathBuf> {
    (history.last == store::LastAttempt::Done)
        .then(|| history.attempt.as_ref().map(|attempt| attempt.join(layout::OUTPUT)))?
}

/// Whether a file is missing or has another size; `None` if it is intact.
fn damage(output: &Path, artifact: &Artifact) -> Option<Artifacts> {
    let path = output.join(&artifact.path);
    let name = path.display().to_string();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() == artifact.bytes => None,
        Ok(_) => Some(Artifacts::Altered(name)),
        Err(_) => Some(Artifacts::Missing(name)),
    }
}
