//! The training of language models for any objective, which pretrain and tune jobs share.

use std::path::Path;
use std::sync::Arc;

use grid::data::{self, Permutation, Tokenizer};
use grid::domain::{Event, KeptWeights, Milestone, Training};

use super::checkpoints;
use super::fault_injection::KillSchedule;
use super::inputs::Inputs;
use super::milestones;
use crate::attempt::{Attempt, JobError};
use crate::ml::{
    Batches, Checkpoint, LanguageModeling, Model, Objective, Options, OutputFiles, Progress, Trainer, model_folder,
};

/// The number of held-out rows whose loss is measured. More rows would not change the estimate much.
const VALIDATION_ROWS: u64 = 512;

/// The number of held-out rows that go through the model together.
const VALIDATION_BATCH: u32 = 16;

/// What the training of a pretrain or tune job depends on.
pub(super) struct Stage<'a, E> {
    pub(super) training: &'a Training,
    pub(super) milestones: &'a [Milestone],
    /// Optimizer steps in total.
    pub(super) total: u64,
    /// The text that the training will see; used for milestones only.
    pub(super) text: TextSeen,
    /// Rows in an epoch of the part that has the fewest.
    pub(super) rows: u64,
    pub(super) batches: Arc<dyn Batches<E>>,
    pub(super) validation: Vec<E>,
    /// The folder of the tokenizer that is copied to the output.
    pub(super) tokenizer: &'a Path,
    /// The folder of the optimizer state to continue with.
    pub(super) optimizer: Option<&'a Path>,
    pub(super) inputs: Inputs<'a>,
}

/// An amount of text, repetitions included.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSeen {
    pub(super) words: u64,
    pub(super) tokens: u64,
}

/// Up to [`VALIDATION_ROWS`] of `len` rows, always the same ones.
pub(super) fn sample<T, E>(len: u64, row: impl Fn(u64) -> Result<T, E>) -> Result<Vec<T>, E> {
    let order = Permutation::new(0, 0, len);
    (0..len.min(VALIDATION_ROWS)).map(|position| row(order.at(position))).collect()
}

/// The objective of pretraining and of supervised fine-tuning.
pub(super) fn language_modeling(training: &Training, seed: u64, model: &Model) -> LanguageModeling {
    let Training { precision, label_smoothing, neftune_alpha, .. } = *training;
    let objective = LanguageModeling::new(model.config(), precision, label_smoothing);
    objective.with_noise(neftune_alpha, seed, model.config())
}

/// Trains the model for an objective and writes it to the output of the attempt.
pub(super) fn minimize<O: Objective<Model = Model>>(
    objective: O,
    stage: Stage<'_, O::Example>,
    model: Model,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    stage.check(&objective)?;
    let inputs = stage.inputs;
    let faults = inputs.settings().faults;
    let mut run = TrainingRun::start(objective, stage, model, attempt)?;
    run.measure_start(attempt)?;
    let earlier = attempt.earlier().len();
    let job = inputs.assignment().id;
    let mut kills = KillSchedule::draw(faults, job, earlier, run.trainer.progress().step, run.stage.total);
    loop {
        kills.apply(run.trainer.progress().step);
        let Some(report) = run.trainer.step()? else { break };
        checkpoints::report(&report, attempt)?;
        if run.trainer.validation_is_due() {
            run.validate(attempt)?;
        }
        run.keep_milestones(1.0, attempt)?;
        let stop = attempt.stop_requested();
        let due = attempt.should_checkpoint() || kills.checkpoint_is_due(report.step);
        if stop || (due && !run.trainer.is_over()) {
            run.save(attempt)?;
        }
        if stop {
            return Err(JobError::Interrupted { step: report.step });
        }
    }
    kills.wait();
    let progress = run.trainer.progress();
    if progress.validations.last != Some(progress.step) {
        run.validate(attempt)?;
    }
    run.warn_of_fallen_logprob(attempt)?;
    run.keep_milestones(1.0 + Milestone::SHORTFALL, attempt)?;
    if faults.is_some() {
        run.save(attempt)?;
    }
    if inputs.assignment().keep_optimizer {
        run.trainer.save_optimizer(attempt.output())?;
    }
    run.finish(attempt)
}

impl<E> Stage<'_, E> {
    /// Fails before the first step if the data cannot give what the training needs.
    fn check(&self, objective: &impl Objective<Example = E>) -> Result<(), JobError> {
        if self.rows == 0 && self.total > 0 {
            return Err(JobError::failed("the prepared text is shorter than one training sequence: provide more text"));
        }
        if self.training.validation.is_some() && self.validation.iter().all(|example| objective.terms(example) == 0) {
            return Err(JobError::failed(
                "`validate_every` is given, but no text is held out for validation: provide more text, or increase \
                 `held_out`",
            ));
        }
        let TextSeen { words, tokens } = self.text;
        let with_shortfall = |count: u64| (count as f64 * (1.0 + Milestone::SHORTFALL)) as u64;
        let beyond = |milestone: &&Milestone| milestone.count() > with_shortfall(milestone.seen(words, tokens));
        if let Some(milestone) = self.milestones.iter().find(beyond) {
            let (seen, unit) = (milestone.seen(words, tokens), milestone.unit());
            return Err(JobError::failed(format!(
                "the milestone of {} is beyond the end of the training, which sees about {seen} {unit}: train longer, \
                 or remove the milestone",
                milestone.label()
            )));
        }
        Ok(())
    }

    /// Writes a model folder in the Hugging Face format.
    fn write(&self, model: &Model, folder: &Path) -> Result<(), JobError> {
        data::copy_tokenizer(self.tokenizer, folder)?;
        model_folder::write(folder, model, Tokenizer::load(self.tokenizer)?.special_tokens())?;
        self.inputs.check_unchanged()
    }

    fn keeps_best(&self) -> bool {
        self.training.validation.is_some_and(|validation| validation.keep == KeptWeights::Best)
    }
}

/// A training in progress, with the files that it has left in its output.
struct TrainingRun<'a, O: Objective> {
    stage: Stage<'a, O::Example>,
    trainer: Trainer<O>,
    output: OutputFiles,
}

/// Writes the numbers beside the loss to the journal.
fn report_metrics(
    split: &str,
    metrics: &[(&'static str, f64)],
    step: u64,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    for (name, value) in metrics {
        attempt.emit(Event::Metric { name: format!("{split}_{name}"), step, value: *value })?;
    }
    Ok(())
}

impl<'a, O: Objective<Model = Model>> TrainingRun<'a, O> {
    /// Starts a training, from the newest intact checkpoint if there is one.
    fn start(
        objective: O,
        stage: Stage<'a, O::Example>,
        model: Model,
        attempt: &mut Attempt,
    ) -> Result<Self, JobError> {
        let inputs = stage.inputs;
        let faults = inputs.settings().faults;
        let options = Options {
            micro_batch: inputs.settings().micro_batch,
            memory: faults.and_then(|faults| faults.memory),
            ..Options::default()
        };
        tracing::info!(
            steps = stage.total,
            batch_size = stage.training.batch_size,
            micro_batch = options.micro_batch,
            rows = stage.rows,
            precision = ?stage.training.precision,
            "batch plan"
        );
        let batches = stage.batches.clone();
        let mut trainer = Trainer::new(model, objective, stage.training, stage.total, batches, options)?;
        if let Some(folder) = stage.optimizer {
            trainer.load_optimizer(folder)?;
        }
        let output = OutputFiles::new(attempt.output());
        let mut run = Self { stage, trainer, output };
        let checkpoint: Option<Checkpoint<Progress>> = checkpoints::find(attempt)?;
        if let Some(checkpoint) = checkpoint {
            let progress = checkpoint.progress;
            checkpoints::resume(&mut run.trainer, &checkpoint, progress, progress.step, &mut run.output, attempt)?;
            for milestone in run.stage.milestones {
                milestones::record(*milestone, &run.output, attempt)?;
            }
            if faults.is_some_and(|faults| faults.perturb_on_resume) {
                run.trainer.perturb()?;
            }
        }
        Ok(run)
    }

    /// Measures the numbers of an objective that has some beside the loss, before the first step.
    fn measure_start(&mut self, attempt: &mut Attempt) -> Result<(), JobError> {
        let metrics = self.trainer.measure_start(&self.stage.validation, VALIDATION_BATCH)?;
        report_metrics("validation", &metrics, 0, attempt)
    }

    /// Warns if the held-out good replies have become less probable than they were before the first step, which is how
    /// training on comparisons usually fails.
    fn warn_of_fallen_logprob(&self, attempt: &mut Attempt) -> Result<(), JobError> {
        let Progress { first_logprob, last_logprob, .. } = self.trainer.progress();
        let Some((first, last)) = first_logprob.zip(last_logprob).filter(|(first, last)| last < first) else {
            return Ok(());
        };
        let message = format!(
            "the held-out good replies became less probable: their mean log-probability fell from {first:.2} to \
             {last:.2}; a lower learning rate or an `sft_weight` counteracts this"
        );
        attempt.emit(Event::Warning { message })
    }

    /// Measures the validation loss, and keeps the model if it is the best so far and the best is wanted.
    fn validate(&mut self, attempt: &mut Attempt) -> Result<(), JobError> {
        let step = self.trainer.progress().step;
        let Some(result) = self.trainer.validate(&self.stage.validation, VALIDATION_BATCH)? else { return Ok(()) };
        attempt.emit(Event::Metric { name: "validation_loss".to_owned(), step, value: result.loss })?;
        report_metrics("validation", &result.metrics, step, attempt)?;
        if result.best && self.stage.keeps_best() {
            let Self { stage, trainer, output } = self;
            output.replace(Path::new(""), |folder| stage.write(trainer.model(), folder))?;
        }
        Ok(())
    }

    /// Keeps the model for every milestone that the text seen so far, times `tolerance`, has reached.
    fn keep_milestones(&mut self, tolerance: f64, attempt: &mut Attempt) -> Result<(), JobError> {
        let Self { stage, trainer, output } = self;
        let progress = trainer.progress();
        for milestone in stage.milestones {
            if milestones::is_reached(*milestone, progress.words, progress.tokens, tolerance) {
                milestones::keep(*milestone, progress, output, attempt, |folder| stage.write(trainer.model(), folder))?;
            }
        }
        Ok(())
    }

    fn save(&mut self, attempt: &mut Attempt) -> Result<(), JobError> {
        let step = self.trainer.progress().step;
        self.stage.inputs.check_unchanged()?;
        checkpoints::save(&mut self.trainer, step, |progress| progress, &self.output, attempt)
    }

    /// Writes the last model, unless the best one is wanted, and the last metrics.
    fn finish(self, attempt: &mut Attempt) -> Result<(), JobError> {
        let progress = self.trainer.progress();
        let best = progress.validations.best.filter(|_| self.stage.keeps_best());
        let model = self.trainer.finish()?;
        let mut numbers = vec![("tokens", progress.tokens), ("words", progress.words)];
        match best {
            Some((step, _)) => numbers.push(("best_step", step)),
            None => self.stage.write(&model, attempt.output())?,
        }
        for (name, value) in numbers {
            attempt.emit(Event::Metric { name: name.to_owned(), step: progress.step, value: value as f64 })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
