//! The jobs whose progress is shown.

use crate::domain::{JobId, JobKind};

/// A job of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// The id of the job.
    pub id: JobId,
    /// The name shown to people, without the kind.
    pub label: String,
    /// The kind of the job.
    pub kind: JobKind,
    /// The expected cost, in any unit that the jobs of the run share.
    pub weight: f64,
}
