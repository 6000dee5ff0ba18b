//! Jobs whose workers died together with their coordinator.

use crate::runner;
use crate::store::{JobRow, JobState};

/// Whether the database says that a job is submitted or running, but no worker has it or will get it. A job in the queue
/// of a batch system still gets one.
pub fn is_abandoned(row: &JobRow) -> bool {
    let is_queued = row.state == JobState::Submitted && row.backend.is_some_and(|kind| kind.batch_system().is_some());
    matches!(row.state, JobState::Submitted | JobState::Running)
        && !is_queued
        && !runner::has_living_worker(&row.folder)
}
