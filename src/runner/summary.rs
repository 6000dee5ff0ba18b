//! The result of a run.

use crate::domain::JobId;

/// What became of the tasks: each is in exactly one list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Done, in the order in which they ended.
    pub done: Vec<JobId>,
    /// Failed, with the reasons.
    pub failed: Vec<(JobId, String)>,
    /// Not run because a job that they need failed.
    pub skipped: Vec<JobId>,
    /// Stopped, or never started, because the run was stopped.
    pub interrupted: Vec<JobId>,
}
