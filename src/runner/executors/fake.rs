//! An executor for tests that runs no worker: it writes the files that a worker would, as a script says.
//!
//! A job takes no longer than writing a few small files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::error::RunError;
use super::super::executor::{Executor, WorkerStatus};
use super::super::slots::Slot;
use crate::domain::layout::OUTCOME_SCHEMA;
use crate::domain::{
    Artifact, Assignment, Digest, Event, FailureKind, JobId, JournalEntry, Outcome, RunSettings, Verdict,
    digested_json, layout,
};

/// What the script makes of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// It finishes with the artifact `result.txt`, whose content depends on the job alone.
    Finish,
    /// It publishes a failure.
    Fail(FailureKind, String),
    /// It finds a file of this parent to be damaged.
    Refuse(JobId),
    /// Its worker dies in the middle of a journal line.
    Crash,
    /// It runs until it is interrupted or killed.
    Hang,
}

/// An executor that follows a script: a function of the assignment.
#[derive(Debug)]
pub(crate) struct Fake<F> {
    slots: Vec<Slot>,
    script: F,
    work: Vec<Option<Work>>,
    orders: Orders,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orders {
    None,
    Interrupt,
    Kill,
}

#[derive(Debug)]
struct Work {
    assignment: Assignment,
    folder: PathBuf,
    attempt: String,
    act: Act,
    /// How it ended.
    end: Option<WorkerStatus>,
}

impl<F: FnMut(&Assignment) -> Act> Fake<F> {
    /// An executor with this many slots of one CPU.
    pub(crate) fn new(slots: u32, script: F) -> Self {
        let slot = |number| Slot { name: format!("cpu/{number}"), device: "cpu".to_owned(), threads: 1 };
        let work = (0..slots).map(|_| None).collect();
        Self { slots: (0..slots).map(slot).collect(), script, work, orders: Orders::None }
    }

    /// Lets the workers finish what they have, as they do when their coordinator is dead.
    pub(crate) fn outlive_coordinator(&mut self) {
        self.orders = Orders::None;
        for slot in 0..self.slots.len() {
            self.poll(slot);
        }
    }
}

impl Work {
    fn begin(folder: &Path, script: &mut impl FnMut(&Assignment) -> Act) -> io::Result<Self> {
        let assignment: Assignment = serde_json::from_slice(&fs::read(folder.join(layout::JOB))?)?;
        let attempt = format!("{}-0", assignment.token);
        fs::create_dir_all(folder.join(&attempt).join(layout::OUTPUT))?;
        let act = script(&assignment);
        let work = Self { assignment, folder: folder.to_owned(), attempt, act, end: None };
        let RunSettings { device, threads, micro_batch, .. } = work.assignment.settings.clone();
        let (host, version) = ("fake".to_owned(), "fake".to_owned());
        work.journal(Event::Started { host, pid: 0, device, threads, micro_batch, version })?;
        Ok(work)
    }

    fn journal(&self, event: Event) -> io::Result<()> {
        let line = serde_json::to_string(&JournalEntry { at: 0, event })? + "\n";
        self.append(&line)
    }

    fn append(&self, text: &str) -> io::Result<()> {
        let path = self.folder.join(&self.attempt).join(layout::JOURNAL);
        File::options().create(true).append(true).open(path)?.write_all(text.as_bytes())
    }

    fn publish(&self, verdict: Verdict, artifacts: Vec<Artifact>) -> io::Result<()> {
        self.journal(Event::Finished { verdict: verdict.clone() })?;
        let Assignment { id, token, .. } = &self.assignment;
        let outcome = Outcome {
            schema: OUTCOME_SCHEMA,
            id: *id,
            token: token.clone(),
            attempt: self.attempt.parse().map_err(io::Error::other)?,
            started: 0,
            ended: 0,
            verdict,
            artifacts,
            records: vec![],
        };
        fs::write(self.folder.join(layout::published_outcome(token)), digested_json::to_text(&outcome)?)
    }

    /// Advances as far as the script and the orders allow.
    fn advance(&mut self, orders: Orders) -> io::Result<WorkerStatus> {
        let gone = |resumable, message: &str| WorkerStatus::Ended { resumable, message: message.to_owned() };
        match (&self.act, orders) {
            (_, Orders::Kill) => Ok(gone(false, "killed")),
            (_, Orders::Interrupt) => {
                self.journal(Event::Interrupted { step: 0 })?;
                Ok(gone(true, "interrupted"))
            }
            (Act::Hang, Orders::None) => Ok(WorkerStatus::Alive),
            (Act::Crash, Orders::None) => {
                self.append("{\"at\":0,\"ev")?;
                Ok(gone(false, "crashed"))
            }
            (Act::Fail(failure, message), Orders::None) => {
                self.publish(Verdict::Failed { failure: *failure, message: message.clone() }, vec![])?;
                Ok(gone(false, "failed"))
            }
            (Act::Refuse(parent), Orders::None) => {
                let message = "a file is damaged".to_owned();
                self.publish(Verdict::DamagedInput { parent: *parent, message }, vec![])?;
                Ok(gone(false, "refused"))
            }
            (Act::Finish, Orders::None) => {
                let result = Digest::of(self.assignment.id.to_string().as_bytes()).to_string();
                fs::write(self.folder.join(&self.attempt).join("output/result.txt"), &result)?;
                let (path, bytes) = ("result.txt".parse().map_err(io::Error::other)?, result.len() as u64);
                let artifact = Artifact { path, bytes, digest: Digest::of(result.as_bytes()), stamp: None };
                self.publish(Verdict::Done, vec![artifact])?;
                Ok(gone(false, "idle"))
            }
        }
    }
}

impl<F: FnMut(&Assignment) -> Act> Executor for Fake<F> {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn submit(&mut self, slot: usize, folder: &Path, _token: &str) -> Result<(), RunError> {
        let work = Work::begin(folder, &mut self.script);
        self.work[slot] = Some(work.map_err(|source| RunError::File { path: folder.to_owned(), source })?);
        Ok(())
    }

    fn poll(&mut self, slot: usize) -> WorkerStatus {
        let gone = |message: String| WorkerStatus::Ended { resumable: false, message };
        let Some(work) = &mut self.work[slot] else { return gone("never started".to_owned()) };
        if work.end.is_none() {
            match work.advance(self.orders) {
                Ok(WorkerStatus::Alive) => return WorkerStatus::Alive,
                Ok(end) => work.end = Some(end),
                Err(error) => work.end = Some(gone(error.to_string())),
            }
        }
        work.end.clone().unwrap_or(WorkerStatus::Alive)
    }

    fn retire(&mut self, slot: usize) {
        self.work[slot] = None;
    }

    fn interrupt(&mut self) {
        self.orders = Orders::Interrupt;
    }

    fn kill(&mut self) {
        self.orders = Orders::Kill;
    }

    fn poll_interval(&self) -> Duration {
        Duration::ZERO
    }
}
