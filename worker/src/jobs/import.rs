//! Take over a model that was trained elsewhere.

use grid::domain::{Assignment, Digest, ImportJob, Origin};

use super::eval::Scorable;
use super::{Memory, located};
use crate::attempt::{Attempt, JobError};
use crate::ml;

/// Leaves the files of the folder as they are, after reading them as every later job will.
///
/// The numbers stay in the format they came in; whoever reads them widens them to float32, which loses nothing. The
/// model stays in memory for the evaluations that are likely to follow.
pub(super) fn run(
    job: &ImportJob,
    assignment: &Assignment,
    attempt: &mut Attempt,
    memory: &mut Memory,
) -> Result<(), JobError> {
    let output = attempt.output().to_owned();
    let mut parts = vec![];
    for path in located(assignment, &job.folder).files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = output.join(&name);
        std::fs::copy(&path, &copy).map_err(|error| JobError::failed(format!("{}: {error}", path.display())))?;
        parts.push((name, ml::tensors::digest(&copy)?));
    }
    let digest = Digest::of_named(parts.iter().map(|(name, digest)| (name.as_str(), *digest)));
    if job.folder != (Origin::Content { digest }) {
        return Err(JobError::failed("the model has changed since the plan was made: run again"));
    }
    memory.scored = None; // frees the one before
    let scorable = Scorable::read(&output, &assignment.settings.device)?;
    let (rows, entries) = (scorable.model.config().vocab_size, scorable.tokenizer.vocab_size());
    if entries > rows {
        return Err(JobError::failed(format!(
            "the tokenizer has {entries} entries, but the model knows {rows} only: they do not belong together"
        )));
    }
    memory.scored = Some((output, scorable));
    Ok(())
}
