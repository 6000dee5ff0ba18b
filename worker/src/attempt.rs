//! One try at a job, and the files in which it is kept.
//!
//! Purpose: everything a recipe needs to say (events, items), to leave (output, checkpoints) and to ask (shall I stop?
//! what did earlier attempts save?), so that no recipe knows of tokens, locks and outcomes.
//!
//! Invariant: an attempt writes below its own folder only, and the one thing it does outside, publishing its outcome
//! by link(2), happens after every line of its journal is on disk. Whoever sees the outcome can read all of the rest.
//!
//! Rejected: ending with the coordinator (`PR_SET_PDEATHSIG`, or leaving when standard input closes). A coordinator
//! that crashes at night would take every training job with it; workers finish, and the next coordinator finds them.

mod files;
mod serve;
pub mod signal;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grid::domain::{Assignment, Event, FailureKind, ItemOutcome, JournalEntry};

pub use files::digest_of;
use files::{Heartbeat, now};
pub use serve::{Served, serve};

/// Why a recipe ended without a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    /// It was asked to stop, and has saved its state.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Optimiser steps saved; 0 where nothing can be.
        step: u64,
    },
    /// It failed.
    #[error("{message}")]
    Failed {
        /// The sort.
        failure: FailureKind,
        /// The reason, for people.
        message: String,
    },
}

impl JobError {
    /// A failure for this reason; of memory, if the reason reads like that, else of the job itself.
    pub fn failed(reason: impl ToString) -> Self {
        let message = reason.to_string();
        // What CUDA, libtorch's CPU allocator, the operating system and C++ say.
        let signs = ["out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc"];
        let lower = message.to_lowercase();
        let failure =
            if signs.iter().any(|sign| lower.contains(sign)) { FailureKind::OutOfMemory } else { FailureKind::Job };
        Self::Failed { failure, message }
    }

    /// A number that must be finite and is not.
    pub fn non_finite(reason: impl ToString) -> Self {
        Self::Failed { failure: FailureKind::NonFinite, message: reason.to_string() }
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

/// A running attempt: what a recipe may say, leave and ask.
pub struct Attempt {
    job_folder: PathBuf,
    name: String,
    folder: PathBuf,
    output: PathBuf,
    journal: File,
    items: Option<BufWriter<File>>,
    stop: &'static AtomicBool,
    checkpoint_every: Duration,
    last_checkpoint: Instant,
    started: i64,
    _heartbeat: Heartbeat,
    _lock: File,
}

impl Attempt {
    /// Makes the folder of a new attempt at the job in `job_folder`.
    fn begin(job_folder: &Path, assignment: &Assignment, stop: &'static AtomicBool) -> io::Result<Self> {
        let started = now();
        let (name, folder) = files::new_folder(job_folder, &assignment.token, started)?;
        let lock = files::open_lock(&folder)?;
        lock.lock()?;
        let output = folder.join("output");
        fs::create_dir(&output)?;
        fs::copy(job_folder.join("job.json"), folder.join("job.json"))?;
        let journal = File::options().create_new(true).append(true).open(folder.join("journal.jsonl"))?;
        files::sync_folder(&folder)?;
        files::sync_folder(job_folder)?;
        Ok(Self {
            job_folder: job_folder.to_owned(),
            name,
            output,
            journal,
            items: None,
            stop,
            checkpoint_every: Duration::from_secs(assignment.settings.checkpoint_every_seconds),
            last_checkpoint: Instant::now(),
            started,
            _heartbeat: Heartbeat::start(folder.join("heartbeat"))?,
            _lock: lock,
            folder,
        })
    }

    /// Writes an event to the journal; milestones are on disk on return.
    ///
    /// A checkpoint restarts the clock of [`Attempt::should_checkpoint`].
    ///
    /// # Errors
    /// If the journal cannot be written, or the event is a number that is not finite.
    pub fn emit(&mut self, event: Event) -> Result<(), JobError> {
        match &event {
            Event::Metric { name, step, value } if !value.is_finite() => {
                return Err(JobError::non_finite(format!("{name} is {value} at step {step}")));
            }
            Event::Scored(score) if !score.value.is_finite() => {
                return Err(JobError::non_finite(format!("the {} of {} is {}", score.metric, score.task, score.value)));
            }
            Event::Checkpoint { .. } => self.last_checkpoint = Instant::now(),
            _ => {}
        }
        Ok(self.append(event)?)
    }

    fn append(&mut self, event: Event) -> io::Result<()> {
        let milestone = !matches!(event, Event::Progress { .. } | Event::Metric { .. });
        let mut line = serde_json::to_vec(&JournalEntry { at: now(), event })?;
        line.push(b'\n');
        self.journal.write_all(&line)?;
        if milestone { self.journal.sync_data() } else { Ok(()) }
    }

    /// Adds outcomes of evaluation items to `items.jsonl`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn items(&mut self, outcomes: &[ItemOutcome]) -> Result<(), JobError> {
        let mut writer = match self.items.take() {
            Some(writer) => writer,
            None => BufWriter::new(File::create_new(self.folder.join("items.jsonl"))?),
        };
        for outcome in outcomes {
            serde_json::to_writer(&mut writer, outcome).map_err(io::Error::from)?;
            writer.write_all(b"\n")?;
        }
        self.items = Some(writer);
        Ok(())
    }

    /// The folder whose files become the artifacts of the job.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The attempt's own folder: checkpoints go to `checkpoint-*` in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the job shall save its state at the next opportunity and return [`JobError::Interrupted`].
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the last checkpoint (or the start) is longer ago than the settings allow.
    pub fn should_checkpoint(&self) -> bool {
        self.last_checkpoint.elapsed() >= self.checkpoint_every
    }

    /// Folders of earlier attempts at this job under any token, the newest first.
    pub fn earlier(&self) -> Vec<PathBuf> {
        let others = files::attempts(&self.job_folder).into_iter().filter(|name| *name != self.name);
        others.rev().map(|name| self.job_folder.join(name)).collect()
    }
}
