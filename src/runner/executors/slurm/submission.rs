//! What is known of a submission to Slurm.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::super::executor::WorkerStatus;
use super::super::super::folder;
use super::super::log_tail::last_lines;
use super::commands::ListedJob;
use super::script::job_name;
use crate::domain::layout;

/// A submission that may still have a worker.
#[derive(Debug)]
pub(super) struct Submission {
    pub folder: PathBuf,
    pub name: String,
    pub sent: Sent,
    /// When it was sent; earlier listings say nothing about it.
    pub since: Instant,
    /// The listing that its status was last derived from.
    pub judged: Option<Instant>,
    /// The first of the consecutive listings that do not contain it.
    pub missing: Option<Instant>,
    /// The heartbeats, as they were last read.
    heartbeats: String,
    /// When the heartbeats were last seen to change.
    pub last_change: Option<Instant>,
    /// Whether the user was warned that it may stay pending.
    pub warned: bool,
}

/// Whether a submission is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// By sbatch, which returned this number, or perhaps by an earlier coordinator.
    Queued(Option<u64>),
    /// sbatch failed for a temporary reason; the job may be queued or not.
    Unknown,
}

impl Submission {
    /// The submission of the job in this folder.
    pub(super) fn new(folder: &Path, sent: Sent) -> Self {
        let (folder, name) = (folder.to_owned(), job_name(folder));
        let since = Instant::now();
        Self {
            folder,
            name,
            sent,
            since,
            judged: None,
            missing: None,
            heartbeats: String::new(),
            last_change: None,
            warned: false,
        }
    }

    /// When the worker last showed that it is alive.
    pub(super) fn last_heartbeat(&mut self, token: &str) -> Option<Instant> {
        let heartbeats = folder::heartbeats(&self.folder, token);
        if heartbeats != self.heartbeats {
            self.heartbeats = heartbeats;
            self.last_change = Some(Instant::now());
        }
        self.last_change
    }
}

/// The final status of a job that Slurm will not run again.
pub(super) fn end_status(submission: &Submission, job: Option<&ListedJob>) -> WorkerStatus {
    let Some(ListedJob { id, state, reason }) = job else {
        let message = "it is not in Slurm's queue, shows no activity, and left no outcome".to_owned();
        return WorkerStatus::Ended { resumable: false, message };
    };
    let end = match state.as_str() {
        "TIMEOUT" => "reached its time limit before it could save its state; ask for more with --time".to_owned(),
        "OUT_OF_MEMORY" => "needed more memory than it has; ask for more with --mem".to_owned(),
        "PREEMPTED" => "was preempted".to_owned(),
        "CANCELLED" => "was cancelled".to_owned(),
        _ if reason == "None" => format!("is {state} and left no outcome"),
        _ => format!("is {state} ({reason}) and left no outcome"),
    };
    let message = format!("Slurm job {id} {end}");
    let log = submission.folder.join(layout::slurm_log(id));
    let message = match last_lines(&log, 0) {
        Some(lines) => format!("{message}; {lines}"),
        None => message,
    };
    WorkerStatus::Ended { resumable: state == "PREEMPTED", message }
}
