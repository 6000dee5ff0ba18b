//! What is shown of a run, as text.

use std::time::Duration;

use super::state::{JobState, State};
use crate::domain::{Event, JobKind, JobUpdate, Outcome, Update, Verdict};
use crate::report::human;

/// Labels longer than this are not waited for: they put their own line out of step.
const LABEL: usize = 48;
/// Labels before bars are cut to this.
const SHORT: usize = 32;
/// Running jobs that a heartbeat names.
const NAMED: usize = 3;

/// The line that news are worth, once they are folded into the state.
pub(super) fn line(state: &State, news: &JobUpdate) -> Option<String> {
    let job = state.job(&news.job)?;
    let margin = " ".repeat(number(state).len());
    let remark = |text: String| Some(format!("{margin} {}  {text}", name(state, job)));
    match &news.update {
        Update::Ended { outcome, .. } => Some(ended(state, job, outcome)),
        Update::Lost { message, .. } => remark(format!("LOST: {}", first(message))),
        Update::Stopped { .. } if is_training(job.kind) && job.done > 0 => {
            remark(format!("stopped, saved at step {}", job.done))
        }
        Update::Stopped { .. } => remark("stopped".to_owned()),
        Update::Journal { entry, .. } => match &entry.event {
            Event::Warning { message } => remark(format!("warning: {}", first(message))),
            Event::Resumed { step } => remark(format!("goes on from step {step}")),
            _ => None,
        },
        Update::Submitted { .. } if job.submissions > 1 => remark("is tried again".to_owned()),
        Update::Submitted { .. } => None,
    }
}

/// How far the whole grid is, and what runs.
pub(super) fn heartbeat(state: &State, elapsed: Duration) -> String {
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
        text.push_str(&format!("; running: {}", running[..running.len().min(NAMED)].join(", ")));
    }
    if running.len() > NAMED {
        text.push_str(&format!(" and {} more", running.len() - NAMED));
    }
    text
}

/// What stands behind the bar of the whole grid.
pub(super) fn whole(state: &State, elapsed: Duration) -> String {
    let counts = state.counts();
    let jobs = format!("{}/{}", counts.done, human::counted(counts.jobs as u64, "job"));
    [Some(jobs), failures(state), left(state, elapsed)].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// What stands behind the bar of a running job.
pub(super) fn running(job: &JobState) -> String {
    let loss = job.loss.map(|loss| format!("loss {loss:.2}"));
    let speed = job.speed.map(|speed| format!("{:>5} tok/s", human::count(speed as u64)));
    [loss, speed].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// What stands before the bar of a job: kind and label, the latter in at most [`SHORT`] characters.
pub(super) fn short_name(state: &State, job: &JobState) -> String {
    columns(state, job.kind.name(), &cut(&job.label, SHORT), SHORT)
}

/// What stands before the bar of the whole grid.
pub(super) fn whole_name(state: &State) -> String {
    columns(state, "all", "", SHORT)
}

fn name(state: &State, job: &JobState) -> String {
    columns(state, job.kind.name(), &job.label, LABEL)
}

/// Kind and label, in columns for the grid's longest, though not beyond `limit` for labels.
fn columns(state: &State, kind: &str, label: &str, limit: usize) -> String {
    let kinds = state.jobs().iter().map(|job| job.kind.name().len()).max().unwrap_or(0);
    let labels = state.jobs().iter().map(|job| job.label.chars().count()).max().unwrap_or(0).min(limit);
    format!("{kind:<kinds$}  {label:<labels$}")
}

/// The text in at most `width` characters, cut in the middle: both ends of a label tell jobs apart.
fn cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let start: String = text.chars().take(kept / 2).collect();
    let end: String = text.chars().skip(length - (kept - kept / 2)).collect();
    format!("{start}…{end}")
}

fn ended(state: &State, job: &JobState, outcome: &Outcome) -> String {
    let head = format!("{} {}", number(state), name(state, job));
    match &outcome.verdict {
        Verdict::Done => {
            let width = state.jobs().iter().map(|job| details_width(job.kind)).max().unwrap_or(0);
            let time = Duration::from_millis(outcome.ended.saturating_sub(outcome.started).max(0).unsigned_abs());
            format!("{head}  {:<width$}  {:>6}", details(job), human::duration(time))
        }
        Verdict::Failed { message, .. } => format!("{head}  FAILED: {}", first(message)),
    }
}

/// What a finished job has to show.
fn details(job: &JobState) -> String {
    match job.kind {
        JobKind::Tokenizer | JobKind::Import => String::new(),
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
        JobKind::Eval | JobKind::Finetune => {
            job.scores.iter().map(|(task, value)| format!("{task} {value:.1}")).collect::<Vec<_>>().join("  ")
        }
    }
}

/// The width of [`details`], or what an evaluation usually needs.
fn details_width(kind: JobKind) -> usize {
    match kind {
        JobKind::Tokenizer | JobKind::Import => 0,
        JobKind::Prepare => 26,
        JobKind::Pretrain | JobKind::Tune => 37,
        JobKind::Eval | JobKind::Finetune => 24,
    }
}

/// The jobs that ended, of all: `[ 7/78]`.
fn number(state: &State) -> String {
    let counts = state.counts();
    let width = counts.jobs.to_string().len();
    format!("[{:>width$}/{}]", counts.done + counts.failed, counts.jobs)
}

fn failures(state: &State) -> Option<String> {
    let failed = state.counts().failed;
    (failed > 0).then(|| format!("{failed} failed"))
}

fn left(state: &State, elapsed: Duration) -> Option<String> {
    state.time_left(elapsed).map(|left| format!("{} left", human::duration(left)))
}

/// Whole percents; 100 only if nothing is left.
fn percent(share: f64) -> String {
    // 57 of 100 is a little less than 0.57.
    let percents = if share < 1.0 { (share * 100.0 + 1e-9).floor().min(99.0) } else { 100.0 };
    format!("{percents:.0}%")
}

fn is_training(kind: JobKind) -> bool {
    matches!(kind, JobKind::Pretrain | JobKind::Tune)
}

/// The first line of a message; `grid logs` has the others.
fn first(message: &str) -> &str {
    message.trim().lines().next().unwrap_or("no reason given")
}
