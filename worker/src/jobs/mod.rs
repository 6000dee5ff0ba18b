//! What each kind of job does.

use grid::domain::Assignment;

use crate::attempt::{Attempt, JobError};

/// Does the work of an assignment.
pub fn run(assignment: &Assignment, _attempt: &mut Attempt) -> Result<(), JobError> {
    Err(JobError::failed(format!("this grid-worker has no recipe for {} jobs", assignment.job.kind())))
}
