//! Workers on a Slurm cluster: one Slurm job for each submission.
//!
//! A submission is identified by its token, which is the comment of its Slurm job. The number of the job would not do:
//! the controller reuses numbers after a crash, and an `sbatch` that failed may have queued the job nevertheless. The
//! outcome of the work is read from its files only; the queue merely tells which submissions need not be waited for.
//! A single listing therefore proves nothing: a job that is not in the queue and shows no activity counts as lost only
//! after a second listing, some time later.

mod commands;
mod script;
mod submission;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::error::RunError;
use super::super::executor::{Executor, WorkerStatus};
use super::super::slots::Slot;
use super::super::worker::WorkerProgram;
use crate::domain::{self, BackendKind, BatchSystem};
use commands::{Commands, ListedJob, Request};
use script::batch_script;
use submission::{Sent, Submission, end_status};

/// How long a worker whose job is listed as running may be without a heartbeat.
const STALE: Duration = Duration::from_secs(600);

/// Reasons for which a job may stay pending until somebody changes it.
const STUCK: [&str; 9] = [
    "PartitionConfig",
    "BadConstraints",
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "PartitionDown",
    "InvalidAccount",
    "InvalidQOS",
    "AccountNotAllowed",
    "QOSNotAllowed",
];

/// Submits each job to the queue of Slurm and follows it there.
///
/// When it is dropped, the jobs stay in the queue, where the next coordinator finds them.
#[derive(Debug)]
pub(super) struct Slurm {
    commands: Commands,
    program: WorkerProgram,
    options: domain::Slurm,
    poll_every: Duration,
    grace: Duration,
    cancel_on_exit: bool,
    slots: Vec<Slot>,
    /// Token of the last submission of each slot.
    tokens: Vec<Option<String>>,
    submissions: BTreeMap<String, Submission>,
    queue: HashMap<String, ListedJob>,
    /// When squeue was last called.
    asked: Option<Instant>,
    /// When the call that gave `queue` was made.
    listed: Option<Instant>,
    /// Whether sbatch has accepted a job, which means that its options are valid.
    accepted: bool,
}

impl Slurm {
    /// Runs `program` on the nodes, where it must exist under the same path, as must the folders of the jobs. With
    /// `cancel_on_exit` a polite stop cancels the jobs; otherwise they outlive their coordinator.
    pub(super) fn new(program: WorkerProgram, options: domain::Slurm, cancel_on_exit: bool) -> Self {
        let gpu = options.gres.as_ref().is_some_and(|gres| gres.split(',').any(|one| one.starts_with("gpu")));
        let slot = |number| Slot {
            name: BackendKind::Slurm.slot_name("", number),
            device: if gpu { "cuda:0" } else { "cpu" }.to_owned(),
            threads: options.cpus,
        };
        Self {
            commands: Commands::in_folder(PathBuf::new()),
            program,
            poll_every: Duration::from_secs(options.poll_every_seconds),
            grace: Duration::from_secs(options.grace_seconds),
            cancel_on_exit,
            slots: (0..options.jobs).map(slot).collect(),
            tokens: vec![None; options.jobs as usize],
            options,
            submissions: BTreeMap::new(),
            queue: HashMap::new(),
            asked: None,
            listed: None,
            accepted: false,
        }
    }

    /// Asks sbatch to queue a submission.
    ///
    /// # Errors
    /// If sbatch rejects the job for a reason that will not go away.
    fn send(&mut self, token: &str) -> Result<(), RunError> {
        let Some(submission) = self.submissions.get_mut(token) else { return Ok(()) };
        let script = batch_script(&self.program, &self.slots[0], &submission.folder);
        let sent = self.commands.submit(&Request {
            name: &submission.name,
            token,
            folder: &submission.folder,
            cpus: self.options.cpus,
            gres: self.options.gres.as_deref(),
            options: &self.options.options,
            script: &script,
        });
        submission.since = Instant::now();
        submission.sent = match sent {
            Ok(id) => {
                self.accepted = true;
                Sent::Queued(Some(id))
            }
            // It accepted a job with the same options, so it will accept this one later.
            Err(refusal) if refusal.is_temporary || self.accepted => {
                tracing::warn!("Slurm does not accept {} now: {}", submission.name, refusal.message);
                Sent::Unknown
            }
            Err(refusal) => return Err(RunError::Rejected { system: BatchSystem::SLURM, message: refusal.message }),
        };
        Ok(())
    }

    /// Lists the queue, unless that was done less than a polling interval ago.
    fn list_queue(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() < self.poll_every) {
            return;
        }
        // Taken before the call, because a job that is queued during the call may be missing from the answer.
        let asked = Instant::now();
        match self.commands.queue() {
            Ok(queue) => {
                self.queue = queue;
                self.listed = Some(asked);
            }
            // The last listing stays in effect.
            Err(refusal) => tracing::warn!("Slurm cannot list its queue now: {}", refusal.message),
        }
        self.asked = Some(Instant::now());
    }

    /// Derives the status of a submission from the queue and its heartbeats.
    fn status(&mut self, token: &str) -> WorkerStatus {
        self.list_queue();
        let Some(submission) = self.submissions.get_mut(token) else {
            return WorkerStatus::Ended { resumable: false, message: "the job was never submitted".to_owned() };
        };
        let Some(listed) = self.listed.filter(|listed| *listed > submission.since) else { return WorkerStatus::Alive };
        if submission.judged == Some(listed) {
            return WorkerStatus::Alive;
        }
        submission.judged = Some(listed);
        let heartbeat = submission.last_heartbeat(token);
        let job = self.queue.get(token);
        if let Some(job) = job.filter(|job| job.is_live()) {
            submission.sent = Sent::Queued(Some(job.id));
            submission.missing = None;
            if job.is_doomed() {
                self.commands.cancel(job.id, &submission.name);
                let message = format!("Slurm will never start job {} again: {}", job.id, job.reason);
                self.submissions.remove(token);
                return WorkerStatus::Ended { resumable: false, message };
            }
            if STUCK.contains(&job.reason.as_str()) && !submission.warned {
                submission.warned = true;
                let name = &submission.name;
                tracing::warn!(
                    "job {} ({name}) is pending for the reason {}, which may never go away: check its options",
                    job.id,
                    job.reason
                );
            }
            match (job.state.as_str(), heartbeat) {
                ("RUNNING", Some(heartbeat)) if heartbeat.elapsed() > STALE => {
                    tracing::warn!(
                        "job {} is listed as running, but its worker sends no heartbeat: cancelling it",
                        job.id
                    );
                    self.commands.cancel(job.id, &submission.name);
                }
                ("RUNNING", _) => {}
                // The next attempt has heartbeats of its own.
                _ => submission.last_change = None,
            }
            return WorkerStatus::Alive;
        }
        if job.is_none() && submission.sent == Sent::Unknown {
            if listed >= submission.since + self.grace
                && let Err(error) = self.send(token)
            {
                // The next submission fails for the same reason, which ends the run.
                self.submissions.remove(token);
                return WorkerStatus::Ended { resumable: false, message: error.to_string() };
            }
            return WorkerStatus::Alive;
        }
        let missing = *submission.missing.get_or_insert(listed);
        if listed < heartbeat.map_or(missing, |heartbeat| heartbeat.max(missing)) + self.grace {
            return WorkerStatus::Alive;
        }
        let status = end_status(submission, job);
        self.submissions.remove(token);
        status
    }

    fn cancel(&self, token: &str) {
        let Some(submission) = self.submissions.get(token) else { return };
        let listed = self.queue.get(token).filter(|job| job.is_live()).map(|job| job.id);
        let id = if let Sent::Queued(Some(id)) = submission.sent { Some(id) } else { listed };
        if let Some(id) = id {
            self.commands.cancel(id, &submission.name);
        }
    }

    fn cancel_all(&self) {
        if self.cancel_on_exit {
            self.submissions.keys().for_each(|token| self.cancel(token));
        }
    }
}

impl Executor for Slurm {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn submit(&mut self, slot: usize, folder: &Path, token: &str) -> Result<(), RunError> {
        if let Some(last) = self.tokens[slot].replace(token.to_owned()) {
            self.submissions.remove(&last);
        }
        self.submissions.insert(token.to_owned(), Submission::new(folder, Sent::Unknown));
        self.send(token)
    }

    fn poll(&mut self, slot: usize) -> WorkerStatus {
        let token = self.tokens[slot].clone().unwrap_or_default();
        self.status(&token)
    }

    fn poll_adopted(&mut self, folder: &Path, token: &str) -> WorkerStatus {
        // The queue shows whether it was ever sent.
        let adopted = || Submission::new(folder, Sent::Queued(None));
        self.submissions.entry(token.to_owned()).or_insert_with(adopted);
        self.status(token)
    }

    fn retire(&mut self, slot: usize) {
        if let Some(token) = self.tokens[slot].take() {
            self.cancel(&token);
            self.submissions.remove(&token);
        }
    }

    fn outlives_coordinator(&self) -> bool {
        !self.cancel_on_exit
    }

    fn interrupt(&mut self) {
        self.cancel_all();
    }

    fn kill(&mut self) {
        self.cancel_all();
    }

    fn poll_interval(&self) -> Duration {
        self.poll_every.min(Duration::from_secs(2))
    }
}
