//! How two plans differ.

use std::collections::{HashMap, HashSet};

use super::change::{Change, list};
use super::planned::{Plan, PlannedJob};
use crate::domain::JobKind;

/// The differences between two plans, job by job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Number of jobs that both plans have.
    pub shared: usize,
    /// Number of jobs that differ only in the jobs they depend on.
    pub dependent: usize,
    /// The other differences, in the order of the second plan, then the jobs that only the first plan has.
    pub lines: Vec<DifferenceLine>,
}

/// Jobs that differ in the same way: all seeds of a stage, or one suite or task for all models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferenceLine {
    /// The kind of the jobs.
    pub kind: JobKind,
    /// The stage, suite or task.
    pub what: String,
    /// Number of jobs.
    pub jobs: usize,
    /// The fields that differ, with both values, or which plan alone has the jobs.
    pub difference: String,
}

/// Compares two plans. Jobs with the same kind and label correspond to each other.
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
                match change.and_then(|change| list(change.own)) {
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
        let like = |line: &&mut DifferenceLine| line.kind == kind && line.what == what && line.difference == difference;
        match self.lines.iter_mut().find(like) {
            Some(line) => line.jobs += 1,
            None => self.lines.push(DifferenceLine { kind, what, jobs: 1, difference }),
        }
    }
}
