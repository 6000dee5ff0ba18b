//! The loop that sees tasks through.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::watch;

use super::folder::{self, Tail};
use super::queue::Queue;
use super::{Executor, Policy, RunError, Status, Stop, Summary};
use crate::domain::layout::SCHEMA;
use crate::domain::{Assignment, FailureKind, JobId, JobUpdate, Outcome, RunSettings, Task, Update, Verdict, layout};

/// Who has a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The worker of this slot.
    Slot(usize),
    /// A worker of an earlier coordinator, or none any more. It keeps a slot of its device from being used, if there
    /// is one: two models may not fit.
    Earlier(Option<usize>),
}

/// A submission whose end is not recorded.
#[derive(Debug)]
struct Running {
    task: usize,
    token: String,
    holder: Holder,
    settings: RunSettings,
    tail: Tail,
}

/// How a submission ended.
#[derive(Debug)]
enum End {
    Outcome(Outcome),
    /// On request, with the work up to this step saved where that is known.
    Stopped(Option<u64>),
    Lost(String),
}

/// What is known of a task beyond its state in the queue.
#[derive(Debug, Clone, Default)]
struct Tries {
    /// Submissions that were lost, or failed for want of memory at the smallest micro-batch.
    lost: u32,
    /// The micro-batch that is left after failures for want of memory.
    micro_batch: Option<u32>,
    /// The step up to which it had got when somebody else than this run's user stopped it.
    stopped_at: Option<u64>,
}

struct Drive<'a, X, N> {
    tasks: &'a [Task],
    executor: &'a mut X,
    policy: &'a Policy,
    stop: watch::Receiver<Stop>,
    news: N,
    queue: Queue,
    tries: Vec<Tries>,
    /// The `output/` folders of jobs that are done.
    outputs: BTreeMap<JobId, PathBuf>,
    running: Vec<Running>,
    /// The last task of each slot.
    last: Vec<Option<usize>>,
    /// What the workers have been told.
    told: Stop,
    summary: Summary,
}

/// Runs the tasks, parents first, and tells what happens, in order; `done` has the `output/` folders of the jobs that
/// are not to be run again.
///
/// Submissions that an earlier coordinator left open are taken over: finished ones are told, living workers awaited,
/// dead ones replaced. A job that fails takes its descendants with it; losses of workers and of memory are tried again
/// as the policy allows, the latter with half the micro-batch for as long as that is more than one row.
///
/// `news` must have recorded what it is told when it returns.
///
/// # Errors
/// If the tasks do not make a graph, a file of the run cannot be written, no worker can be started, or `news` fails.
/// The workers are then told to save their state; the next run goes on from there.
pub async fn drive<X, N, E>(
    tasks: Vec<Task>,
    done: BTreeMap<JobId, PathBuf>,
    executor: &mut X,
    policy: &Policy,
    stop: watch::Receiver<Stop>,
    news: N,
) -> Result<Summary, RunError>
where
    X: Executor,
    N: AsyncFnMut(Vec<JobUpdate>) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let queue = Queue::new(&tasks, &done)?;
    if executor.slots().is_empty() && !tasks.is_empty() {
        return Err(RunError::NoSlots);
    }
    let mut drive = Drive {
        tries: vec![Tries::default(); tasks.len()],
        last: vec![None; executor.slots().len()],
        tasks: &tasks,
        executor,
        policy,
        stop,
        news,
        queue,
        outputs: done,
        running: vec![],
        told: Stop::No,
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
    X: Executor,
    N: AsyncFnMut(Vec<JobUpdate>) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn run(&mut self) -> Result<(), RunError> {
        self.take_over();
        loop {
            self.pass_on_stop();
            self.look().await?;
            self.submit_ready().await?;
            if self.running.is_empty() {
                break;
            }
            tokio::time::sleep(self.executor.period()).await;
        }
        let left = self.queue.left();
        self.summary.interrupted.extend(left.into_iter().map(|task| self.tasks[task].id));
        Ok(())
    }

    /// Finds the submissions that an earlier coordinator left open.
    fn take_over(&mut self) {
        for (task, Task { id, folder, .. }) in self.tasks.iter().enumerate() {
            let Some(Assignment { token, settings, .. }) = folder::left_open(folder, *id) else { continue };
            let tail = Tail::new(*id, &token, folder);
            let slots = self.executor.slots().iter();
            let slot = slots.enumerate().find(|(slot, it)| it.device == settings.device && self.is_free(*slot));
            let holder = Holder::Earlier(slot.map(|(slot, _)| slot));
            self.queue.claim(task);
            self.running.push(Running { task, token, holder, settings, tail });
        }
    }

    fn is_free(&self, slot: usize) -> bool {
        let uses =
            |running: &Running| running.holder == Holder::Slot(slot) || running.holder == Holder::Earlier(Some(slot));
        !self.running.iter().any(uses)
    }

    fn stopping(&self) -> bool {
        self.told > Stop::No || (!self.policy.keep_going && !self.summary.failed.is_empty())
    }

    /// Tells the workers what the user wants.
    fn pass_on_stop(&mut self) {
        let wanted = *self.stop.borrow();
        if wanted <= self.told {
            return;
        }
        self.told = wanted;
        if self.executor.stays() {
            let left = std::mem::take(&mut self.running);
            self.summary.interrupted.extend(left.into_iter().map(|running| self.tasks[running.task].id));
            return;
        }
        let signal = match wanted {
            Stop::No => return,
            Stop::Politely => {
                self.executor.interrupt();
                rustix::process::Signal::TERM
            }
            Stop::Now => {
                self.executor.kill();
                rustix::process::Signal::KILL
            }
        };
        // Workers of an earlier coordinator: theirs is the process named in a journal whose job's lock is held.
        let host = rustix::system::uname();
        for running in self.running.iter().filter(|running| matches!(running.holder, Holder::Earlier(_))) {
            let Some((worker_host, pid)) = &running.tail.worker else { continue };
            let here = worker_host.as_bytes() == host.nodename().to_bytes();
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid.filter(|_| here && folder::at_work(&self.tasks[running.task].folder)) {
                // It may have ended meanwhile, which is what is wanted.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        if wanted == Stop::Now {
            // Those on other hosts cannot be killed from here. All are left open: the next run finds how they ended.
            let earlier = |running: &mut Running| matches!(running.holder, Holder::Earlier(_));
            let left = self.running.extract_if(.., earlier);
            self.summary.interrupted.extend(left.map(|running| self.tasks[running.task].id));
        }
    }

    /// Reads what the workers wrote, tells it, and draws the consequences.
    async fn look(&mut self) -> Result<(), RunError> {
        let mut news = vec![];
        let mut still_running = vec![];
        let mut ended = vec![];
        for mut running in std::mem::take(&mut self.running) {
            match self.look_at(&mut running, &mut news)? {
                Some(end) => ended.push((running, end)),
                None => still_running.push(running),
            }
        }
        self.running = still_running;
        self.tell(news).await?;
        for (running, end) in ended {
            self.settle(running, end)?;
        }
        Ok(())
    }

    async fn tell(&mut self, news: Vec<JobUpdate>) -> Result<(), RunError> {
        if news.is_empty() {
            return Ok(());
        }
        (self.news)(news).await.map_err(|error| RunError::Record(error.into()))
    }

    /// Adds what is new about a submission, its end last.
    fn look_at(&mut self, running: &mut Running, news: &mut Vec<JobUpdate>) -> Result<Option<End>, RunError> {
        let Task { id, folder, .. } = &self.tasks[running.task];
        // The worker first, then the outcome, then the journal: what a dead worker published is there by now, and what
        // was journalled before an outcome, too.
        let status = match running.holder {
            Holder::Slot(slot) => self.executor.poll(slot),
            Holder::Earlier(_) => self.executor.poll_earlier(folder, &running.token),
        };
        let outcome = folder::outcome(folder, *id, &running.token);
        running.tail.read(news)?;
        let token = running.token.clone();
        let (end, update) = match (outcome, status) {
            (Some(Ok((outcome, items))), _) => {
                let update = Update::Ended { folder: folder.clone(), outcome: outcome.clone(), items };
                (End::Outcome(outcome), update)
            }
            (Some(Err(damage)), _) => {
                let message = format!("its outcome cannot be used: {damage}");
                (End::Lost(message.clone()), Update::Lost { token, message })
            }
            (None, Status::Working) => return Ok(None),
            (None, Status::Gone { resumable, .. }) if resumable || running.tail.interrupted.is_some() => {
                (End::Stopped(running.tail.interrupted), Update::Stopped { token })
            }
            (None, Status::Gone { message, .. }) => (End::Lost(message.clone()), Update::Lost { token, message }),
        };
        news.push(JobUpdate { job: *id, update });
        Ok(Some(end))
    }

    /// Draws the consequences of an end that is recorded.
    fn settle(&mut self, running: Running, end: End) -> Result<(), RunError> {
        let Running { task, holder, settings, .. } = running;
        let Task { id, folder, job, .. } = &self.tasks[task];
        folder::close(folder)?;
        let clean = matches!(&end, End::Outcome(Outcome { verdict: Verdict::Done, .. }));
        if let (Holder::Slot(slot), false) = (holder, clean) {
            self.executor.retire(slot);
        }
        match end {
            End::Outcome(Outcome { verdict: Verdict::Done, attempt, .. }) => {
                self.outputs.insert(*id, folder.join(attempt).join(layout::OUTPUT));
                self.summary.done.push(*id);
                self.queue.finish(task);
            }
            End::Outcome(Outcome { verdict: Verdict::Failed { failure, message }, .. }) => match failure {
                FailureKind::OutOfMemory => match smaller_micro_batch(&settings, job.batch_size()) {
                    Some(rows) => {
                        self.tries[task].micro_batch = Some(rows);
                        self.queue.put_back(task);
                    }
                    None => self.try_again(task, message),
                },
                FailureKind::Lost => self.try_again(task, message),
                FailureKind::Job | FailureKind::NonFinite => self.fail(task, message),
            },
            End::Stopped(step) => self.go_on_later(task, step),
            // Not this run's loss.
            End::Lost(_) if matches!(holder, Holder::Earlier(_)) => self.queue.put_back(task),
            End::Lost(message) => self.try_again(task, message),
        }
        Ok(())
    }

    /// Puts a stopped task back, which counts as a loss where nothing was gained since it was last stopped: a time limit
    /// may be too short for it.
    fn go_on_later(&mut self, task: usize, step: Option<u64>) {
        let last = std::mem::replace(&mut self.tries[task].stopped_at, step);
        if self.told == Stop::No && last.is_some() && step <= last {
            self.try_again(
                task,
                "it was stopped twice at the same step; it may need more time at a stretch".to_owned(),
            );
        } else {
            self.queue.put_back(task);
        }
    }

    fn try_again(&mut self, task: usize, message: String) {
        if self.told > Stop::No {
            // Killed on request, or as good as: the next run tries again.
            self.queue.put_back(task);
        } else if self.tries[task].lost < self.policy.retries {
            self.tries[task].lost += 1;
            self.queue.put_back(task);
        } else {
            self.fail(task, message);
        }
    }

    fn fail(&mut self, task: usize, message: String) {
        self.summary.failed.push((self.tasks[task].id, message));
        let skipped = self.queue.fail(task);
        self.summary.skipped.extend(skipped.into_iter().map(|task| self.tasks[task].id));
    }

    /// Fills the free slots.
    async fn submit_ready(&mut self) -> Result<(), RunError> {
        for slot in 0..self.last.len() {
            if self.stopping() || !self.is_free(slot) {
                continue;
            }
            let Some(task) = self.queue.take(self.last[slot]) else { break };
            self.submit(task, slot).await?;
        }
        Ok(())
    }

    async fn submit(&mut self, task: usize, slot: usize) -> Result<(), RunError> {
        let Task { id, job, sources, folder, keep_optimizer, .. } = &self.tasks[task];
        let place = &self.executor.slots()[slot];
        let settings = RunSettings {
            device: place.device.clone(),
            threads: place.threads,
            checkpoint_every_seconds: self.policy.checkpoint_every_seconds,
            micro_batch: self.tries[task].micro_batch.or(self.policy.micro_batch),
            faults: self.policy.faults,
        };
        let token = folder::new_token();
        let assignment = Assignment {
            schema: SCHEMA,
            id: *id,
            token: token.clone(),
            job: job.clone(),
            sources: sources.clone(),
            parents: self.tasks[task].parents.iter().map(|parent| (*parent, self.outputs[parent].clone())).collect(),
            keep_optimizer: *keep_optimizer,
            settings: settings.clone(),
        };
        let update = Update::Submitted { token: token.clone(), slot: place.name.clone() };
        self.tell(vec![JobUpdate { job: *id, update }]).await?;
        folder::open(folder, &assignment)?;
        self.executor.submit(slot, folder, &token)?;
        self.last[slot] = Some(task);
        let tail = Tail::new(*id, &token, folder);
        self.running.push(Running { task, token, holder: Holder::Slot(slot), settings, tail });
        Ok(())
    }
}

/// Half the rows that did not fit, where that is at least one.
fn smaller_micro_batch(settings: &RunSettings, batch_size: Option<u32>) -> Option<u32> {
    let rows = settings.micro_batch.into_iter().chain(batch_size).min()?;
    (rows > 1).then_some(rows / 2)
}
