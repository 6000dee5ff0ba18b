//! The trainings that lead to a model, with what their data and shapes say about them.

use super::describe::objective;
use super::facts::{Facts, epochs};
use super::lineage::chain;
use super::planned::{Plan, PlannedJob};
use crate::domain::{FormRecipe, Job, JobId, ModelConfig, Training};

/// A job that trained or imported the model of a cell, or one that this model was made from.
#[derive(Debug, Clone)]
pub struct TrainingStage<'a> {
    /// The job.
    pub planned: &'a PlannedJob,
    /// The shape of the model.
    pub config: Option<&'a ModelConfig>,
    /// How it is trained; `None` for an imported model.
    pub recipe: Option<FormRecipe>,
    /// Passes over the data of each part; `None` if the data is not known, or if the training may stop early.
    pub epochs: Vec<Option<f64>>,
    /// Floating-point operations per token, those of its teachers included.
    pub flops_per_token: Option<f64>,
}

/// The trainings that lead to a model, in order.
pub fn trainings<'a>(plan: &'a Plan, facts: &'a Facts, model: &JobId) -> Vec<TrainingStage<'a>> {
    let chain = plan.job(model).map_or(vec![], |model| chain(plan, model));
    chain.into_iter().map(|planned| stage(plan, facts, planned)).collect()
}

fn stage<'a>(plan: &'a Plan, facts: &'a Facts, planned: &'a PlannedJob) -> TrainingStage<'a> {
    let config = facts.model(plan, &planned.id);
    let objective = objective(plan, &planned.job);
    let recipe = |training: &Training, sequence_length: u32, seed: u64| {
        Some(FormRecipe { objective, training: training.clone(), sequence_length, seed })
    };
    let (recipe, length, parts) = match &planned.job {
        Job::Pretrain(job) => {
            let passes = epochs(job.training.length, job.training.batch_size, facts.pretrain_epoch(job).rows);
            (recipe(&job.training, job.sequence_length, job.seed), job.sequence_length, vec![passes])
        }
        Job::Tune(job) => {
            let batch = job.training.batch_size;
            let of_part = |part: &_| facts.tune_epoch(job.loss, part).rows;
            let passes = job.parts().iter().map(|part| epochs(part.length, batch, of_part(part))).collect();
            (recipe(&job.training, job.max_length, job.seed), 0, passes)
        }
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Eval(_)
        | Job::Finetune(_) => (None, 0, vec![]),
    };
    let may_stop = |recipe: &FormRecipe| recipe.training.validation.is_some_and(|one| one.early_stopping.is_some());
    let stops_early = recipe.as_ref().is_some_and(may_stop);
    // The forward pass of a teacher is a third of training it.
    let teachers = planned.job.teachers().iter();
    let teaching: Option<f64> =
        teachers.map(|id| facts.model(plan, id).map(|teacher| teacher.train_flops_per_token(length) / 3.0)).sum();
    let own = config.map(|config| config.train_flops_per_token(length));
    TrainingStage {
        planned,
        config,
        flops_per_token: own.zip(teaching).map(|(own, teaching)| own + teaching).filter(|_| recipe.is_some()),
        recipe,
        epochs: parts.into_iter().map(|passes| passes.filter(|_| !stops_early)).collect(),
    }
}
