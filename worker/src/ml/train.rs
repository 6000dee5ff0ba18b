//! The training loop, one optimiser step at a time.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grid::domain::{MemoryLimit, Precision, Training};
use tch::{Device, Kind, Tensor};

use super::batch::{Batches, Feed, Limits, Prepared, Row};
use super::checkpoint::{self, Checkpoint, Progress, Saved};
use super::error::Error;
use super::kept::Kept;
use super::model::Model;
use super::optimizer::{AdamW, Decay};
use super::{loss, shim};

/// Without a full report for so long, the numbers so far are read anyway.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is not part of the result, or of every training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Rows that go through the model together; `None` takes the whole batch. Changes results by rounding only.
    pub micro_batch: Option<u32>,
    /// Steps between full reports.
    pub report_every: u64,
    /// Which weights decay.
    pub decay: Decay,
    /// For trials: from some step on more rows than this ask for more memory than there is.
    pub memory: Option<MemoryLimit>,
}

impl Default for Options {
    fn default() -> Self {
        Self { micro_batch: None, report_every: 20, decay: Decay::Matrices, memory: None }
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Steps taken so far.
    pub step: u64,
    /// Steps of the whole training.
    pub total: u64,
    /// Ids trained on so far.
    pub tokens: u64,
    /// Words trained on so far.
    pub words: u64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// What was read from the device; most steps read nothing, because reading waits for the device.
    pub measured: Option<Measured>,
}

/// Numbers read from the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Mean of the losses of the steps since the last full report, in nats per predicted id.
    pub loss: f64,
    /// Gradient norm of this step before clipping.
    pub gradient_norm: f64,
    /// Ids per second since the last reading; not repeatable.
    pub tokens_per_second: f64,
    /// Whether this is a full report: these come at the same steps with the same numbers in every run, interrupted
    /// or not. The others come about every second and are for watching.
    pub full: bool,
}

/// A look at the held-out loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Mean loss in nats per predicted id.
    pub loss: f64,
    /// Whether it is the lowest so far.
    pub best: bool,
}

/// What a step left on the device, unread.
struct Unread {
    step: u64,
    loss: Tensor, // 0-dim double
    norm: Tensor, // 0-dim
}

/// A model in training: its state between two steps is the model, the optimiser and a [`Progress`].
pub struct Trainer {
    model: Model,
    optimizer: AdamW,
    training: Training,
    total: u64,
    options: Options,
    batches: Arc<dyn Batches>,
    feed: Option<Feed>,
    progress: Progress,
    unread: Vec<Unread>,          // steps since the last reading
    last_norm: f64,               // of the last step that was read
    read_at: (u64, u64, Instant), // step, tokens and time of the last reading
    last_checkpoint: Option<PathBuf>,
}

impl Trainer {
    /// Training of `total` steps from its beginning; the number of steps in `training` is not looked at.
    pub fn new(
        model: Model,
        training: &Training,
        total: u64,
        batches: Arc<dyn Batches>,
        options: Options,
    ) -> Result<Self, Error> {
        let optimizer = AdamW::new(model.weights(), options.decay)?;
        Ok(Self {
            model,
            optimizer,
            training: training.clone(),
            total,
            options,
            batches,
            feed: None,
            progress: Progress::default(),
            unread: vec![],
            last_norm: 0.0,
            read_at: (0, 0, Instant::now()),
            last_checkpoint: None,
        })
    }

    /// Takes over the optimiser's state that another training of this model left in its folder of results.
    pub fn carry(&mut self, folder: &Path) -> Result<(), Error> {
        checkpoint::carry_optimizer(folder, self.model.weights(), &self.optimizer)
    }

    /// Leaves the optimiser's state in a folder of results, for [`Trainer::carry`].
    pub fn leave_optimizer(&self, folder: &Path) -> Result<(), Error> {
        checkpoint::leave_optimizer(folder, self.model.weights(), &self.optimizer)
    }

    /// Goes on from a checkpoint of the same training; what follows equals an uninterrupted run bit for bit.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let progress = checkpoint.progress;
        if progress.step > self.total {
            let reason = format!("stands at step {}, but the training has {}", progress.step, self.total);
            return Err(Error::file(&checkpoint.path, reason));
        }
        checkpoint.restore(self.model.weights(), &self.optimizer)?;
        self.feed = None;
        self.progress = progress;
        self.unread.clear();
        self.read_at = (progress.step, progress.tokens, Instant::now());
        self.last_checkpoint = Some(checkpoint.path.clone());
        Ok(())
    }

    /// The model as it is now.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Where training stands; its window holds what was last read.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all steps have been taken, or the looks at the held-out loss say that more are of no use.
    pub fn is_over(&self) -> bool {
        let Progress { step, selection, .. } = self.progress;
        step >= self.total || selection.is_out_of_patience(self.training.validation.as_ref())
    }

    /// Takes one step; `None` when training is over.
    ///
    /// The loss of a step is the mean over the predicted ids of the whole batch, however it is cut into pieces.
    ///
    /// # Errors
    ///
    /// A non-finite loss or gradient norm is noticed when numbers are read; the state is then lost. After running out
    /// of memory the state is lost, too: begin again from a checkpoint with a smaller `micro_batch`.
    pub fn step(&mut self) -> Result<Option<StepReport>, Error> {
        if self.is_over() {
            return Ok(None);
        }
        let step = self.progress.step;
        let batch = self.next_batch()?;
        let learning_rate = self.training.learning_rate_at(step, self.total);
        // A batch of nothing but records whose replies were cut off teaches nothing, and changes nothing.
        if batch.scored > 0 {
            self.learn(step, &batch, learning_rate)?;
        }
        self.progress.step += 1;
        self.progress.tokens += batch.tokens;
        self.progress.words += batch.words;
        let Progress { step, tokens, words, .. } = self.progress;
        let measured = self.measure()?;
        Ok(Some(StepReport { step, total: self.total, tokens, words, learning_rate, measured }))
    }

    /// Changes the weights by the gradient of a batch.
    fn learn(&mut self, step: u64, batch: &Prepared, learning_rate: f64) -> Result<(), Error> {
        let device = self.model.device();
        let Training { precision, label_smoothing, .. } = self.training;
        let rule = loss::Rule { precision, label_smoothing, scale: 1.0 / batch.scored as f64 };
        shim::clear_gradients(self.model.weights().tensors())?;
        let mut loss = Tensor::f_zeros(&[] as &[i64], (Kind::Double, device))?;
        for piece in &batch.pieces {
            let rows = piece.ids.size().first().copied().unwrap_or(0);
            if self.options.memory.is_some_and(|limit| step >= limit.from_step && rows > i64::from(limit.rows)) {
                let _ = Tensor::f_zeros([1 << 50], (Kind::Float, device))?; // libtorch's own complaint
            }
            let piece = piece.to_device(device)?;
            let sum = loss::backward(&self.model, &piece, rule)?;
            let _no_grad = tch::no_grad_guard();
            let _ = loss.f_add_(&sum.f_div_scalar(batch.scored as f64)?)?;
        }
        let norm = self.optimizer.step(self.model.weights(), &self.training, learning_rate)?;
        self.unread.push(Unread { step, loss, norm });
        self.progress.window_steps += 1;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Prepared, Error> {
        let (vocab, device) = (self.model.config().vocab_size, self.model.device());
        let limits = Limits { micro_batch: self.options.micro_batch, vocab, device };
        let feed =
            self.feed.get_or_insert_with(|| Feed::start(self.batches.clone(), limits, self.progress.step, self.total));
        feed.take()
    }

    fn measure(&mut self) -> Result<Option<Measured>, Error> {
        let step = self.progress.step;
        let full = step.is_multiple_of(self.options.report_every.max(1)) || step == self.total;
        if self.progress.window_steps == 0 || (!full && self.read_at.2.elapsed() < PATIENCE) {
            return Ok(None);
        }
        let (tokens, since) = (self.read_at.1, self.read_at.2);
        self.read()?;
        let loss = self.progress.window_loss / self.progress.window_steps as f64;
        let gradient_norm = self.last_norm;
        if full {
            (self.progress.window_loss, self.progress.window_steps) = (0.0, 0);
        }
        let tokens_per_second = (self.progress.tokens - tokens) as f64 / since.elapsed().as_secs_f64();
        self.read_at = (step, self.progress.tokens, Instant::now());
        Ok(Some(Measured { loss, gradient_norm, tokens_per_second, full }))
    }

    /// Waits for the device, reads what the steps left there and refuses what is not finite.
    fn read(&mut self) -> Result<(), Error> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let numbers = |tensors: Vec<&Tensor>| -> Result<Vec<f64>, Error> {
            Ok(Vec::try_from(Tensor::f_stack(&tensors, 0)?.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?)?)
        };
        let losses = numbers(self.unread.iter().map(|one| &one.loss).collect())?;
        let norms = numbers(self.unread.iter().map(|one| &one.norm).collect())?;
        for ((one, loss), norm) in self.unread.iter().zip(losses).zip(norms) {
            for (what, value) in [("the loss", loss), ("the gradient norm", norm)] {
                if !value.is_finite() {
                    let (step, places) = (one.step + 1, self.batches.places(one.step));
                    return Err(Error::NonFinite {
                        what,
                        value,
                        step,
                        places,
                        checkpoint: self.last_checkpoint.clone(),
                    });
                }
            }
            self.progress.window_loss += loss;
            self.last_norm = norm;
        }
        self.unread.clear();
        Ok(())
    }

    /// Writes a checkpoint into this folder, which need not exist; refuses a state that is not finite.
    ///
    /// `kept` is what the training has put into its output so far.
    pub fn checkpoint(&mut self, folder: &Path, kept: &Kept) -> Result<Saved, Error> {
        self.read()?;
        let Progress { step, .. } = self.progress;
        let saved = checkpoint::save(folder, step, self.model.weights(), &self.optimizer, self.progress, kept)?;
        self.last_checkpoint = Some(saved.path.clone());
        Ok(saved)
    }

    /// Mean loss in nats per predicted id over held-out rows, without learning from them; `None` if none is predicted.
    pub fn validation_loss(&self, rows: &[Row], micro_batch: u32) -> Result<Option<f64>, Error> {
        let (sum, count) = loss::total(&self.model, rows, micro_batch, self.precision())?;
        Ok((count > 0).then(|| sum / count as f64))
    }

    /// Whether the rules of this training ask for a look after the step that was taken last.
    pub fn look_is_due(&self) -> bool {
        let rule = self.training.validation.as_ref();
        let step = self.progress.step;
        step > 0 && rule.is_some_and(|rule| step.is_multiple_of(rule.every))
    }

    /// Measures the held-out loss as [`Trainer::validation_loss`] does, and keeps it in mind: it may end the training.
    pub fn look(&mut self, rows: &[Row], micro_batch: u32) -> Result<Option<Look>, Error> {
        let Some(loss) = self.validation_loss(rows, micro_batch)? else { return Ok(None) };
        let Progress { step, .. } = self.progress;
        if !loss.is_finite() {
            self.read()?; // finds the step that is to blame, as a rule
            let (what, places) = ("the held-out loss", self.batches.places(step.saturating_sub(1)));
            let checkpoint = self.last_checkpoint.clone();
            return Err(Error::NonFinite { what, value: loss, step, places, checkpoint });
        }
        let best = self.progress.selection.look(self.training.validation.as_ref(), step, loss);
        Ok(Some(Look { loss, best }))
    }

    /// For trials: changes the weights a little, as a restore that is not exact would.
    pub fn disturb(&mut self) -> Result<(), Error> {
        let _no_grad = tch::no_grad_guard();
        let first = self.model.weights().tensors().next();
        first.map_or(Ok(()), |tensor| Ok(tensor.shallow_clone().f_add_scalar_(1e-6).map(|_| ())?))
    }

    fn precision(&self) -> Precision {
        self.training.precision
    }

    /// Ends training: the model, after a last look at its numbers.
    pub fn finish(mut self) -> Result<Model, Error> {
        self.read()?;
        Ok(self.model)
    }
}
