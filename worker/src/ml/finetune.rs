//! Fine-tuning of a classifier, one optimiser step at a time.

use std::path::{Path, PathBuf};
use std::time::Instant;

use grid::domain::Training;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

use super::checkpoint::{self, Checkpoint, Progress, Saved};
use super::classifier::{Classifier, dropout};
use super::error::Error;
use super::kept::Kept;
use super::optimizer::{AdamW, Decay};
use super::shim;
use super::train::{Measured, StepReport};

/// Steps between two readings of the loss.
const REPORT_EVERY: u64 = 20;

/// A row: token ids and their class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Token ids, at least one.
    pub ids: Vec<u32>,
    /// The class.
    pub label: u32,
}

/// What is not said by the optimisation itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Share of the head's last layer's inputs that are dropped.
    pub dropout: f64,
    /// Factor of every gradient.
    pub gradient_scale: f64,
    /// Rows that go through the body together at most; `None` leaves it to their lengths. Rounding only.
    pub micro_batch: Option<u32>,
    /// Seed of the dropout.
    pub seed: u64,
}

/// A classifier in training: its state between two steps is its weights, the optimiser and a [`Progress`].
pub struct Finetuner {
    classifier: Classifier,
    optimizer: AdamW,
    training: Training,
    total: u64,
    options: Options,
    progress: Progress,
    window_loss: Tensor,     // 0-dim double on the device; mirrors progress.window_loss
    read_at: (u64, Instant), // tokens and time of the last reading
    last_checkpoint: Option<PathBuf>,
}

impl Finetuner {
    /// Fine-tuning of `total` steps from its beginning; every weight decays.
    pub fn new(classifier: Classifier, training: &Training, total: u64, options: Options) -> Result<Self, Error> {
        let optimizer = AdamW::new(classifier.weights(), Decay::All)?;
        let window_loss = Tensor::f_zeros(&[] as &[i64], (Kind::Double, classifier.device()))?;
        let (training, progress, read_at) = (training.clone(), Progress::default(), (0, Instant::now()));
        let last_checkpoint = None;
        Ok(Self { classifier, optimizer, training, total, options, progress, window_loss, read_at, last_checkpoint })
    }

    /// Goes on from a checkpoint of the same fine-tuning, which stood at `progress`; what follows equals an
    /// uninterrupted run bit for bit.
    pub fn restore<P: DeserializeOwned>(
        &mut self,
        checkpoint: &Checkpoint<P>,
        progress: Progress,
    ) -> Result<(), Error> {
        checkpoint.restore(self.classifier.weights(), &self.optimizer)?;
        self.progress = progress;
        let _ = self.window_loss.f_fill_(progress.window_loss)?;
        self.read_at = (progress.tokens, Instant::now());
        self.last_checkpoint = Some(checkpoint.path.clone());
        Ok(())
    }

    /// The classifier as it is now.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Where training stands.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all steps have been taken.
    pub fn is_over(&self) -> bool {
        self.progress.step >= self.total
    }

    /// Takes one step on these rows; the loss is their mean.
    ///
    /// # Errors
    /// A loss that is not finite, noticed when it is read.
    pub fn step(&mut self, batch: &[&Input]) -> Result<StepReport, Error> {
        let step = self.progress.step;
        let inputs: Vec<&[u32]> = batch.iter().map(|input| &input.ids[..]).collect();
        let labels: Vec<u32> = batch.iter().map(|input| input.label).collect();
        let keep = match self.options.dropout > 0.0 {
            true => {
                let width = self.classifier.width();
                let keep = dropout(self.options.dropout, self.options.seed, step, (batch.len(), width))?;
                Some(keep.f_to_device(self.classifier.device())?)
            }
            false => None,
        };
        shim::clear_gradients(self.classifier.weights().tensors())?;
        let scale = self.options.gradient_scale / batch.len() as f64;
        let how = (self.training.precision, scale, self.options.micro_batch);
        let loss = self.classifier.backward(&inputs, &labels, keep.as_ref(), how)?;
        let learning_rate = self.training.learning_rate_at(step, self.total);
        let norm = self.optimizer.step(self.classifier.weights(), &self.training, learning_rate)?;
        {
            let _no_grad = tch::no_grad_guard();
            let _ = self.window_loss.f_add_(&loss.f_div_scalar(batch.len() as f64)?)?;
        }
        self.progress.step += 1;
        self.progress.tokens += inputs.iter().map(|ids| ids.len() as u64).sum::<u64>();
        self.progress.window_steps += 1;
        let measured = self.measure(&norm)?;
        let Progress { step, tokens, words, .. } = self.progress;
        Ok(StepReport { step, total: self.total, tokens, words, learning_rate, measured })
    }

    fn measure(&mut self, norm: &Tensor) -> Result<Option<Measured>, Error> {
        let full = self.progress.step.is_multiple_of(REPORT_EVERY) || self.is_over();
        if !full {
            return Ok(None);
        }
        self.read()?;
        let gradient_norm = norm.f_double_value(&[])?;
        let loss = self.progress.window_loss / self.progress.window_steps as f64;
        (self.progress.window_loss, self.progress.window_steps) = (0.0, 0);
        let _ = self.window_loss.f_zero_()?;
        let tokens_per_second = (self.progress.tokens - self.read_at.0) as f64 / self.read_at.1.elapsed().as_secs_f64();
        self.read_at = (self.progress.tokens, Instant::now());
        Ok(Some(Measured { loss, gradient_norm, tokens_per_second, full }))
    }

    /// Waits for the device, reads the running sum and refuses what is not finite.
    fn read(&mut self) -> Result<(), Error> {
        let value = self.window_loss.f_double_value(&[])?;
        self.progress.window_loss = value;
        if !value.is_finite() {
            let step = self.progress.step;
            let first = step - self.progress.window_steps.min(step) + 1;
            let places = format!("the last of those from step {first} on that may have caused it");
            let checkpoint = self.last_checkpoint.clone();
            return Err(Error::NonFinite { what: "the loss", value, step, places, checkpoint });
        }
        Ok(())
    }

    /// Writes a checkpoint into this folder under the number `step`, with whatever `state` makes of where training stands
    /// and what is kept in the output so far.
    pub fn checkpoint<P: Serialize>(
        &mut self,
        folder: &Path,
        step: u64,
        state: impl FnOnce(Progress) -> P,
        kept: &Kept,
    ) -> Result<Saved<P>, Error> {
        self.read()?;
        let saved =
            checkpoint::save(folder, step, self.classifier.weights(), &self.optimizer, state(self.progress), kept)?;
        self.last_checkpoint = Some(saved.path.clone());
        Ok(saved)
    }
}
