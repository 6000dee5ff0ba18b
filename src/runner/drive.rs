//! The loop that runs tasks to their end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::error::RunError;
use super::executor::{Executor, WorkerStatus};
use super::folder::{self, JournalTail};
use super::policy::{Policy, Stop};
use super::queue::Queue;
use super::submission::{End, Holder, OpenSubmission, Retries, folders, smaller_micro_batch};
use super::summary::Summary;
use crate::domain::layout::ASSIGNMENT_SCHEMA;
use crate::domain::{
    Assignment, FailureKind, FinishedOutput, JobId, JobUpdate, Outcome, RunSettings, Task, Update, Verdict, layout,
};

struct Drive<'a, X: ?Sized, N> {
    tasks: &'a [Task],
    executor: &'a mut X,
    policy: &'a Policy,
    stop: watch::Receiver<Stop>,
    sink: N,
    queue: Queue,
    retries: Vec<Retries>,
    /// What the finished jobs left.
    outputs: BTreeMap<JobId, FinishedOutput>,
    /// The jobs that were made to run again because a file that they left was damaged.
    repaired: BTreeSet<JobId>,
    running: Vec<OpenSubmission>,
    /// The last task of each slot.
    last: Vec<Option<usize>>,
    /// The request that was last forwarded to the workers.
    forwarded: Stop,
    /// The request that the workers got while updates were being recorded, before it counts as forwarded.
    signalled: Stop,
    summary: Summary,
}

/// Runs the tasks, parents first, and passes everything that happens to `sink`, in order. `done` has what the jobs left
/// that need not run again. A task that is among them runs only if another job finds a file that it left to be damaged,
/// and at most once for that reason; the job that found the damage waits for it.
///
/// Submissions that an earlier coordinator left open are adopted: finished ones are recorded, living workers are
/// awaited, and dead ones are replaced. The descendants of a failed job are skipped. A job whose worker was lost is
/// retried as the policy allows; so is a job that ran out of memory, with half the micro-batch while that is at least
/// one row.
///
/// `sink` must have recorded the updates when it returns.
///
/// # Errors
/// If the tasks do not form a graph, a file of the run cannot be written, no worker can be started, or `sink` fails.
/// The workers are then asked to save their state, and the next run continues from there.
pub async fn drive<X, N, E>(
    tasks: Vec<Task>,
    done: BTreeMap<JobId, FinishedOutput>,
    executor: &mut X,
    policy: &Policy,
    stop: watch::Receiver<Stop>,
    sink: N,
) -> Result<Summary, RunError>
where
    X: Executor + ?Sized,
    N: AsyncFnMut(Vec<JobUpdate>) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let queue = Queue::new(&tasks, &done)?;
    if executor.slots().is_empty() && !tasks.is_empty() {
        return Err(RunError::NoSlots);
    }
    let mut drive = Drive {
        retries: vec![Retries::default(); tasks.len()],
        last: vec![None; executor.slots().len()],
        tasks: &tasks,
        executor,
        policy,
        stop,
        sink,
        queue,
        outputs: done,
        repaired: BTreeSet::new(),
        running: vec![],
        forwarded: Stop::No,
        signalled: Stop::No,
        summary: Summary::default(),
    };
    let result = drive.run().await;
    if result.is_err() {
        drive.executor.interrupt();
    }
    result.map(|()| drive.summary)
}

impl<X, N, E> Drive<'_, X, N>
where
    X: Executor + ?Sized,
    N: AsyncFnMut(Vec<JobUpdate>) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn run(&mut self) -> Result<(), RunError> {
        self.adopt_open_submissions();
        loop {
            self.forward_stop();
            self.poll_workers().await?;
            self.submit_ready().await?;
            if self.running.is_empty() {
                break;
            }
            tokio::time::sleep(self.executor.poll_interval()).await;
        }
        let left = self.queue.unstarted();
        self.summary.interrupted.extend(left.into_iter().map(|task| self.tasks[task].id));
        Ok(())
    }

    /// Continues the submissions that an earlier coordinator left open.
    fn adopt_open_submissions(&mut self) {
        for (task, Task { id, folder, .. }) in self.tasks.iter().enumerate() {
            if self.outputs.contains_key(id) {
                continue;
            }
            let Some(assignment) = folder::open_submission(folder, *id) else { continue };
            let Assignment { token, settings, parents, .. } = assignment;
            let tail = JournalTail::new(*id, &token, folder);
            let slots = self.executor.slots().iter();
            let slot = slots.enumerate().find(|(slot, it)| it.device == settings.device && self.is_free(*slot));
            let holder = Holder::Adopted(slot.map(|(slot, _)| slot));
            self.queue.claim(task);
            self.running.push(OpenSubmission { task, token, holder, settings, inputs: folders(&parents), tail });
        }
    }

    fn is_free(&self, slot: usize) -> bool {
        let uses = |running: &OpenSubmission| {
            running.holder == Holder::Slot(slot) || running.holder == Holder::Adopted(Some(slot))
        };
        !self.running.iter().any(uses)
    }

    fn is_stopping(&self) -> bool {
        self.forwarded.max(self.signalled) > Stop::No || (!self.policy.keep_going && !self.summary.failed.is_empty())
    }

    /// Forwards the user's request to stop to the workers.
    fn forward_stop(&mut self) {
        let wanted = *self.stop.borrow();
        if wanted <= self.forwarded {
            return;
        }
        self.forwarded = wanted;
        if self.executor.outlives_coordinator() {
            let left = std::mem::take(&mut self.running);
            self.summary.interrupted.extend(left.into_iter().map(|running| self.tasks[running.task].id));
            return;
        }
        if wanted > std::mem::replace(&mut self.signalled, wanted) {
            signal_workers(wanted, self.executor, self.tasks, &self.running);
        }
        if wanted == Stop::Now {
            // Those on other hosts cannot be killed from here. All submissions stay open, and the next run finds out
            // how they ended.
            let adopted = |running: &mut OpenSubmission| matches!(running.holder, Holder::Adopted(_));
            let left = self.running.extract_if(.., adopted);
            self.summary.interrupted.extend(left.map(|running| self.tasks[running.task].id));
        }
    }

    /// Reads what the workers wrote, records it, and acts on it.
    async fn poll_workers(&mut self) -> Result<(), RunError> {
        let mut updates = vec![];
        let mut still_running = vec![];
        let mut ended = vec![];
        for mut running in std::mem::take(&mut self.running) {
            match self.poll_submission(&mut running, &mut updates)? {
                Some(end) => ended.push((running, end)),
                None => still_running.push(running),
            }
        }
        self.running = still_running;
        self.record(updates).await?;
        for (running, end) in ended {
            self.handle_end(running, end)?;
        }
        Ok(())
    }

    async fn record(&mut self, updates: Vec<JobUpdate>) -> Result<(), RunError> {
        if updates.is_empty() {
            return Ok(());
        }
        let Self { sink, stop, executor, signalled, tasks, running, .. } = self;
        let mut recording = std::pin::pin!(sink(updates));
        // Recording may take long, as while another program locks the database. A request to stop must not wait for it.
        let mut stop = stop.clone();
        loop {
            tokio::select! {
                biased;
                recorded = &mut recording => return recorded.map_err(|error| RunError::Record(error.into())),
                Ok(()) = stop.changed() => {
                    let wanted = *stop.borrow_and_update();
                    if !executor.outlives_coordinator() && wanted > std::mem::replace(signalled, wanted) {
                        signal_workers(wanted, &mut **executor, tasks, running);
                    }
                }
            }
        }
    }

    /// Appends what is new about a submission, its end last.
    fn poll_submission(
        &mut self,
        running: &mut OpenSubmission,
        updates: &mut Vec<JobUpdate>,
    ) -> Result<Option<End>, RunError> {
        let Task { id, folder, .. } = &self.tasks[running.task];
        // The order matters: worker, outcome, journal. If the worker is dead, whatever it published exists by now; and
        // if there is an outcome, so do the journal lines before it.
        let status = match running.holder {
            Holder::Slot(slot) => self.executor.poll(slot),
            Holder::Adopted(_) => self.executor.poll_adopted(folder, &running.token),
        };
        let outcome = folder::outcome(folder, *id, &running.token);
        running.tail.read(updates)?;
        let token = running.token.clone();
        let (end, update) = match (outcome, status) {
            (Some(Ok((outcome, items))), _) => {
                let update = Update::Ended { folder: folder.clone(), outcome: outcome.clone(), items };
                (End::Outcome(outcome), update)
            }
            (Some(Err(damage)), _) => {
                let message = format!("its outcome is unusable: {damage}");
                (End::Lost(message.clone()), Update::Lost { token, message })
            }
            (None, WorkerStatus::Alive) => return Ok(None),
            (None, WorkerStatus::Ended { resumable, .. }) if resumable || running.tail.interrupted.is_some() => {
                (End::Stopped(running.tail.interrupted), Update::Stopped { token })
            }
            (None, WorkerStatus::Ended { message, .. }) => {
                (End::Lost(message.clone()), Update::Lost { token, message })
            }
        };
        updates.push(JobUpdate { job: *id, update });
        Ok(Some(end))
    }

    /// Acts on an end that has been recorded.
    fn handle_end(&mut self, running: OpenSubmission, end: End) -> Result<(), RunError> {
        let OpenSubmission { task, holder, settings, inputs, .. } = running;
        let Task { id, folder, job, .. } = &self.tasks[task];
        folder::close(folder)?;
        let clean = matches!(&end, End::Outcome(Outcome { verdict: Verdict::Done, .. }));
        if let (Holder::Slot(slot), false) = (holder, clean) {
            self.executor.retire(slot);
        }
        match end {
            End::Outcome(Outcome { verdict: Verdict::Done, attempt, artifacts, .. }) => {
                let output = FinishedOutput { folder: folder.join(attempt).join(layout::OUTPUT), artifacts };
                self.outputs.insert(*id, output);
                if !self.summary.done.contains(id) {
                    self.summary.done.push(*id);
                }
                self.queue.finish(task);
            }
            End::Outcome(Outcome { verdict: Verdict::Failed { failure, message }, .. }) => match failure {
                FailureKind::OutOfMemory => match smaller_micro_batch(&settings, job.batch_size()) {
                    Some(rows) => {
                        self.retries[task].micro_batch = Some(rows);
                        self.put_back(task);
                    }
                    None => self.retry(task, message),
                },
                FailureKind::Lost => self.retry(task, message),
                // It may have failed because the result of the parent was lost.
                FailureKind::Job | FailureKind::NonFinite if self.queue.lacks_parent(task) => self.put_back(task),
                FailureKind::Job | FailureKind::NonFinite => self.fail(task, message),
            },
            End::Outcome(Outcome { verdict: Verdict::DamagedInput { parent, message }, .. }) => {
                let is_current =
                    self.outputs.get(&parent).is_some_and(|output| inputs.get(&parent) == Some(&output.folder));
                self.repair_input(task, parent, is_current, message);
            }
            End::Stopped(step) => self.requeue_stopped(task, step),
            // It counts as a loss of the earlier run.
            End::Lost(_) if matches!(holder, Holder::Adopted(_)) => self.put_back(task),
            End::Lost(message) => self.retry(task, message),
        }
        Ok(())
    }

    /// Puts a stopped task back. If it made no progress since it was last stopped, that counts as a loss, because its
    /// time limit may be too short.
    fn requeue_stopped(&mut self, task: usize, step: Option<u64>) {
        let last = std::mem::replace(&mut self.retries[task].stopped_at, step);
        if self.forwarded == Stop::No && last.is_some() && step <= last {
            self.retry(task, "it was stopped twice at the same step; it may need a longer time limit".to_owned());
        } else {
            self.put_back(task);
        }
    }

    /// Puts a task back, which starts again once its parents are done.
    fn put_back(&mut self, task: usize) {
        let skipped = self.queue.put_back(task);
        self.summary.skipped.extend(skipped.into_iter().map(|task| self.tasks[task].id));
    }

    fn retry(&mut self, task: usize, message: String) {
        if self.forwarded > Stop::No {
            // It was probably killed on request; the next run tries again.
            self.put_back(task);
        } else if self.retries[task].lost < self.policy.retries {
            self.retries[task].lost += 1;
            self.put_back(task);
        } else {
            self.fail(task, message);
        }
    }

    /// Lets a parent run again whose output is damaged, and the task wait for it. `is_current` says whether the damaged
    /// output is the one that the parent left last.
    fn repair_input(&mut self, task: usize, parent: JobId, is_current: bool, message: String) {
        let made = self.tasks.iter().position(|other| other.id == parent);
        let Some(made) = made else {
            let help = "run the experiment that it belongs to";
            return self.fail(task, format!("{message}; the job {} is not part of this run: {help}", parent.short()));
        };
        if self.queue.is_abandoned(made) {
            return self.fail(task, message);
        }
        if is_current {
            if !self.repaired.insert(parent) {
                let name = parent.short();
                return self.fail(task, format!("{message}; the job {name} has already run again in this run"));
            }
            self.outputs.remove(&parent);
            self.queue.redo(made);
        }
        self.put_back(task);
    }

    fn fail(&mut self, task: usize, message: String) {
        self.summary.failed.push((self.tasks[task].id, message));
        let skipped = self.queue.fail(task);
        self.summary.skipped.extend(skipped.into_iter().map(|task| self.tasks[task].id));
    }

    /// Fills the free slots.
    async fn submit_ready(&mut self) -> Result<(), RunError> {
        for slot in 0..self.last.len() {
            if self.is_stopping() || !self.is_free(slot) {
                continue;
            }
            let Some(task) = self.queue.take(self.last[slot]) else { break };
            self.submit(task, slot).await?;
        }
        Ok(())
    }

    async fn submit(&mut self, task: usize, slot: usize) -> Result<(), RunError> {
        let Task { id, job, sources, folder, keep_optimizer, teacher, .. } = &self.tasks[task];
        let target = &self.executor.slots()[slot];
        let settings = RunSettings {
            device: target.device.clone(),
            threads: target.threads,
            checkpoint_every_seconds: self.policy.checkpoint_every_seconds,
            micro_batch: self.retries[task].micro_batch.or(self.policy.micro_batch),
            faults: self.policy.faults,
        };
        let token = folder::new_token();
        let output = |parent: &JobId| (*parent, self.outputs[parent].clone());
        let parents: BTreeMap<JobId, FinishedOutput> = self.tasks[task].parents.iter().map(output).collect();
        let inputs = folders(&parents);
        let assignment = Assignment {
            schema: ASSIGNMENT_SCHEMA,
            id: *id,
            token: token.clone(),
            job: job.clone(),
            sources: sources.clone(),
            parents,
            keep_optimizer: *keep_optimizer,
            teacher: teacher.clone(),
            settings: settings.clone(),
        };
        let update = Update::Submitted { token: token.clone(), slot: target.name.clone() };
        self.record(vec![JobUpdate { job: *id, update }]).await?;
        if self.signalled > Stop::No {
            // The request came while this was recorded, and the workers will not get it again.
            let update = Update::Stopped { token };
            self.record(vec![JobUpdate { job: *id, update }]).await?;
            self.put_back(task);
            return Ok(());
        }
        folder::open(folder, &assignment)?;
        self.executor.submit(slot, folder, &token)?;
        self.last[slot] = Some(task);
        let tail = JournalTail::new(*id, &token, folder);
        self.running.push(OpenSubmission { task, token, holder: Holder::Slot(slot), settings, inputs, tail });
        Ok(())
    }
}

/// Sends a request to stop to the workers. Those of an earlier coordinator are the processes named in the journals of jobs
/// whose lock is held.
fn signal_workers<X: Executor + ?Sized>(wanted: Stop, executor: &mut X, tasks: &[Task], running: &[OpenSubmission]) {
    let signal = match wanted {
        Stop::No => return,
        Stop::Politely => {
            executor.interrupt();
            rustix::process::Signal::TERM
        }
        Stop::Now => {
            executor.kill();
            rustix::process::Signal::KILL
        }
    };
    let host = rustix::system::uname();
    for running in running.iter().filter(|running| matches!(running.holder, Holder::Adopted(_))) {
        let Some((worker_host, pid)) = &running.tail.worker else { continue };
        let here = worker_host.as_bytes() == host.nodename().to_bytes();
        let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| here && folder::has_living_worker(&tasks[running.task].folder)) {
            // Fails if the worker has just ended, which is fine.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}
