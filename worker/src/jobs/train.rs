//! Train a model: from random weights on packed text, or further on instruction records.

use std::path::Path;
use std::sync::Arc;

use grid::data::{self, Corpus, Instructions, Permutation, Split, Tokenizer};
use grid::domain::{Assignment, Event, PretrainJob, Training, TuneJob};

use super::batches::{Packed, Records, open, total_steps};
use super::parent;
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Batches, Model, Options, Row, StepReport, Trainer};

/// Held-out rows whose loss is measured at the end; more would say nothing more.
const VALIDATION_ROWS: u64 = 512;
/// Checkpoints of an attempt that stay: the last, and one to fall back on if a disk damages it.
pub(super) const CHECKPOINTS_KEPT: usize = 2;
/// Of the held-out rows, how many go through the model together.
const VALIDATION_BATCH: u32 = 16;

/// Leaves a model folder in the form of Hugging Face.
pub(super) fn pretrain(job: &PretrainJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let folders = job.corpora.iter().map(|id| parent(assignment, id)).collect::<Result<Vec<_>, _>>()?;
    let packed = |split| -> Result<Packed, JobError> {
        let corpora = open(&folders, split, Corpus::open)?;
        Ok(Packed::new(corpora, job.sequence_length, job.training.batch_size, job.seed))
    };
    let (train, held_out) = (packed(Split::Train)?, packed(Split::Validation)?);
    let model = Model::random(&job.model, job.seed, ml::runtime::device(&assignment.settings.device)?)?;
    let stage = Stage {
        training: &job.training,
        total: total_steps(&job.training, train.len()),
        validation: sample(held_out.len(), |index| held_out.row(index).0),
        rows: train.len(),
        batches: Arc::new(train),
        tokenizer: parent(assignment, &job.tokenizer)?,
    };
    train_stage(stage, model, assignment, attempt)
}

/// Leaves a model folder in the form of Hugging Face.
pub(super) fn tune(job: &TuneJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let folders = job.datasets.iter().map(|id| parent(assignment, id)).collect::<Result<Vec<_>, _>>()?;
    let records = |split| -> Result<Records, JobError> {
        let datasets = open(&folders, split, Instructions::open)?;
        Ok(Records::new(datasets, job.max_length, job.loss, job.training.batch_size, job.seed))
    };
    let (train, held_out) = (records(Split::Train)?, records(Split::Validation)?);
    let before = parent(assignment, &job.parent)?;
    let stage = Stage {
        training: &job.training,
        total: total_steps(&job.training, train.len()),
        validation: sample(held_out.len(), |index| held_out.row(index).0),
        rows: train.len(),
        batches: Arc::new(train),
        tokenizer: before,
    };
    let model = ml::hf::read(before, ml::runtime::device(&assignment.settings.device)?)?;
    train_stage(stage, model, assignment, attempt)
}

/// Up to [`VALIDATION_ROWS`] of `len` rows, always the same.
fn sample(len: u64, row: impl Fn(u64) -> Row) -> Vec<Row> {
    let order = Permutation::new(0, 0, len);
    (0..len.min(VALIDATION_ROWS)).map(|position| row(order.at(position))).collect()
}

/// What [`pretrain`] and [`tune`] have in common.
struct Stage<'a> {
    training: &'a Training,
    total: u64,
    /// Rows of an epoch.
    rows: u64,
    batches: Arc<dyn Batches>,
    validation: Vec<Row>,
    /// The folder whose tokenizer travels with the model.
    tokenizer: &'a Path,
}

fn train_stage(stage: Stage<'_>, model: Model, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    if stage.rows == 0 && stage.total > 0 {
        return Err(JobError::failed("the prepared text is shorter than one training sequence: give more text"));
    }
    let options = Options { micro_batch: assignment.settings.micro_batch, ..Options::default() };
    let mut trainer = Trainer::new(model, stage.training, stage.total, stage.batches, options)?;
    let found = ml::checkpoint::latest(&attempt.earlier())?;
    for refused in found.refused {
        let message = format!("a checkpoint is not used: {refused}");
        attempt.emit(Event::Warning { message })?;
    }
    if let Some(checkpoint) = found.checkpoint {
        trainer.restore(&checkpoint)?;
        attempt.emit(Event::Resumed { step: checkpoint.progress.step })?;
    }
    while let Some(report) = trainer.step()? {
        tell(attempt, &report)?;
        let stop = attempt.stop_requested();
        if stop || (attempt.should_checkpoint() && report.step < report.total) {
            save(&mut trainer, attempt)?;
        }
        if stop {
            return Err(JobError::Interrupted { step: report.step });
        }
    }
    let progress = trainer.progress();
    for (name, value) in [("tokens", progress.tokens), ("words", progress.words)] {
        attempt.emit(Event::Metric { name: name.to_owned(), step: progress.step, value: value as f64 })?;
    }
    if let Some(value) = trainer.validation_loss(&stage.validation, VALIDATION_BATCH)? {
        attempt.emit(Event::Metric { name: "validation_loss".to_owned(), step: progress.step, value })?;
    }
    let model = trainer.finish()?;
    data::copy_tokenizer(stage.tokenizer, attempt.output())?;
    ml::hf::write(attempt.output(), &model, Tokenizer::load(stage.tokenizer)?.special_tokens())?;
    Ok(())
}

/// Into the journal: every reading as progress, the repeatable ones as metrics.
pub(super) fn tell(attempt: &mut Attempt, report: &StepReport) -> Result<(), JobError> {
    let Some(measured) = &report.measured else { return Ok(()) };
    attempt.emit(Event::Progress {
        done: report.step,
        total: report.total,
        loss: Some(measured.loss),
        tokens_per_second: Some(measured.tokens_per_second),
    })?;
    if measured.full {
        let metrics = [
            ("train_loss", measured.loss),
            ("gradient_norm", measured.gradient_norm),
            ("learning_rate", report.learning_rate),
        ];
        for (name, value) in metrics {
            attempt.emit(Event::Metric { name: name.to_owned(), step: report.step, value })?;
        }
    }
    Ok(())
}

/// A checkpoint in the attempt's folder; once it is on disk and in the journal, the attempt's old ones go.
fn save(trainer: &mut Trainer, attempt: &mut Attempt) -> Result<(), JobError> {
    let saved = trainer.checkpoint(attempt.folder())?;
    let path = saved.path.strip_prefix(attempt.folder()).unwrap_or(&saved.path).to_owned();
    attempt.emit(Event::Checkpoint {
        path,
        step: saved.progress.step,
        tokens: saved.progress.tokens,
        words: saved.progress.words,
        weights: saved.weights,
    })?;
    Ok(ml::checkpoint::prune(attempt.folder(), CHECKPOINTS_KEPT)?)
}
