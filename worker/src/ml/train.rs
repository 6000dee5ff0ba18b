//! The training loop, one optimiser step at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grid::domain::{Precision, Training};
use tch::{Kind, Tensor};

use super::batch::{Batches, Feed, Limits, Prepared, Row};
use super::checkpoint::{self, Checkpoint, Progress, Saved};
use super::error::Error;
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
}

impl Default for Options {
    fn default() -> Self {
        Self { micro_batch: None, report_every: 20, decay: Decay::Matrices }
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
    window_loss: Tensor,          // 0-dim double on the device; mirrors progress.window_loss
    norms: Tensor,                // 0-dim double: sum of gradient norms since the last reading, to notice a bad one
    last_norm: Tensor,            // 0-dim
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
        let zero = || Tensor::f_zeros(&[] as &[i64], (Kind::Double, model.device()));
        let (window_loss, norms, last_norm) = (zero()?, zero()?, zero()?);
        Ok(Self {
            model,
            optimizer,
            training: training.clone(),
            total,
            options,
            batches,
            feed: None,
            progress: Progress::default(),
            window_loss,
            norms,
            last_norm,
            read_at: (0, 0, Instant::now()),
            last_checkpoint: None,
        })
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
        let _ = self.window_loss.f_fill_(progress.window_loss)?;
        let _ = self.norms.f_zero_()?;
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

    /// Takes one step; `None` when all have been taken.
    ///
    /// The loss of a step is the mean over the predicted ids of the whole batch, however it is cut into pieces.
    ///
    /// # Errors
    ///
    /// A non-finite loss or gradient norm is noticed when numbers are read; the state is then lost. After running out
    /// of memory the state is lost, too: begin again from a checkpoint with a smaller `micro_batch`.
    pub fn step(&mut self) -> Result<Option<StepReport>, Error> {
        let step = self.progress.step;
        if step >= self.total {
            return Ok(None);
        }
        let batch = self.next_batch()?;
        if batch.scored == 0 {
            return Err(Error::Input(format!("the batch of step {step} has no id to predict")));
        }
        let device = self.model.device();
        let Training { precision, label_smoothing, .. } = self.training;
        let rule = loss::Rule { precision, label_smoothing, scale: 1.0 / batch.scored as f64 };
        shim::clear_gradients(self.model.weights().tensors())?;
        for piece in &batch.pieces {
            let piece = piece.to_device(device)?;
            let sum = loss::backward(&self.model, &piece, rule)?;
            let _no_grad = tch::no_grad_guard();
            let _ = self.window_loss.f_add_(&sum.f_div_scalar(batch.scored as f64)?)?;
        }
        let learning_rate = self.training.learning_rate_at(step, self.total);
        self.last_norm = self.optimizer.step(self.model.weights(), &self.training, learning_rate)?;
        let _ = self.norms.f_add_(&self.last_norm)?;
        self.progress.step += 1;
        self.progress.tokens += batch.tokens;
        self.progress.words += batch.words;
        self.progress.window_steps += 1;
        let Progress { step, tokens, words, .. } = self.progress;
        let measured = self.measure()?;
        Ok(Some(StepReport { step, total: self.total, tokens, words, learning_rate, measured }))
    }

    fn next_batch(&mut self) -> Result<Prepared, Error> {
        let limits = Limits { micro_batch: self.options.micro_batch, vocab: self.model.config().vocab_size };
        let feed =
            self.feed.get_or_insert_with(|| Feed::start(self.batches.clone(), limits, self.progress.step, self.total));
        feed.take()
    }

    fn measure(&mut self) -> Result<Option<Measured>, Error> {
        let step = self.progress.step;
        let full = step.is_multiple_of(self.options.report_every.max(1)) || step == self.total;
        if !full && self.read_at.2.elapsed() < PATIENCE {
            return Ok(None);
        }
        let (tokens, since) = (self.read_at.1, self.read_at.2);
        self.read()?;
        let loss = self.progress.window_loss / self.progress.window_steps as f64;
        let gradient_norm = self.last_norm.f_double_value(&[])?;
        if full {
            (self.progress.window_loss, self.progress.window_steps) = (0.0, 0);
            let _ = self.window_loss.f_zero_()?;
        }
        let tokens_per_second = (self.progress.tokens - tokens) as f64 / since.elapsed().as_secs_f64();
        self.read_at = (step, self.progress.tokens, Instant::now());
        Ok(Some(Measured { loss, gradient_norm, tokens_per_second, full }))
    }

    /// Waits for the device, reads the running sums and refuses what is not finite.
    fn read(&mut self) -> Result<(), Error> {
        self.progress.window_loss = self.window_loss.f_double_value(&[])?;
        let norms = self.norms.f_double_value(&[])?;
        let _ = self.norms.f_zero_()?;
        for (what, value) in [("the loss", self.progress.window_loss), ("the gradient norm", norms)] {
            if !value.is_finite() {
                let (first, last) = (self.read_at.0, self.progress.step.saturating_sub(1));
                return Err(Error::NonFinite { what, value, first, last, checkpoint: self.last_checkpoint.clone() });
            }
        }
        Ok(())
    }

    /// Writes a checkpoint into this folder, which need not exist; refuses a state that is not finite.
    pub fn checkpoint(&mut self, folder: &Path) -> Result<Saved, Error> {
        self.read()?;
        let saved = checkpoint::save(folder, self.progress.step, self.model.weights(), &self.optimizer, self.progress)?;
        self.last_checkpoint = Some(saved.path.clone());
        Ok(saved)
    }

    /// Mean loss in nats per predicted id over held-out rows, without learning from them; `None` if none is predicted.
    pub fn validation_loss(&self, rows: &[Row], micro_batch: u32) -> Result<Option<f64>, Error> {
        let (sum, count) = loss::total(&self.model, rows, micro_batch, self.precision())?;
        Ok((count > 0).then(|| sum / count as f64))
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

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::model::tests::small;
    use super::*;
    use grid::domain::{Arch, Length, Schedule, Warmup};
    use tch::Device;

    /// Sequences of an arithmetic sort, of mixed lengths, some with a prompt that is not predicted.
    struct Arithmetic;

    impl Batches for Arithmetic {
        fn batch(&self, step: u64) -> Batch {
            let row = |index: u64| {
                let (start, by) = (step * 31 + index * 17, 1 + (step + index) % 3);
                let ids = (0..4 + (step * 5 + index * 11) % 28).map(|i| ((start + i * by) % 61) as u32).collect();
                Row { ids, loss_from: (index % 4) as usize }
            };
            Batch { rows: (0..9).map(row).collect(), words: 7 + step }
        }
    }

    fn training(precision: Precision) -> Training {
        Training {
            length: Length::Steps(12),
            batch_size: 9,
            learning_rate: 3e-3,
            schedule: Schedule::Cosine,
            warmup: Warmup::Steps(2),
            min_learning_rate_ratio: 0.1,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: Some(1.0),
            label_smoothing: 0.0,
            precision,
        }
    }

    fn trainer(arch: Arch, training: &Training, micro_batch: Option<u32>) -> Trainer {
        let model = Model::random(&small(arch), 1, Device::Cpu).unwrap();
        let options = Options { micro_batch, report_every: 5, ..Options::default() };
        Trainer::new(model, training, 12, Arc::new(Arithmetic), options).unwrap()
    }

    /// All steps, as far as they are repeatable.
    fn run(trainer: &mut Trainer, steps: u64) -> Vec<StepReport> {
        let mut reports = Vec::new();
        while trainer.progress().step < steps {
            let mut report = trainer.step().unwrap().unwrap();
            report.measured = report.measured.filter(|measured| measured.full);
            if let Some(measured) = &mut report.measured {
                measured.tokens_per_second = 0.0;
            }
            reports.push(report);
        }
        reports
    }

    fn state(trainer: &Trainer) -> Vec<Vec<f32>> {
        let weights = trainer.model.weights();
        let all = weights.named().unwrap().into_iter().chain(trainer.optimizer.named(weights).unwrap());
        all.map(|(_, tensor)| Vec::try_from(tensor.reshape([-1])).unwrap()).collect()
    }

    #[test]
    fn a_resumed_training_equals_a_straight_one_bit_for_bit() {
        for (arch, precision, micro_batch) in [
            (Arch::Llama, Precision::F32, None),
            (Arch::Llama, Precision::Bf16, Some(4)),
            (Arch::Gpt2, Precision::F32, Some(4)),
            (Arch::Gpt2, Precision::Bf16, None),
        ] {
            let training = training(precision);
            let mut straight = trainer(arch, &training, micro_batch);
            let wanted = run(&mut straight, 12);
            assert!(straight.step().unwrap().is_none());

            let folder = tempfile::tempdir().unwrap();
            let mut first = trainer(arch, &training, micro_batch);
            let mut reports = run(&mut first, 7);
            let saved = first.checkpoint(folder.path()).unwrap();
            assert_eq!(saved.progress.step, 7);
            drop(first);

            let found = checkpoint::latest(&[folder.path().to_owned()]).unwrap().checkpoint.unwrap();
            let other = Model::random(&small(arch), 99, Device::Cpu).unwrap();
            let options = Options { micro_batch, report_every: 5, ..Options::default() };
            let mut second = Trainer::new(other, &training, 12, Arc::new(Arithmetic), options).unwrap();
            second.restore(&found).unwrap();
            reports.extend(run(&mut second, 12));
            assert_eq!(reports, wanted, "{arch:?} {precision:?}");
            assert_eq!(state(&second), state(&straight), "{arch:?} {precision:?}");
        }
    }

    #[test]
    fn pieces_of_a_batch_learn_what_the_batch_learns() {
        for arch in [Arch::Llama, Arch::Gpt2] {
            // Plain steps, so that rounding is not blown up where Adam divides by a tiny second moment.
            let training = Training { epsilon: 1e-3, ..training(Precision::F32) };
            let mut whole = trainer(arch, &training, None);
            run(&mut whole, 10);
            for micro_batch in [1, 4] {
                let mut pieces = trainer(arch, &training, Some(micro_batch));
                run(&mut pieces, 10);
                for ((name, a), (_, b)) in
                    whole.model.weights().named().unwrap().iter().zip(pieces.model.weights().named().unwrap())
                {
                    let difference = (a - b).abs().max().double_value(&[]);
                    assert!(difference < 1e-5, "{arch:?} {name}: {difference}");
                }
            }
        }
    }

    #[test]
    fn it_learns_in_both_precisions() {
        for precision in [Precision::F32, Precision::Bf16] {
            let training = Training { learning_rate: 1e-2, ..training(precision) };
            let mut trainer = trainer(Arch::Llama, &training, None);
            let rows = Arithmetic.batch(1).rows;
            let before = trainer.validation_loss(&rows, 4).unwrap().unwrap();
            run(&mut trainer, 12);
            let after = trainer.validation_loss(&rows, 4).unwrap().unwrap();
            assert!(after < before - 0.3, "{precision:?}: {before} -> {after}");
            assert_eq!(trainer.validation_loss(&[], 4).unwrap(), None);
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_training_and_is_never_saved() {
        let folder = tempfile::tempdir().unwrap();
        let mut trainer = trainer(Arch::Gpt2, &training(Precision::F32), None);
        run(&mut trainer, 5);
        let saved = trainer.checkpoint(folder.path()).unwrap();
        {
            let _no_grad = tch::no_grad_guard();
            let _ = trainer.model.weights().list()[0].tensor.shallow_clone().f_fill_(f64::NAN).unwrap();
        }
        trainer.step().unwrap();
        let refusal = trainer.checkpoint(folder.path()).unwrap_err().to_string();
        let wanted =
            format!("the loss is NaN somewhere in steps 5..=5; the last good checkpoint is {}", saved.path.display());
        assert!(refusal.starts_with(&wanted), "{refusal}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(trainer.finish(), Err(Error::NonFinite { .. })));
    }

    #[test]
    fn ids_of_another_tokenizer_are_refused() {
        struct Foreign;
        impl Batches for Foreign {
            fn batch(&self, _: u64) -> Batch {
                Batch { rows: vec![Row { ids: vec![1, 61], loss_from: 0 }], words: 1 }
            }
        }
        let model = Model::random(&small(Arch::Llama), 1, Device::Cpu).unwrap();
        let training = training(Precision::F32);
        let mut trainer = Trainer::new(model, &training, 12, Arc::new(Foreign), Options::default()).unwrap();
        let refusal = trainer.step().unwrap_err().to_string();
        assert_eq!(refusal, "id 61 is not in the model's vocabulary of 61: another tokenizer's?");
    }
}
