//! In what two plans differ.

use std::collections::{HashMap, HashSet};

use super::change::{Change, listed};
use super::planned::{Plan, PlannedJob};
use crate::domain::JobKind;

/// In what two plans differ, job by job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Jobs that both have.
    pub shared: usize,
    /// Jobs of both that differ only in what they build on.
    pub dependent: usize,
    /// What differs of itself, in the order of the second plan, then what only the first one has.
    pub lines: Vec<Line>,
}

/// Jobs that differ in one way: all seeds of a stage, or a suite or task whichever model it scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Sort of work.
    pub kind: JobKind,
    /// What they are.
    pub what: String,
    /// How many.
    pub jobs: usize,
    /// Fields with both values, or that only one plan has them.
    pub difference: String,
}

/// Compares two plans; jobs of one kind and label are counterparts.
pub fn differences(first: &Plan, second: &Plan) -> Differences {
    let key = |job: &PlannedJob| (job.job.kind(), job.label.clone());
    let before: HashMap<_, _> = first.jobs().map(|job| (key(job), job)).collect();
    let after: HashSet<_> = second.jobs().map(key).collect();
    let mut found = Differences { shared: 0, dependent: 0, lines: vec![] };
    for job in second.jobs() {
        if first.job(&job.id).is_some() {
            found.shared += 1;
            continue;
        }
        match before.get(&key(job)) {
            None => found.add(job, format!("only in {}", second.name)),
            Some(counterpart) => {
                let change = Change::between(&counterpart.job.canonical(), &job.job.canonical());
                match change.and_then(|change| listed(change.own)) {
                    Some(own) => found.add(job, own),
                    None => found.dependent += 1,
                }
            }
        }
    }
    for job in first.jobs() {
        if second.job(&job.id).is_none() && !after.contains(&key(job)) {
            found.add(job, format!("only in {}", first.name));
        }
    }
    found
}

impl Differences {
    fn add(&mut self, job: &PlannedJob, difference: String) {
        let kind = job.job.kind();
        let what = if matches!(kind, JobKind::Eval | JobKind::Finetune) { job.what() } else { job.group.clone() };
        let like = |line: &&mut Line| line.kind == kind && line.what == what && line.difference == difference;
        match self.lines.iter_mut().find(like) {
            Some(line) => line.jobs += 1,
            None => self.lines.push(Line { kind, what, jobs: 1, difference }),
        }
    }
}
