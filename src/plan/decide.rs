//! The resume truth table: reuse a result, or run its job, and for which one reason.
//!
//! Computed at the start of the next run from what is on disk and in the database, never at the end of a dying one.
//!
//! | last outcome | artifacts | data and parents | decision |
//! |---|---|---|---|
//! | done | whole | any | reuse: an id stands for its result, whatever happens to the parents |
//! | done | missing, altered | available | run: artifact missing, altered |
//! | never, under way, interrupted, failed | any | available | run: new or changed, under way, interrupted, failed |
//! | all but done and whole | any | unavailable | blocked |

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::planned::Plan;
use crate::domain::JobId;

/// How the last attempt at a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Last {
    /// There was none.
    #[default]
    Never,
    /// It has not: a worker is at it.
    Underway,
    /// It was stopped, or its worker vanished; its checkpoints remain.
    Interrupted,
    /// With an error.
    Failed(String),
    /// With a result.
    Done,
}

/// What is left on disk of a job that was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Artifacts {
    /// Every file, with the recorded size.
    #[default]
    Whole,
    /// This file is gone.
    Missing(String),
    /// This file has another size than recorded.
    Altered(String),
}

/// What is known of a job from earlier runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Last outcome.
    pub last: Last,
    /// State of its files.
    pub artifacts: Artifacts,
    /// How it differs from the job that had its label when the experiment ran last ([`change`](super::change())).
    pub change: Option<String>,
}

/// What to do about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its result stands.
    Reuse,
    /// It must run.
    Run(Why),
    /// It cannot run: these data are missing, its own or an ancestor's.
    Blocked(Vec<String>),
}

/// Why a job must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No result with this identity exists.
    New,
    /// No result with this identity exists; a job of its label differs in this.
    Changed(String),
    /// A worker is at it, whom a run awaits.
    Underway,
    /// It was stopped before its end.
    Interrupted,
    /// It failed.
    Failed(String),
    /// A file of its result is gone.
    ArtifactMissing(String),
    /// A file of its result has changed.
    ArtifactAltered(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::New => f.write_str("never ran"),
            Why::Changed(change) => write!(f, "changed: {change}"),
            Why::Underway => f.write_str("a worker is at it"),
            Why::Interrupted => f.write_str("was interrupted; goes on from its last checkpoint, if it has one"),
            Why::Failed(message) => write!(f, "failed: {}", message.lines().next().unwrap_or_default()),
            Why::ArtifactMissing(path) => write!(f, "its result is gone: {path}"),
            Why::ArtifactAltered(path) => write!(f, "its result was altered: {path}"),
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

/// One row of the table. `missing`: locations of data that the job or a parent lacks.
fn decide_one(known: &Known, missing: &[String]) -> Decision {
    let why = match (&known.last, &known.artifacts) {
        (Last::Done, Artifacts::Whole) => return Decision::Reuse,
        (Last::Done, Artifacts::Missing(path)) => Why::ArtifactMissing(path.clone()),
        (Last::Done, Artifacts::Altered(path)) => Why::ArtifactAltered(path.clone()),
        (Last::Never, _) => known.change.clone().map_or(Why::New, Why::Changed),
        (Last::Underway, _) => Why::Underway,
        (Last::Interrupted, _) => Why::Interrupted,
        (Last::Failed(message), _) => Why::Failed(message.clone()),
    };
    if missing.is_empty() { Decision::Run(why) } else { Decision::Blocked(missing.to_vec()) }
}

/// Decides every job of a plan; a job that `known` lacks never ran.
pub fn decide(plan: &Plan, known: &BTreeMap<JobId, Known>) -> BTreeMap<JobId, Decision> {
    let never = Known::default();
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

    /// The whole domain, against the table above written as a list of rows.
    #[test]
    fn the_whole_truth_table() {
        let lasts = [Last::Never, Last::Underway, Last::Interrupted, Last::Failed("x".into()), Last::Done];
        let artifacts = [Artifacts::Whole, Artifacts::Missing("m".into()), Artifacts::Altered("m".into())];
        let data: [Vec<String>; 2] = [vec![], vec!["corpus.txt".into()]];
        let mut rows = vec![];
        for last in &lasts {
            for artifact in &artifacts {
                for missing in &data {
                    let known = Known { last: last.clone(), artifacts: artifact.clone(), change: None };
                    rows.push(decide_one(&known, missing));
                    // A namesake matters only to a job that never ran.
                    let changed = Known { change: Some("seed 1 -> 2".into()), ..known };
                    let expected = match &rows[rows.len() - 1] {
                        Decision::Run(Why::New) => Decision::Run(Why::Changed("seed 1 -> 2".into())),
                        other => other.clone(),
                    };
                    assert_eq!(decide_one(&changed, missing), expected);
                }
            }
        }
        let blocked = || Decision::Blocked(vec!["corpus.txt".into()]);
        let run = |why: Why| [Decision::Run(why), blocked()];
        let expected = [
            [run(Why::New), run(Why::New), run(Why::New)].concat(),
            [run(Why::Underway), run(Why::Underway), run(Why::Underway)].concat(),
            [run(Why::Interrupted), run(Why::Interrupted), run(Why::Interrupted)].concat(),
            [run(Why::Failed("x".into())), run(Why::Failed("x".into())), run(Why::Failed("x".into()))].concat(),
            [
                [Decision::Reuse, Decision::Reuse],
                run(Why::ArtifactMissing("m".into())),
                run(Why::ArtifactAltered("m".into())),
            ]
            .concat(),
        ]
        .concat();
        assert_eq!(rows, expected);
        assert_eq!(rows.len(), 30);
    }
}
