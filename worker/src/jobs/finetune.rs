//! Train a classifier on top of a model for one task of the suite `glue`, and score it.

use std::path::Path;
use std::rc::Rc;

use grid::data::{self, Permutation, Tokenizer};
use grid::domain::{Assignment, Event, FinetuneJob, Hyperparameters, JobId, ModelConfig, Origin, Suite};
use grid::suites::glue::{self, Chosen, Classes, Example};
use serde::{Deserialize, Serialize};

use super::{Memory, located, parent, read_model, train};
use crate::attempt::{Attempt, JobError};
use crate::ml::checkpoint::Progress;
use crate::ml::hf::WEIGHTS;
use crate::ml::{self, Classifier, Finetuner, Input, Kept, finetune};

/// Share of the head's last layer's inputs that are dropped in training.
const DROPOUT: f64 = 0.1;

/// Where a job stands between two steps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// The hyperparameters that are being trained with, an index.
    candidate: usize,
    /// Where their training stands.
    progress: Progress,
    /// What has been chosen of the epochs so far.
    chosen: Chosen,
}

/// The rows of a task as a model reads them.
struct Rows {
    train: Vec<Example>,
    valid: Vec<Example>,
    train_inputs: Vec<Input>,
    valid_inputs: Vec<Input>,
}

/// The rows of the last job and what they were made of: the seeds of one task share them.
#[derive(Default)]
pub(super) struct Encoded(Option<(Made, Rc<Rows>)>);

/// Task, model, files and length that [`Rows`] depend on.
type Made = (String, JobId, [Origin; 2], usize);

/// Leaves `items.jsonl` in the attempt's folder, and scores in the journal.
pub(super) fn run(
    job: &FinetuneJob,
    assignment: &Assignment,
    attempt: &mut Attempt,
    memory: &mut Memory,
) -> Result<(), JobError> {
    let folder = parent(assignment, &job.model)?;
    let rows = memory.encoded.rows(job, assignment, folder)?;
    let steps: Vec<(u64, u64)> = job.recipe.selection.candidates().iter().map(|one| steps(one, &rows)).collect();
    let total: u64 = steps.iter().map(|(_, steps)| steps).sum();
    if let Some(index) = steps.iter().position(|(per_epoch, _)| *per_epoch == 0) {
        let (rows, batch) = (rows.train.len(), job.recipe.selection.candidates()[index].batch_size);
        let file = job.task.train_file();
        return Err(JobError::failed(format!("{file} has {rows} rows, which make no batch of {batch}")));
    }
    let found = ml::checkpoint::latest::<State>(&attempt.earlier())?;
    for refused in found.refused {
        let message = format!("a checkpoint is not used: {refused}");
        attempt.emit(Event::Warning { message })?;
    }
    let mut resumed = found.checkpoint;
    let mut kept = Kept::new(attempt.output());
    let mut state = resumed.as_ref().map(|checkpoint| checkpoint.progress.clone()).unwrap_or_default();
    for (index, candidate) in job.recipe.selection.candidates().iter().enumerate().skip(state.candidate) {
        let (per_epoch, own) = steps[index];
        let before: u64 = steps[..index].iter().map(|(_, steps)| steps).sum();
        let mut tuner = begin(job, candidate, &rows, folder, assignment)?;
        if let Some(checkpoint) = resumed.take() {
            tuner.restore(&checkpoint, state.progress)?;
            checkpoint.restore_output(&mut kept)?;
            attempt.emit(Event::Resumed { step: before + state.progress.step })?;
        }
        state.candidate = index;
        while !tuner.is_over() {
            let step = tuner.progress().step;
            let order = Permutation::new(job.seed, step / per_epoch, rows.train.len() as u64);
            let first = step % per_epoch * u64::from(candidate.batch_size);
            let places = first..first + u64::from(candidate.batch_size);
            let batch: Vec<&Input> = places.map(|place| &rows.train_inputs[order.at(place) as usize]).collect();
            let mut report = tuner.step(&batch)?;
            (report.step, report.total) = (before + report.step, total);
            train::tell(attempt, &report)?;
            let taken = tuner.progress().step;
            if taken.is_multiple_of(per_epoch) {
                let epoch = (taken / per_epoch) as u32;
                let classes = predict(tuner.classifier(), &rows, job)?;
                tell_epoch(attempt, job, &rows.valid, &classes, before + taken)?;
                let of = (job.task, &job.recipe.selection);
                state.chosen.offer(of, &rows.valid, (index, epoch), classes);
                if job.recipe.keep {
                    keep(&mut kept, tuner.classifier(), &state.chosen, (index, epoch))?;
                }
            }
            let stop = attempt.stop_requested();
            if taken < own && (stop || attempt.should_checkpoint()) {
                save(&mut tuner, before, &state, &kept, attempt)?;
            }
            if stop && before + taken < total {
                return Err(JobError::Interrupted { step: before + taken });
            }
        }
        state.progress = Progress::default();
    }
    finish(job, &rows, &state.chosen, attempt)
}

/// Steps of an epoch and in all.
fn steps(candidate: &Hyperparameters, rows: &Rows) -> (u64, u64) {
    let per_epoch = candidate.steps_per_epoch(rows.train.len() as u64);
    (per_epoch, per_epoch * u64::from(candidate.epochs))
}

/// A fine-tuning at its beginning.
fn begin(
    job: &FinetuneJob,
    candidate: &Hyperparameters,
    rows: &Rows,
    folder: &Path,
    assignment: &Assignment,
) -> Result<Finetuner, JobError> {
    let model = read_model(folder, &assignment.settings.device)?;
    let classifier = Classifier::new(model, job.task.classes(), job.recipe.pooling, job.seed)?;
    let training = candidate.training(rows.train.len() as u64, job.recipe.precision);
    let options = finetune::Options {
        dropout: DROPOUT,
        gradient_scale: f64::from(job.recipe.gradient_scale),
        micro_batch: assignment.settings.micro_batch,
        seed: job.seed,
    };
    Ok(Finetuner::new(classifier, &training, steps(candidate, rows).1, options)?)
}

fn predict(classifier: &Classifier, rows: &Rows, job: &FinetuneJob) -> Result<Classes, JobError> {
    let inputs: Vec<&[u32]> = rows.valid_inputs.iter().map(|input| &input.ids[..]).collect();
    Ok(Classes::new(classifier.logits(&inputs, job.recipe.precision)?))
}

/// The learning curve: metrics of the valid rows after an epoch.
fn tell_epoch(
    attempt: &mut Attempt,
    job: &FinetuneJob,
    valid: &[Example],
    classes: &Classes,
    step: u64,
) -> Result<(), JobError> {
    for (name, value) in glue::measures(job.task, valid, classes) {
        attempt.emit(Event::Metric { name: format!("valid_{name}"), step, value })?;
    }
    Ok(())
}

/// Leaves the weights of this candidate and epoch in the output, if they are chosen: for all rows, or for every second
/// one. Where nothing is ever chosen, the last ones stay.
fn keep(kept: &mut Kept, classifier: &Classifier, chosen: &Chosen, now: (usize, u32)) -> Result<(), JobError> {
    let choices = chosen.choices();
    let folders = match choices[..] {
        [] | [_] => &["classifier"][..],
        _ => &["classifier-even-rows", "classifier-odd-rows"],
    };
    for (half, folder) in folders.iter().enumerate() {
        if choices.get(half).is_none_or(|choice| *choice == now) {
            kept.put(Path::new(folder), |folder| classifier.write(&folder.join(WEIGHTS)))?;
        }
    }
    Ok(())
}

/// A checkpoint in the attempt's folder; once it is on disk and in the journal, the attempt's old ones go.
fn save(tuner: &mut Finetuner, before: u64, state: &State, kept: &Kept, attempt: &mut Attempt) -> Result<(), JobError> {
    let step = before + tuner.progress().step;
    let saved = tuner.checkpoint(attempt.folder(), step, |progress| State { progress, ..state.clone() }, kept)?;
    let path = saved.path.strip_prefix(attempt.folder()).unwrap_or(&saved.path).to_owned();
    let Progress { tokens, words, .. } = saved.progress.progress;
    attempt.emit(Event::Checkpoint { path, step, tokens, words, weights: saved.weights, milestone: None })?;
    Ok(ml::checkpoint::prune(attempt.folder(), train::CHECKPOINTS_KEPT)?)
}

fn finish(job: &FinetuneJob, rows: &Rows, chosen: &Chosen, attempt: &mut Attempt) -> Result<(), JobError> {
    for (half, (candidate, epoch)) in chosen.choices().into_iter().enumerate() {
        for (name, value) in [("chosen_candidate", candidate as f64), ("chosen_epoch", f64::from(epoch))] {
            attempt.emit(Event::Metric { name: name.to_owned(), step: half as u64, value })?;
        }
    }
    // Of several candidates the last epoch is that of whichever was tried last, which means nothing.
    let alone = job.recipe.selection.candidates().len() == 1;
    let last = (alone && !chosen.choices().is_empty()).then(|| chosen.last());
    let predictions = chosen.predictions();
    let (scores, outcomes) = glue::score(job.task, job.mode, &rows.train, &rows.valid, &predictions, last);
    attempt.items(&outcomes)?;
    for score in scores {
        attempt.emit(Event::Scored(score))?;
    }
    Ok(())
}

impl Encoded {
    /// The rows of a job, read and encoded unless the job before had the same.
    fn rows(&mut self, job: &FinetuneJob, assignment: &Assignment, folder: &Path) -> Result<Rc<Rows>, JobError> {
        let config: ModelConfig = ml::hf::read_config(folder)?;
        let max_length = job.recipe.max_length.min(config.max_positions) as usize;
        let origins = [job.train.clone(), job.valid.clone()];
        let made: Made = (job.task.name().to_owned(), job.model, origins, max_length);
        if let Some((known, rows)) = &self.0
            && *known == made
        {
            return Ok(rows.clone());
        }
        let tokenizer = Tokenizer::load(folder)?;
        let read = |origin: &Origin, name: String| -> Result<(Vec<Example>, Vec<Input>), JobError> {
            let (file, bytes) = data::evaluation_file(&located(assignment, origin), Suite::Glue, &name)?;
            let examples = glue::read(job.task, &file, &bytes)?;
            let pairs: Vec<(&str, &str)> = examples.iter().map(|row| (&*row.first, &*row.second)).collect();
            let ids = tokenizer.encode_pairs(&pairs, max_length)?;
            let inputs = ids.into_iter().zip(&examples).map(|(ids, row)| Input { ids, label: row.label }).collect();
            Ok((examples, inputs))
        };
        let (train, train_inputs) = read(&job.train, job.task.train_file())?;
        let (valid, valid_inputs) = read(&job.valid, job.task.valid_file())?;
        let rows = Rc::new(Rows { train, valid, train_inputs, valid_inputs });
        self.0 = Some((made, rows.clone()));
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
