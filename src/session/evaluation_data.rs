//! Evaluation data are read when an experiment is planned, so that no job fails on them hours later.

use std::collections::BTreeMap;

use super::failure::{Exit, Failure};
use crate::data::{self, DataError, Survey};
use crate::domain::{EvalJob, FinetuneJob, GlueTask, Hyperparameters, Job, JobId, LocatedSource, Origin, Suite};
use crate::plan::{Decision, Plan, PlannedJob};
use crate::scoring::{ItemsError, read_items};
use crate::suites::{SuiteError, glue};

/// Refuses evaluation data that the jobs to run cannot use, with file, line and field. What was read once is not read again.
pub(super) fn check(plan: &Plan, decisions: &BTreeMap<JobId, Decision>, survey: &mut Survey) -> Result<(), Failure> {
    let to_run = |job: &&PlannedJob| matches!(decisions.get(&job.id), Some(Decision::Run(_)));
    for planned in plan.jobs().filter(to_run) {
        match &planned.job {
            Job::Eval(job) => check_suite(planned, job, survey)?,
            Job::Finetune(job) => check_task(planned, job, survey)?,
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Tune(_) => {}
        }
    }
    Ok(())
}

fn check_suite(planned: &PlannedJob, job: &EvalJob, survey: &mut Survey) -> Result<(), Failure> {
    let located = planned.located(&job.data);
    // The identity of other data may have been counted under the same rules, so the examples are a part of them.
    let rules = (&job.test, job.test.suite().version(), job.mode, &job.examples);
    let items = survey.count_items(&located, &rules, |_| {
        let (items, _) = read_items(job, |origin| planned.located(origin))?;
        Ok::<u64, Unusable>(items.len() as u64)
    });
    items.map(|_| ()).map_err(|unusable| unusable.failure(job.test.name(), &located))
}

fn check_task(planned: &PlannedJob, job: &FinetuneJob, survey: &mut Survey) -> Result<(), Failure> {
    let FinetuneJob { task, train, valid, recipe, .. } = job;
    let rows = check_rows(planned, *task, train, task.train_file(), survey)?;
    check_rows(planned, *task, valid, task.valid_file(), survey)?;
    let too_large = |candidate: &&Hyperparameters| candidate.steps_per_epoch(rows) == 0;
    match recipe.selection.candidates().iter().find(too_large) {
        None => Ok(()),
        Some(candidate) => {
            let (file, batch) = (task.train_file(), candidate.batch_size);
            let message = format!(
                "grid: {file} has {rows} rows, fewer than the batch size of {batch}\n  help: set a smaller `batch_size` in \
                 `finetune`, or check that the file is complete"
            );
            Err(Failure::text(Exit::Usage, message))
        }
    }
}

/// Reads the rows of a file of a task, and returns their number.
fn check_rows(
    planned: &PlannedJob,
    task: GlueTask,
    origin: &Origin,
    name: String,
    survey: &mut Survey,
) -> Result<u64, Failure> {
    let located = planned.located(origin);
    let rules = (Suite::Glue, Suite::Glue.version(), task, &name);
    let rows = survey.count_items(&located, &rules, |located| {
        let (file, bytes) = data::evaluation_file(located, Suite::Glue, &name)?;
        Ok::<u64, Unusable>(glue::read(task, &file, &bytes)?.len() as u64)
    });
    rows.map_err(|unusable| unusable.failure(&format!("{} {task}", Suite::Glue), &located))
}

/// The reason why evaluation data cannot be used.
struct Unusable(String);

impl Unusable {
    fn failure(self, what: &str, located: &LocatedSource) -> Failure {
        let folder = located.files.first().and_then(|file| file.path.parent());
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let place = folder.map_or(String::new(), |folder| format!(" in {}", folder.display()));
        let message = format!("grid: the data of {what}{place} cannot be used: {}", self.0);
        Failure::text(Exit::Environment, message)
    }
}

impl From<DataError> for Unusable {
    fn from(error: DataError) -> Self {
        Unusable(format!("failed to {error}"))
    }
}

impl From<ItemsError> for Unusable {
    fn from(error: ItemsError) -> Self {
        Unusable(error.to_string())
    }
}

impl From<SuiteError> for Unusable {
    fn from(error: SuiteError) -> Self {
        Unusable(error.to_string())
    }
}
