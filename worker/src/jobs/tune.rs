//! Train a model further, on instruction records.

use std::sync::Arc;

use grid::data::{Split, Tokenizer};
use grid::domain::{Event, TuneJob};

use super::batches::{InstructionRecords, PackedText, PartBatches, Truncation, TuneBatches, TunePartRows};
use super::inputs::Inputs;
use super::training::{self, Stage, TextSeen};
use super::vocabulary;
use crate::attempt::{Attempt, JobError};
use crate::ml::model_folder;

/// Writes a model folder in the Hugging Face format.
pub(super) fn run(job: &TuneJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let parent = inputs.model(&job.parent)?;
    let vocab_size = model_folder::read_config(parent)?.vocab_size;
    let tokenizer = Tokenizer::load(parent)?;
    let held_out = InstructionRecords::open(&inputs.all_prepared(&job.validation_datasets())?, Split::Validation, job)?;
    // Places are named as in the training file.
    let held_out_place = |(place, id): (String, u32)| (place.replace("train.bin", "validation.bin"), id);
    vocabulary::check(&tokenizer, vocab_size, |wrong| Ok(held_out.find(wrong)?.map(held_out_place)))?;
    let (mut parts, mut truncations) = (vec![], vec![]);
    for part in job.parts() {
        let replayed = match &part.replay {
            Some(replay) => {
                let (folders, batch_size) = (inputs.all_prepared(&replay.corpora)?, job.training.batch_size);
                Some(PackedText::open(&folders, Split::Train, replay.sequence_length, batch_size, job.seed)?)
            }
            None => None,
        };
        let records = InstructionRecords::open(&inputs.all_prepared(&part.datasets)?, Split::Train, job)?;
        vocabulary::check(&tokenizer, vocab_size, |wrong| {
            Ok(match (records.find(wrong)?, &replayed) {
                (None, Some(text)) => text.find(wrong)?,
                (found, _) => found,
            })
        })?;
        let own = records.truncations()?;
        let rows = TunePartRows { records, truncations: &own, replayed };
        parts.push((part.length, PartBatches::new(job, &part, rows)));
        truncations.extend(own);
    }
    warn_of_truncations(&truncations, job.max_length, attempt)?;
    let train = TuneBatches::new(parts);
    let model = inputs.read_model(parent)?;
    let stage = Stage {
        training: &job.training,
        seed: job.seed,
        milestones: &[],
        total: train.total_steps(),
        text: TextSeen { words: 0, tokens: 0 },
        validation: training::sample(held_out.len(), |index| held_out.row(index))?,
        rows: train.fewest_rows(),
        batches: Arc::new(train),
        tokenizer: parent,
        optimizer: if job.optimizer.is_fresh() { None } else { Some(inputs.optimizer(&job.parent)?) },
        inputs,
    };
    training::run(stage, model, attempt)
}

/// Warns of truncated records, and fails for a dataset without any token to predict.
fn warn_of_truncations(truncations: &[Truncation], max_length: u32, attempt: &mut Attempt) -> Result<(), JobError> {
    for (number, truncation) in truncations.iter().enumerate() {
        let Truncation { records, truncated, without_target, .. } = truncation;
        let dataset = match truncations {
            [_] => String::new(),
            _ => format!(" of dataset {} in the stage", number + 1),
        };
        if without_target == records && *records > 0 {
            return Err(JobError::failed(format!(
                "no record{dataset} has a token to predict within max_length {max_length}: increase it"
            )));
        }
        if *truncated > 0 {
            let mut message =
                format!("{truncated} of {records} records{dataset} are truncated at max_length {max_length}");
            if *without_target > 0 {
                message.push_str(&format!("; {without_target} of them have no token left to predict"));
            }
            attempt.emit(Event::Warning { message })?;
        }
    }
    Ok(())
}
