//! The resume truth table: reuse a result, or run its job, and for which one reason.
//!
//! It is computed at the start of a run from the disk and the database, never at the end of a run that may be crashing.
//!
//! | last attempt | artifacts | data and parents | decision |
//! |---|---|---|---|
//! | done | intact | any | reuse: an id stands for its result, whatever happens to the parents |
//! | done | missing or altered | available | run: artifact missing or altered |
//! | none, running, interrupted or failed | any | available | run: new or changed, running, interrupted, failed |
//! | any other row | any | unavailable | blocked |

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::planned::Plan;
use crate::domain::JobId;

/// How the last attempt at a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LastAttempt {
    /// There was no attempt.
    #[default]
    Never,
    /// It is still running.
    Underway,
    /// It was stopped, or its worker disappeared; its checkpoints remain.
    Interrupted,
    /// It ended with an error.
    Failed(String),
    /// It ended with a result.
    Done,
}

/// The state of the files of a finished job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Artifacts {
    /// Every file exists and is the recorded one.
    #[default]
    Whole,
    /// This file does not exist.
    Missing(String),
    /// This file differs from the recorded one; the text names it and says in what.
    Altered(String),
}

/// What earlier runs left of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriorState {
    /// The last outcome.
    pub last: LastAttempt,
    /// The state of its files.
    pub artifacts: Artifacts,
    /// How it differs from the job that had its label when the experiment ran last ([`change`](super::change())).
    pub change: Option<String>,
}

/// What a run does about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its result is reused.
    Reuse,
    /// It must run.
    Run(RunReason),
    /// It cannot run, because these data are missing; they are its own or an ancestor's.
    Blocked(Vec<String>),
}

/// Why a job must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunReason {
    /// No result with this identity exists.
    New,
    /// No result with this identity exists; the job that had its label differs in this.
    Changed(String),
    /// It is already running; the run waits for it.
    Underway,
    /// The last attempt was stopped before its end.
    Interrupted,
    /// The last attempt failed.
    Failed(String),
    /// A file of its result is missing.
    ArtifactMissing(String),
    /// A file of its result has changed.
    ArtifactAltered(String),
}

impl fmt::Display for RunReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunReason::New => f.write_str("never ran"),
            RunReason::Changed(change) => write!(f, "changed: {change}"),
            RunReason::Underway => f.write_str("already running"),
            RunReason::Interrupted => {
                f.write_str("was interrupted; continues from its last checkpoint, if there is one")
            }
            RunReason::Failed(message) => write!(f, "failed: {}", message.lines().next().unwrap_or_default()),
            RunReason::ArtifactMissing(path) => write!(f, "its result is missing: {path}"),
            RunReason::ArtifactAltered(path) => write!(f, "its result was altered: {path}"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Reuse => f.write_str("Reuse"),
            Decision::Run(why) => write!(f, "Run ({why})"),
            Decision::Blocked(missing) => write!(f, "Blocked (not found: {})", missing.join(", ")),
        }
    }
}

/// One row of the table. `missing` are the locations of data that the job or an ancestor lacks.
fn decide_one(known: &PriorState, missing: &[String]) -> Decision {
    let why = match (&known.last, &known.artifacts) {
        (LastAttempt::Done, Artifacts::Whole) => return Decision::Reuse,
        (LastAttempt::Done, Artifacts::Missing(path)) => RunReason::ArtifactMissing(path.clone()),
        (LastAttempt::Done, Artifacts::Altered(path)) => RunReason::ArtifactAltered(path.clone()),
        (LastAttempt::Never, _) => known.change.clone().map_or(RunReason::New, RunReason::Changed),
        (LastAttempt::Underway, _) => RunReason::Underway,
        (LastAttempt::Interrupted, _) => RunReason::Interrupted,
        (LastAttempt::Failed(message), _) => RunReason::Failed(message.clone()),
    };
    if missing.is_empty() { Decision::Run(why) } else { Decision::Blocked(missing.to_vec()) }
}

/// Decides every job of a plan. A job that `known` lacks was never attempted.
pub fn decide(plan: &Plan, known: &BTreeMap<JobId, PriorState>) -> BTreeMap<JobId, Decision> {
    let never = PriorState::default();
    let mut decisions: BTreeMap<JobId, Decision> = BTreeMap::new();
    for job in plan.jobs() {
        let mut missing: Vec<String> = job.missing().map(str::to_owned).collect();
        for parent in &job.parents {
            if let Some(Decision::Blocked(theirs)) = decisions.get(parent) {
                missing.extend(theirs.iter().cloned());
            }
        }
        missing.sort();
        missing.dedup();
        decisions.insert(job.id, decide_one(known.get(&job.id).unwrap_or(&never), &missing));
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination, compared with the table above.
    #[test]
    fn the_whole_truth_table() {
        let lasts = [
            LastAttempt::Never,
            LastAttempt::Underway,
            LastAttempt::Interrupted,
            LastAttempt::Failed("x".into()),
            LastAttempt::Done,
        ];
        let artifacts = [Artifacts::Whole, Artifacts::Missing("m".into()), Artifacts::Altered("m".into())];
        let data: [Vec<String>; 2] = [vec![], vec!["corpus.txt".into()]];
        let mut rows = vec![];
        for last in &lasts {
            for artifact in &artifacts {
                for missing in &data {
                    let known = PriorState { last: last.clone(), artifacts: artifact.clone(), change: None };
                    rows.push(decide_one(&known, missing));
                    // The difference matters only for a job that was never attempted.
                    let changed = PriorState { change: Some("seed 1 -> 2".into()), ..known };
                    let expected = match &rows[rows.len() - 1] {
                        Decision::Run(RunReason::New) => Decision::Run(RunReason::Changed("seed 1 -> 2".into())),
                        other => other.clone(),
                    };
                    assert_eq!(decide_one(&changed, missing), expected);
                }
            }
        }
        let blocked = || Decision::Blocked(vec!["corpus.txt".into()]);
        let run = |why: RunReason| [Decision::Run(why), blocked()];
        let expected = [
            [run(RunReason::New), run(RunReason::New), run(RunReason::New)].concat(),
            [run(RunReason::Underway), run(RunReason::Underway), run(RunReason::Underway)].concat(),
            [run(RunReason::Interrupted), run(RunReason::Interrupted), run(RunReason::Interrupted)].concat(),
            [
                run(RunReason::Failed("x".into())),
                run(RunReason::Failed("x".into())),
                run(RunReason::Failed("x".into())),
            ]
            .concat(),
            [
                [Decision::Reuse, Decision::Reuse],
                run(RunReason::ArtifactMissing("m".into())),
                run(RunReason::ArtifactAltered("m".into())),
            ]
            .concat(),
        ]
        .concat();
        assert_eq!(rows, expected);
        assert_eq!(rows.len(), 30);
    }
}
