//! Train a model further, on instruction records.

use std::path::Path;
use std::sync::Arc;

use grid::data::{DataError, Split, Tokenizer};
use grid::domain::{Distill, Event, JobId, Shots, TuneJob, TuneObjective};

use super::batches::{
    InstructionRecords, InstructionRows, LabelledRows, PackedText, PairRows, PartBatches, PartStarts, Rows, ShotRows,
    Truncation, TuneBatches,
};
use super::inputs::Inputs;
use super::teachers::Teachers;
use super::training::{self, Stage, TextSeen};
use super::vocabulary;
use crate::attempt::{Attempt, JobError};
use crate::ml::{
    LabelledReplies, LanguageModeling, Model, Objective, PairObjective, Preference, TrainingSequence, model_folder,
};

/// Writes a model folder in the Hugging Face format.
pub(super) fn run(job: &TuneJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let tuning = Tuning::new(job, inputs)?;
    match job.objective {
        TuneObjective::Sft => imitate(tuning, |text| text, attempt),
        TuneObjective::Distill(settings) => {
            let teachers = tuning.teachers(settings)?;
            imitate(tuning, |text| teachers.objective(text), attempt)
        }
        TuneObjective::Dpo(settings) => compare_pairs(tuning, PairObjective::Dpo(settings), attempt),
        TuneObjective::Simpo(settings) => compare_pairs(tuning, PairObjective::Simpo(settings), attempt),
        TuneObjective::Orpo(settings) => compare_pairs(tuning, PairObjective::Orpo(settings), attempt),
        TuneObjective::Kto(settings) => {
            let objective = |text| LabelledReplies { text, settings };
            compare(tuning, objective, LabelledRows::open, attempt)
        }
    }
}

/// A tune job with the folder and the tokenizer of the model that it starts from.
struct Tuning<'a> {
    job: &'a TuneJob,
    inputs: Inputs<'a>,
    parent: &'a Path,
    vocab_size: u32,
    tokenizer: Tokenizer,
}

impl<'a> Tuning<'a> {
    fn new(job: &'a TuneJob, inputs: Inputs<'a>) -> Result<Self, JobError> {
        let parent = inputs.model(&job.parent)?;
        let vocab_size = model_folder::read_config(parent)?.vocab_size;
        Ok(Self { job, inputs, parent, vocab_size, tokenizer: Tokenizer::load(parent)? })
    }

    /// Refuses held-out records with ids that the tokenizer does not have.
    fn check_held_out(&self, records: &InstructionRecords) -> Result<(), JobError> {
        // Places are named as in the training file.
        let place = |(place, id): (String, u32)| (place.replace("train.bin", "validation.bin"), id);
        vocabulary::check(&self.tokenizer, self.vocab_size, |wrong| Ok(records.find(wrong)?.map(place)))
    }

    /// The log-probabilities of these datasets under the reference, if the objective needs them.
    fn references(&self, datasets: &[JobId]) -> Result<Vec<&'a Path>, JobError> {
        if !self.job.objective.needs_reference() {
            return Ok(vec![]);
        }
        let of_dataset = |dataset: &JobId| match self.job.references.get(dataset) {
            Some(id) => self.inputs.prepared(id),
            None => Err(JobError::failed(format!("the job names no reference for the dataset {}", dataset.short()))),
        };
        datasets.iter().map(of_dataset).collect()
    }

    /// The teachers of a distillation, which read the rows of the job.
    fn teachers(&self, settings: Distill) -> Result<Teachers, JobError> {
        let Self { job, inputs, ref tokenizer, .. } = *self;
        let windows = job.parts().into_iter().filter_map(|part| part.replay).map(|replay| replay.sequence_length);
        let longest = windows.max().unwrap_or(0).max(job.max_length);
        let config = model_folder::read_config(self.parent)?;
        Teachers::read(&job.teachers, settings, &config, tokenizer, longest, inputs)
    }

    /// Trains on these batches, with this objective.
    fn train<O: Objective<Model = Model>, R: Rows<Example = O::Example> + 'static>(
        &self,
        objective: impl FnOnce(&Model) -> O,
        batches: TuneBatches<R>,
        validation: Vec<O::Example>,
        attempt: &mut Attempt,
    ) -> Result<(), JobError> {
        let Self { job, inputs, parent, .. } = *self;
        let model = inputs.read_model(parent)?;
        let stage = Stage {
            training: &job.training,
            milestones: &[],
            total: batches.total_steps(),
            text: TextSeen { words: 0, tokens: 0 },
            validation,
            rows: batches.fewest_rows(),
            batches: Arc::new(batches),
            tokenizer: parent,
            optimizer: if job.optimizer.is_fresh() { None } else { Some(inputs.optimizer(&job.parent)?) },
            inputs,
        };
        training::minimize(objective(&model), stage, model, attempt)
    }
}

/// Training on the tokens of records, with demonstrations before each if the job has some.
fn imitate<O: Objective<Model = Model, Example = TrainingSequence>>(
    tuning: Tuning<'_>,
    objective: impl FnOnce(LanguageModeling) -> O,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    match &tuning.job.shots {
        None => supervised(tuning, objective, attempt),
        Some(shots) => demonstrated(tuning, shots, objective, attempt),
    }
}

/// Training on the tokens of records, with an objective that the given function makes.
fn supervised<O: Objective<Model = Model, Example = TrainingSequence>>(
    tuning: Tuning<'_>,
    objective: impl FnOnce(LanguageModeling) -> O,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let Tuning { job, inputs, vocab_size, ref tokenizer, .. } = tuning;
    let held_out = InstructionRecords::open(&inputs.all_prepared(&job.validation_datasets())?, Split::Validation, job)?;
    tuning.check_held_out(&held_out)?;
    let (mut parts, mut truncations) = (vec![], vec![]);
    for part in job.parts() {
        let replayed = match &part.replay {
            Some(replay) => {
                let (folders, batch_size) = (inputs.all_prepared(&replay.corpora)?, job.training.batch_size);
                Some(PackedText::open(&folders, Split::Train, replay.sequence_length, batch_size, job.seed)?)
            }
            None => None,
        };
        let mut records = InstructionRecords::open(&inputs.all_prepared(&part.datasets)?, Split::Train, job)?;
        let mean = job.training.label_smoothing;
        if let Some(max) = job.training.smoothing_max {
            let (smoothed, reached) = records.smoothed_by_uncertainty(mean, max)?;
            records = smoothed;
            if reached < 0.995 * mean {
                let message = format!(
                    "the mean label smoothing is {reached:.4} instead of {mean}, because that of some records is limited \
                     to {max}; a comparison with a fixed smoothing of {mean} is not at the same mean"
                );
                attempt.emit(Event::Warning { message })?;
            }
        }
        vocabulary::check(tokenizer, vocab_size, |wrong| {
            Ok(match (records.find(wrong)?, &replayed) {
                (None, Some(text)) => text.find(wrong)?,
                (found, _) => found,
            })
        })?;
        let own = records.truncations()?;
        let rows = InstructionRows { records, replayed };
        parts.push((part.length, PartBatches::with_replay(job, &part, rows, &own)));
        truncations.extend(own);
    }
    warn_of_truncations(&truncations, job.max_length, attempt)?;
    let validation = training::sample(held_out.len(), |index| held_out.row(index))?;
    let objective = |model: &Model| objective(training::language_modeling(&job.training, job.seed, model));
    tuning.train(objective, TuneBatches::new(parts), validation, attempt)
}

/// As [`supervised`], with demonstrations before each record, in validation those of the first epoch.
fn demonstrated<O: Objective<Model = Model, Example = TrainingSequence>>(
    tuning: Tuning<'_>,
    shots: &Shots<JobId>,
    objective: impl FnOnce(LanguageModeling) -> O,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let (training, seed) = (&tuning.job.training, tuning.job.seed);
    let objective = |model: &Model| objective(training::language_modeling(training, seed, model));
    let parent = tuning.parent;
    let pool = shots.pool.as_ref().map(|pool| tuning.inputs.prepared(pool)).transpose()?;
    let open = |folders: &[&Path], _: &[&Path], split, job: &TuneJob| {
        ShotRows::open(folders, pool, split, job, shots, Tokenizer::load(parent)?)
    };
    train_on_rows(tuning, objective, open, attempt)
}

/// Training on pairs of replies.
fn compare_pairs(tuning: Tuning<'_>, objective: PairObjective, attempt: &mut Attempt) -> Result<(), JobError> {
    compare(tuning, |text| Preference { text, objective }, PairRows::open, attempt)
}

/// Training on replies that are compared, with an objective over log-probabilities.
fn compare<O: Objective<Model = Model>, R: Rows<Example = O::Example> + 'static>(
    tuning: Tuning<'_>,
    objective: impl FnOnce(LanguageModeling) -> O,
    open: impl Fn(&[&Path], &[&Path], Split, &TuneJob) -> Result<R, DataError>,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let precision = tuning.job.training.precision;
    let text = |model: &Model| LanguageModeling::new(model.config(), precision, 0.0);
    train_on_rows(tuning, |model| objective(text(model)), open, attempt)
}

/// Training on rows without replayed text. `open` gets the prepared datasets and their references.
fn train_on_rows<O: Objective<Model = Model>, R: Rows<Example = O::Example> + 'static>(
    tuning: Tuning<'_>,
    objective: impl FnOnce(&Model) -> O,
    open: impl Fn(&[&Path], &[&Path], Split, &TuneJob) -> Result<R, DataError>,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let Tuning { job, inputs, vocab_size, ref tokenizer, .. } = tuning;
    let rows_of = |datasets: &[JobId], split: Split| -> Result<R, JobError> {
        Ok(open(&inputs.all_prepared(datasets)?, &tuning.references(datasets)?, split, job)?)
    };
    let held_out = rows_of(&job.validation_datasets(), Split::Validation)?;
    tuning.check_held_out(held_out.records())?;
    let (mut parts, mut truncations) = (vec![], vec![]);
    for part in job.parts() {
        let rows = rows_of(&part.datasets, Split::Train)?;
        vocabulary::check(tokenizer, vocab_size, |wrong| rows.records().find(wrong))?;
        truncations.extend(rows.records().truncations()?);
        parts.push((part.length, PartBatches::new(job, &part, rows)));
    }
    warn_of_truncations(&truncations, job.max_length, attempt)?;
    let starts = PartStarts::new(held_out.lengths().into_iter());
    let validation = training::sample(starts.total(), |index| {
        let dataset = starts.part_of(index);
        Ok::<_, DataError>(held_out.row(0, dataset, index - starts.start(dataset))?.example)
    })?;
    tuning.train(objective, TuneBatches::new(parts), validation, attempt)
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
