//! Train a classifier on top of a model for one task of the suite `glue`, and score it.

mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use grid::data;
use grid::domain::hugging_face::uniform_dropout;
use grid::domain::{BodyDropout, Dropout, Event, FinetuneJob, Hyperparameters};
use grid::suites::glue::{self, CandidateEpoch, ClassLogits, EpochSelection};
use serde::{Deserialize, Serialize};

pub(super) use rows::RowCache;
use rows::{SplitRows, TaskBatches, TaskRows};

use super::checkpoints;
use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};
use crate::ml::{
    Checkpoint, Classification, Classifier, ClassifierDropout, Decay, Model, Options, OutputFiles, Progress, Trainer,
    model_folder,
};

/// The share of the inputs of the head's last layer that training drops.
const HEAD_DROPOUT: f64 = 0.1;

/// The state of a job between two steps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct FinetuneState {
    /// The index of the hyperparameters that are being tried.
    candidate: usize,
    /// The progress of the training with them.
    progress: Progress,
    /// The choice among the epochs so far.
    chosen: EpochSelection,
}

/// The number of optimizer steps of a candidate.
#[derive(Debug, Clone, Copy)]
struct CandidateSteps {
    per_epoch: u64,
    total: u64,
}

/// Writes `items.jsonl` in the folder of the attempt, and scores in the journal.
pub(super) fn run(
    job: &FinetuneJob,
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
    cache: &mut RowCache,
) -> Result<(), JobError> {
    let folder = inputs.model(&job.model)?;
    let rows = cache.get(job, inputs, folder)?;
    let steps = steps_of_candidates(job, &rows)?;
    let mut resumed: Option<Checkpoint<FinetuneState>> = checkpoints::find(attempt)?;
    let state = resumed.as_ref().map(|checkpoint| checkpoint.progress.clone()).unwrap_or_default();
    let total = steps.iter().map(|steps| steps.total).sum();
    let dropout = ClassifierDropout { head: HEAD_DROPOUT, body: body_dropout(job, folder)? };
    let mut run = FinetuneRun { job, inputs, rows, dropout, total, output: OutputFiles::new(attempt.output()), state };
    for (index, candidate) in job.recipe.selection.candidates().iter().enumerate().skip(run.state.candidate) {
        let before: u64 = steps[..index].iter().map(|steps| steps.total).sum();
        let mut trainer = run.trainer(candidate, steps[index], inputs.read_model(folder)?)?;
        if let Some(checkpoint) = resumed.take() {
            let progress = run.state.progress;
            let step = before + progress.step;
            checkpoints::resume(&mut trainer, &checkpoint, progress, step, &mut run.output, attempt)?;
        }
        run.state.candidate = index;
        run.train(trainer, steps[index], before, attempt)?;
        run.state.progress = Progress::default();
    }
    run.finish(attempt)
}

/// What is dropped inside the model in this folder.
fn body_dropout(job: &FinetuneJob, folder: &Path) -> Result<Dropout, JobError> {
    Ok(match job.recipe.dropout {
        BodyDropout::None => Dropout::default(),
        BodyDropout::Model => data::model_config(folder)?.dropout,
        BodyDropout::Share(share) => uniform_dropout(data::model_config(folder)?.model.arch, share),
    })
}

/// The number of steps of each candidate.
///
/// # Errors
/// If the rows do not fill a single batch.
fn steps_of_candidates(job: &FinetuneJob, rows: &TaskRows) -> Result<Vec<CandidateSteps>, JobError> {
    let count = rows.train.examples.len() as u64;
    let of_candidate = |candidate: &Hyperparameters| {
        let per_epoch = candidate.steps_per_epoch(count);
        if per_epoch == 0 {
            let (file, batch) = (job.task.train_file(), candidate.batch_size);
            return Err(JobError::failed(format!("{file} has {count} rows, fewer than the batch size of {batch}")));
        }
        Ok(CandidateSteps { per_epoch, total: per_epoch * u64::from(candidate.epochs) })
    };
    job.recipe.selection.candidates().iter().map(of_candidate).collect()
}

/// A fine-tuning job in progress.
struct FinetuneRun<'a> {
    job: &'a FinetuneJob,
    inputs: Inputs<'a>,
    rows: Arc<TaskRows>,
    dropout: ClassifierDropout,
    /// The number of steps of all candidates.
    total: u64,
    output: OutputFiles,
    state: FinetuneState,
}

impl FinetuneRun<'_> {
    /// The training of a candidate before its first step. All weights decay, as in the official fine-tuning.
    fn trainer(
        &self,
        candidate: &Hyperparameters,
        steps: CandidateSteps,
        model: Model,
    ) -> Result<Trainer<Classification>, JobError> {
        let FinetuneJob { task, recipe, seed, .. } = self.job;
        let classifier = Classifier::new(model, task.classes(), recipe.pooling, *seed)?;
        let objective = Classification::new(&classifier, recipe.precision, self.dropout, *seed);
        let training = candidate.training(self.rows.train.examples.len() as u64, recipe.precision);
        let options = Options {
            micro_batch: self.inputs.settings().micro_batch,
            decay: Decay::All,
            gradient_scale: f64::from(recipe.gradient_scale),
            ..Options::default()
        };
        let batches = TaskBatches {
            rows: self.rows.clone(),
            file: task.train_file(),
            seed: *seed,
            batch_size: candidate.batch_size,
            steps_per_epoch: steps.per_epoch,
        };
        tracing::info!(%task, ?candidate, steps = steps.total, micro_batch = options.micro_batch, "batch plan");
        Ok(Trainer::new(classifier, objective, &training, steps.total, Arc::new(batches), options)?)
    }

    /// Trains a candidate, and measures it after each epoch. `before` is the number of steps of the candidates before it.
    fn train(
        &mut self,
        mut trainer: Trainer<Classification>,
        steps: CandidateSteps,
        before: u64,
        attempt: &mut Attempt,
    ) -> Result<(), JobError> {
        while let Some(mut report) = trainer.step()? {
            let taken = report.step;
            (report.step, report.total) = (before + taken, self.total);
            checkpoints::report(&report, attempt)?;
            if taken.is_multiple_of(steps.per_epoch) {
                let epoch = (taken / steps.per_epoch) as u32;
                self.end_epoch(trainer.model(), epoch, before + taken, attempt)?;
            }
            let stop = attempt.stop_requested();
            if taken < steps.total && (stop || attempt.should_checkpoint()) {
                let state = |progress| FinetuneState { progress, ..self.state.clone() };
                self.inputs.check_unchanged()?;
                checkpoints::save(&mut trainer, before + taken, state, &self.output, attempt)?;
            }
            if stop && before + taken < self.total {
                return Err(JobError::Interrupted { step: before + taken });
            }
        }
        Ok(())
    }

    /// Predicts the validation rows after an epoch, records their metrics, and offers them to the selection.
    fn end_epoch(
        &mut self,
        classifier: &Classifier,
        epoch: u32,
        step: u64,
        attempt: &mut Attempt,
    ) -> Result<(), JobError> {
        let Self { job, rows, state, .. } = self;
        let SplitRows { examples, sequences } = &rows.valid;
        let inputs: Vec<&[u32]> = sequences.iter().map(|sequence| &sequence.ids[..]).collect();
        let classes = ClassLogits::new(classifier.logits(&inputs, job.recipe.precision)?);
        for (name, value) in glue::measures(job.task, examples, &classes) {
            attempt.emit(Event::Metric { name: format!("valid_{name}"), step, value })?;
        }
        let now = CandidateEpoch { candidate: state.candidate, epoch };
        state.chosen.offer(job.task, &job.recipe.selection, examples, now, classes);
        if job.recipe.keep { self.keep(classifier, now) } else { Ok(()) }
    }

    /// Keeps the weights of this candidate and epoch in the output if they are the chosen ones, for all rows or for every
    /// second one. If no epoch is ever chosen, those of the last one stay.
    fn keep(&mut self, classifier: &Classifier, now: CandidateEpoch) -> Result<(), JobError> {
        let choices = self.state.chosen.choices();
        let folders = match choices[..] {
            [] | [_] => &["classifier"][..],
            _ => &["classifier-even-rows", "classifier-odd-rows"],
        };
        for (half, folder) in folders.iter().enumerate() {
            if choices.get(half).is_none_or(|choice| *choice == now) {
                let write = |folder: &Path| {
                    model_folder::write_weights(&folder.join(model_folder::WEIGHTS), classifier.weights()).map(drop)
                };
                self.output.replace(Path::new(folder), write)?;
            }
        }
        Ok(())
    }

    /// Records the choices, the outcomes of the items and the scores.
    fn finish(self, attempt: &mut Attempt) -> Result<(), JobError> {
        let Self { job, rows, state: FinetuneState { chosen, .. }, .. } = self;
        for (half, CandidateEpoch { candidate, epoch }) in chosen.choices().into_iter().enumerate() {
            for (name, value) in [("chosen_candidate", candidate as f64), ("chosen_epoch", f64::from(epoch))] {
                attempt.emit(Event::Metric { name: name.to_owned(), step: half as u64, value })?;
            }
        }
        // With several candidates, the last epoch is that of the candidate that happens to be the last.
        let single = job.recipe.selection.candidates().len() == 1;
        let last = (single && !chosen.choices().is_empty()).then(|| chosen.last());
        let predictions = chosen.predictions();
        let (train, valid) = (&rows.train.examples, &rows.valid.examples);
        let (scores, outcomes) = glue::score(job.task, job.mode, train, valid, &predictions, last);
        attempt.append_items(&outcomes)?;
        for score in scores {
            attempt.emit(Event::Scored(score))?;
        }
        Ok(())
    }
}
