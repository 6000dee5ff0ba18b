//! Classification of sequences: cross entropy over a few classes, with dropout in the head.

use grid::domain::{Dropout, Precision};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Kind, Reduction, Tensor};

use super::objective::{BatchLimits, MicroBatch, Objective, Purpose, copy_to_device};
use crate::ml::batching::grouping::group_sizes;
use crate::ml::error::Error;
use crate::ml::models::{Classifier, DropoutMasks, DropoutRow, GroupMember, InputGroup, PaddedInputs, Reading};
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
    reading: Reading,
    hidden: usize,
    precision: Precision,
    dropout: ClassifierDropout,
    /// The seed of the dropout.
    seed: u64,
}

/// What training drops.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassifierDropout {
    /// The share of the inputs of the head's last layer.
    pub head: f64,
    /// Inside the body.
    pub body: Dropout,
}

impl Classification {
    /// The objective for this classifier. What is dropped is a function of the seed and the step.
    pub fn new(classifier: &Classifier, precision: Precision, dropout: ClassifierDropout, seed: u64) -> Self {
        let hidden = classifier.model().config().embedding_width() as usize;
        Self { reading: classifier.reading(), hidden, precision, dropout, seed }
    }

    /// The summed cross entropy of a micro-batch, 0-dim float32.
    fn cross_entropy(&self, classifier: &Classifier, micro_batch: &LabelledBatch) -> Result<Tensor, Error> {
        let LabelledBatch { padded, inputs, body_dropout, dropout, labels, .. } = micro_batch;
        let pooled = classifier.pooled(padded, body_dropout.as_ref(), self.precision)?; // [inputs, hidden]
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

    /// Groups of inputs of similar length; equal inputs go through the body once, unless it drops something.
    fn micro_batches(
        &self,
        examples: &[LabelledSequence],
        purpose: Purpose,
        BatchLimits { max_rows, device }: BatchLimits,
    ) -> Result<Vec<LabelledBatch>, Error> {
        let factors = match purpose {
            Purpose::Training { step } if self.dropout.head > 0.0 => {
                Some(dropout_factors(self.dropout.head, self.seed, step, examples.len() * self.hidden))
            }
            Purpose::Training { .. } | Purpose::Validation => None,
        };
        let masks = |rows: Vec<DropoutRow>| match purpose {
            Purpose::Training { step } => DropoutMasks::new(self.dropout.body, self.seed, step, rows),
            Purpose::Validation => Ok(None),
        };
        let shared = masks(vec![])?.is_none();
        let ids: Vec<&[u32]> = examples.iter().map(|example| &example.ids[..]).collect();
        let Reading { pooling, vocab_size, .. } = self.reading;
        let sizes = |lengths: &[usize]| group_sizes(lengths, max_rows, device);
        let micro_batch = |group: &InputGroup<'_>| {
            let row =
                |member: &GroupMember| DropoutRow { number: member.row, length: group.inputs[member.input].ids.len() };
            let body_dropout = masks(group.members.iter().map(row).collect())?;
            LabelledBatch::new(group, group.padded(pooling)?, body_dropout, examples, factors.as_deref(), self.hidden)
        };
        InputGroup::split(&self.reading.inputs(&ids), shared, vocab_size, sizes)?.iter().map(micro_batch).collect()
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
    /// The inputs, each distinct one once unless the body drops something.
    padded: PaddedInputs,
    /// What the body drops of the inputs.
    body_dropout: Option<DropoutMasks>,
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
        padded: PaddedInputs,
        body_dropout: Option<DropoutMasks>,
        examples: &[LabelledSequence],
        factors: Option<&[f32]>,
        hidden: usize,
    ) -> Result<Self, Error> {
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
        Ok(Self { padded, body_dropout, inputs, dropout, labels, rows })
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
            padded: self.padded.map(|tensor| copy_to_device(tensor, device))?,
            body_dropout: self.body_dropout.as_ref().map(|masks| masks.on(device)),
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
    use grid::domain::hugging_face::uniform_dropout;
    use grid::domain::{Arch, DropoutPlace, Pooling};

    use super::*;
    use crate::ml::fixtures::{every_kind, masked_kinds, small};
    use crate::ml::models::{BodyInputs, MASKED, Model, Padding, PrefixTree};
    use crate::ml::shim;

    /// Sequences of mixed lengths, some of them equal.
    fn examples() -> Vec<LabelledSequence> {
        let ids = |i: u32| (0..1 + (i * 7) % 29).map(|j| ((i % 15) * 13 + j * 5) % 61).collect();
        (0..20u32).map(|i| LabelledSequence { ids: ids(i), label: i % 3 }).collect()
    }

    /// The head drops a quarter, the body nothing.
    const HEAD: ClassifierDropout =
        ClassifierDropout { head: 0.25, body: Dropout { embedding: 0.0, attention: 0.0, residual: 0.0, layers: 0.0 } };

    /// The logits of one sequence, alone; padded on the left to `longest` tokens if the pooling asks for that. The padding
    /// token is that of RoBERTa, which has no position.
    fn logits_alone(classifier: &Classifier, ids: &[u32], longest: usize, dropout: Option<&Tensor>) -> Tensor {
        let Reading { pooling, whole, .. } = classifier.reading();
        let padding = if pooling == Pooling::LastLeft { longest - ids.len() } else { 0 };
        let wide: Vec<i64> = std::iter::repeat_n(1, padding).chain(ids.iter().map(|&id| i64::from(id))).collect();
        let width = wide.len() as i64;
        let wide = Tensor::from_slice(&wide).view([1, -1]);
        let position = if pooling == Pooling::First { 0 } else { width - 1 };
        let padded = Tensor::arange(width, (Kind::Int64, Device::Cpu)).lt(padding as i64);
        let hidden = if whole {
            let mask = Tensor::zeros([1, 1, 1, width], (Kind::Float, Device::Cpu)).masked_fill(&padded, MASKED);
            let padding = Padding { mask };
            let inputs = BodyInputs { ids: &wide, padding: &padding, first_positions: None, dropout: None };
            classifier.model().body(inputs, Precision::F32).unwrap()
        } else {
            let mask = Tensor::full([width, width], MASKED, (Kind::Float, Device::Cpu)).triu(1);
            let mask = mask.masked_fill(&padded, MASKED).fill_diagonal_(0.0, false).view([1, 1, width, width]);
            let position_ids = Tensor::arange(width, (Kind::Int64, Device::Cpu)).view([1, -1]);
            classifier
                .model()
                .hidden_of_prefix_tree(&wide, &PrefixTree { position_ids, positions: width, mask })
                .unwrap()
        };
        classifier.head(&hidden.select(1, position), dropout).unwrap()
    }

    /// Every way in which inputs are read, in models with positions of all kinds.
    fn classifiers() -> Vec<Classifier> {
        let causal = [(Arch::Llama, Pooling::Last), (Arch::Llama, Pooling::First), (Arch::Llama, Pooling::LastLeft)];
        let gpt2 = [(Arch::Gpt2, Pooling::Last), (Arch::Gpt2, Pooling::LastLeft)]
            .map(|(arch, pooling)| (small(arch), pooling));
        let poolings = [Pooling::First, Pooling::Last, Pooling::LastLeft];
        let masked = masked_kinds().into_iter().flat_map(|config| poolings.map(|pooling| (config.clone(), pooling)));
        let causal = causal.map(|(arch, pooling)| (small(arch), pooling));
        let classifier = |(config, pooling)| {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            Classifier::new(model, 3, pooling, 5).unwrap()
        };
        causal.into_iter().chain(gpt2).chain(masked).map(classifier).collect()
    }

    /// The gradients of the weights, which are then cleared.
    fn take_gradients(classifier: &Classifier) -> Vec<Tensor> {
        let gradients = classifier.weights().tensors().map(|x| x.grad().copy()).collect();
        shim::clear_gradients(classifier.weights().tensors()).unwrap();
        gradients
    }

    /// The summed loss of a step in micro-batches, and the gradients of half of it.
    fn step(
        classifier: &Classifier,
        dropout: ClassifierDropout,
        examples: &[LabelledSequence],
        max_rows: Option<u32>,
    ) -> (f64, Vec<Tensor>) {
        let objective = Classification::new(classifier, Precision::F32, dropout, 1);
        let limits = BatchLimits { max_rows, device: Device::Cpu };
        let batches = objective.micro_batches(examples, Purpose::Training { step: 2 }, limits).unwrap();
        assert_eq!(batches.iter().map(MicroBatch::count).sum::<usize>(), examples.len());
        let sum = |batch| objective.backward(classifier, batch, 0.5).unwrap().double_value(&[]);
        (batches.iter().map(sum).sum(), take_gradients(classifier))
    }

    fn assert_equal_gradients(classifier: &Classifier, got: &[Tensor], wanted: &[Tensor]) {
        for ((weight, got), wanted) in classifier.weights().list().iter().zip(got).zip(wanted) {
            let error = (got - wanted).norm().double_value(&[]);
            let size = wanted.norm().double_value(&[]).max(1e-3);
            let kind = (classifier.model().config().arch, classifier.reading().pooling);
            assert!(error < 1e-4 * size, "{kind:?} {:?}: {error} of {size}", weight.parts);
        }
    }

    /// Micro-batches by length, in which equal inputs appear once, have the loss and gradients of one row after the other.
    #[test]
    fn micro_batches_have_the_gradients_of_single_rows() {
        let examples = examples();
        let longest = examples.iter().map(|example| example.ids.len()).max().unwrap();
        for classifier in classifiers() {
            let factors = Tensor::from_slice(&dropout_factors(0.25, 1, 2, 20 * 32)).view([20, 32]);
            let mut wanted_loss = 0.0;
            for (row, LabelledSequence { ids, label }) in examples.iter().enumerate() {
                let logits = logits_alone(&classifier, ids, longest, Some(&factors.narrow(0, row as i64, 1)));
                let one = logits.cross_entropy_for_logits(&Tensor::from_slice(&[i64::from(*label)]));
                (&one * 0.5).backward();
                wanted_loss += one.double_value(&[]);
            }
            let wanted = take_gradients(&classifier);
            for max_rows in [None, Some(3)] {
                let (loss, gradients) = step(&classifier, HEAD, &examples, max_rows);
                assert!((loss - wanted_loss).abs() < 1e-4, "{loss} {wanted_loss}");
                assert_equal_gradients(&classifier, &gradients, &wanted);
            }
        }
    }

    /// The padding in front of a text moves the positions of GPT-2 and BERT, and of no other model.
    #[test]
    fn left_padding_matters_where_positions_count_it() {
        let inputs: [&[u32]; 2] = [&[5, 9, 2], &[7, 3, 8, 1, 4, 6, 2, 9]];
        for config in Arch::TRAINED.map(small).into_iter().chain(masked_kinds()) {
            let logits = |pooling| {
                let model = Model::random(&config, 3, Device::Cpu).unwrap();
                Classifier::new(model, 3, pooling, 5).unwrap().logits(&inputs, Precision::F32).unwrap()
            };
            let (last, left) = (logits(Pooling::Last), logits(Pooling::LastLeft));
            assert_eq!(last[1], left[1], "{config:?}: the longest text has no padding");
            assert_eq!(last[0] != left[0], matches!(config.arch, Arch::Gpt2 | Arch::Bert(_)), "{config:?}");
        }
    }

    /// What the body drops of a row does not depend on the micro-batches, and each place has its share.
    #[test]
    fn dropout_of_the_body_is_the_same_in_any_micro_batches() {
        let examples = examples();
        let shares = uniform_dropout(Arch::ALL[7], 0.3);
        for config in every_kind().into_iter().chain(masked_kinds()) {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            let classifier = Classifier::new(model, 3, Pooling::Last, 5).unwrap();
            let with =
                |body: Dropout, max_rows| step(&classifier, ClassifierDropout { body, ..HEAD }, &examples, max_rows);
            let ((loss, gradients), (split, of_split)) = (with(shares, None), with(shares, Some(3)));
            assert!((loss - split).abs() < 1e-4, "{config:?}: {loss} {split}");
            assert_equal_gradients(&classifier, &of_split, &gradients);
            let (plain, _) = step(&classifier, HEAD, &examples, None);
            for (place, share) in [
                (DropoutPlace::Embedding, |dropout: Dropout| dropout.embedding),
                (DropoutPlace::Attention, |dropout: Dropout| dropout.attention),
                (DropoutPlace::Residual, |dropout: Dropout| dropout.residual),
            ] as [(_, fn(Dropout) -> f64); 3]
            {
                let (loss, _) = with(Dropout::default().with(place, 0.3), None);
                // A family has the places that its configuration has probabilities for.
                let has_place = share(uniform_dropout(config.arch, 0.3)) > 0.0;
                assert!(!has_place || (loss - plain).abs() > 1e-3, "{config:?} {place:?}: {loss} {plain}");
            }
        }
    }

    /// A share that drops almost nothing gives almost the loss without dropout; a share of 0 exactly that.
    #[test]
    fn dropout_of_the_body_vanishes_with_its_share() {
        let examples = examples();
        for config in every_kind().into_iter().chain(masked_kinds()) {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            let classifier = Classifier::new(model, 3, Pooling::Last, 5).unwrap();
            let with = |share| {
                let body = uniform_dropout(config.arch, share);
                step(&classifier, ClassifierDropout { body, ..HEAD }, &examples, None)
            };
            let ((plain, gradients), (zero, of_zero), (tiny, of_tiny)) =
                (step(&classifier, HEAD, &examples, None), with(0.0), with(1e-12));
            assert_eq!((plain, &gradients), (zero, &of_zero), "{config:?}");
            assert!((plain - tiny).abs() < 1e-4, "{config:?}: {plain} {tiny}");
            assert_equal_gradients(&classifier, &of_tiny, &gradients);
        }
    }

    #[test]
    fn validation_is_the_mean_cross_entropy_without_dropout() {
        let model = Model::random(&small(Arch::Llama), 3, Device::Cpu).unwrap();
        let classifier = Classifier::new(model, 3, Pooling::Last, 5).unwrap();
        let objective = Classification::new(&classifier, Precision::F32, HEAD, 1);
        let (examples, _no_grad) = (examples(), tch::no_grad_guard());
        let of_row = |LabelledSequence { ids, label }: &LabelledSequence| {
            let logits = logits_alone(&classifier, ids, ids.len(), None);
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
