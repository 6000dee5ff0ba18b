//! What each kind of job does: a recipe that joins data, suites and ml, and tells the journal.
//!
//! Purpose: from an assignment to the files in `output/`, one file per kind.
//!
//! Invariant: a job reads nothing but its assignment, its sources, its parents' outputs and the checkpoints of its
//! own earlier attempts, so the same assignment gives the same output.
//!
//! Rejected: jobs that look into the database or at other jobs for what they lack. What a job needs is in its
//! assignment, or its identity would not cover it.

mod batches;
mod eval;
mod finetune;
mod import;
mod prepare;
#[cfg(test)]
mod tests;
mod tokenizer;
mod train;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use grid::data::DataError;
use grid::domain::layout::OPTIMIZER;
use grid::domain::{Artifact, Assignment, Job, JobId, LocatedSource, Origin, Outcome};
use grid::suites::SuiteError;

use crate::attempt::{Attempt, JobError, digest_of};
use crate::ml::{self, Model};

/// What a worker keeps from job to job: the last model scored, so that the tasks of one checkpoint cost one load, and the
/// last rows fine-tuned on, so that the seeds of one task cost one reading.
#[derive(Default)]
pub struct Memory {
    scored: Option<(PathBuf, eval::Scorable)>,
    encoded: finetune::Encoded,
}

impl From<DataError> for JobError {
    fn from(error: DataError) -> Self {
        JobError::failed(error)
    }
}

impl From<SuiteError> for JobError {
    fn from(error: SuiteError) -> Self {
        JobError::failed(error)
    }
}

impl From<ml::Error> for JobError {
    fn from(error: ml::Error) -> Self {
        match error {
            ml::Error::NonFinite { .. } => JobError::non_finite(error),
            _ => JobError::failed(error),
        }
    }
}

/// Does the job.
///
/// # Errors
/// [`JobError::Interrupted`] when the attempt was asked to stop; anything else is a failure of the job.
pub fn run(assignment: &Assignment, attempt: &mut Attempt, memory: &mut Memory) -> Result<(), JobError> {
    match &assignment.job {
        Job::Tokenizer(job) => tokenizer::run(job, assignment, attempt),
        Job::Prepare(job) => prepare::run(job, assignment, attempt),
        Job::Pretrain(job) => train::pretrain(job, assignment, attempt),
        Job::Import(job) => import::run(job, assignment, attempt, memory),
        Job::Tune(job) => train::tune(job, assignment, attempt),
        Job::Eval(job) => eval::run(job, assignment, attempt, memory),
        Job::Finetune(job) => finetune::run(job, assignment, attempt, memory),
    }
}

/// The files of an origin, from the assignment.
fn located(assignment: &Assignment, origin: &Origin) -> LocatedSource {
    let files = assignment.sources.iter().find(|(known, _)| known == origin).map(|(_, files)| files.clone());
    LocatedSource { origin: origin.clone(), files: files.unwrap_or_default() }
}

/// The output folder of a parent.
fn parent<'a>(assignment: &'a Assignment, id: &JobId) -> Result<&'a Path, JobError> {
    let folder = assignment.parents.get(id);
    folder
        .map(PathBuf::as_path)
        .ok_or_else(|| JobError::failed(format!("the assignment lacks its parent {}", id.short())))
}

/// Reads the model in the output of a job, or in a folder of it, onto a device.
///
/// # Errors
/// Weights that are not those which the job left, by the digests of its outcome.
fn read_model(folder: &Path, device: &str) -> Result<Model, JobError> {
    let output = folder.ancestors().find(|folder| folder.ends_with("output"));
    if let Some(output) = output
        && let Ok(text) = fs::read(output.with_file_name("outcome.json"))
    {
        let outcome: Outcome = serde_json::from_slice(&text).map_err(JobError::failed)?;
        for Artifact { path, digest, .. } in outcome.artifacts {
            let path = output.join(path);
            let weights = path.extension().is_some_and(|kind| kind == "safetensors") && !path.ends_with(OPTIMIZER);
            if weights && path.parent() == Some(folder) && digest_of(&path)? != digest {
                return Err(JobError::failed(format!(
                    "{} is not what its job left there: its digest is another one; remove it, and `grid resume` makes \
                     it anew",
                    path.display()
                )));
            }
        }
    }
    Ok(ml::hf::read(folder, ml::runtime::device(device)?)?)
}

/// Folder of a pretrain job's output with the models of its milestones, each in a folder of its own.
const MILESTONES: &str = "milestones";
