//! The submissions of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::folder::JournalTail;
use crate::domain::{FinishedOutput, JobId, Outcome, RunSettings};

/// Which worker has a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// The worker of this slot.
    Slot(usize),
    /// A worker of an earlier coordinator, which may have died. It blocks this slot of its device, if there is one,
    /// because two models may not fit into memory.
    Adopted(Option<usize>),
}

/// A submission whose end is not recorded yet.
#[derive(Debug)]
pub(super) struct OpenSubmission {
    pub task: usize,
    pub token: String,
    pub holder: Holder,
    pub settings: RunSettings,
    /// The `output/` folders of the parents that it reads.
    pub inputs: BTreeMap<JobId, PathBuf>,
    pub tail: JournalTail,
}

/// How a submission ended.
#[derive(Debug)]
pub(super) enum End {
    Outcome(Outcome),
    /// Stopped on request; the work up to this step was saved, where the step is known.
    Stopped(Option<u64>),
    Lost(String),
}

/// The retries of a task.
#[derive(Debug, Clone, Default)]
pub(super) struct Retries {
    /// Submissions that were lost, or that ran out of memory with the smallest micro-batch.
    pub lost: u32,
    /// The micro-batch to use after failures for lack of memory.
    pub micro_batch: Option<u32>,
    /// The step it had reached when it was last stopped by something other than the user of this run.
    pub stopped_at: Option<u64>,
}

/// The folders of outputs.
pub(super) fn folders(outputs: &BTreeMap<JobId, FinishedOutput>) -> BTreeMap<JobId, PathBuf> {
    outputs.iter().map(|(id, output)| (*id, output.folder.clone())).collect()
}

/// Half the rows that did not fit, unless there was only one.
pub(super) fn smaller_micro_batch(settings: &RunSettings, batch_size: Option<u32>) -> Option<u32> {
    let rows = settings.micro_batch.into_iter().chain(batch_size).min()?;
    (rows > 1).then_some(rows / 2)
}
