//! The names of the files and folders through which the coordinator and the workers communicate. [`grid::domain::event`]
//! describes their layout.

pub use grid::domain::event::{OPTIMIZER, SCHEMA};

/// The assignment, in the folder of the job and in that of each attempt.
pub const JOB: &str = "job.json";

/// The journal of an attempt.
pub const JOURNAL: &str = "journal.jsonl";

/// The outcome of an attempt, in its folder.
pub const OUTCOME: &str = "outcome.json";

/// The outcomes of evaluation items.
pub const ITEMS: &str = "items.jsonl";

/// The file that a worker keeps locked while it runs the job in this folder.
pub const LOCK: &str = "lock";

/// The file whose content is the time at which the worker was last known to be alive.
pub const HEARTBEAT: &str = "heartbeat";

/// The folder of an attempt's artifacts.
pub const OUTPUT: &str = "output";

/// How the names of checkpoint folders begin.
pub const CHECKPOINT_PREFIX: &str = "checkpoint-";

/// The exit code of a worker that stopped on request and can resume.
pub const RESUMABLE: u8 = 75;

/// The file in the folder of a job under which the outcome of a submission is published.
pub fn published_outcome(token: &str) -> String {
    grid::domain::Outcome::file_name(token)
}
