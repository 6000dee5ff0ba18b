//! A running attempt.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grid::domain::{Assignment, Event, FolderName, ItemOutcome, JournalEntry};

use super::error::JobError;
use super::files::{self, now};
use super::heartbeat::Heartbeat;
use grid::domain::layout;

/// A running attempt: its files, and the requests to stop or to write a checkpoint.
pub struct Attempt {
    job_folder: PathBuf,
    pub(super) name: FolderName,
    folder: PathBuf,
    output: PathBuf,
    journal: File,
    items: Option<BufWriter<File>>,
    stop: &'static AtomicBool,
    checkpoint_every: Duration,
    last_checkpoint: Instant,
    pub(super) started: i64,
    _heartbeat: Heartbeat,
    _lock: File,
}

impl Attempt {
    /// Creates the folder of a new attempt at the job in `job_folder`.
    pub(super) fn begin(job_folder: &Path, assignment: &Assignment, stop: &'static AtomicBool) -> io::Result<Self> {
        let started = now();
        let (name, folder) = files::new_folder(job_folder, &assignment.token, started)?;
        let lock = files::open_lock(&folder)?;
        lock.lock()?;
        let output = folder.join(layout::OUTPUT);
        fs::create_dir(&output)?;
        fs::copy(job_folder.join(layout::JOB), folder.join(layout::JOB))?;
        let journal = File::options().create_new(true).append(true).open(folder.join(layout::JOURNAL))?;
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
            _heartbeat: Heartbeat::start(folder.join(layout::HEARTBEAT))?,
            _lock: lock,
            folder,
        })
    }

    /// Writes an event to the journal. All events but progress and metrics are on disk when this returns.
    ///
    /// A checkpoint restarts the clock of [`Attempt::should_checkpoint`].
    ///
    /// # Errors
    /// If the journal cannot be written, or the event contains a number that is not finite.
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

    /// Writes an event to the journal without checking it.
    pub(super) fn append(&mut self, event: Event) -> io::Result<()> {
        let durable = !matches!(event, Event::Progress { .. } | Event::Metric { .. });
        let mut line = serde_json::to_vec(&JournalEntry { at: now(), event })?;
        line.push(b'\n');
        self.journal.write_all(&line)?;
        if durable { self.journal.sync_data() } else { Ok(()) }
    }

    /// Appends outcomes of evaluation items to `items.jsonl`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_items(&mut self, outcomes: &[ItemOutcome]) -> Result<(), JobError> {
        let mut writer = match self.items.take() {
            Some(writer) => writer,
            None => BufWriter::new(File::create_new(self.folder.join(layout::ITEMS))?),
        };
        for outcome in outcomes {
            serde_json::to_writer(&mut writer, outcome).map_err(io::Error::from)?;
            writer.write_all(b"\n")?;
        }
        self.items = Some(writer);
        Ok(())
    }

    /// Waits until the outcomes of evaluation items are on disk.
    pub(super) fn sync_items(&mut self) -> io::Result<()> {
        match self.items.take() {
            Some(items) => items.into_inner().map_err(|error| error.into_error())?.sync_all(),
            None => Ok(()),
        }
    }

    /// The folder of the files that become the artifacts of the job.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The folder of this attempt, which checkpoints are written to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the job should save its state at the next opportunity and return [`JobError::Interrupted`].
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the time since the last checkpoint (or the start) exceeds that of the settings.
    pub fn should_checkpoint(&self) -> bool {
        self.last_checkpoint.elapsed() >= self.checkpoint_every
    }

    /// The folders of earlier attempts at this job under any token, the newest first.
    pub fn earlier(&self) -> Vec<PathBuf> {
        let others = files::attempts(&self.job_folder).into_iter().filter(|name| name != self.name.as_str());
        others.rev().map(|name| self.job_folder.join(name)).collect()
    }
}
