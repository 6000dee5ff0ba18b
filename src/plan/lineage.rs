//! The jobs that a model comes from: its trainings, its teachers, and the jobs that made its data.

use std::collections::BTreeSet;

use super::planned::{Plan, PlannedJob};
use crate::domain::{Job, JobId, JobTeacher, Origin, PrepareJob, Prompts};

/// The training jobs that lead to a model, in order.
pub(super) fn chain<'a>(plan: &'a Plan, model: &'a PlannedJob) -> Vec<&'a PlannedJob> {
    let before = |job: &&PlannedJob| match &job.job {
        Job::Tune(tune) => plan.job(&tune.parent),
        _ => None,
    };
    let mut jobs: Vec<&PlannedJob> = std::iter::successors(Some(model), before).collect();
    jobs.reverse();
    jobs
}

/// The chains of all models that these jobs, and in turn the jobs of these models, learn from: teachers, and other models that
/// make their data.
pub(super) fn teachers<'a>(plan: &'a Plan, jobs: &[&'a PlannedJob]) -> Vec<Vec<&'a PlannedJob>> {
    let makers = samples(plan, jobs).into_iter().filter_map(|made| makers(&made.job));
    let mut own: Vec<JobId> = jobs.iter().flat_map(|job| job.job.teachers().iter().copied()).chain(makers).collect();
    let mut seen: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
    own.retain(|id| seen.insert(*id));
    own.iter()
        .filter_map(|id| plan.job(id))
        .map(|teacher| chain(plan, teacher))
        .flat_map(|chain| {
            let before = teachers(plan, &chain);
            std::iter::once(chain).chain(before)
        })
        .collect()
}

/// The sample and teach jobs that made the data of these jobs, each once.
pub(super) fn samples<'a>(plan: &'a Plan, jobs: &[&'a PlannedJob]) -> Vec<&'a PlannedJob> {
    let prepared = jobs.iter().flat_map(|job| &job.parents).filter_map(|id| plan.job(id));
    let mut open: Vec<JobId> = prepared.filter_map(made_by).collect();
    let mut all: Vec<&PlannedJob> = vec![];
    while let Some(id) = open.pop() {
        let Some(planned) = plan.job(&id).filter(|planned| !all.iter().any(|known| known.id == planned.id)) else {
            continue;
        };
        all.push(planned);
        match &planned.job {
            Job::Sample(job) => match &job.prompts {
                Prompts::Records { data: Origin::Output { job }, .. } => open.push(*job),
                Prompts::Selected(selected) => {
                    if let Origin::Output { job } = &selected.against {
                        open.push(*job);
                    }
                }
                Prompts::Records { .. } | Prompts::Pieces { .. } => {}
            },
            Job::Teach(job) => open.extend(std::iter::once(job.samples).chain(job.teacher.samples())),
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Tune(_)
            | Job::Eval(_)
            | Job::Finetune(_) => {}
        }
    }
    all
}

/// The job that made the data of a prepare job, if one did.
pub(super) fn made_by(prepared: &PlannedJob) -> Option<JobId> {
    match &prepared.job {
        Job::Prepare(PrepareJob { data, .. }) => match data.origin() {
            Origin::Output { job } => Some(*job),
            Origin::World { .. } | Origin::Content { .. } | Origin::Missing { .. } => None,
        },
        _ => None,
    }
}

/// The models that write or score replies in a job.
fn makers(job: &Job) -> Option<JobId> {
    match job {
        Job::Sample(job) => Some(job.model),
        Job::Teach(job) => match &job.teacher {
            JobTeacher::Likelihood { model, .. } => Some(*model),
            JobTeacher::Endpoint(_) | JobTeacher::Samples { .. } => None,
        },
        _ => None,
    }
}

/// Whether a chain starts from a model whose training text is unknown.
pub(super) fn is_foreign(jobs: &[&PlannedJob]) -> bool {
    !jobs.first().is_some_and(|job| matches!(job.job, Job::Pretrain(_)) && !job.parents.is_empty())
}
