//! What is known of a run: news folded into plain data.

use std::collections::HashMap;
use std::time::Duration;

use super::Planned;
use crate::domain::{Event, JobId, JobKind, JobUpdate, Update, Verdict};

/// The least share of a run's work from which its speed is told.
const ENOUGH: f64 = 0.01;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Not begun, or stopped on request.
    Waiting,
    Running,
    Done,
    /// Ended with an error. It runs again if the run submits it again.
    Failed,
    /// Its worker vanished. It runs again if the run submits it again.
    Lost,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobState {
    pub kind: JobKind,
    pub label: String,
    pub stand: Stand,
    /// How often this run handed it to a worker.
    pub submissions: u32,
    /// Units done of `total`, which is 0 as long as it is unknown.
    pub done: u64,
    pub total: u64,
    /// Mean training loss of the last report, in nats per token.
    pub loss: Option<f64>,
    /// Tokens per second of the last report.
    pub speed: Option<f64>,
    /// Words and tokens of prepared data.
    pub words: Option<u64>,
    pub tokens: Option<u64>,
    /// The official aggregate of each task, in the order of the reports.
    pub scores: Vec<(String, f64)>,
    weight: f64,
    /// Units that were done before the run began.
    earlier: u64,
    /// Steps reported with a speed, and the sum of steps / speed over these reports.
    paced: (f64, f64),
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    jobs: Vec<JobState>,
    index: HashMap<JobId, usize>,
    /// When the run began, in milliseconds since 1970 UTC, by the clock of the journals.
    began: i64,
}

/// Numbers of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub jobs: usize,
    pub done: usize,
    /// Failed or lost, and not yet submitted again.
    pub failed: usize,
}

impl State {
    pub fn new(planned: &[Planned], began: i64) -> Self {
        let job = |planned: &Planned| JobState {
            kind: planned.kind,
            label: planned.label.clone(),
            stand: Stand::Waiting,
            submissions: 0,
            done: 0,
            total: 0,
            loss: None,
            speed: None,
            words: None,
            tokens: None,
            scores: vec![],
            weight: planned.weight,
            earlier: 0,
            paced: (0.0, 0.0),
        };
        Self {
            jobs: planned.iter().map(job).collect(),
            index: planned.iter().enumerate().map(|(number, planned)| (planned.id, number)).collect(),
            began,
        }
    }

    pub fn job(&self, id: &JobId) -> Option<&JobState> {
        self.index.get(id).map(|number| &self.jobs[*number])
    }

    pub fn jobs(&self) -> &[JobState] {
        &self.jobs
    }

    pub fn running(&self) -> impl Iterator<Item = &JobState> {
        self.jobs.iter().filter(|job| job.stand == Stand::Running)
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts { jobs: self.jobs.len(), done: 0, failed: 0 };
        for job in &self.jobs {
            match job.stand {
                Stand::Done => counts.done += 1,
                Stand::Failed | Stand::Lost => counts.failed += 1,
                Stand::Waiting | Stand::Running => {}
            }
        }
        counts
    }

    /// Takes news in.
    pub fn fold(&mut self, news: &JobUpdate) {
        let Some(job) = self.index.get(&news.job).map(|number| &mut self.jobs[*number]) else { return };
        match &news.update {
            Update::Submitted { .. } => {
                job.stand = Stand::Running;
                job.submissions += 1;
            }
            Update::Journal { entry, .. } => {
                // A submission that an earlier run left open is told by its journal only.
                job.stand = Stand::Running;
                job.fold(&entry.event, entry.at < self.began);
            }
            Update::Ended { outcome, .. } => {
                job.stand = match outcome.verdict {
                    Verdict::Done => Stand::Done,
                    Verdict::Failed { .. } => Stand::Failed,
                }
            }
            Update::Stopped { .. } => job.stand = Stand::Waiting,
            Update::Lost { .. } => job.stand = Stand::Lost,
        }
    }

    /// The share of the work that is done, in 0..=1; 1 only if every job is done.
    pub fn share(&self) -> f64 {
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

    /// How long the rest will take at the pace so far; `None` as long as that says too little.
    ///
    /// Jobs that failed are no longer expected to be done.
    pub fn time_left(&self, elapsed: Duration) -> Option<Duration> {
        let (mut made, mut left) = (0.0, 0.0);
        for job in &self.jobs {
            made += job.weight * job.share_of_this_run();
            if matches!(job.stand, Stand::Waiting | Stand::Running) {
                left += job.weight * (1.0 - job.share());
            }
        }
        (left > 0.0 && made > ENOUGH * (made + left)).then(|| elapsed.mul_f64(left / made))
    }
}

impl JobState {
    fn fold(&mut self, event: &Event, before: bool) {
        match event {
            // A new attempt begins from nothing, unless it says that it resumes.
            Event::Started { .. } => self.done = 0,
            Event::Resumed { step } => {
                self.done = *step;
                if self.total == 0 {
                    self.earlier = *step;
                }
            }
            Event::Progress { done, total, loss, tokens_per_second } => {
                if let Some(speed) = tokens_per_second.filter(|speed| *speed > 0.0) {
                    let steps = done.saturating_sub(self.done) as f64;
                    self.paced.0 += steps;
                    self.paced.1 += steps / speed;
                }
                (self.done, self.total) = (*done, *total);
                self.loss = loss.or(self.loss);
                self.speed = tokens_per_second.or(self.speed);
                if before {
                    self.earlier = *done;
                }
            }
            Event::Metric { name, value, .. } => match name.as_str() {
                "words" => self.words = Some(*value as u64),
                "tokens" => self.tokens = Some(*value as u64),
                _ => {}
            },
            Event::Scored(score) if score.subtask.is_none() => {
                self.scores.retain(|(task, _)| *task != score.task);
                self.scores.push((score.task.clone(), score.value));
            }
            Event::Interrupted { step } => self.done = *step,
            Event::Scored(_) | Event::Checkpoint { .. } | Event::Warning { .. } | Event::Finished { .. } => {}
        }
    }

    /// The share of the job that is done, in 0..=1.
    pub fn share(&self) -> f64 {
        if self.stand == Stand::Done { 1.0 } else { ratio(self.done, self.total) }
    }

    /// The share that this run did of it.
    fn share_of_this_run(&self) -> f64 {
        (self.share() - ratio(self.earlier, self.total)).max(0.0)
    }

    /// Tokens per second over all reports, if every step has as many tokens.
    pub fn mean_speed(&self) -> Option<f64> {
        let (steps, time) = self.paced;
        (time > 0.0).then(|| steps / time)
    }
}

fn ratio(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) }
}
