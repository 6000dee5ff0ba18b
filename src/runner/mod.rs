//! When and where jobs happen: ready queue, slots, workers, retries, cancellation.
//!
//! Purpose: [`drive`] sees a set of tasks through, whatever executes them, and tells what happens as [`JobUpdate`].
//!
//! Invariant: news are told before they are acted on. A submission is recorded before a worker gets it, an outcome
//! before its children start; and a job's `job.json` is there exactly while the end of its submission is not recorded.
//! So a coordinator killed at any instruction leaves files from which the next one goes on, without running anything
//! twice.
//!
//! Rejected: workers that report over a socket or pipe. They would need their coordinator alive, a protocol for coming
//! back, and another one for Slurm; a journal in a file is all three, and can be read by people.
//!
//! [`Local`] and [`Slurm`] are the executors, [`Fake`] is one for tests.
//!
//! [`JobUpdate`]: crate::domain::JobUpdate

mod bench;
mod compare;
mod drive;
mod executor;
pub mod fake;
mod folder;
mod local;
mod lock;
mod queue;
mod slots;
mod slurm;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::domain::{FaultInjection, JobId};

pub use bench::{Rounds, measure};
pub use compare::{Difference, difference};
pub use drive::drive;
pub use executor::{Executor, Status};
pub use fake::Fake;
pub use folder::{at_work, left_done};
pub use local::{Local, worker_program};
pub use lock::Lock;
pub use slots::{Slot, gpus, slots};
pub use slurm::Slurm;

/// What to do when jobs fail, and how they are to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether jobs that do not need the failed one go on. Otherwise those under way end, and nothing new starts.
    pub keep_going: bool,
    /// How often a job may be submitted again after a loss of its worker, or of memory that no smaller micro-batch
    /// can help.
    pub retries: u32,
    /// Seconds between checkpoints of a training job.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` takes the whole batch at once.
    pub micro_batch: Option<u32>,
    /// Faults to plant in training jobs.
    pub faults: Option<FaultInjection>,
}

/// What the user wants of a run under way; it only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Let the workers save their state, wait for them, and return.
    Politely,
    /// Kill the workers.
    Now,
}

/// What became of the tasks: each is in exactly one list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Done, in the order in which they ended.
    pub done: Vec<JobId>,
    /// Failed, with the reasons.
    pub failed: Vec<(JobId, String)>,
    /// Not run, as a job they need failed.
    pub skipped: Vec<JobId>,
    /// Stopped or never started, as the run was stopped.
    pub interrupted: Vec<JobId>,
}

/// What ends a run before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The tasks do not make a graph that can be run.
    #[error("run {0}")]
    Tasks(String),
    /// News could not be recorded.
    #[error("record what the jobs did: {0}")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file of the run cannot be written or read.
    #[error("use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A worker cannot be started.
    #[error("start the worker {}: {source}", program.display())]
    Worker {
        /// Its program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Slurm refuses a job for what will not pass.
    #[error("submit a job to Slurm: {0}; correct `resources: {{slurm: ...}}` in the spec, or run here with --local")]
    Slurm(String),
    /// A worker did not answer.
    #[error("measure: {0}; its own words are above")]
    Measure(String),
    /// There is no worker program.
    #[error("find the worker: there is no {}; build it with `cargo build --release`, or set GRID_WORKER to it", .0.display())]
    NoWorker(PathBuf),
    /// There is no device to run on.
    #[error("run anything: there is no slot for jobs; name a device in the spec's `resources`")]
    NoSlots,
    /// Another coordinator works in this folder.
    #[error("lock {}: another grid is at work there ({holder}); wait for it to end, or stop it", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
}
