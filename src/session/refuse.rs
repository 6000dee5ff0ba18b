//! Plans that grid refuses because their results would be wrong or cannot be had, with the reason and a remedy.

use std::collections::BTreeMap;

use super::failure::{Exit, Failure};
use crate::domain::{Budget, Job, JobId};
use crate::plan::{self, Decision, Facts, Plan, RecordedJob};

/// Refuses to continue from models of the database that are gone.
pub(super) fn lost_models(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    recorded: &BTreeMap<JobId, RecordedJob>,
) -> Result<(), Failure> {
    let lost = plan.jobs().find(|job| {
        recorded.contains_key(&job.id) && job.parents.is_empty() && decisions.get(&job.id) != Some(&Decision::Reuse)
    });
    let Some(job) = lost else { return Ok(()) };
    let message = format!(
        "grid: the model of {} ({}) is not available: the job is not done, or its files are gone\n  help: run the \
         experiment that it belongs to",
        job.label,
        job.id.short()
    );
    Err(Failure::text(Exit::Environment, message))
}

/// Refuses a plan that cannot work on any machine.
pub(super) fn impossible_plan(plan: &Plan, facts: &Facts, budget: Option<&Budget>) -> Result<(), Failure> {
    empty_data(plan, facts)?;
    untrained_architectures(plan, facts)?;
    other_backends(plan, facts)?;
    long_records(plan, facts)?;
    exceeded_budget(plan, facts, budget)?;
    unreachable_milestones(plan, facts)
}

/// Refuses data without a single word: a model trained on them would silently be another model.
fn empty_data(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    let empty: Vec<String> = facts.empty(plan).into_iter().collect();
    if empty.is_empty() {
        return Ok(());
    }
    let help = "check that the files are complete, and the fields, `documents`, `first` and the filters in the spec; \
                records without a reply are left out";
    let message = format!("grid: no text to train on in {}\n  help: {help}", empty.join(", "));
    Err(Failure::text(Exit::Environment, message))
}

/// Refuses to tune models of architectures that are evaluated and fine-tuned only.
fn untrained_architectures(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    let Some((label, arch)) = facts.untrained(plan).next() else { return Ok(()) };
    let message = format!(
        "grid: {label} tunes a model of the architecture {}, whose models are evaluated and fine-tuned only\n  help: keep only \
         the curriculum 'pretrained' for this model",
        arch.name()
    );
    Err(Failure::text(Exit::Usage, message))
}

/// Refuses to score models with a backend that they were not trained for.
fn other_backends(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    for planned in plan.jobs() {
        let Job::Eval(eval) = &planned.job else { continue };
        let Some(model) = facts.model(plan, &planned.id) else { continue };
        if let Err(problem) = eval.mode.backend.of(model.arch) {
            let message = format!(
                "grid: {}: {problem}\n  help: remove `backend`, so that each model has that of its architecture",
                planned.label
            );
            return Err(Failure::text(Exit::Usage, message));
        }
    }
    Ok(())
}

/// Refuses to tune an imported model on records that are longer than its positions.
fn long_records(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    let Some((label, length, positions)) = facts.too_long(plan).next() else { return Ok(()) };
    let message = format!(
        "grid: tune.max_length is {length} for {label}, whose model has {positions} positions\n  help: set \
         `max_length: {positions}` or less in the model's own `tune:`"
    );
    Err(Failure::text(Exit::Usage, message))
}

/// Refuses an experiment whose models read more text than the budget of the spec.
fn exceeded_budget(plan: &Plan, facts: &Facts, budget: Option<&Budget>) -> Result<(), Failure> {
    match plan::ledger(plan, facts, budget).violation() {
        None => Ok(()),
        Some(violation) => Err(Failure::text(Exit::Usage, format!("grid: {} is {violation}", plan.name))),
    }
}

/// Refuses milestones that the training cannot reach. About those that it may not reach, the plan warns.
fn unreachable_milestones(plan: &Plan, facts: &Facts) -> Result<(), Failure> {
    match facts.unreached(plan).iter().find(|one| one.certain) {
        None => Ok(()),
        Some(one) => {
            let help = "train longer, or leave it out of `pretrain.milestones`";
            Err(Failure::text(Exit::Usage, format!("grid: {}: {one}\n  help: {help}", plan.name)))
        }
    }
}
