//! What an objective provides to the training loop.

use tch::{Device, Tensor};

use crate::ml::error::Error;
use crate::ml::weights::Trainable;

/// What training minimizes: the mean of a loss over the terms (such as predicted tokens or examples) of a batch.
///
/// The training loop clones the objective for the thread that prepares batches. An objective that needs another model,
/// such as a teacher or a reference model, holds it as `Arc<Mutex<_>>`.
pub trait Objective: Clone + Send + 'static {
    /// The model that is trained.
    type Model: Trainable;
    /// One training example.
    type Example;
    /// Examples that go through the model together.
    type MicroBatch: MicroBatch;

    /// The number of tokens in an example, for the token count of the training.
    fn tokens(&self, example: &Self::Example) -> usize;

    /// The number of terms that an example adds to the loss.
    fn terms(&self, example: &Self::Example) -> usize;

    /// Lays out examples as micro-batches on the CPU. Runs on the thread that prepares batches.
    ///
    /// # Errors
    /// For examples that the model cannot process.
    fn micro_batches(
        &self,
        examples: &[Self::Example],
        purpose: Purpose,
        limits: BatchLimits,
    ) -> Result<Vec<Self::MicroBatch>, Error>;

    /// The names of the numbers that training reports beside the loss. Each is a weighted mean over a batch.
    fn metrics(&self) -> &'static [&'static str] {
        &[]
    }

    /// Prepares the micro-batches of one batch, which are still on the CPU, for an objective whose loss of one example
    /// depends on the whole batch. Runs before any of them goes through [`Objective::backward`] or [`Objective::loss`].
    ///
    /// # Errors
    /// If libtorch fails, also by running out of memory.
    fn prepare_batch(&self, _model: &Self::Model, _micro_batches: &mut [Self::MicroBatch]) -> Result<(), Error> {
        Ok(())
    }

    /// Adds the gradients of `scale` times the summed loss of a micro-batch to the weights.
    ///
    /// Returns a double tensor with the sum without the scale and, for each of [`Objective::metrics`], the weighted sum and
    /// the weight: `[1 + 2 * metrics]`, or 0-dim if there are none.
    ///
    /// # Errors
    /// If libtorch fails, also by running out of memory.
    fn backward(&self, model: &Self::Model, micro_batch: &Self::MicroBatch, scale: f64) -> Result<Tensor, Error>;

    /// The summed validation loss of a micro-batch without gradients and regularization, and the metrics; see
    /// [`Objective::backward`].
    ///
    /// # Errors
    /// If libtorch fails, also by running out of memory.
    fn loss(&self, model: &Self::Model, micro_batch: &Self::MicroBatch) -> Result<Tensor, Error>;

    /// The validation loss over held-out examples, of which at most `max_rows` go through the model together.
    ///
    /// # Errors
    /// See [`Objective::micro_batches`] and [`Objective::loss`].
    fn validate(&self, model: &Self::Model, examples: &[Self::Example], max_rows: u32) -> Result<LossSum, Error> {
        let device = model.weights().device();
        let limits = BatchLimits { max_rows: Some(max_rows), device };
        let mut total = LossSum::default();
        let mut micro_batches = self.micro_batches(examples, Purpose::Validation, limits)?;
        self.prepare_batch(model, &mut micro_batches)?;
        for micro_batch in micro_batches {
            let numbers = self.loss(model, &micro_batch.to_device(device)?)?.f_view([-1])?;
            total.add(&Vec::<f64>::try_from(numbers.f_to_device(Device::Cpu)?)?, micro_batch.count());
        }
        Ok(total)
    }
}

/// Examples that go through the model together, as tensors.
pub trait MicroBatch: Send + Sized + 'static {
    /// The number of rows that go through the model.
    fn rows(&self) -> usize;

    /// The number of terms that its loss is the sum of.
    fn count(&self) -> usize;

    /// A copy on a device. On a GPU, the copy overlaps with other work.
    ///
    /// # Errors
    /// If libtorch fails.
    fn to_device(&self, device: Device) -> Result<Self, Error>;
}

/// What micro-batches are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The optimizer step with this number, from 0; what is random depends on it.
    Training {
        /// The step.
        step: u64,
    },
    /// A measurement, in which nothing is random.
    Validation,
}

/// Limits of a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most rows in it; `None` leaves the number to the lengths of the examples.
    pub max_rows: Option<u32>,
    /// The device of the model.
    pub device: Device,
}

/// The most numbers that an objective reports beside the loss.
const MOST_METRICS: usize = 6;

/// The weighted sum and the weight of each number that an objective reports; those that it does not have are 0.
pub type MetricSums = [[f64; 2]; MOST_METRICS];

/// A summed loss, the number of its terms, and the numbers beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossSum {
    /// The sum, in nats.
    pub sum: f64,
    /// The number of terms.
    pub count: u64,
    /// See [`Objective::metrics`].
    pub metrics: MetricSums,
}

impl LossSum {
    /// Adds the numbers of a micro-batch with this many terms; see [`Objective::backward`].
    fn add(&mut self, numbers: &[f64], count: usize) {
        self.sum += numbers[0];
        self.count += count as u64;
        add_metrics(&mut self.metrics, &numbers[1..]);
    }

    /// The mean loss; `None` without any term.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Adds sums and weights, in turn.
pub fn add_metrics(total: &mut MetricSums, numbers: &[f64]) {
    for (total, more) in total.iter_mut().zip(numbers.as_chunks::<2>().0) {
        total[0] += more[0];
        total[1] += more[1];
    }
}

/// The weighted means of the metrics with these names, without those whose weight is 0.
pub fn metric_means(names: &'static [&'static str], sums: &MetricSums) -> Vec<(&'static str, f64)> {
    let with_weight = names.iter().zip(sums).filter(|(_, [_, weight])| *weight > 0.0);
    with_weight.map(|(name, [sum, weight])| (*name, sum / weight)).collect()
}

/// The CPU tensor on a device; from pinned memory, so that the copy to a GPU runs beside other work.
pub(super) fn copy_to_device(tensor: &Tensor, device: Device) -> Result<Tensor, Error> {
    Ok(match device {
        Device::Cpu => tensor.shallow_clone(),
        _ => tensor.f_pin_memory(device)?.f_to_device_(device, tensor.kind(), true, false)?,
    })
}
