//! What all training jobs share: resuming from a checkpoint, saving one, and reporting steps.

use std::io;

use grid::domain::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, JobError};
use crate::ml::{Checkpoint, Objective, OutputFiles, Progress, StepReport, Trainer, checkpoint};

/// The number of checkpoints that an attempt keeps: the last one, and another one in case a disk damages it.
const KEPT: usize = 2;

/// The newest intact checkpoint of the earlier attempts. The journal gets a warning for every damaged one.
pub(super) fn find<P: DeserializeOwned>(attempt: &mut Attempt) -> Result<Option<Checkpoint<P>>, JobError> {
    let found = checkpoint::latest(&attempt.earlier())?;
    for refused in found.refused {
        attempt.emit(Event::Warning { message: format!("cannot use a checkpoint: {refused}") })?;
    }
    if let Some(checkpoint) = found.checkpoint.as_ref().filter(|checkpoint| checkpoint.is_unverified) {
        let path = checkpoint.path.display();
        let message =
            format!("{path} was written by an earlier version, without a digest of the state of the training");
        attempt.emit(Event::Warning { message })?;
    }
    Ok(found.checkpoint)
}

/// Continues a training from a checkpoint at which it had made this progress; `step` is the number of the step in the
/// journal.
pub(super) fn resume<O: Objective, P: DeserializeOwned>(
    trainer: &mut Trainer<O>,
    checkpoint: &Checkpoint<P>,
    progress: Progress,
    step: u64,
    output: &mut OutputFiles,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    trainer.restore(checkpoint, progress)?;
    checkpoint.restore_output(output)?;
    tracing::info!(checkpoint = %checkpoint.path.display(), step, "resumed");
    attempt.emit(Event::Resumed { step })
}

/// Writes a checkpoint. Once it is on disk and in the journal, the oldest ones of the attempt are removed.
///
/// `step` is the number of the checkpoint, and of the step in the journal; `state` makes the state of the job out of the
/// progress of the training.
pub(super) fn save<O: Objective, P: Serialize>(
    trainer: &mut Trainer<O>,
    step: u64,
    state: impl FnOnce(Progress) -> P,
    output: &OutputFiles,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let saved = trainer.checkpoint(attempt.folder(), step, state, output)?;
    let path = saved.path.strip_prefix(attempt.folder()).unwrap_or(&saved.path).to_owned();
    let path = path.try_into().map_err(io::Error::other)?;
    let Progress { tokens, words, .. } = trainer.progress();
    attempt.emit(Event::Checkpoint { path, step, tokens, words, weights: saved.weights, milestone: None })?;
    Ok(checkpoint::prune(attempt.folder(), KEPT)?)
}

/// Writes the numbers of a step to the journal: all of them as progress, the reproducible ones as metrics.
pub(super) fn report(report: &StepReport, attempt: &mut Attempt) -> Result<(), JobError> {
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
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into_iter();
        let of_objective = measured.metrics.iter().map(|(name, value)| (format!("train_{name}"), *value));
        for (name, value) in metrics.chain(of_objective) {
            attempt.emit(Event::Metric { name, step: report.step, value })?;
        }
    }
    Ok(())
}
