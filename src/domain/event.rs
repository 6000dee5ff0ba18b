//! What happens while jobs run, and the messages between the coordinator and the workers.
//!
//! The messages are files; see [`super::layout`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, JobId};
use super::fault_injection::FaultInjection;
use super::file_stamp::FileStamp;
use super::inner_path::{FolderName, InnerPath};
use super::interaction::TeacherAccess;
use super::job::Job;
use super::milestone::Milestone;
use super::origin::Origin;
use super::score::{ItemOutcome, Score};
use super::source::SourceFile;

/// How to run a job on this machine. None of it changes the result beyond the order of floating-point operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The device: `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads of the worker.
    pub threads: u32,
    /// Seconds between checkpoints of a training job.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` for the whole batch.
    pub micro_batch: Option<u32>,
    /// Faults to inject into a training job.
    #[serde(rename = "trial")]
    pub faults: Option<FaultInjection>,
}

/// A job as submitted to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The version of the format; see [`ASSIGNMENT_SCHEMA`](super::layout::ASSIGNMENT_SCHEMA).
    pub schema: u32,
    /// The id of the job, which must equal `job.id()`.
    pub id: JobId,
    /// Identifies this submission; the outcome is published under this token.
    pub token: String,
    /// The job to run.
    pub job: Job,
    /// The files of each [`Origin::Content`] that the job reads, in the order in which they were digested.
    pub sources: Vec<(Origin, Vec<SourceFile>)>,
    /// What each parent left.
    pub parents: BTreeMap<JobId, FinishedOutput>,
    /// Whether a training job keeps the state of its optimizer for a later job that continues with it.
    #[serde(default)]
    pub keep_optimizer: bool,
    /// How a teach job reaches its teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherAccess>,
    /// How to run the job.
    pub settings: RunSettings,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    /// The event.
    pub event: Event,
}

/// An event of an attempt, as reported by its worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The first line of every journal.
    Started {
        /// The name of the host.
        host: String,
        /// The process id of the worker.
        pid: u32,
        /// The device that the attempt runs on.
        device: String,
        /// The number of threads of the worker.
        threads: u32,
        /// Rows per forward pass; `None` for the whole batch, or if the job trains nothing.
        micro_batch: Option<u32>,
        /// The versions of grid and libtorch.
        version: String,
    },
    /// A training job resumed from a checkpoint.
    Resumed {
        /// Optimizer steps already taken.
        step: u64,
    },
    /// The progress; `done` and `total` count optimizer steps, documents, records or items.
    Progress {
        /// The number of units done.
        done: u64,
        /// The total number of units.
        total: u64,
        /// Mean training loss since the last report, in nats per token.
        loss: Option<f64>,
        /// Tokens per second since the last report.
        tokens_per_second: Option<f64>,
    },
    /// A measured value; there is one for each (name, step).
    Metric {
        /// `train_loss`, `validation_loss`, `learning_rate`, `gradient_norm`, `words`, `tokens`, ...
        name: String,
        /// The optimizer step, or 0 for a value of the whole job.
        step: u64,
        /// The measured value.
        value: f64,
    },
    /// A checkpoint, or the copy of a model for a milestone, is complete on disk.
    Checkpoint {
        /// The folder, relative to that of the attempt.
        path: InnerPath,
        /// Optimizer steps taken.
        step: u64,
        /// Tokens trained on so far in this job.
        tokens: u64,
        /// Whitespace-separated words seen so far in this job.
        words: u64,
        /// The digest of the weights file.
        weights: Digest,
        /// The milestone of a copy of the model in `output/`; `None` for a checkpoint to resume from.
        milestone: Option<Milestone>,
    },
    /// A score of a model.
    Scored(Score),
    /// A warning for the user.
    Warning {
        /// The text of the warning.
        message: String,
    },
    /// The worker was asked to stop and has saved its state; no outcome was published.
    Interrupted {
        /// Optimizer steps saved.
        step: u64,
    },
    /// The last line of a journal: the job has ended, and its outcome is published next.
    Finished {
        /// How it ended.
        verdict: Verdict,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Successfully, with artifacts.
    Done,
    /// With an error.
    Failed {
        /// The kind of failure, which decides whether a retry can help.
        failure: FailureKind,
        /// The reason, as shown to the user.
        message: String,
    },
    /// Not at all: a file of a parent is not the one that the parent left. Once the parent has run again, the job can.
    DamagedInput {
        /// The parent.
        parent: JobId,
        /// The file and both digests, as shown to the user.
        message: String,
    },
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// An error of the job itself, which a retry would repeat.
    Job,
    /// The device or the host ran out of memory.
    OutOfMemory,
    /// The loss or a gradient is infinite or NaN.
    NonFinite,
    /// The worker died, or its files were lost.
    Lost,
}

/// A file produced by a finished job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Path relative to `output/`.
    pub path: InnerPath,
    /// The size of the file.
    pub bytes: u64,
    /// The digest of its content.
    pub digest: Digest,
    /// The stamp of the file when it was digested; `None` for jobs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<FileStamp>,
}

/// What a finished job left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedOutput {
    /// The absolute path of `output/`.
    pub folder: PathBuf,
    /// The files in it.
    pub artifacts: Vec<Artifact>,
}

/// The published outcome of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of the format; see [`OUTCOME_SCHEMA`](super::layout::OUTCOME_SCHEMA).
    pub schema: u32,
    /// The id of the job.
    pub id: JobId,
    /// The token of the submission.
    pub token: String,
    /// The folder of the attempt, relative to that of the job.
    pub attempt: FolderName,
    /// Milliseconds since 1970 UTC.
    pub started: i64,
    /// Milliseconds since 1970 UTC.
    pub ended: i64,
    /// How it ended.
    pub verdict: Verdict,
    /// The files it produced, sorted by path; empty unless the job is done.
    pub artifacts: Vec<Artifact>,
    /// The journals of all attempts at the submission, and the items, as they were when the outcome was published, by their
    /// paths in the folder of the job. Another attempt that is still alive may append to its journal after that.
    #[serde(default)]
    pub records: Vec<Artifact>,
}

/// A job for the runner, with everything that is needed to write its [`Assignment`].
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The id of the job.
    pub id: JobId,
    /// The job to run.
    pub job: Job,
    /// The jobs that must be done first.
    pub parents: Vec<JobId>,
    /// The files of each [`Origin::Content`] that the job reads.
    pub sources: Vec<(Origin, Vec<SourceFile>)>,
    /// The absolute path of the folder of the job: `runs/<experiment>/<kind>-<id>`.
    pub folder: PathBuf,
    /// Whether a training job keeps the state of its optimizer for a later job that continues with it.
    pub keep_optimizer: bool,
    /// How a teach job reaches its teacher.
    pub teacher: Option<TeacherAccess>,
}

/// A change in the state of a job, as seen by the coordinator. Updates must be recorded in order.
#[derive(Debug, Clone, PartialEq)]
pub struct JobUpdate {
    /// The id of the job.
    pub job: JobId,
    /// What has changed.
    pub update: Update,
}

/// The change in a [`JobUpdate`].
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The job was submitted to a worker.
    Submitted {
        /// The token of the submission.
        token: String,
        /// The slot of the worker: its device and number, such as `cpu/0`.
        slot: String,
    },
    /// An attempt wrote a line to its journal. After a crash of the coordinator, lines may be read and reported twice.
    Journal {
        /// The token of the submission.
        token: String,
        /// The absolute path of the folder of the attempt.
        attempt: PathBuf,
        /// The number of the line in the journal, from 0.
        line: u64,
        /// The content of the line.
        entry: JournalEntry,
    },
    /// The job ended; all journal lines of the attempt were reported before. The folder of the attempt is
    /// `folder/outcome.attempt`.
    Ended {
        /// The absolute path of the folder of the job.
        folder: PathBuf,
        /// The outcome as published.
        outcome: Outcome,
        /// The lines of `items.jsonl`; empty except for eval and finetune jobs.
        items: Vec<ItemOutcome>,
    },
    /// The worker stopped on request and saved its state.
    Stopped {
        /// The token of the submission.
        token: String,
    },
    /// The worker vanished without an outcome; the job may be submitted again.
    Lost {
        /// The token of the submission.
        token: String,
        /// What is known about the loss.
        message: String,
    },
}
