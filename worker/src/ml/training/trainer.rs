//! The training loop, one optimizer step at a time, for any objective.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grid::domain::{MemoryLimit, Training};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use super::progress::Progress;
use super::report::{Measurements, StepReport, ValidationResult};
use crate::ml::batching::{Batches, Feed};
use crate::ml::error::Error;
use crate::ml::files::checkpoint::{self, Checkpoint, SavedCheckpoint};
use crate::ml::files::output_files::OutputFiles;
use crate::ml::objectives::{BatchLimits, MetricSums, MicroBatch, Objective, Purpose, add_metrics, metric_means};
use crate::ml::optimizers::{AdamW, Decay};
use crate::ml::shim;
use crate::ml::weights::Trainable;

/// The longest time between two readings of the numbers on the device.
const READING_INTERVAL: Duration = Duration::from_secs(1);

/// Options of a training besides its hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The most rows that go through the model together; `None` leaves the number to their lengths. Changes results by
    /// rounding only.
    pub micro_batch: Option<u32>,
    /// Steps between full reports.
    pub report_every: u64,
    /// The weights that the weight decay applies to.
    pub decay: Decay,
    /// A factor of every gradient.
    pub gradient_scale: f64,
    /// Fault injection: from some step on, micro-batches of more rows run out of memory.
    pub memory: Option<MemoryLimit>,
}

impl Default for Options {
    fn default() -> Self {
        Self { micro_batch: None, report_every: 20, decay: Decay::Matrices, gradient_scale: 1.0, memory: None }
    }
}

/// The loss and gradient norm of a step that are still on the device.
struct PendingStep {
    step: u64,
    numbers: Tensor, // double [1 + 2 * metrics]: the mean loss and the metrics
    norm: Tensor,    // 0-dim
}

/// When numbers were last read from the device.
struct LastReading {
    tokens: u64,
    at: Instant,
}

/// A batch as tensors on the CPU.
struct PreparedBatch<M> {
    micro_batches: Vec<M>,
    /// The number of terms of the loss in all micro-batches.
    count: usize,
    tokens: u64,
    words: u64,
}

/// A model in training. Its state between two steps is the model, the optimizer and a [`Progress`].
pub struct Trainer<O: Objective> {
    model: O::Model,
    objective: O,
    optimizer: AdamW,
    training: Training,
    total: u64,
    options: Options,
    batches: Arc<dyn Batches<O::Example>>,
    feed: Option<Feed<PreparedBatch<O::MicroBatch>>>,
    progress: Progress,
    pending: Vec<PendingStep>, // the steps since the last reading
    last_norm: f64,            // the gradient norm of the last step that was read
    last_reading: LastReading,
    last_checkpoint: Option<PathBuf>,
}

impl<O: Objective> Trainer<O> {
    /// A training of `total` steps before its first step. The number of steps in `training` is ignored.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new(
        model: O::Model,
        objective: O,
        training: &Training,
        total: u64,
        batches: Arc<dyn Batches<O::Example>>,
        options: Options,
    ) -> Result<Self, Error> {
        let optimizer = AdamW::new(model.weights(), options.decay)?;
        Ok(Self {
            model,
            objective,
            optimizer,
            training: training.clone(),
            total,
            options,
            batches,
            feed: None,
            progress: Progress::default(),
            pending: vec![],
            last_norm: 0.0,
            last_reading: LastReading { tokens: 0, at: Instant::now() },
            last_checkpoint: None,
        })
    }

    /// Loads the optimizer state that another training of this model left in its output folder.
    ///
    /// # Errors
    /// If the file cannot be read or does not fit the model.
    pub fn load_optimizer(&mut self, folder: &Path) -> Result<(), Error> {
        checkpoint::load_optimizer(folder, self.model.weights(), &self.optimizer)
    }

    /// Saves the optimizer state in an output folder, for [`Trainer::load_optimizer`].
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_optimizer(&self, folder: &Path) -> Result<(), Error> {
        checkpoint::save_optimizer(folder, self.model.weights(), &self.optimizer)
    }

    /// Continues from a checkpoint of the same training, which had made this progress. What follows equals an
    /// uninterrupted training bit for bit.
    ///
    /// # Errors
    /// If the checkpoint does not fit the training.
    pub fn restore<P: DeserializeOwned>(
        &mut self,
        checkpoint: &Checkpoint<P>,
        progress: Progress,
    ) -> Result<(), Error> {
        if progress.step > self.total {
            let reason = format!("is at step {}, but the training has {} steps", progress.step, self.total);
            return Err(Error::file(&checkpoint.path, reason));
        }
        checkpoint.restore(self.model.weights(), &self.optimizer)?;
        self.feed = None;
        self.progress = progress;
        self.pending.clear();
        self.last_reading = LastReading { tokens: progress.tokens, at: Instant::now() };
        self.last_checkpoint = Some(checkpoint.path.clone());
        Ok(())
    }

    /// The model in its current state.
    pub fn model(&self) -> &O::Model {
        &self.model
    }

    /// The progress so far. Its window contains the steps up to the last reading.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all steps have been taken, or training stops early.
    pub fn is_over(&self) -> bool {
        let Progress { step, validations, .. } = self.progress;
        step >= self.total || validations.is_out_of_patience(self.training.validation.as_ref())
    }

    /// Takes one step; `None` when training is over.
    ///
    /// The loss of a step is the mean over all terms of the batch, however the batch is split.
    ///
    /// # Errors
    /// A non-finite loss or gradient norm is found when numbers are read; the state is then unusable. It is also unusable
    /// after running out of memory: start again from a checkpoint with a smaller `micro_batch`.
    pub fn step(&mut self) -> Result<Option<StepReport>, Error> {
        if self.is_over() {
            return Ok(None);
        }
        let step = self.progress.step;
        let mut batch = self.next_batch()?;
        let learning_rate = self.training.learning_rate_at(step, self.total);
        // A batch without any term, such as records whose replies were cut off, leaves the weights unchanged.
        if batch.count > 0 {
            self.update(step, &mut batch, learning_rate)?;
        }
        self.progress.step += 1;
        self.progress.tokens += batch.tokens;
        self.progress.words += batch.words;
        let Progress { step, tokens, words, .. } = self.progress;
        let measured = self.measure()?;
        Ok(Some(StepReport { step, total: self.total, tokens, words, learning_rate, measured }))
    }

    /// Updates the weights by the gradient of a batch.
    fn update(&mut self, step: u64, batch: &mut PreparedBatch<O::MicroBatch>, learning_rate: f64) -> Result<(), Error> {
        let device = self.model.weights().device();
        let count = batch.count as f64;
        let scale = self.options.gradient_scale / count;
        shim::clear_gradients(self.model.weights().tensors())?;
        let width = 1 + 2 * self.objective.metrics().len() as i64;
        let mut numbers = Tensor::f_zeros([width], (Kind::Double, device))?;
        self.objective.prepare_batch(&self.model, &mut batch.micro_batches)?;
        for micro_batch in &batch.micro_batches {
            self.inject_memory_fault(step, micro_batch.rows(), device)?;
            let sums = self.objective.backward(&self.model, &micro_batch.to_device(device)?, scale)?;
            let _no_grad = tch::no_grad_guard();
            let _ = numbers.f_add_(&sums.f_div_scalar(count)?)?;
        }
        let norm = self.optimizer.step(self.model.weights(), &self.training, learning_rate)?;
        self.pending.push(PendingStep { step, numbers, norm });
        self.progress.window_steps += 1;
        Ok(())
    }

    /// Fails like libtorch when it runs out of memory, if the options ask for that.
    fn inject_memory_fault(&self, step: u64, rows: usize, device: Device) -> Result<(), Error> {
        if self.options.memory.is_some_and(|limit| step >= limit.from_step && rows > limit.rows as usize) {
            let _ = Tensor::f_zeros([1 << 50], (Kind::Float, device))?; // more than any machine has
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<PreparedBatch<O::MicroBatch>, Error> {
        if self.feed.is_none() {
            let limits = BatchLimits { max_rows: self.options.micro_batch, device: self.model.weights().device() };
            let (objective, batches) = (self.objective.clone(), self.batches.clone());
            let prepare = move |step| prepare(&objective, &*batches, step, limits);
            self.feed = Some(Feed::start(self.progress.step..self.total, prepare));
        }
        match &mut self.feed {
            Some(feed) => feed.take(),
            None => unreachable!("started above"),
        }
    }

    fn measure(&mut self) -> Result<Option<Measurements>, Error> {
        let step = self.progress.step;
        let full = step.is_multiple_of(self.options.report_every.max(1)) || step == self.total;
        if self.progress.window_steps == 0 || (!full && self.last_reading.at.elapsed() < READING_INTERVAL) {
            return Ok(None);
        }
        self.read()?;
        let loss = self.progress.window_loss / self.progress.window_steps as f64;
        let metrics = metric_means(self.objective.metrics(), &self.progress.window_metrics);
        if full {
            (self.progress.window_loss, self.progress.window_steps) = (0.0, 0);
            self.progress.window_metrics = MetricSums::default();
        }
        let LastReading { tokens, at } = self.last_reading;
        let tokens_per_second = (self.progress.tokens - tokens) as f64 / at.elapsed().as_secs_f64();
        self.last_reading = LastReading { tokens: self.progress.tokens, at: Instant::now() };
        Ok(Some(Measurements { loss, metrics, gradient_norm: self.last_norm, tokens_per_second, full }))
    }

    /// Waits for the device, reads the numbers of the pending steps and refuses those that are not finite.
    fn read(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let numbers = |tensors: Vec<&Tensor>| -> Result<Vec<f64>, Error> {
            let stacked = Tensor::f_stack(&tensors, 0)?.f_view([-1])?;
            Ok(Vec::try_from(stacked.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?)?)
        };
        let of_steps = numbers(self.pending.iter().map(|pending| &pending.numbers).collect())?;
        let norms = numbers(self.pending.iter().map(|pending| &pending.norm).collect())?;
        let width = of_steps.len() / self.pending.len();
        for ((pending, of_step), norm) in self.pending.iter().zip(of_steps.chunks(width)).zip(norms) {
            let loss = of_step[0];
            for (what, value) in [("the loss", loss), ("the gradient norm", norm)] {
                if !value.is_finite() {
                    return Err(self.non_finite(what, value, pending.step));
                }
            }
            self.progress.window_loss += loss;
            add_metrics(&mut self.progress.window_metrics, &of_step[1..]);
            self.last_norm = norm;
        }
        self.pending.clear();
        Ok(())
    }

    /// The error for a number that is not finite after the step with this number, from 0.
    fn non_finite(&self, what: &'static str, value: f64, step: u64) -> Error {
        let (places, checkpoint) = (self.batches.places(step), self.last_checkpoint.clone());
        Error::NonFinite { what, value, step: step + 1, places, checkpoint }
    }

    /// Writes a checkpoint with this number into a folder, which need not exist. `state` makes what is stored as the state
    /// of the job out of the progress; `output` are the files that the training has left in its output so far.
    ///
    /// # Errors
    /// If numbers of the training are not finite, or the checkpoint cannot be written.
    pub fn checkpoint<P: Serialize>(
        &mut self,
        folder: &Path,
        number: u64,
        state: impl FnOnce(Progress) -> P,
        output: &OutputFiles,
    ) -> Result<SavedCheckpoint<P>, Error> {
        self.read()?;
        let state = state(self.progress);
        let saved = checkpoint::save(folder, number, self.model.weights(), &self.optimizer, state, output)?;
        self.last_checkpoint = Some(saved.path.clone());
        Ok(saved)
    }

    /// Whether the training validates after the step that was taken last.
    pub fn validation_is_due(&self) -> bool {
        let settings = self.training.validation.as_ref();
        let step = self.progress.step;
        step > 0 && settings.is_some_and(|settings| step.is_multiple_of(settings.every))
    }

    /// Before the first step, measures the numbers that the objective has beside the loss, and keeps the log-probability of
    /// good replies, `logprob_chosen`, in the progress. Empty after the first step, or if there are no such numbers.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn measure_start(&mut self, examples: &[O::Example], max_rows: u32) -> Result<Vec<(&'static str, f64)>, Error> {
        let names = self.objective.metrics();
        if names.is_empty() || self.progress.step > 0 {
            return Ok(vec![]);
        }
        let sums = self.objective.validate(&self.model, examples, max_rows)?;
        let metrics = metric_means(names, &sums.metrics);
        self.progress.first_logprob = logprob_of(&metrics);
        Ok(metrics)
    }

    /// Measures the loss on held-out examples and records it for early stopping. `None` if the loss has no term.
    ///
    /// # Errors
    /// If the loss is not finite, or libtorch fails.
    pub fn validate(&mut self, examples: &[O::Example], max_rows: u32) -> Result<Option<ValidationResult>, Error> {
        let sums = self.objective.validate(&self.model, examples, max_rows)?;
        let Some(loss) = sums.mean() else { return Ok(None) };
        let metrics = metric_means(self.objective.metrics(), &sums.metrics);
        self.progress.last_logprob = logprob_of(&metrics);
        let Progress { step, .. } = self.progress;
        if !loss.is_finite() {
            self.read()?; // usually finds the step that caused it
            return Err(self.non_finite("the held-out loss", loss, step.saturating_sub(1)));
        }
        let best = self.progress.validations.record(self.training.validation.as_ref(), step, loss);
        Ok(Some(ValidationResult { loss, metrics, best }))
    }

    /// Fault injection: changes a weight slightly, as an inexact restore would.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn perturb(&mut self) -> Result<(), Error> {
        let _no_grad = tch::no_grad_guard();
        let first = self.model.weights().tensors().next();
        first.map_or(Ok(()), |tensor| Ok(tensor.shallow_clone().f_add_scalar_(1e-6).map(|_| ())?))
    }

    /// Ends the training and returns the model.
    ///
    /// # Errors
    /// If the numbers of the last steps are not finite.
    pub fn finish(mut self) -> Result<O::Model, Error> {
        self.read()?;
        Ok(self.model)
    }
}

/// The log-probability of good replies among the numbers of an objective, if it has it.
fn logprob_of(metrics: &[(&'static str, f64)]) -> Option<f64> {
    metrics.iter().find(|(name, _)| *name == "logprob_chosen").map(|(_, value)| *value)
}

fn prepare<O: Objective>(
    objective: &O,
    batches: &dyn Batches<O::Example>,
    step: u64,
    limits: BatchLimits,
) -> Result<PreparedBatch<O::MicroBatch>, Error> {
    let batch = batches.batch(step)?;
    let micro_batches = objective.micro_batches(&batch.examples, Purpose::Training { step }, limits)?;
    let count = micro_batches.iter().map(MicroBatch::count).sum();
    let tokens = batch.examples.iter().map(|example| objective.tokens(example) as u64).sum();
    Ok(PreparedBatch { micro_batches, count, tokens, words: batch.words })
}

#[cfg(test)]
mod tests;
