//! What happens while jobs run, and what the coordinator and the workers tell each other; [`super::layout`] names the files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, JobId};
use super::fault_injection::FaultInjection;
use super::job::Job;
use super::milestone::Milestone;
use super::score::{ItemOutcome, Score};
use super::text::Origin;

/// How a job is to be run here: nothing of it changes the result beyond floating-point order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads of this worker.
    pub threads: u32,
    /// Seconds between checkpoints of a training job.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` takes the whole batch at once.
    pub micro_batch: Option<u32>,
    /// Faults to inject into a training job.
    #[serde(rename = "trial")]
    pub faults: Option<FaultInjection>,
}

/// A job as handed to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// [`SCHEMA`](super::layout::SCHEMA).
    pub schema: u32,
    /// Identity, which must equal `job.id()`.
    pub id: JobId,
    /// Names this submission; the outcome is published under it.
    pub token: String,
    /// The work.
    pub job: Job,
    /// Files of each [`Origin::Content`] that the job reads, in the order of the digest.
    pub sources: Vec<(Origin, Vec<PathBuf>)>,
    /// The `output/` folder of each parent.
    pub parents: BTreeMap<JobId, PathBuf>,
    /// Whether a training job leaves the state of its optimiser, for a job that carries on with it.
    #[serde(default)]
    pub keep_optimizer: bool,
    /// How to run it.
    pub settings: RunSettings,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    /// What happened.
    pub event: Event,
}

/// What a worker has to say about an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The first line of every journal.
    Started {
        /// Host name.
        host: String,
        /// Process id.
        pid: u32,
        /// Device.
        device: String,
        /// Threads.
        threads: u32,
        /// Rows per forward pass; `None` for the whole batch, or where nothing is trained.
        micro_batch: Option<u32>,
        /// Version of grid and of libtorch.
        version: String,
    },
    /// A training job goes on from a checkpoint.
    Resumed {
        /// Optimiser steps already taken.
        step: u64,
    },
    /// Where the work stands; `done` and `total` in optimiser steps, documents, records or items.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// Mean training loss since the last report, in nats per token.
        loss: Option<f64>,
        /// Tokens per second since the last report.
        tokens_per_second: Option<f64>,
    },
    /// A measured number, one per (name, step).
    Metric {
        /// `train_loss`, `validation_loss`, `learning_rate`, `gradient_norm`, `words`, `tokens`, ...
        name: String,
        /// Optimiser step, or 0.
        step: u64,
        /// Value.
        value: f64,
    },
    /// A checkpoint, or the copy of a model that is kept for a milestone, is on disk, complete.
    Checkpoint {
        /// Folder, relative to the attempt.
        path: PathBuf,
        /// Optimiser steps taken.
        step: u64,
        /// Tokens trained on so far in this job.
        tokens: u64,
        /// Whitespace-separated words seen so far in this job.
        words: u64,
        /// Digest of the weights file.
        weights: Digest,
        /// What a copy of the model in `output/` is kept for; `None` for a checkpoint to go on from.
        milestone: Option<Milestone>,
    },
    /// A score.
    Scored(Score),
    /// Something a user should know.
    Warning {
        /// The text.
        message: String,
    },
    /// The worker was asked to stop and has saved its state: nothing was published.
    Interrupted {
        /// Optimiser steps saved.
        step: u64,
    },
    /// The last line of a journal: the work is over, its outcome is published next.
    Finished {
        /// How it ended.
        verdict: Verdict,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// With its artifacts.
    Done,
    /// With an error.
    Failed {
        /// The sort, which decides whether a retry can help.
        failure: FailureKind,
        /// The reason, for people.
        message: String,
    },
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The job's own error: running it again would give it again.
    Job,
    /// Device or host memory ran out.
    OutOfMemory,
    /// A loss or gradient that is not finite.
    NonFinite,
    /// The worker died or lost its files.
    Lost,
}

/// A file that a finished job leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Path relative to `output/`.
    pub path: PathBuf,
    /// Size.
    pub bytes: u64,
    /// Content.
    pub digest: Digest,
}

/// The published end of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`](super::layout::SCHEMA).
    pub schema: u32,
    /// The job.
    pub id: JobId,
    /// The submission.
    pub token: String,
    /// Folder of the attempt, relative to the job's.
    pub attempt: String,
    /// Milliseconds since 1970 UTC.
    pub started: i64,
    /// Milliseconds since 1970 UTC.
    pub ended: i64,
    /// How it ended.
    pub verdict: Verdict,
    /// What it left, sorted by path; empty unless done.
    pub artifacts: Vec<Artifact>,
}

/// A job that the runner shall see done, with all it needs to write its [`Assignment`].
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Identity.
    pub id: JobId,
    /// The work.
    pub job: Job,
    /// Jobs that must be done before.
    pub parents: Vec<JobId>,
    /// Files of each [`Origin::Content`] that the job reads.
    pub sources: Vec<(Origin, Vec<PathBuf>)>,
    /// The job's folder: `runs/<experiment>/<kind>-<id>`, absolute.
    pub folder: PathBuf,
    /// Whether a training job leaves the state of its optimiser, for a job that carries on with it.
    pub keep_optimizer: bool,
}

/// What the coordinator learns about a job, in the order in which it must be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct JobUpdate {
    /// The job.
    pub job: JobId,
    /// What happened to it.
    pub update: Update,
}

/// See [`JobUpdate`].
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Handed to a worker under this token. `slot` is its device and number: `cpu/0`.
    Submitted {
        /// Submission.
        token: String,
        /// Where.
        slot: String,
    },
    /// A line of the journal of an attempt. Lines read twice (after a crash of the coordinator) come twice.
    Journal {
        /// Submission.
        token: String,
        /// Folder of the attempt, absolute.
        attempt: PathBuf,
        /// Number of the line in the journal, from 0.
        line: u64,
        /// The line.
        entry: JournalEntry,
    },
    /// The outcome; every journal line of the attempt came before. The attempt's folder is `folder/outcome.attempt`.
    Ended {
        /// The job's folder, absolute.
        folder: PathBuf,
        /// How.
        outcome: Outcome,
        /// Lines of `items.jsonl`; empty for all but eval and finetune jobs.
        items: Vec<ItemOutcome>,
    },
    /// The worker stopped on request and saved its state.
    Stopped {
        /// Submission.
        token: String,
    },
    /// The worker vanished without an outcome; the job may be submitted again.
    Lost {
        /// Submission.
        token: String,
        /// What is known.
        message: String,
    },
}
