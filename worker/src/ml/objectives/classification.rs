//! Classification of sequences: cross entropy over a few classes, with dropout in the head.

use grid::domain::{ModelConfig, Pooling, Precision};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Kind, Reduction, Tensor};

use super::objective::{BatchLimits, MicroBatch, Objective, Purpose, copy_to_device};
use crate::ml::batching::grouping::group_sizes;
use crate::ml::error::Error;
use crate::ml::models::{Classifier, InputGroup, PaddedInputs};
use crate::ml::phases::{Phase, timed};

/// A sequence and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledSequence {
    /// Token ids, at least one.
    pub ids: Vec<u32>,
    /// The class, from 0.
    pub label: u32,
}

/// The objective of fine-tuning for a classification task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classification {
    pooling: Pooling,
    vocab_size: u32,
    hidden: usize,
    precision: Precision,
    /// The share of the inputs of the head's last layer that training drops.
    dropout: f64,
    /// The seed of the dropout.
    seed: u64,
}

impl Classification {
    /// The objective for this classifier. The share `dropout` of the inputs of its last layer is dropped, as a function
    /// of the seed and the step.
    pub fn new(classifier: &Classifier, precision: Precision, dropout: f64, seed: u64) -> Self {
        let ModelConfig { vocab_size, hidden, .. } = *classifier.model().config();
        Self { pooling: classifier.pooling(), vocab_size, hidden: hidden as usize, precision, dropout, seed }
    }

    /// The summed cross entropy of a micro-batch, 0-dim float32.
    fn cross_entropy(&self, classifier: &Classifier, micro_batch: &LabelledBatch) -> Result<Tensor, Error> {
        let LabelledBatch { ids, positions, inputs, dropout, labels, .. } = micro_batch;
        let pooled = classifier.pooled(ids, positions, self.precision)?; // [inputs, hidden]
        let pooled = pooled.f_index_select(0, inputs)?; // [rows, hidden]
        let logits = classifier.head(&pooled, dropout.as_ref())?; // [rows, classes]
        Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, -100, 0.0)?)
    }
}

impl Objective for Classification {
    type Model = Classifier;
    type Example = LabelledSequence;
    type MicroBatch = LabelledBatch;

    fn tokens(&self, example: &LabelledSequence) -> usize {
        example.ids.len()
    }

    fn terms(&self, _: &LabelledSequence) -> usize {
        1
    }

    /// Groups of inputs of similar length; equal inputs go through the body once.
    fn micro_batches(
        &self,
        examples: &[LabelledSequence],
        purpose: Purpose,
        BatchLimits { max_rows, device }: BatchLimits,
    ) -> Result<Vec<LabelledBatch>, Error> {
        let factors = match purpose {
            Purpose::Training { step } if self.dropout > 0.0 => {
                Some(dropout_factors(self.dropout, self.seed, step, examples.len() * self.hidden))
            }
            Purpose::Training { .. } | Purpose::Validation => None,
        };
        let inputs: Vec<&[u32]> = examples.iter().map(|example| &example.ids[..]).collect();
        let sizes = |lengths: &[usize]| group_sizes(lengths, max_rows, device);
        let groups = InputGroup::split(&inputs, self.pooling, self.vocab_size, sizes)?;
        groups.iter().map(|group| LabelledBatch::new(group, examples, factors.as_deref(), self.hidden)).collect()
    }

    fn backward(&self, classifier: &Classifier, micro_batch: &LabelledBatch, scale: f64) -> Result<Tensor, Error> {
        let loss = timed(Phase::Forward, || self.cross_entropy(classifier, micro_batch))?;
        timed(Phase::Backward, || Ok(loss.f_mul_scalar(scale)?.f_backward()?))?;
        Ok(loss.f_detach()?.f_to_kind(Kind::Double)?)
    }

    fn loss(&self, classifier: &Classifier, micro_batch: &LabelledBatch) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.cross_entropy(classifier, micro_batch)?.f_to_kind(Kind::Double)?)
    }
}

/// Labelled rows whose inputs go through the body together.
#[derive(Debug)]
pub struct LabelledBatch {
    /// The distinct inputs; see [`PaddedInputs`].
    ids: Tensor,
    positions: Tensor,
    /// The input of each row, int64 `[rows]`.
    inputs: Tensor,
    /// Factors of the inputs of the head's last layer, float32 `[rows, hidden]`.
    dropout: Option<Tensor>,
    /// The class of each row, int64 `[rows]`.
    labels: Tensor,
    rows: usize,
}

impl LabelledBatch {
    /// Lays out a group of a batch as tensors on the CPU; `factors` are the dropout factors of the whole batch.
    fn new(
        group: &InputGroup<'_>,
        examples: &[LabelledSequence],
        factors: Option<&[f32]>,
        hidden: usize,
    ) -> Result<Self, Error> {
        let PaddedInputs { ids, positions } = group.padded()?;
        let rows = group.members.len();
        let inputs: Vec<i64> = group.members.iter().map(|member| member.input as i64).collect();
        let labels: Vec<i64> = group.members.iter().map(|member| i64::from(examples[member.row].label)).collect();
        let dropout = match factors {
            Some(factors) => {
                let of_row = |row: usize| &factors[row * hidden..(row + 1) * hidden];
                let own: Vec<f32> = group.members.iter().flat_map(|member| of_row(member.row)).copied().collect();
                Some(Tensor::f_from_slice(&own)?.f_view([rows as i64, hidden as i64])?)
            }
            None => None,
        };
        let (inputs, labels) = (Tensor::f_from_slice(&inputs)?, Tensor::f_from_slice(&labels)?);
        Ok(Self { ids, positions, inputs, dropout, labels, rows })
    }
}

impl MicroBatch for LabelledBatch {
    fn rows(&self) -> usize {
        self.rows
    }

    fn count(&self) -> usize {
        self.rows
    }

    fn to_device(&self, device: Device) -> Result<Self, Error> {
        Ok(Self {
            ids: copy_to_device(&self.ids, device)?,
            positions: copy_to_device(&self.positions, device)?,
            inputs: copy_to_device(&self.inputs, device)?,
            dropout: self.dropout.as_ref().map(|factors| copy_to_device(factors, device)).transpose()?,
            labels: copy_to_device(&self.labels, device)?,
            rows: self.rows,
        })
    }
}

/// Dropout factors, 0 or `1 / (1 - share)`, as a function of these arguments.
fn dropout_factors(share: f64, seed: u64, step: u64, count: usize) -> Vec<f32> {
    let mut hasher = blake3::Hasher::new_derive_key("grid dropout of the classifier 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&step.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    let threshold = (share * 2f64.powi(32)) as u64;
    let kept = (1.0 / (1.0 - share)) as f32;
    (0..count).map(|_| if u64::from(random.next_u32()) < threshold { 0.0 } else { kept }).collect()
}

#[cfg(test)]
mod tests {
    use grid::domain::Arch;

    use super::*;
    use crate::ml::fixtures::small;
    use crate::ml::models::Model;
    use crate::ml::shim;

    /// Sequences of mixed lengths, some of them equal.
    fn examples() -> Vec<LabelledSequence> {
        let ids = |i: u32| (0..1 + (i * 7) % 29).map(|j| ((i % 15) * 13 + j * 5) % 61).collect();
        (0..20u32).map(|i| LabelledSequence { ids: ids(i), label: i % 3 }).collect()
    }

    /// The logits of one sequence, alone and without padding.
    fn logits_alone(classifier: &Classifier, ids: &[u32], dropout: Option<&Tensor>) -> Tensor {
        let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let hidden = classifier.model().hidden(&Tensor::from_slice(&wide).view([1, -1])).unwrap();
        let position = match classifier.pooling() {
            Pooling::First => 0,
            Pooling::Last => ids.len() as i64 - 1,
        };
        classifier.head(&hidden.select(1, position), dropout).unwrap()
    }

    /// Micro-batches by length, in which equal inputs appear once, have the loss and gradients of one row after the other.
    #[test]
    fn micro_batches_have_the_gradients_of_single_rows() {
        let examples = examples();
        for (arch, pooling) in
            [(Arch::Llama, Pooling::Last), (Arch::Gpt2, Pooling::Last), (Arch::Llama, Pooling::First)]
        {
            let model = Model::random(&small(arch), 3, Device::Cpu).unwrap();
            let classifier = Classifier::new(model, 3, pooling, 5).unwrap();
            let objective = Classification::new(&classifier, Precision::F32, 0.25, 1);
            let factors = Tensor::from_slice(&dropout_factors(0.25, 1, 2, 20 * 32)).view([20, 32]);
            for max_rows in [None, Some(3)] {
                let limits = BatchLimits { max_rows, device: Device::Cpu };
                let batches = objective.micro_batches(&examples, Purpose::Training { step: 2 }, limits).unwrap();
                assert_eq!(batches.iter().map(MicroBatch::count).sum::<usize>(), 20);
                let sum = |batch| objective.backward(&classifier, batch, 0.5).unwrap().double_value(&[]);
                let loss: f64 = batches.iter().map(sum).sum();
                let gradients: Vec<Tensor> = classifier.weights().tensors().map(|x| x.grad().copy()).collect();
                shim::clear_gradients(classifier.weights().tensors()).unwrap();
                let mut wanted_loss = 0.0;
                for (row, LabelledSequence { ids, label }) in examples.iter().enumerate() {
                    let logits = logits_alone(&classifier, ids, Some(&factors.narrow(0, row as i64, 1)));
                    let one = logits.cross_entropy_for_logits(&Tensor::from_slice(&[i64::from(*label)]));
                    (&one * 0.5).backward();
                    wanted_loss += one.double_value(&[]);
                }
                assert!((loss - wanted_loss).abs() < 1e-4, "{loss} {wanted_loss}");
                for (weight, gradient) in classifier.weights().list().iter().zip(gradients) {
                    let wanted = weight.tensor.grad();
                    let error = (&gradient - &wanted).norm().double_value(&[]);
                    let size = wanted.norm().double_value(&[]).max(1e-3);
                    assert!(error < 1e-4 * size, "{arch:?} {pooling:?} {:?}: {error} of {size}", weight.parts);
                }
                shim::clear_gradients(classifier.weights().tensors()).unwrap();
            }
        }
    }

    #[test]
    fn validation_is_the_mean_cross_entropy_without_dropout() {
        let model = Model::random(&small(Arch::Llama), 3, Device::Cpu).unwrap();
        let classifier = Classifier::new(model, 3, Pooling::Last, 5).unwrap();
        let objective = Classification::new(&classifier, Precision::F32, 0.25, 1);
        let (examples, _no_grad) = (examples(), tch::no_grad_guard());
        let of_row = |LabelledSequence { ids, label }: &LabelledSequence| {
            let logits = logits_alone(&classifier, ids, None);
            logits.cross_entropy_for_logits(&Tensor::from_slice(&[i64::from(*label)])).double_value(&[])
        };
        let wanted = examples.iter().map(of_row).sum::<f64>() / examples.len() as f64;
        let mean = objective.validate(&classifier, &examples, 7).unwrap().mean().unwrap();
        assert!((mean - wanted).abs() < 1e-5, "{mean} {wanted}");
    }

    #[test]
    fn dropout_drops_its_share_and_keeps_the_mean() {
        let factors = dropout_factors(0.1, 1, 7, 400 * 500);
        let share = factors.iter().filter(|factor| **factor == 0.0).count() as f64 / factors.len() as f64;
        assert!((share - 0.1).abs() < 0.003, "{share}");
        let mean = factors.iter().copied().map(f64::from).sum::<f64>() / factors.len() as f64;
        assert!((mean - 1.0).abs() < 0.003, "{mean}");
        assert_eq!(factors, dropout_factors(0.1, 1, 7, 400 * 500));
        assert_ne!(factors, dropout_factors(0.1, 1, 8, 400 * 500));
    }
}
