//! Train a model: from random weights on packed text, or further on instruction records.

use std::path::Path;
use std::sync::Arc;

use grid::data::{self, Permutation, Split, Tokenizer};
use grid::domain::{Assignment, Event, JobId, KeptWeights, Milestone, PretrainJob, Training, TuneJob};
use serde::{Deserialize, Serialize};

use super::batches::{Blend, Fit, Packed, Records, Sequence, rows_in_all, total_steps};
use super::trial::Kills;
use super::{MILESTONES, parent, read_model};
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Batches, Kept, Model, Options, Row, StepReport, Trainer};

/// Held-out rows whose loss is measured; more would say nothing more.
const VALIDATION_ROWS: u64 = 512;
/// Checkpoints of an attempt that stay: the last, and one to fall back on if a disk damages it.
pub(super) const CHECKPOINTS_KEPT: usize = 2;
/// Of the held-out rows, how many go through the model together.
const VALIDATION_BATCH: u32 = 16;
/// File name beside the model of a milestone.
const REACHED: &str = "milestone.json";

/// Leaves a model folder in the form of Hugging Face, and one in `milestones/<milestone>` for each milestone.
pub(super) fn pretrain(job: &PretrainJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let folders = job.corpora.iter().map(|id| parent(assignment, id)).collect::<Result<Vec<_>, _>>()?;
    let packed = |split| Packed::open(&folders, split, job.sequence_length, job.training.batch_size, job.seed);
    let (train, held_out) = (packed(Split::Train)?, packed(Split::Validation)?);
    let batch_size = job.training.batch_size;
    let total = total_steps(job.training.length, batch_size, train.len());
    let model = Model::random(&job.model, job.seed, ml::runtime::device(&assignment.settings.device)?)?;
    let windows = rows_in_all(batch_size, total, train.len()) as f64;
    let words = windows * train.words() / train.len().max(1) as f64;
    let tokens = windows * f64::from(job.sequence_length + 1);
    let stage = Stage {
        training: &job.training,
        milestones: &job.milestones,
        total,
        text: (words as u64, tokens as u64),
        validation: sample(held_out.len(), |index| held_out.row(index).0),
        rows: train.len(),
        batches: Arc::new(train),
        tokenizer: parent(assignment, &job.tokenizer)?,
        carried: None,
    };
    train_stage(stage, model, assignment, attempt)
}

/// Leaves a model folder in the form of Hugging Face.
pub(super) fn tune(job: &TuneJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let folders = |ids: &[JobId]| ids.iter().map(|id| parent(assignment, id)).collect::<Result<Vec<_>, _>>();
    let held_out = Records::open(&folders(&job.validation_datasets())?, Split::Validation, job)?;
    let (mut parts, mut fits) = (vec![], vec![]);
    for part in job.parts() {
        let replayed = match &part.replay {
            Some(replay) => {
                let (folders, batch_size) = (folders(&replay.corpora)?, job.training.batch_size);
                Some(Packed::open(&folders, Split::Train, replay.sequence_length, batch_size, job.seed)?)
            }
            None => None,
        };
        let records = Records::open(&folders(&part.datasets)?, Split::Train, job)?;
        let own = records.fits();
        parts.push((part.length, Blend::new(job, &part, records, &own, replayed)));
        fits.extend(own);
    }
    tell_fits(&fits, job.max_length, attempt)?;
    let train = Sequence::new(parts);
    let before = parent(assignment, &job.parent)?;
    let stage = Stage {
        training: &job.training,
        milestones: &[],
        total: train.total_steps(),
        text: (0, 0),
        validation: sample(held_out.len(), |index| held_out.row(index)),
        rows: train.fewest_rows(),
        batches: Arc::new(train),
        tokenizer: before,
        carried: (!job.optimizer.is_fresh()).then_some(before),
    };
    let model = read_model(before, &assignment.settings.device)?;
    train_stage(stage, model, assignment, attempt)
}

/// Warns of records that are cut, and fails for a dataset of which nothing is left.
fn tell_fits(fits: &[Fit], max_length: u32, attempt: &mut Attempt) -> Result<(), JobError> {
    for (number, Fit { records, cut, mute, trained: _ }) in fits.iter().enumerate() {
        let dataset = if fits.len() == 1 { String::new() } else { format!(" of dataset {} in the stage", number + 1) };
        if mute == records && *records > 0 {
            let reason = format!("no record{dataset} has anything to predict within max_length {max_length}: raise it");
            return Err(JobError::failed(reason));
        }
        if *cut > 0 {
            let mut message = format!("{cut} of {records} records{dataset} are cut at max_length {max_length}");
            if *mute > 0 {
                message.push_str(&format!("; of {mute} nothing is left to predict"));
            }
            attempt.emit(Event::Warning { message })?;
        }
    }
    Ok(())
}

/// Up to [`VALIDATION_ROWS`] of `len` rows, always the same.
fn sample(len: u64, row: impl Fn(u64) -> Row) -> Vec<Row> {
    let order = Permutation::new(0, 0, len);
    (0..len.min(VALIDATION_ROWS)).map(|position| row(order.at(position))).collect()
}

/// What [`pretrain`] and [`tune`] have in common.
struct Stage<'a> {
    training: &'a Training,
    milestones: &'a [Milestone],
    total: u64,
    /// Words and tokens that training is about to see, repetitions counted.
    text: (u64, u64),
    /// Rows of an epoch, of the part with fewest.
    rows: u64,
    batches: Arc<dyn Batches>,
    validation: Vec<Row>,
    /// The folder whose tokenizer travels with the model.
    tokenizer: &'a Path,
    /// The folder with the optimiser's state to carry on with.
    carried: Option<&'a Path>,
}

impl Stage<'_> {
    /// Fails before the first step where the data cannot give what is asked for.
    fn check(&self) -> Result<(), JobError> {
        if self.rows == 0 && self.total > 0 {
            return Err(JobError::failed("the prepared text is shorter than one training sequence: give more text"));
        }
        if self.training.validation.is_some() && self.validation.iter().all(|row| row.scored() == 0) {
            let reason = "`validate_every` is given, but nothing is held out to look at: give more text, or a larger \
                          `held_out`";
            return Err(JobError::failed(reason));
        }
        let (words, tokens) = self.text;
        let beyond = |milestone: &&Milestone| milestone.count() > with_shortfall(milestone.seen(words, tokens));
        if let Some(milestone) = self.milestones.iter().find(beyond) {
            let (seen, unit) = (milestone.seen(words, tokens), milestone.unit());
            return Err(JobError::failed(format!(
                "the milestone of {} lies beyond the training, which sees about {seen} {unit}: train longer, or leave \
                 it out",
                milestone.label()
            )));
        }
        Ok(())
    }

    /// A model folder in the form of Hugging Face.
    fn write(&self, model: &Model, folder: &Path) -> Result<(), JobError> {
        data::copy_tokenizer(self.tokenizer, folder)?;
        ml::hf::write(folder, model, Tokenizer::load(self.tokenizer)?.special_tokens())?;
        Ok(())
    }

    fn keeps_best(&self) -> bool {
        self.training.validation.is_some_and(|validation| validation.keep == KeptWeights::Best)
    }
}

fn with_shortfall(count: u64) -> u64 {
    (count as f64 * (1.0 + Milestone::SHORTFALL)) as u64
}

fn train_stage(stage: Stage<'_>, model: Model, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    stage.check()?;
    let trial = assignment.settings.faults;
    let options = Options {
        micro_batch: assignment.settings.micro_batch,
        memory: trial.and_then(|trial| trial.memory),
        ..Options::default()
    };
    let mut trainer = Trainer::new(model, stage.training, stage.total, stage.batches.clone(), options)?;
    if let Some(folder) = stage.carried {
        trainer.carry(folder)?;
    }
    let mut kept = Kept::new(attempt.output());
    let resumed = resume(&mut trainer, &mut kept, &stage, attempt)?;
    if resumed && trial.is_some_and(|trial| trial.perturb_on_resume) {
        trainer.disturb()?;
    }
    let earlier = attempt.earlier().len();
    let mut kills = Kills::plan(trial, assignment.id, earlier, trainer.progress().step, stage.total);
    loop {
        kills.strike(trainer.progress().step);
        let Some(report) = trainer.step()? else { break };
        tell(attempt, &report)?;
        if trainer.look_is_due() {
            look(&mut trainer, &mut kept, &stage, attempt)?;
        }
        keep_milestones(&trainer, &mut kept, &stage, 1.0, attempt)?;
        let stop = attempt.stop_requested();
        let due = attempt.should_checkpoint() || kills.checkpoint_is_due(report.step);
        if stop || (due && !trainer.is_over()) {
            save(&mut trainer, &kept, attempt)?;
        }
        if stop {
            return Err(JobError::Interrupted { step: report.step });
        }
    }
    kills.await_death();
    let progress = trainer.progress();
    if progress.selection.last != Some(progress.step) {
        look(&mut trainer, &mut kept, &stage, attempt)?;
    }
    keep_milestones(&trainer, &mut kept, &stage, 1.0 + Milestone::SHORTFALL, attempt)?;
    if trial.is_some() {
        save(&mut trainer, &kept, attempt)?;
    }
    if assignment.keep_optimizer {
        trainer.leave_optimizer(attempt.output())?;
    }
    finish(trainer, &stage, attempt)
}

/// Goes on from the newest checkpoint that is whole; says whether there is one.
fn resume(trainer: &mut Trainer, kept: &mut Kept, stage: &Stage<'_>, attempt: &mut Attempt) -> Result<bool, JobError> {
    let found = ml::checkpoint::latest(&attempt.earlier())?;
    for refused in found.refused {
        let message = format!("a checkpoint is not used: {refused}");
        attempt.emit(Event::Warning { message })?;
    }
    let Some(checkpoint) = found.checkpoint else { return Ok(false) };
    trainer.restore(&checkpoint)?;
    checkpoint.restore_output(kept)?;
    attempt.emit(Event::Resumed { step: checkpoint.progress.step })?;
    stage.milestones.iter().try_for_each(|milestone| tell_milestone(kept, *milestone, attempt))?;
    Ok(true)
}

/// Measures the held-out loss, and keeps the model if it is to be kept for it.
fn look(trainer: &mut Trainer, kept: &mut Kept, stage: &Stage<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let step = trainer.progress().step;
    let Some(look) = trainer.look(&stage.validation, VALIDATION_BATCH)? else { return Ok(()) };
    attempt.emit(Event::Metric { name: "validation_loss".to_owned(), step, value: look.loss })?;
    if look.best && stage.keeps_best() {
        kept.put(Path::new(""), |folder| stage.write(trainer.model(), folder))?;
    }
    Ok(())
}

/// Keeps the model for every milestone that the text seen so far, times `reach`, has come to.
fn keep_milestones(
    trainer: &Trainer,
    kept: &mut Kept,
    stage: &Stage<'_>,
    reach: f64,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let ml::checkpoint::Progress { step, tokens, words, .. } = trainer.progress();
    for milestone in stage.milestones {
        let folder = Path::new(MILESTONES).join(milestone.to_string());
        let weights = folder.join(ml::hf::WEIGHTS);
        let reached = milestone.count() <= (milestone.seen(words, tokens) as f64 * reach) as u64;
        if !reached || kept.files().contains_key(&weights) {
            continue;
        }
        kept.put(&folder, |folder| {
            stage.write(trainer.model(), folder)?;
            let reached = serde_json::to_vec_pretty(&Reached { step, tokens, words }).map_err(std::io::Error::from)?;
            Ok::<(), JobError>(std::fs::write(folder.join(REACHED), reached)?)
        })?;
        tell_milestone(kept, *milestone, attempt)?;
    }
    Ok(())
}

/// When a milestone was reached, in a file beside its model.
#[derive(Serialize, Deserialize)]
struct Reached {
    step: u64,
    tokens: u64,
    words: u64,
}

/// Into the journal: a milestone whose model is kept.
fn tell_milestone(kept: &Kept, milestone: Milestone, attempt: &mut Attempt) -> Result<(), JobError> {
    let folder = Path::new(MILESTONES).join(milestone.to_string());
    let Some(weights) = kept.files().get(&folder.join(ml::hf::WEIGHTS)).copied() else { return Ok(()) };
    let text = std::fs::read(attempt.output().join(&folder).join(REACHED))?;
    let Reached { step, tokens, words } = serde_json::from_slice(&text).map_err(std::io::Error::from)?;
    let path = Path::new("output").join(folder);
    attempt.emit(Event::Checkpoint { path, step, tokens, words, weights, milestone: Some(milestone) })
}

/// The result of training, with its last numbers.
fn finish(trainer: Trainer, stage: &Stage<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let progress = trainer.progress();
    let best = progress.selection.best.filter(|_| stage.keeps_best());
    let model = trainer.finish()?;
    let mut numbers = vec![("tokens", progress.tokens), ("words", progress.words)];
    match best {
        Some((step, _)) => numbers.push(("best_step", step)),
        None => stage.write(&model, attempt.output())?,
    }
    for (name, value) in numbers {
        attempt.emit(Event::Metric { name: name.to_owned(), step: progress.step, value: value as f64 })?;
    }
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
fn save(trainer: &mut Trainer, kept: &Kept, attempt: &mut Attempt) -> Result<(), JobError> {
    let saved = trainer.checkpoint(attempt.folder(), kept)?;
    let path = saved.path.strip_prefix(attempt.folder()).unwrap_or(&saved.path).to_owned();
    attempt.emit(Event::Checkpoint {
        path,
        step: saved.progress.step,
        tokens: saved.progress.tokens,
        words: saved.progress.words,
        weights: saved.weights,
        milestone: None,
    })?;
    Ok(ml::checkpoint::prune(attempt.folder(), CHECKPOINTS_KEPT)?)
}
