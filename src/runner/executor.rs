//! The interface between [`drive`](super::drive()) and whatever executes jobs.

use std::path::Path;
use std::time::Duration;

use super::error::RunError;
use super::folder;
use super::slots::Slot;

/// Whether the worker of a slot still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerStatus {
    /// It is running, or will run.
    Alive,
    /// It ended.
    Ended {
        /// Whether it ended on request, with its state saved.
        resumable: bool,
        /// How it ended, for people.
        message: String,
    },
}

/// Something that runs jobs, one per slot at a time.
///
/// It is given the folder of a job and starts a worker that follows the file protocol (see [`crate::domain::event`]).
/// The caller reads the files to learn what the worker does, so all methods return at once.
pub trait Executor {
    /// The slots, in a fixed order; the methods below refer to them by index.
    fn slots(&self) -> &[Slot];

    /// Hands the job whose `job.json` is in `folder` to the worker of a free slot, under this token.
    ///
    /// # Errors
    /// If no worker can be started, in which case no other job could be started either.
    fn submit(&mut self, slot: usize, folder: &Path, token: &str) -> Result<(), RunError>;

    /// Whether the worker that has the last job of a slot still runs.
    fn poll(&mut self, slot: usize) -> WorkerStatus;

    /// Whether a submission that an earlier coordinator left open has a worker, or will have one.
    fn poll_adopted(&mut self, folder: &Path, _token: &str) -> WorkerStatus {
        if folder::has_living_worker(folder) {
            return WorkerStatus::Alive;
        }
        let message = "the worker that an earlier run started has died".to_owned();
        WorkerStatus::Ended { resumable: false, message }
    }

    /// Makes sure that the next job of a slot gets a fresh worker, because the last job failed in this one.
    fn retire(&mut self, slot: usize);

    /// Whether the workers keep running without their coordinator, so that a polite stop does not wait for them.
    fn outlives_coordinator(&self) -> bool {
        false
    }

    /// Asks all workers to save their state and exit.
    fn interrupt(&mut self);

    /// Kills all workers.
    fn kill(&mut self);

    /// How long to wait before the files are read again.
    fn poll_interval(&self) -> Duration;
}
