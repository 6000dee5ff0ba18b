//! Take over a model that was trained elsewhere.

use grid::data;
use grid::domain::{ImportJob, Origin};

use super::inputs::Inputs;
use super::scorable::{ModelCache, Scorable};
use crate::attempt::{Attempt, JobError, digest_of};

/// Copies the files of the folder unchanged into the output, after reading them as every later job does.
///
/// The numbers keep their format; later jobs convert them to float32, without loss. The model stays in memory for the
/// evaluations that are likely to follow.
pub(super) fn run(
    job: &ImportJob,
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
    cache: &mut ModelCache,
) -> Result<(), JobError> {
    let output = attempt.output().to_owned();
    let mut parts = vec![];
    for path in inputs.located(&job.folder).files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = output.join(&name);
        std::fs::copy(&path, &copy).map_err(|error| JobError::failed(format!("{}: {error}", path.display())))?;
        parts.push((name, digest_of(&copy)?));
    }
    let digest = data::model_digest(&output, &parts);
    if job.folder != (Origin::Content { digest }) {
        return Err(JobError::failed("the model has changed since the plan was made: run `grid run` again"));
    }
    cache.clear();
    let scorable = Scorable::read_own(&output, &inputs.settings().device)?;
    scorable.warn(attempt)?;
    cache.put(output, scorable)
}
