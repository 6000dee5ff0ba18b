//! What the database and the files on disk say about a job.

use std::io;
use std::path::Path;

use crate::data::{DataError, Survey, stamp_of};
use crate::domain::layout::{self, OPTIMIZER};
use crate::domain::{Artifact, FinishedOutput};
use crate::plan::{Artifacts, LastAttempt, PriorState};
use crate::runner;
use crate::store::{self, JobHistory};

/// What the plan must know of a job: its last outcome and the state of its files. A job whose training another job
/// continues must have left the state of its optimizer, which it does only if both were planned together.
///
/// # Errors
/// A file that exists and cannot be read.
pub(super) fn known(history: &JobHistory, is_continued: bool, survey: &mut Survey) -> Result<PriorState, DataError> {
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
        Some(FinishedOutput { folder, .. }) if is_continued && !folder.join(OPTIMIZER).is_file() => {
            Artifacts::Missing(folder.join(OPTIMIZER).display().to_string())
        }
        Some(output) => state_of(&output, survey)?,
        None => Artifacts::default(),
    };
    Ok(PriorState { last, artifacts, change: None })
}

/// What a finished job left; `None` for a job that is not done.
pub(super) fn output_of(history: &JobHistory) -> Option<FinishedOutput> {
    let attempt = history.attempt.as_ref().filter(|_| history.last == store::LastAttempt::Done)?;
    Some(FinishedOutput { folder: attempt.join(layout::OUTPUT), artifacts: history.artifacts.clone() })
}

/// The first file that is missing or has another content than its record says.
pub(super) fn state_of(output: &FinishedOutput, survey: &mut Survey) -> Result<Artifacts, DataError> {
    for artifact in &output.artifacts {
        match state_of_file(&output.folder, artifact, survey)? {
            Artifacts::Whole => {}
            damaged => return Ok(damaged),
        }
    }
    Ok(Artifacts::Whole)
}

/// Compares a file with its record. A file with the stamp at which its worker digested it is the same, which costs no more
/// than opening it; of any other, the content is digested, once for each change.
fn state_of_file(output: &Path, artifact: &Artifact, survey: &mut Survey) -> Result<Artifacts, DataError> {
    let path = output.join(&artifact.path);
    let name = path.display();
    let stamp = match stamp_of(&path) {
        Ok(stamp) => stamp,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Artifacts::Missing(name.to_string())),
        Err(source) => return Err(DataError::Io { action: "read", path, source }),
    };
    if artifact.stamp == Some(stamp) {
        return Ok(Artifacts::Whole);
    }
    if stamp.length != artifact.bytes {
        return Ok(Artifacts::Altered(format!("{name} has {} bytes instead of {}", stamp.length, artifact.bytes)));
    }
    let (found, recorded) = (survey.digest_of(&path)?, artifact.digest);
    Ok(match found == recorded {
        true => Artifacts::Whole,
        false => Artifacts::Altered(format!("{name} has the digest {found} instead of {recorded}")),
    })
}
