//! Train a model from random weights on packed text.

use std::sync::Arc;

use grid::data::{Split, Tokenizer};
use grid::domain::{Distillation, PretrainJob};

use super::batches::{PackedText, rows_of_steps, total_steps};
use super::inputs::Inputs;
use super::teachers::Teachers;
use super::training::{self, Stage, TextSeen};
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Model};

/// Writes a model folder in the Hugging Face format, and one in `milestones/<milestone>` for each milestone.
pub(super) fn run(job: &PretrainJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let folders = inputs.all_prepared(&job.corpora)?;
    let batch_size = job.training.batch_size;
    let packed = |split| PackedText::open(&folders, split, job.sequence_length, batch_size, job.seed);
    let (train, held_out) = (packed(Split::Train)?, packed(Split::Validation)?);
    let total = total_steps(job.training.length, batch_size, train.len());
    let model = Model::random(&job.model, job.seed, ml::runtime::device(&inputs.settings().device)?)?;
    let windows = rows_of_steps(batch_size, total, train.len()) as f64;
    let words = windows * train.words() / train.len().max(1) as f64;
    let tokens = windows * f64::from(job.sequence_length + 1);
    let stage = Stage {
        training: &job.training,
        milestones: &job.milestones,
        total,
        text: TextSeen { words: words as u64, tokens: tokens as u64 },
        validation: training::sample(held_out.len(), |index| held_out.row(index))?,
        rows: train.len(),
        batches: Arc::new(train),
        tokenizer: inputs.tokenizer(&job.tokenizer)?,
        optimizer: None,
        inputs,
    };
    let text = training::language_modeling(&job.training, job.seed, &model);
    match &job.distillation {
        None => training::minimize(text, stage, model, attempt),
        Some(Distillation { teachers, settings }) => {
            let tokenizer = Tokenizer::load(stage.tokenizer)?;
            let teachers =
                Teachers::read(teachers, *settings, model.config(), &tokenizer, job.sequence_length, inputs)?;
            training::minimize(teachers.objective(text), stage, model, attempt)
        }
    }
}
