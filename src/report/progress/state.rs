//! The state of a run, built from the updates of its jobs.

use std::collections::HashMap;
use std::time::Duration;

use super::planned::PlannedJob;
use crate::domain::{Event, JobId, JobKind, JobUpdate, Score, Update, Verdict};

/// The share of the work that must be done before the remaining time is estimated.
const MIN_SHARE_FOR_ESTIMATE: f64 = 0.01;

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobPhase {
    /// Not started, or stopped on request.
    Waiting,
    Running,
    Done,
    /// Ended with an error; it may be submitted again.
    Failed,
    /// The worker vanished; it may be submitted again.
    Lost,
}

/// The progress of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobProgress {
    pub kind: JobKind,
    pub label: String,
    pub phase: JobPhase,
    /// How often this run submitted it.
    pub submissions: u32,
    /// The units of work done of `total`, which is 0 while it is not known.
    pub done: u64,
    pub total: u64,
    /// The mean training loss of the last report, in nats per token.
    pub loss: Option<f64>,
    /// The speed of the last report, in tokens per second.
    pub speed: Option<f64>,
    /// The words and tokens of prepared data.
    pub words: Option<u64>,
    pub tokens: Option<u64>,
    /// The official aggregate of each task, in the order of the reports.
    pub scores: Vec<TaskScore>,
    weight: f64,
    /// The units of work that were done before this run began.
    done_before: u64,
    /// The steps of all reports with a speed.
    timed_steps: f64,
    /// The sum of steps / speed over the same reports.
    time_per_token: f64,
}

/// The official aggregate of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TaskScore {
    pub task: String,
    pub metric: String,
    pub value: f64,
}

impl TaskScore {
    fn of(score: &Score) -> Self {
        Self { task: score.task.clone(), metric: score.metric.clone(), value: score.value }
    }
}

/// The progress of all jobs of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunState {
    jobs: Vec<JobProgress>,
    index: HashMap<JobId, usize>,
    /// The start of the run, in milliseconds since 1970 UTC, as in journals.
    began: i64,
}

/// How many jobs a run has, and how many have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub jobs: usize,
    pub done: usize,
    /// Failed or lost, and not submitted again.
    pub failed: usize,
}

impl RunState {
    pub(super) fn new(planned: &[PlannedJob], began: i64) -> Self {
        let job = |planned: &PlannedJob| JobProgress {
            kind: planned.kind,
            label: planned.label.clone(),
            phase: JobPhase::Waiting,
            submissions: 0,
            done: 0,
            total: 0,
            loss: None,
            speed: None,
            words: None,
            tokens: None,
            scores: vec![],
            weight: planned.weight,
            done_before: 0,
            timed_steps: 0.0,
            time_per_token: 0.0,
        };
        Self {
            jobs: planned.iter().map(job).collect(),
            index: planned.iter().enumerate().map(|(number, planned)| (planned.id, number)).collect(),
            began,
        }
    }

    pub(super) fn job(&self, id: &JobId) -> Option<&JobProgress> {
        self.index.get(id).map(|number| &self.jobs[*number])
    }

    pub(super) fn jobs(&self) -> &[JobProgress] {
        &self.jobs
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &JobProgress> {
        self.jobs.iter().filter(|job| job.phase == JobPhase::Running)
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { jobs: self.jobs.len(), done: 0, failed: 0 };
        for job in &self.jobs {
            match job.phase {
                JobPhase::Done => counts.done += 1,
                JobPhase::Failed | JobPhase::Lost => counts.failed += 1,
                JobPhase::Waiting | JobPhase::Running => {}
            }
        }
        counts
    }

    /// Applies an update. Updates of jobs that are not part of the run are ignored.
    pub(super) fn apply(&mut self, update: &JobUpdate) {
        let Some(job) = self.index.get(&update.job).map(|number| &mut self.jobs[*number]) else { return };
        match &update.update {
            Update::Submitted { .. } => {
                job.phase = JobPhase::Running;
                job.submissions += 1;
            }
            Update::Journal { entry, .. } => {
                // If an earlier run submitted the job, there is no submission in this run.
                job.phase = JobPhase::Running;
                job.apply(&entry.event, entry.at < self.began);
            }
            Update::Ended { outcome, .. } => {
                job.phase = match outcome.verdict {
                    Verdict::Done => JobPhase::Done,
                    Verdict::Failed { .. } => JobPhase::Failed,
                    Verdict::DamagedInput { .. } => JobPhase::Lost,
                }
            }
            Update::Stopped { .. } => job.phase = JobPhase::Waiting,
            Update::Lost { .. } => job.phase = JobPhase::Lost,
        }
    }

    /// The share of the work that is done, from 0 to 1; it is 1 only if every job is done.
    pub(super) fn share(&self) -> f64 {
        let (done, all) =
            self.jobs.iter().fold((0.0, 0.0), |(done, all), job| (done + job.weight * job.share(), all + job.weight));
        if self.counts().done == self.jobs.len() {
            1.0
        } else if all > 0.0 {
            (done / all).clamp(0.0, 1.0 - f64::EPSILON)
        } else {
            0.0
        }
    }

    /// The estimated remaining time at the speed so far; `None` while too little work is done for an estimate.
    ///
    /// Failed jobs are not expected to be completed.
    pub(super) fn time_left(&self, elapsed: Duration) -> Option<Duration> {
        let (mut made, mut left) = (0.0, 0.0);
        for job in &self.jobs {
            made += job.weight * job.share_of_this_run();
            if matches!(job.phase, JobPhase::Waiting | JobPhase::Running) {
                left += job.weight * (1.0 - job.share());
            }
        }
        (left > 0.0 && made > MIN_SHARE_FOR_ESTIMATE * (made + left)).then(|| elapsed.mul_f64(left / made))
    }
}

impl JobProgress {
    /// Applies an event; `before` says whether it is older than this run.
    fn apply(&mut self, event: &Event, before: bool) {
        match event {
            // A new attempt starts from scratch, unless it reports that it resumes.
            Event::Started { .. } => self.done = 0,
            Event::Resumed { step } => {
                self.done = *step;
                if self.total == 0 {
                    self.done_before = *step;
                }
            }
            Event::Progress { done, total, loss, tokens_per_second } => {
                if let Some(speed) = tokens_per_second.filter(|speed| *speed > 0.0) {
                    let steps = done.saturating_sub(self.done) as f64;
                    self.timed_steps += steps;
                    self.time_per_token += steps / speed;
                }
                (self.done, self.total) = (*done, *total);
                self.loss = loss.or(self.loss);
                self.speed = tokens_per_second.or(self.speed);
                if before {
                    self.done_before = *done;
                }
            }
            Event::Metric { name, value, .. } => match name.as_str() {
                "words" => self.words = Some(*value as u64),
                "tokens" => self.tokens = Some(*value as u64),
                _ => {}
            },
            Event::Scored(score) if score.subtask.is_none() => {
                // Of several metrics, the first is the score of the task.
                if !self.scores.iter().any(|known| known.task == score.task && known.metric != score.metric) {
                    self.scores.retain(|known| known.task != score.task);
                    self.scores.push(TaskScore::of(score));
                }
            }
            Event::Interrupted { step } => self.done = *step,
            Event::Scored(_) | Event::Checkpoint { .. } | Event::Warning { .. } | Event::Finished { .. } => {}
        }
    }

    /// The share of the job that is done, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        if self.phase == JobPhase::Done { 1.0 } else { ratio(self.done, self.total) }
    }

    /// The share of the job that this run has done.
    fn share_of_this_run(&self) -> f64 {
        (self.share() - ratio(self.done_before, self.total)).max(0.0)
    }

    /// The mean speed over all reports in tokens per second, assuming that all steps have the same number of tokens.
    pub(super) fn mean_speed(&self) -> Option<f64> {
        (self.time_per_token > 0.0).then(|| self.timed_steps / self.time_per_token)
    }
}

fn ratio(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
}
