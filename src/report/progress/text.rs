//! The texts that show the progress of a run.

use std::time::Duration;

use super::state::{JobProgress, RunState, TaskScore};
use crate::domain::{Event, JobKind, JobUpdate, Outcome, Update, Verdict};
use crate::report::human;
use crate::report::table::Scale;

/// The maximum width of the column of labels in lines; a longer label shifts the rest of its own line.
const LABEL_WIDTH: usize = 48;
/// The width to which labels before bars are shortened.
const SHORT_LABEL_WIDTH: usize = 32;
/// The maximum number of running jobs that a heartbeat names.
const MAX_NAMED_JOBS: usize = 3;

/// The line that an update deserves, if any. The update was already applied to the state.
pub(super) fn update_line(state: &RunState, update: &JobUpdate) -> Option<String> {
    let job = state.job(&update.job)?;
    let margin = " ".repeat(number(state).len());
    let remark = |text: String| Some(format!("{margin} {}  {text}", name(state, job)));
    match &update.update {
        Update::Ended { outcome, .. } => Some(ended(state, job, outcome)),
        Update::Lost { message, .. } => remark(format!("LOST: {}", first(message))),
        Update::Stopped { .. } if is_training(job.kind) && job.done > 0 => {
            remark(format!("stopped; saved at step {}", job.done))
        }
        Update::Stopped { .. } => remark("stopped".to_owned()),
        Update::Journal { entry, .. } => match &entry.event {
            Event::Warning { message } => remark(format!("warning: {}", first(message))),
            Event::Resumed { step } => remark(format!("resumed from step {step}")),
            _ => None,
        },
        Update::Submitted { .. } if job.submissions > 1 => remark("retrying".to_owned()),
        Update::Submitted { .. } => None,
    }
}

/// The progress of the whole run, and the running jobs.
pub(super) fn heartbeat(state: &RunState, elapsed: Duration) -> String {
    let running: Vec<String> = (state.running())
        .map(|job| match job.total {
            0 => format!("{} {}", job.kind, job.label),
            _ => format!("{} {} {}", job.kind, job.label, percent(job.share())),
        })
        .collect();
    let mut text = format!("{} {} of the work", number(state), percent(state.share()));
    for part in [failures(state), left(state, elapsed)].into_iter().flatten() {
        text.push_str(&format!(", {part}"));
    }
    if !running.is_empty() {
        text.push_str(&format!("; running: {}", running[..running.len().min(MAX_NAMED_JOBS)].join(", ")));
    }
    if running.len() > MAX_NAMED_JOBS {
        text.push_str(&format!(" and {} more", running.len() - MAX_NAMED_JOBS));
    }
    text
}

/// The text after the bar of the whole run.
pub(super) fn overall(state: &RunState, elapsed: Duration) -> String {
    let counts = state.counts();
    let jobs = format!("{}/{}", counts.done, human::counted(counts.jobs as u64, "job"));
    [Some(jobs), failures(state), left(state, elapsed)].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// The text after the bar of a running job.
pub(super) fn running(job: &JobProgress) -> String {
    let loss = job.loss.map(|loss| format!("loss {loss:.2}"));
    let speed = job.speed.map(|speed| format!("{:>5} tok/s", human::count(speed as u64)));
    [loss, speed].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// The text before the bar of a job: its kind and its label in at most [`SHORT_LABEL_WIDTH`] characters.
pub(super) fn short_name(state: &RunState, job: &JobProgress) -> String {
    columns(state, job.kind.name(), &shortened(&job.label, SHORT_LABEL_WIDTH), SHORT_LABEL_WIDTH)
}

/// The text before the bar of the whole run.
pub(super) fn overall_name(state: &RunState) -> String {
    columns(state, "all", "", SHORT_LABEL_WIDTH)
}

fn name(state: &RunState, job: &JobProgress) -> String {
    columns(state, job.kind.name(), &job.label, LABEL_WIDTH)
}

/// The kind and the label in columns that fit the longest ones of the run, with at most `limit` characters for labels.
fn columns(state: &RunState, kind: &str, label: &str, limit: usize) -> String {
    let kinds = state.jobs().iter().map(|job| job.kind.name().len()).max().unwrap_or(0);
    let labels = state.jobs().iter().map(|job| job.label.chars().count()).max().unwrap_or(0).min(limit);
    format!("{kind:<kinds$}  {label:<labels$}")
}

/// Shortens a text to at most `width` characters in the middle, because both ends of a label tell jobs apart.
fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let start: String = text.chars().take(kept / 2).collect();
    let end: String = text.chars().skip(length - (kept - kept / 2)).collect();
    format!("{start}…{end}")
}

fn ended(state: &RunState, job: &JobProgress, outcome: &Outcome) -> String {
    let head = format!("{} {}", number(state), name(state, job));
    match &outcome.verdict {
        Verdict::Done => {
            let width = state.jobs().iter().map(|job| details_width(job.kind)).max().unwrap_or(0);
            let time = Duration::from_millis(outcome.ended.saturating_sub(outcome.started).max(0).unsigned_abs());
            format!("{head}  {:<width$}  {:>6}", details(job), human::duration(time))
        }
        Verdict::Failed { message, .. } => format!("{head}  FAILED: {}", first(message)),
        Verdict::DamagedInput { message, .. } => {
            format!("{head}  DAMAGED INPUT: {}; the job that made it runs again first", first(message))
        }
    }
}

/// The most interesting numbers of a finished job.
fn details(job: &JobProgress) -> String {
    match job.kind {
        JobKind::Tokenizer | JobKind::Import | JobKind::Logprobs => String::new(),
        JobKind::Sample | JobKind::Teach => {
            job.words.map_or(String::new(), |words| format!("{:>6} words", human::count(words)))
        }
        JobKind::Prepare => match (job.words, job.tokens) {
            (Some(words), Some(tokens)) => {
                format!("{:>6} words  {:>5} tokens", human::count(words), human::count(tokens))
            }
            _ => String::new(),
        },
        JobKind::Pretrain | JobKind::Tune => {
            let loss = job.loss.map_or(String::new(), |loss| format!("loss {loss:>5.2}"));
            let speed = job.mean_speed().map_or(String::new(), |speed| human::count(speed as u64) + " tok/s");
            format!("{:>6} steps  {loss:<10}  {speed:>11}", job.done)
        }
        JobKind::Eval | JobKind::Finetune => job
            .scores
            .iter()
            .map(|TaskScore { task, metric, value }| format!("{task} {value:.*}", Scale::of_metric(metric).decimals()))
            .collect::<Vec<_>>()
            .join("  "),
    }
}

/// The width of [`details`]; for evaluations, the width that is usually needed.
fn details_width(kind: JobKind) -> usize {
    match kind {
        JobKind::Tokenizer | JobKind::Import | JobKind::Logprobs => 0,
        JobKind::Sample | JobKind::Teach => 12,
        JobKind::Prepare => 26,
        JobKind::Pretrain | JobKind::Tune => 37,
        JobKind::Eval | JobKind::Finetune => 24,
    }
}

/// How many jobs have ended, of all: `[ 7/78]`.
fn number(state: &RunState) -> String {
    let counts = state.counts();
    let width = counts.jobs.to_string().len();
    format!("[{:>width$}/{}]", counts.done + counts.failed, counts.jobs)
}

fn failures(state: &RunState) -> Option<String> {
    let failed = state.counts().failed;
    (failed > 0).then(|| format!("{failed} failed"))
}

fn left(state: &RunState, elapsed: Duration) -> Option<String> {
    state.time_left(elapsed).map(|left| format!("{} left", human::duration(left)))
}

/// A share in whole percent; 100 only if nothing is left.
fn percent(share: f64) -> String {
    // The floating-point number for 57 of 100 is slightly less than 0.57.
    let percents = if share < 1.0 { (share * 100.0 + 1e-9).floor().min(99.0) } else { 100.0 };
    format!("{percents:.0}%")
}

fn is_training(kind: JobKind) -> bool {
    matches!(kind, JobKind::Pretrain | JobKind::Tune)
}

/// The first line of a message; `grid logs` shows all lines.
fn first(message: &str) -> &str {
    message.trim().lines().next().unwrap_or("no reason given")
}
