//! Take over a model that was trained elsewhere.

use grid::data;
use grid::domain::ImportJob;

use super::inputs::Inputs;
use super::scorable::{ModelCache, Scorable};
use crate::attempt::{Attempt, JobError};

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
    for file in inputs.located(&job.folder).files {
        data::copy_source(&file, &output)?;
    }
    cache.clear();
    let scorable = Scorable::read_own(&output, &inputs.settings().device)?;
    scorable.warn(attempt)?;
    cache.put(output, scorable)
}
