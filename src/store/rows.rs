//! What goes into the database and comes out of it: plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::{Artifact, BackendKind, CellKey, Failure, Job, JobId, Kind};

/// An experiment about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Name.
    pub name: String,
    /// The spec.
    pub spec_path: PathBuf,
    /// Its content.
    pub spec_text: String,
    /// The `path=value` overrides of the command line.
    pub overrides: Vec<String>,
}

/// A job and what it is to a cell: a word such as `pretrain` or `eval`.
pub type Role = (JobId, String);

/// A cell and its jobs, each once.
pub type PlannedCell = (CellKey, Vec<Role>);

/// A job of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlannedRow<'a> {
    /// Identity.
    pub id: JobId,
    /// The work.
    pub job: &'a Job,
    /// Name for people.
    pub label: &'a str,
    /// Folder of its attempts, absolute.
    pub folder: &'a std::path::Path,
    /// Jobs that must be done before; they are in the same plan.
    pub parents: &'a [JobId],
}

/// One `grid run` or `grid resume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Milliseconds since 1970 UTC.
    pub started: i64,
    /// Command line.
    pub command: String,
    /// Host name.
    pub host: String,
    /// Version of grid.
    pub version: String,
    /// Commit of the code, where it is known.
    pub git_commit: Option<String>,
}

/// Names an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvocationId(pub(super) i64);

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All jobs are done.
    Done,
    /// Some jobs failed.
    Failed,
    /// It was asked to stop.
    Interrupted,
}

impl Ending {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Failed => "failed",
            Ending::Interrupted => "interrupted",
        }
    }
}

/// Where a job or one of its attempts stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Never submitted (jobs only).
    Waiting,
    /// Handed to a worker that has not begun.
    Submitted,
    /// A worker is at it.
    Running,
    /// Stopped on request, its state saved.
    Interrupted,
    /// The worker vanished.
    Lost,
    /// Ended with an error.
    Failed,
    /// Ended with its artifacts.
    Done,
}

impl State {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Submitted => "submitted",
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Lost => "lost",
            State::Failed => "failed",
            State::Done => "done",
        }
    }
}

/// What the last attempt at a job came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// It was never submitted.
    Never,
    /// It was submitted, and no worker has reported.
    Submitted,
    /// A worker was at it when it was last heard of.
    Running,
    /// It was stopped on request.
    Interrupted,
    /// Its worker vanished.
    Lost,
    /// It failed.
    Failed {
        /// The sort.
        failure: Failure,
        /// The reason.
        message: String,
    },
    /// It is done.
    Done,
}

/// What is known about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHistory {
    /// What the last attempt came to.
    pub last: Last,
    /// Folder of its attempts, absolute.
    pub folder: PathBuf,
    /// Folder of the last attempt, absolute; `None` before a worker has written to it.
    pub attempt: Option<PathBuf>,
    /// Its artifacts, sorted by path; empty unless done.
    pub artifacts: Vec<Artifact>,
    /// Name of the last submission.
    pub token: Option<String>,
}

/// An experiment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExperimentRow {
    /// Name.
    pub name: String,
    /// The spec.
    pub spec_path: PathBuf,
    /// Start of its newest invocation, in milliseconds since 1970 UTC.
    pub started: i64,
    /// Cells.
    pub cells: u64,
    /// Jobs.
    pub jobs: u64,
    /// Jobs that are done.
    pub done: u64,
    /// Jobs that have failed.
    pub failed: u64,
}

/// An experiment with all that is needed to run it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExperiment {
    /// As it was begun last.
    pub experiment: Experiment,
    /// When it was first planned, in milliseconds since 1970 UTC.
    pub created: i64,
}

/// A job and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    /// Identity.
    pub id: JobId,
    /// Sort of work.
    pub kind: Kind,
    /// Name for people.
    pub label: String,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempts: u64,
    /// Start of the first attempt, in milliseconds since 1970 UTC.
    pub started: Option<i64>,
    /// End of the attempt that counts, in milliseconds since 1970 UTC.
    pub ended: Option<i64>,
    /// Seconds of all attempts that have ended.
    pub seconds: Option<f64>,
    /// Tokens trained on; 0 for a job that does not train.
    pub tokens: u64,
    /// Device of the attempt that counts.
    pub device: Option<String>,
    /// Backend of the attempt that counts.
    #[serde(skip)]
    pub backend: Option<BackendKind>,
    /// Units of work done, and in all, as the attempt that counts reported last.
    pub progress: Option<(u64, u64)>,
    /// Why it failed or was lost, or else its warnings, one per line.
    pub message: Option<String>,
    /// Folder of its attempts, absolute.
    pub folder: PathBuf,
}

/// An attempt at a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    /// Name of the submission.
    pub token: String,
    /// Its folder, absolute; `None` before a worker has written to it.
    pub folder: Option<PathBuf>,
    /// Where it stands.
    pub state: State,
    /// Device and number it was submitted to.
    pub slot: Option<String>,
    /// Host name of the worker.
    pub host: Option<String>,
    /// Process id of the worker.
    pub pid: Option<u32>,
    /// Device of the worker.
    pub device: Option<String>,
    /// Threads of the worker.
    pub threads: Option<u32>,
    /// Rows per forward pass; `None` for the whole batch.
    pub micro_batch: Option<u32>,
    /// Version of grid and of libtorch.
    pub version: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub submitted: Option<i64>,
    /// Milliseconds since 1970 UTC.
    pub started: Option<i64>,
    /// Milliseconds since 1970 UTC; of a lost attempt, the last time it was heard of.
    pub ended: Option<i64>,
    /// Optimiser steps that were already taken when it went on from a checkpoint.
    pub resumed_step: Option<u64>,
    /// Sort of failure.
    pub failure: Option<Failure>,
    /// Why it failed or was lost.
    pub message: Option<String>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// A job that leaves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelJob {
    /// Identity.
    pub id: JobId,
    /// Pretrain, import or tune.
    pub kind: Kind,
    /// Name for people.
    pub label: String,
    /// Folder of the model, absolute; `None` before the job is done.
    pub output: Option<PathBuf>,
}

/// A job that a model came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageJob {
    /// Identity.
    pub id: JobId,
    /// Sort of work.
    pub kind: Kind,
    /// Name for people.
    pub label: String,
    /// What is hashed into the id, as JSON.
    pub canonical: String,
    /// Words of a prepared text, or trained on; `None` for other sorts.
    pub words: Option<u64>,
    /// The same in tokens.
    pub tokens: Option<u64>,
}

/// A number measured at a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricPoint {
    /// Optimiser step, or 0.
    pub step: u64,
    /// Value.
    pub value: f64,
}
