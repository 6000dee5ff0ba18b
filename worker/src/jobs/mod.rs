//! The code of each kind of job: it joins data, suites and ml, and writes events to the journal.
//!
//! Purpose: from an assignment to the files in `output/`, one file for each kind.
//!
//! Invariant: a job reads only its assignment, its sources, the outputs of its parents and the checkpoints of its own
//! earlier attempts, so the same assignment gives the same output.
//!
//! Rejected: jobs that query the database or other jobs for what they need. All of that is in the assignment; otherwise
//! the identity of the job would not cover it.

mod batches;
mod checkpoints;
mod error;
mod eval;
mod fault_injection;
mod finetune;
#[cfg(test)]
mod fixtures;
mod import;
mod inputs;
mod logprobs;
mod milestones;
mod partial;
mod prepare;
mod pretrain;
mod sample;
mod scorable;
mod select;
mod teach;
mod teachers;
mod tokenizer;
mod training;
mod tune;
mod unscorable_item;
mod vocabulary;

use grid::domain::{Assignment, Job};

use crate::attempt::{Attempt, JobError};
use finetune::RowCache;
use inputs::{InputFiles, Inputs};
use scorable::ModelCache;

/// What a worker keeps in memory from job to job.
#[derive(Default)]
pub struct Memory {
    /// The model that was scored last, so that the evaluations of one model load it once.
    model: ModelCache,
    /// The rows that were used for fine-tuning last, so that the seeds of one task read them once.
    rows: RowCache,
    /// The files of parents that were read, so that each is digested once.
    files: InputFiles,
}

/// Runs the job.
///
/// # Errors
/// [`JobError::Interrupted`] when the attempt was asked to stop. All other errors are failures of the job.
pub fn run(assignment: &Assignment, attempt: &mut Attempt, memory: &mut Memory) -> Result<(), JobError> {
    let inputs = Inputs::of(assignment, &memory.files);
    let result = match &assignment.job {
        Job::Tokenizer(job) => tokenizer::run(job, inputs, attempt),
        Job::Prepare(job) => prepare::run(job, inputs, attempt),
        Job::Pretrain(job) => pretrain::run(job, inputs, attempt),
        Job::Import(job) => import::run(job, inputs, attempt, &mut memory.model),
        Job::Logprobs(job) => logprobs::run(job, inputs, attempt),
        Job::Sample(job) => sample::run(job, inputs, attempt),
        Job::Teach(job) => teach::run(job, inputs, attempt),
        Job::Tune(job) => tune::run(job, inputs, attempt),
        Job::Eval(job) => eval::run(job, inputs, attempt, &mut memory.model),
        Job::Finetune(job) => finetune::run(job, inputs, attempt, &mut memory.rows),
    };
    // A changed input comes first, because it is the reason of whatever came of it.
    inputs.check_unchanged()?;
    result
}
