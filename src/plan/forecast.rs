//! The estimated cost of a job relative to other jobs, in floating-point operations.

use super::facts::Facts;
use super::planned::{Plan, PlannedJob};
use crate::domain::{Job, JobId, Length, ModelConfig, Origin, Pooling, Training, TunePart};

/// Bytes of evaluation files for each item of the toy world.
const WORLD_EVALUATION_BYTES: f64 = 2_000.0;
/// Bytes of a fine-tuning task's files for each item of the toy world.
const WORLD_FINETUNE_BYTES: f64 = 500.0;
/// Approximate bytes of evaluation files per token that goes through a model. Much of a suite is not text, or is shared.
const EVALUATION_BYTES_PER_TOKEN: f64 = 8.0;
/// Approximate bytes of a fine-tuning task's files per token.
const FINETUNE_BYTES_PER_TOKEN: f64 = 5.0;
/// Approximate tokens of a row of a fine-tuning task.
const FINETUNE_TOKENS_PER_ROW: f64 = 80.0;
/// Training or applying a tokenizer, per word: the time it takes, expressed in floating-point operations.
const TOKENIZE_PER_WORD: f64 = 2e5;
/// The cost of starting any job.
const START: f64 = 5e9;

/// The estimated cost of a job, for progress bars. Only ratios between the jobs of one plan are meaningful, and only if all
/// data is available.
pub fn weight(plan: &Plan, job: &PlannedJob, facts: &Facts) -> f64 {
    let amounts = &facts.amounts;
    let token_cost = |model: Option<&ModelConfig>| model.map_or(0.0, |model| model.train_flops_per_token(0));
    // The forward pass of a teacher is a third of training it.
    let teaching: f64 = job.job.teachers().iter().map(|id| token_cost(facts.model(plan, id)) / 3.0).sum();
    let words =
        |ids: &[JobId]| -> f64 { ids.iter().filter_map(|id| amounts.get(id)).map(|one| one.train.words as f64).sum() };
    let tokens = |ids: &[JobId]| -> f64 {
        ids.iter().filter_map(|id| amounts.get(id)).map(|amount| amount.tokens() as f64).sum()
    };
    let bytes = |data: &Origin, of_world: f64| match data {
        Origin::World { size, .. } => *size as f64 * of_world,
        Origin::Content { .. } | Origin::Output { .. } | Origin::Missing { .. } => {
            facts.bytes.get(&job.id).map_or(0.0, |bytes| *bytes as f64)
        }
    };
    START
        + match &job.job {
            Job::Tokenizer(_) => {
                TOKENIZE_PER_WORD * amounts.values().map(|amount| amount.train.words as f64).sum::<f64>()
            }
            Job::Prepare(_) => TOKENIZE_PER_WORD * words(&[job.id]),
            Job::Pretrain(pretrain) => {
                let per_step = f64::from(pretrain.sequence_length);
                let Training { length, batch_size, .. } = pretrain.training;
                let trained = trained(length, batch_size, tokens(&pretrain.corpora), per_step);
                trained * (pretrain.model.train_flops_per_token(pretrain.sequence_length) + teaching)
            }
            Job::Tune(tune) => {
                let of_part = |part: &TunePart| {
                    let epoch = facts.tune_epoch(tune.loss, part);
                    let (records, rows) = (epoch.units.unwrap_or(0), epoch.rows.unwrap_or(0));
                    let window = part.replay.as_ref().map_or(0, |replay| replay.sequence_length);
                    let tokens = tokens(&part.datasets) + (rows - records) as f64 * f64::from(window);
                    trained(part.length, tune.training.batch_size, tokens, tokens / rows.max(1) as f64)
                };
                let trained: f64 = tune.parts().iter().map(of_part).sum();
                trained * (token_cost(facts.model(plan, &job.id)) + teaching)
            }
            // The forward pass is a third of training.
            Job::Logprobs(logprobs) => tokens(&[logprobs.dataset]) * token_cost(facts.model(plan, &job.id)) / 3.0,
            // A forward pass over each prompt and each token of a reply.
            Job::Sample(sample) => {
                let tokens = facts.prompts.get(&job.id).map_or(0.0, |prompts| prompts.count as f64)
                    * f64::from(sample.replies)
                    * f64::from(sample.prompts.context().unwrap_or(0) + sample.options.max_new_tokens);
                tokens * token_cost(facts.model(plan, &job.id)) / 3.0
            }
            Job::Teach(_) => 0.0,
            // Scoring needs only the forward pass, too.
            Job::Eval(eval) => {
                let tokens = bytes(&eval.data, WORLD_EVALUATION_BYTES) / EVALUATION_BYTES_PER_TOKEN;
                tokens * token_cost(facts.model(plan, &job.id)) / 3.0
            }
            Job::Import(_) => 0.0,
            Job::Finetune(finetune) => {
                let passes: f64 = finetune.recipe.selection.candidates().iter().map(|one| f64::from(one.epochs)).sum();
                let tokens = bytes(&finetune.train, WORLD_FINETUNE_BYTES) / FINETUNE_BYTES_PER_TOKEN;
                let whole = facts.model(plan, &job.id).is_some_and(|model| model.arch.reads_whole_texts());
                let read = match finetune.recipe.pooling {
                    Pooling::First if !whole => tokens / FINETUNE_TOKENS_PER_ROW,
                    Pooling::First | Pooling::Last | Pooling::LastLeft => tokens,
                };
                passes * read * token_cost(facts.model(plan, &job.id))
            }
        }
}

/// Tokens trained on in total, with `tokens` per epoch and `per_row` per sequence or record.
fn trained(length: Length, batch_size: u32, tokens: f64, per_row: f64) -> f64 {
    match length {
        Length::Epochs(epochs) => f64::from(epochs) * tokens,
        Length::Steps(steps) => steps as f64 * f64::from(batch_size) * per_row,
    }
}
