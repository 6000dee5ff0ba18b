//! Workers on a Slurm cluster: one job of Slurm's for each submission.
//!
//! A submission is known by its token, which is the comment of its job in Slurm: numbers of jobs are given out again
//! after a crash of the controller, and an `sbatch` that failed may have queued the job all the same. What became of
//! the work is read from its files alone; the queue only says for whom there is no use in waiting. So one listing is
//! never proof: a job that is not in the queue, and does nothing, is given up after two of them, some time apart.

mod commands;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Executor, RunError, Slot, Status, folder, local};
use crate::domain;
use commands::{Commands, Request, Seen};

/// How long a worker whose job is said to run may be without a heartbeat.
const STALE: Duration = Duration::from_secs(600);

/// Reasons for which a job may wait until somebody changes it.
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

/// Submits each job to Slurm's queue and follows it there.
///
/// Dropping it leaves the jobs in the queue; the next coordinator finds them.
#[derive(Debug)]
pub struct Slurm {
    commands: Commands,
    program: PathBuf,
    options: domain::Slurm,
    poll_every: Duration,
    grace: Duration,
    cancel_on_exit: bool,
    slots: Vec<Slot>,
    /// Token of the last submission of each slot.
    tokens: Vec<Option<String>>,
    submissions: BTreeMap<String, Submission>,
    queue: HashMap<String, Seen>,
    /// When squeue was last asked, and when it last answered.
    asked: Option<Instant>,
    listed: Option<Instant>,
    /// Whether sbatch has taken a job: its options are right then.
    accepted: bool,
}

#[derive(Debug)]
struct Submission {
    folder: PathBuf,
    name: String,
    sent: Sent,
    /// A listing from before this is no news.
    since: Instant,
    /// The listing that it was last judged by.
    judged: Option<Instant>,
    /// The first listing of those without it.
    missing: Option<Instant>,
    /// The heartbeat, and when it was last seen to change.
    pulse: String,
    beat: Option<Instant>,
    warned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// By sbatch, which gave this number; by an earlier coordinator, perhaps.
    Queued(Option<u64>),
    /// sbatch failed for reasons that pass; it may be queued or not.
    Unsure,
}

impl Submission {
    fn new(folder: &Path, sent: Sent) -> Self {
        let (folder, name) = (folder.to_owned(), name_of(folder));
        let since = Instant::now();
        Self { folder, name, sent, since, judged: None, missing: None, pulse: String::new(), beat: None, warned: false }
    }

    /// When the work was last seen to go on.
    fn feel_pulse(&mut self, token: &str) -> Option<Instant> {
        let pulse = folder::pulse(&self.folder, token);
        if pulse != self.pulse {
            self.pulse = pulse;
            self.beat = Some(Instant::now());
        }
        self.beat
    }
}

impl Slurm {
    /// Jobs of `program` (see [`local::worker_program`]), which must be there on every node, as must the folders of
    /// the jobs. With `cancel_on_exit` a polite stop cancels them; otherwise they outlive their coordinator.
    pub fn new(program: PathBuf, options: domain::Slurm, cancel_on_exit: bool) -> Self {
        let gpu = options.gres.as_ref().is_some_and(|gres| gres.split(',').any(|one| one.starts_with("gpu")));
        let slot = |number| Slot {
            name: format!("slurm/{number}"),
            device: if gpu { "cuda:0" } else { "cpu" }.to_owned(),
            threads: options.cpus,
        };
        Self {
            commands: Commands::of(PathBuf::new()),
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

    /// Asks sbatch to queue a submission; fails for what will not pass.
    fn send(&mut self, token: &str) -> Result<(), RunError> {
        let Some(submission) = self.submissions.get_mut(token) else { return Ok(()) };
        let script = script(&self.program, &self.slots[0], &submission.folder);
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
            // What it took once, with the same options, it will take again.
            Err(refusal) if refusal.passing || self.accepted => {
                tracing::warn!("Slurm does not take {} now: {}", submission.name, refusal.words);
                Sent::Unsure
            }
            Err(refusal) => return Err(RunError::Slurm(refusal.words)),
        };
        Ok(())
    }

    /// Lists the queue, unless that was done a moment ago.
    fn look(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() < self.poll_every) {
            return;
        }
        // From before the question: what is queued while it is answered may be missing.
        let asked = Instant::now();
        match self.commands.queue() {
            Ok(queue) => {
                self.queue = queue;
                self.listed = Some(asked);
            }
            // No news: everything stays as it was last seen.
            Err(refusal) => tracing::warn!("Slurm does not list its queue now: {}", refusal.words),
        }
        self.asked = Some(Instant::now());
    }

    fn status(&mut self, token: &str) -> Status {
        self.look();
        let Some(submission) = self.submissions.get_mut(token) else {
            return Status::Gone { resumable: false, message: "it was never submitted".to_owned() };
        };
        let Some(listed) = self.listed.filter(|listed| *listed > submission.since) else { return Status::Working };
        if submission.judged == Some(listed) {
            return Status::Working;
        }
        submission.judged = Some(listed);
        let beat = submission.feel_pulse(token);
        let seen = self.queue.get(token);
        if let Some(seen) = seen.filter(|seen| seen.is_live()) {
            submission.sent = Sent::Queued(Some(seen.id));
            submission.missing = None;
            if seen.is_doomed() {
                self.commands.cancel(seen.id, &submission.name);
                let message = format!("Slurm would never start job {} again: {}", seen.id, seen.reason);
                self.submissions.remove(token);
                return Status::Gone { resumable: false, message };
            }
            if STUCK.contains(&seen.reason.as_str()) && !submission.warned {
                submission.warned = true;
                let name = &submission.name;
                tracing::warn!("job {} ({name}) waits for {}, perhaps for ever: see its options", seen.id, seen.reason);
            }
            match (seen.state.as_str(), beat) {
                ("RUNNING", Some(beat)) if beat.elapsed() > STALE => {
                    tracing::warn!("job {} is said to run, but its worker is silent: cancelled", seen.id);
                    self.commands.cancel(seen.id, &submission.name);
                }
                ("RUNNING", _) => {}
                // The next attempt has a heart of its own.
                _ => submission.beat = None,
            }
            return Status::Working;
        }
        if seen.is_none() && submission.sent == Sent::Unsure {
            if listed >= submission.since + self.grace
                && let Err(error) = self.send(token)
            {
                // The next submission fails in the same way, which ends the run.
                self.submissions.remove(token);
                return Status::Gone { resumable: false, message: error.to_string() };
            }
            return Status::Working;
        }
        let missing = *submission.missing.get_or_insert(listed);
        if listed < beat.map_or(missing, |beat| beat.max(missing)) + self.grace {
            return Status::Working;
        }
        let status = obituary(submission, seen);
        self.submissions.remove(token);
        status
    }

    fn cancel(&self, token: &str) {
        let Some(submission) = self.submissions.get(token) else { return };
        let listed = self.queue.get(token).filter(|seen| seen.is_live()).map(|seen| seen.id);
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
        self.submissions.insert(token.to_owned(), Submission::new(folder, Sent::Unsure));
        self.send(token)
    }

    fn poll(&mut self, slot: usize) -> Status {
        let token = self.tokens[slot].clone().unwrap_or_default();
        self.status(&token)
    }

    fn poll_earlier(&mut self, folder: &Path, token: &str) -> Status {
        // It may never have been sent, which the queue shows.
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

    fn stays(&self) -> bool {
        !self.cancel_on_exit
    }

    fn interrupt(&mut self) {
        self.cancel_all();
    }

    fn kill(&mut self) {
        self.cancel_all();
    }

    fn period(&self) -> Duration {
        self.poll_every.min(Duration::from_secs(2))
    }
}

/// `<experiment>.<kind>-<id>`, in characters that no part of Slurm takes for its own.
fn name_of(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    let name: String = parts.into_iter().rev().collect::<Vec<_>>().join(".");
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    name[name.len().saturating_sub(128)..].to_owned()
}

/// What runs on the node: the worker itself, so that signals reach it, with the job's folder as its input.
fn script(program: &Path, slot: &Slot, folder: &Path) -> String {
    let Slot { device, threads, .. } = slot;
    let program = program.display().to_string().replace('\'', r"'\''");
    let folder = folder.display();
    format!(
        "#!/bin/sh\nexport OMP_NUM_THREADS={threads}\n\
         exec '{program}' --device {device} --threads {threads} <<'END OF FOLDERS'\n{folder}\nEND OF FOLDERS\n"
    )
}

/// How a job of which nothing more is to be expected ended.
fn obituary(submission: &Submission, seen: Option<&Seen>) -> Status {
    let Some(Seen { id, state, reason }) = seen else {
        let message = "it is neither in Slurm's queue nor at work, and left no outcome".to_owned();
        return Status::Gone { resumable: false, message };
    };
    let what = match state.as_str() {
        "TIMEOUT" => "reached its time limit before it could save its state; ask for more with --time".to_owned(),
        "OUT_OF_MEMORY" => "needed more memory than it has; ask for more with --mem".to_owned(),
        "PREEMPTED" => "was preempted".to_owned(),
        "CANCELLED" => "was cancelled".to_owned(),
        _ if reason == "None" => format!("is {state} and left no outcome"),
        _ => format!("is {state} ({reason}) and left no outcome"),
    };
    let message = format!("job {id} of Slurm {what}");
    let log = submission.folder.join(domain::layout::slurm_log(id));
    let message = match local::last_lines(&log, 0) {
        Some(words) => format!("{message}; {words}"),
        None => message,
    };
    Status::Gone { resumable: state == "PREEMPTED", message }
}
