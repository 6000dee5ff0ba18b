//! What `grid report` says when there is nothing to show.

use crate::domain::{JobKind, NamedTable, ScoreRow, did_you_mean};
use crate::report::{self, human};
use crate::session::{Exit, Failure};
use crate::store::{JobRow, JobState};

/// The progress of an experiment: `3 of 11 jobs done, 2 failed`.
fn progress(jobs: &[JobRow]) -> String {
    let count = |state: JobState| jobs.iter().filter(|job| job.state == state).count();
    let failed = match count(JobState::Failed) {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("{} of {} done{failed}", count(JobState::Done), human::counted(jobs.len() as u64, "job"))
}

/// What to do about an experiment that is not done.
fn remedy(experiment: &str, jobs: &[JobRow]) -> String {
    match jobs.iter().any(|job| job.state == JobState::Failed) {
        true => format!("`grid status {experiment}` shows why jobs failed; `grid resume {experiment}` retries them"),
        false => format!("`grid status {experiment}` lists its jobs; `grid resume {experiment}` continues"),
    }
}

/// No score exists.
pub(super) fn no_scores(experiment: &str, jobs: &[JobRow]) -> Failure {
    let message = match jobs.iter().any(|job| matches!(job.kind, JobKind::Eval | JobKind::Finetune)) {
        true => {
            format!("grid: '{experiment}' has no scores yet: {}\n  help: {}", progress(jobs), remedy(experiment, jobs))
        }
        false => format!(
            "grid: '{experiment}' evaluates nothing\n  help: add `evaluate: {{data: world, suites: [blimp]}}` to its \
             spec"
        ),
    };
    Failure::text(Exit::NothingMatches, message)
}

/// No subtask of this suite has a score.
pub(super) fn no_subtasks(experiment: &str, suite: &str, scores: &[ScoreRow], jobs: &[JobRow]) -> Failure {
    let known = report::suites_with_subtasks(scores);
    if known.is_empty() {
        return no_scores(experiment, jobs);
    }
    let known = known.join(", ");
    let message = format!("grid: '{experiment}' has no subtask scores of {suite}; it has those of {known}");
    Failure::text(Exit::NothingMatches, message)
}

/// No milestone has a score, although the spec requests them, or because it does not.
pub(super) fn no_curve(experiment: &str, is_requested: bool, jobs: &[JobRow]) -> Failure {
    let message = match is_requested {
        true => format!(
            "grid: no milestone of '{experiment}' has a score yet: {}\n  help: {}",
            progress(jobs),
            remedy(experiment, jobs)
        ),
        false => format!(
            "grid: '{experiment}' evaluates no milestones\n  help: add `pretrain: {{milestones: ...}}` and `evaluate: \
             {{checkpoints: ...}}` to its spec"
        ),
    };
    Failure::text(Exit::NothingMatches, message)
}

/// The spec defines no table of this name.
pub(super) fn no_such_table(experiment: &str, wanted: &str, named: &[NamedTable]) -> Failure {
    let known: Vec<&str> =
        ["scores", "leaderboard"].into_iter().chain(named.iter().map(|table| &*table.name)).collect();
    let near = did_you_mean(wanted, known.iter().copied()).map_or(String::new(), |hint| format!(" ({hint})"));
    let message = format!(
        "grid: '{experiment}' has no table '{wanted}'{near}; known are {}\n  help: `tables:` in the spec defines more",
        known.join(", ")
    );
    Failure::text(Exit::NothingMatches, message)
}
