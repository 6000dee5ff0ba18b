//! How a session reports its progress. It prints nothing itself.

use crate::domain::{JobId, JobKind, JobUpdate};

/// A job that is about to run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobToRun {
    /// Identity.
    pub id: JobId,
    /// Kind of the job.
    pub kind: JobKind,
    /// Name for people, without the kind.
    pub label: String,
    /// Expected cost, in a unit that all jobs of the run share.
    pub weight: f64,
}

/// Follows the jobs of a run.
pub trait Observer {
    /// These jobs are about to run.
    fn start(&mut self, jobs: &[JobToRun]);

    /// Something happened to a job. It has been recorded.
    fn update(&mut self, update: &JobUpdate);

    /// The run has ended.
    fn finish(&mut self);

    /// Tells the user at once what grid does now, such as after an interrupt. It may be called from another thread, hence
    /// a function without a receiver.
    fn announce(&self) -> fn(&str);
}
