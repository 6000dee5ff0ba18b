//! What [`drive`](super::drive) asks of whatever runs jobs.

use std::path::Path;
use std::time::Duration;

use super::{RunError, Slot, folder};

/// What is known of the worker of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It lives.
    Working,
    /// It ended.
    Gone {
        /// Whether it ended on request, with its state saved.
        resumable: bool,
        /// How it ended, for people.
        message: String,
    },
}

/// Something that runs jobs, one per slot at a time.
///
/// It is told the folder of a job and starts a worker that follows the file protocol (see [`crate::domain::event`]);
/// what the worker does is read from the files, by the caller. So all methods return at once.
pub trait Executor {
    /// The slots, in a fixed order; the methods below name them by index.
    fn slots(&self) -> &[Slot];

    /// Hands the job whose `job.json` is in `folder` to the worker of a free slot, under this token.
    ///
    /// # Errors
    /// If no worker can be started, in which case none could for another job.
    fn submit(&mut self, slot: usize, folder: &Path, token: &str) -> Result<(), RunError>;

    /// Whether the worker that has the last job of a slot lives.
    fn poll(&mut self, slot: usize) -> Status;

    /// Whether a worker has, or will have, a submission that an earlier coordinator left open.
    fn poll_earlier(&mut self, folder: &Path, _token: &str) -> Status {
        if folder::at_work(folder) {
            return Status::Working;
        }
        Status::Gone { resumable: false, message: "its worker, which an earlier run had started, died".to_owned() }
    }

    /// Makes sure that the next job of a slot gets a fresh worker, as the last one failed in this.
    fn retire(&mut self, slot: usize);

    /// Whether the workers go on without their coordinator, so that it leaves at a polite stop instead of waiting.
    fn stays(&self) -> bool {
        false
    }

    /// Asks all workers to save their state and leave.
    fn interrupt(&mut self);

    /// Kills all workers.
    fn kill(&mut self);

    /// How long to wait before looking at the files again.
    fn period(&self) -> Duration;
}
