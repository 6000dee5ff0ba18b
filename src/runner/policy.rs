//! What a run is asked to do when jobs fail, and when the user wants it to stop.

use crate::domain::FaultInjection;

/// How jobs are run, and what happens when they fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether jobs that do not depend on a failed one still start. Otherwise running jobs finish, and no other starts.
    pub keep_going: bool,
    /// How often a job may be submitted again after its worker was lost, or after it ran out of memory with the
    /// smallest micro-batch.
    pub retries: u32,
    /// Seconds between checkpoints of a training job.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` passes the whole batch at once.
    pub micro_batch: Option<u32>,
    /// Faults to inject into training jobs.
    pub faults: Option<FaultInjection>,
}

/// How urgently the user wants a run to stop; it only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Keep running.
    #[default]
    No,
    /// Let the workers save their state, wait for them, and return.
    Politely,
    /// Kill the workers.
    Now,
}
