//! Next-token prediction: cross entropy over the vocabulary, without ever holding `[tokens, vocab]`.
//!
//! Pretraining predicts every token of a row; instruction tuning masks the loss of the prompt.

use std::ops::Range;

use grid::domain::{ModelConfig, Precision};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Tensor};

use super::objective::{BatchLimits, MicroBatch, Objective, Purpose, copy_to_device};
use crate::ml::batching::grouping::group_by_length;
use crate::ml::error::Error;
use crate::ml::models::Model;
use crate::ml::phases::{Phase, timed};
use crate::ml::shim::{self, Smoothing, VocabularyHead};

/// One training sequence. Some of its ids are predicted, each from all ids before it; the first one never is.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSequence {
    ids: Vec<u32>,
    /// The label smoothing of its targets; `None` for that of the objective.
    smoothing: Option<f32>,
    /// The positions of the predicted ids: ranges in order that do not touch, none of which contains 0.
    targets: Vec<Range<usize>>,
}

impl TrainingSequence {
    /// Predicts the ids from this position on.
    pub fn predicting_from(ids: Vec<u32>, start: usize) -> Self {
        let range = start.max(1)..ids.len();
        Self { targets: if range.is_empty() { vec![] } else { vec![range] }, ids, smoothing: None }
    }

    /// Predicts the ids for which `trained` is true; it has a value for each id at least.
    pub fn predicting_where(ids: Vec<u32>, trained: &[bool]) -> Self {
        let mut targets: Vec<Range<usize>> = vec![];
        for position in (1..ids.len()).filter(|position| trained[*position]) {
            match targets.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => targets.push(position..position + 1),
            }
        }
        Self { ids, targets, smoothing: None }
    }

    /// The same sequence with a label smoothing of its own, in 0..1.
    pub fn with_smoothing(self, smoothing: Option<f32>) -> Self {
        Self { smoothing, ..self }
    }

    /// The token ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The positions of the predicted ids, in order.
    pub fn targets(&self) -> impl Iterator<Item = usize> {
        self.targets.iter().cloned().flatten()
    }

    /// The number of predicted ids.
    pub fn predicted(&self) -> usize {
        self.targets.iter().map(Range::len).sum()
    }
}

/// The objective of pretraining and instruction tuning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LanguageModeling {
    vocab_size: u32,
    precision: Precision,
    /// See [`grid::domain::Training::label_smoothing`]; validation does not smooth.
    label_smoothing: f64,
    /// Validation has none.
    noise: Option<EmbeddingNoise>,
}

/// Uniform noise on the embeddings of training rows; see [`grid::domain::Training::neftune_alpha`]. It is a function of
/// these fields, the step, and the number of the row in the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct EmbeddingNoise {
    alpha: f64,
    seed: u64,
    /// The width of the model.
    hidden: usize,
}

impl EmbeddingNoise {
    /// The noise of the rows of a micro-batch, each given by its number in the batch and its number of input tokens, padded
    /// with zeros: float32 `[rows, longest, hidden]`.
    fn of_rows(self, step: u64, rows: &[(usize, usize)]) -> Result<Tensor, Error> {
        let longest = rows.iter().map(|(_, tokens)| *tokens).max().unwrap_or(0);
        let mut values = vec![0f32; rows.len() * longest * self.hidden];
        for ((number, tokens), row) in rows.iter().zip(values.chunks_mut((longest * self.hidden).max(1))) {
            let mut hasher = blake3::Hasher::new_derive_key("grid noise of embeddings 1");
            for part in [self.seed, step, *number as u64] {
                hasher.update(&part.to_le_bytes());
            }
            let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
            let count = tokens * self.hidden;
            let scale = self.alpha / (count as f64).sqrt();
            for value in &mut row[..count] {
                *value = (scale * (f64::from(random.next_u32()) / 2f64.powi(31) - 1.0)) as f32;
            }
        }
        let size = [rows.len() as i64, longest as i64, self.hidden as i64];
        Ok(Tensor::f_from_slice(&values)?.f_view(size)?)
    }
}

impl LanguageModeling {
    /// The objective for a model of this configuration.
    pub fn new(config: &ModelConfig, precision: Precision, label_smoothing: f64) -> Self {
        Self { vocab_size: config.vocab_size, precision, label_smoothing, noise: None }
    }

    /// Adds noise of this scale to the embeddings of the training rows of a model of this configuration. The seed is that of
    /// the training.
    pub fn with_noise(self, neftune_alpha: f64, seed: u64, config: &ModelConfig) -> Self {
        let noise = EmbeddingNoise { alpha: neftune_alpha, seed, hidden: config.hidden as usize };
        Self { noise: (neftune_alpha > 0.0).then_some(noise), ..self }
    }

    /// Hidden states of the positions before a predicted id, `[predicted, hidden]`. Only these go on to the vocabulary.
    pub(super) fn hidden(&self, model: &Model, micro_batch: &TokenBatch) -> Result<Tensor, Error> {
        self.hidden_with(model, micro_batch, micro_batch.noise.as_ref())
    }

    /// As [`LanguageModeling::hidden`], of another model than the one that is trained, which has its own width.
    pub(super) fn hidden_without_noise(&self, model: &Model, micro_batch: &TokenBatch) -> Result<Tensor, Error> {
        self.hidden_with(model, micro_batch, None)
    }

    fn hidden_with(&self, model: &Model, micro_batch: &TokenBatch, noise: Option<&Tensor>) -> Result<Tensor, Error> {
        let hidden = model.hidden_in(&micro_batch.ids, noise, self.precision)?; // [batch, seq, hidden]
        let (batch, seq, width) = hidden.size3()?;
        let flat = hidden.f_view([batch * seq, width])?;
        let all = micro_batch.predicted as i64 == batch * seq;
        Ok(if all { flat } else { flat.f_index_select(0, &micro_batch.positions)? })
    }

    /// Refuses ids that the model does not know.
    pub(super) fn check_vocabulary<'a>(
        &self,
        sequences: impl IntoIterator<Item = &'a TrainingSequence>,
    ) -> Result<(), Error> {
        let mut ids = sequences.into_iter().flat_map(|sequence| &sequence.ids);
        match ids.find(|&&id| id >= self.vocab_size) {
            None => Ok(()),
            Some(id) => Err(Error::Input(format!(
                "id {id} is not in the model's vocabulary of {}: was the text encoded with another tokenizer?",
                self.vocab_size
            ))),
        }
    }

    /// The head of the model over these hidden states.
    pub(super) fn head<'a>(
        &self,
        model: &'a Model,
        hidden: &'a Tensor,
        micro_batch: &'a TokenBatch,
    ) -> VocabularyHead<'a> {
        // On a CPU the logits of a chunk should stay in its cache.
        let chunk = if model.device() == Device::Cpu { 512 } else { 4096 };
        let bf16 = self.precision == Precision::Bf16;
        VocabularyHead { hidden, weight: model.head(), targets: &micro_batch.targets, chunk, bf16 }
    }
}

impl Objective for LanguageModeling {
    type Model = Model;
    type Example = TrainingSequence;
    type MicroBatch = TokenBatch;

    fn tokens(&self, example: &TrainingSequence) -> usize {
        example.ids.len()
    }

    fn terms(&self, example: &TrainingSequence) -> usize {
        example.predicted()
    }

    /// Rows of similar length, the longest first. Rows without a predicted id are left out where a whole group has none.
    fn micro_batches(
        &self,
        examples: &[TrainingSequence],
        purpose: Purpose,
        BatchLimits { max_rows, device }: BatchLimits,
    ) -> Result<Vec<TokenBatch>, Error> {
        self.check_vocabulary(examples)?;
        let numbered: Vec<(usize, &TrainingSequence)> = examples.iter().enumerate().collect();
        let groups = group_by_length(&numbered, |(_, example)| example.ids.len(), max_rows, device);
        let mut micro_batches = vec![];
        for group in groups {
            let rows: Vec<&TrainingSequence> = group.iter().map(|(_, example)| *example).collect();
            let Some(mut micro_batch) = TokenBatch::new(&rows)? else { continue };
            if rows.iter().any(|row| row.smoothing.is_some()) {
                let of_row = |row: &&TrainingSequence| {
                    std::iter::repeat_n(row.smoothing.unwrap_or(self.label_smoothing as f32), row.predicted())
                };
                let shares: Vec<f32> = rows.iter().flat_map(of_row).collect();
                micro_batch.smoothing = Some(Tensor::f_from_slice(&shares)?);
            }
            if let (Some(noise), Purpose::Training { step }) = (self.noise, purpose) {
                let inputs = group.iter().map(|(number, example)| (*number, example.ids.len().saturating_sub(1)));
                micro_batch.noise = Some(noise.of_rows(step, &inputs.collect::<Vec<_>>())?);
            }
            micro_batches.push(micro_batch);
        }
        Ok(micro_batches)
    }

    /// The head runs forwards and backwards chunk by chunk on detached hidden states; then the rest of the model runs
    /// backwards from their gradient.
    fn backward(&self, model: &Model, micro_batch: &TokenBatch, scale: f64) -> Result<Tensor, Error> {
        let hidden = timed(Phase::Forward, || self.hidden(model, micro_batch))?; // [predicted, hidden]
        let head = self.head(model, &hidden, micro_batch);
        let smoothing = match &micro_batch.smoothing {
            Some(shares) => Smoothing::Each(shares),
            None => Smoothing::Fixed(self.label_smoothing),
        };
        let (loss, gradient) = timed(Phase::Head, || shim::head_loss(head, smoothing, Some(scale)))?;
        if let Some(gradient) = gradient {
            timed(Phase::Backward, || shim::backward(&hidden, &gradient))?;
        }
        Ok(loss)
    }

    fn loss(&self, model: &Model, micro_batch: &TokenBatch) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let hidden = self.hidden(model, micro_batch)?;
        Ok(shim::head_loss(self.head(model, &hidden, micro_batch), Smoothing::Fixed(0.0), None)?.0)
    }
}

/// Rows of token ids, padded on the right to the longest.
#[derive(Debug)]
pub struct TokenBatch {
    /// Every id but the last of each row, int64 `[rows, longest - 1]`.
    ids: Tensor,
    /// Noise on the embeddings of `ids`, float32 `[rows, longest - 1, hidden]`.
    noise: Option<Tensor>,
    /// Indices into the flattened `ids` of the positions before a predicted id, int64 `[predicted]`.
    positions: Tensor,
    /// The predicted ids, int64 `[predicted]`.
    targets: Tensor,
    /// The label smoothing of each predicted id, float32 `[predicted]`, if some row has its own.
    smoothing: Option<Tensor>,
    rows: usize,
    predicted: usize,
}

impl TokenBatch {
    /// Lays out rows as tensors on the CPU; `None` if no id in them is predicted.
    pub(super) fn new(rows: &[&TrainingSequence]) -> Result<Option<Self>, Error> {
        let predicted: usize = rows.iter().map(|row| row.predicted()).sum();
        if predicted == 0 {
            return Ok(None);
        }
        let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0) - 1;
        let mut ids = vec![0i64; rows.len() * width];
        let (mut positions, mut targets) = (Vec::with_capacity(predicted), Vec::with_capacity(predicted));
        for (index, row) in rows.iter().enumerate() {
            let start = index * width;
            // The last id is only predicted. No position of a row attends to the padding behind it.
            let inputs = row.ids.split_last().map_or(&[][..], |(_, inputs)| inputs);
            for (slot, &id) in ids[start..start + width].iter_mut().zip(inputs) {
                *slot = i64::from(id);
            }
            for place in row.targets() {
                positions.push((start + place - 1) as i64);
                targets.push(i64::from(row.ids[place]));
            }
        }
        Ok(Some(Self {
            ids: Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, width as i64])?,
            noise: None,
            positions: Tensor::f_from_slice(&positions)?,
            targets: Tensor::f_from_slice(&targets)?,
            smoothing: None,
            rows: rows.len(),
            predicted,
        }))
    }
}

impl MicroBatch for TokenBatch {
    fn rows(&self) -> usize {
        self.rows
    }

    fn count(&self) -> usize {
        self.predicted
    }

    fn to_device(&self, device: Device) -> Result<Self, Error> {
        Ok(Self {
            ids: copy_to_device(&self.ids, device)?,
            noise: self.noise.as_ref().map(|noise| copy_to_device(noise, device)).transpose()?,
            positions: copy_to_device(&self.positions, device)?,
            targets: copy_to_device(&self.targets, device)?,
            smoothing: self.smoothing.as_ref().map(|shares| copy_to_device(shares, device)).transpose()?,
            rows: self.rows,
            predicted: self.predicted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::small;
    use crate::ml::objectives::objective::LossSum;
    use grid::domain::Arch;
    use tch::{Kind, Reduction};

    fn row(ids: &[u32], loss_from: usize) -> TrainingSequence {
        TrainingSequence::predicting_from(ids.to_vec(), loss_from)
    }

    #[test]
    fn rows_are_padded_and_their_predicted_ids_found() {
        let (long, short) = (row(&[1, 2, 3, 4], 0), row(&[5, 6, 7], 2));
        let batch = TokenBatch::new(&[&long, &short]).unwrap().unwrap();
        assert_eq!(batch.ids.size(), [2, 3]);
        assert_eq!(Vec::<i64>::try_from(batch.ids.flatten(0, -1)).unwrap(), [1, 2, 3, 5, 6, 0]);
        assert_eq!(Vec::<i64>::try_from(batch.positions).unwrap(), [0, 1, 2, 4]);
        assert_eq!(Vec::<i64>::try_from(batch.targets).unwrap(), [2, 3, 4, 7]);
        assert_eq!((batch.predicted, long.predicted(), short.predicted()), (4, 3, 1));
    }

    #[test]
    fn a_mask_gives_the_positions_of_the_predicted_ids() {
        let masked = |mask: &[u8]| {
            let trained: Vec<bool> = mask.iter().map(|byte| *byte == 1).collect();
            TrainingSequence::predicting_where(vec![7; mask.len()], &trained).targets().collect::<Vec<_>>()
        };
        assert_eq!(masked(&[1, 1, 0, 1, 1, 0]), [1, 3, 4], "the first id is never predicted");
        assert_eq!(masked(&[0, 0, 1]), [2]);
        assert!(masked(&[1]).is_empty() && masked(&[]).is_empty() && masked(&[0, 0]).is_empty());
    }

    #[test]
    fn rows_without_a_predicted_id_make_no_batch() {
        for rows in [&[][..], &[&row(&[], 0)], &[&row(&[3], 0), &row(&[3, 4], 2), &row(&[3, 4], 9)]] {
            assert!(TokenBatch::new(rows).unwrap().is_none());
        }
    }

    /// Compares the value and every gradient with those of libtorch's own loss over all logits at once.
    #[test]
    fn the_chunked_loss_equals_that_of_libtorch() {
        for (arch, label_smoothing) in [(Arch::Llama, 0.0), (Arch::Gpt2, 0.0), (Arch::Llama, 0.1)] {
            let model = Model::random(&small(arch), 11, Device::Cpu).unwrap();
            let rows: Vec<TrainingSequence> = (0..60u32)
                .map(|i| (i, (0..2 + (i * 7) % 30).map(|j| (i * 13 + j * 5) % 61).collect()))
                .map(|(i, ids)| match i % 5 {
                    4 => TrainingSequence::predicting_where(ids, &[false, true, false, true, true].repeat(7)),
                    start => TrainingSequence::predicting_from(ids, start as usize),
                })
                .collect();
            let batch = TokenBatch::new(&rows.iter().collect::<Vec<_>>()).unwrap().unwrap();
            assert!(batch.ids.numel() > batch.predicted, "there are positions to leave out");

            let objective = LanguageModeling::new(model.config(), Precision::F32, label_smoothing);
            let loss = objective.backward(&model, &batch, 0.5).unwrap().double_value(&[]);
            let chunked: Vec<Tensor> = model.weights().tensors().map(Tensor::grad).collect();
            shim::clear_gradients(model.weights().tensors()).unwrap();

            let hidden = model.hidden(&batch.ids).unwrap().flatten(0, 1).index_select(0, &batch.positions);
            let logits = hidden.matmul(&model.head().tr());
            let whole =
                logits.cross_entropy_loss(&batch.targets, None::<Tensor>, Reduction::Sum, -100, label_smoothing);
            (&whole * 0.5).backward();
            assert!((loss - whole.double_value(&[])).abs() < 1e-5 * loss, "{arch:?}: {loss} {whole:?}");
            for (weight, gradient) in model.weights().list().iter().zip(chunked) {
                let wanted = weight.tensor.grad();
                let error = (&gradient - &wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]);
                assert!(error < 1e-5, "{arch:?} {:?}: {error}", weight.parts);
            }
            let LossSum { sum, count, .. } = objective.validate(&model, &rows, 7).unwrap();
            assert_eq!(count, batch.predicted as u64);
            assert_eq!((sum - loss).abs() < 1e-5 * loss, label_smoothing == 0.0, "{sum} {loss}");
        }
    }

    /// The noise of a row depends on nothing but its number, the step and the seed.
    #[test]
    fn noise_is_a_function_of_seed_step_and_row() {
        for arch in Arch::TRAINED {
            let config = small(arch);
            let plain = LanguageModeling::new(&config, Precision::F32, 0.0);
            let noisy = plain.with_noise(5.0, 3, &config);
            let rows = [row(&Vec::from_iter(0..9), 0), row(&[4, 4, 4, 4, 5], 0), row(&[4, 4, 4, 4, 5], 0)];
            let noise = |objective: LanguageModeling, step: u64, max_rows| -> Vec<Vec<f32>> {
                let limits = BatchLimits { max_rows, device: Device::Cpu };
                let batches = objective.micro_batches(&rows, Purpose::Training { step }, limits).unwrap();
                let rows = batches.iter().flat_map(|batch| {
                    let noise = batch.noise.as_ref().unwrap();
                    assert_eq!(noise.size()[..2], batch.ids.size());
                    (0..noise.size()[0])
                        .map(|row| Vec::try_from(noise.get(row).flatten(0, -1)).unwrap())
                        .collect::<Vec<_>>()
                });
                rows.collect()
            };
            let (whole, split) = (noise(noisy, 7, Some(3)), noise(noisy, 7, Some(1)));
            let hidden = config.hidden as usize;
            for ((whole, split), tokens) in whole.iter().zip(&split).zip([8, 4, 4]) {
                assert_eq!(whole[..tokens * hidden], split[..tokens * hidden]);
                assert!(whole[tokens * hidden..].iter().all(|value| *value == 0.0), "padding has none");
                let most = 5.0 / ((tokens * hidden) as f32).sqrt();
                let (mut least, mut greatest) = (0f32, 0f32);
                whole.iter().for_each(|value| (least, greatest) = (least.min(*value), greatest.max(*value)));
                assert!(-most <= least && least < -0.9 * most && 0.9 * most < greatest && greatest <= most);
            }
            assert_ne!(split[1], split[2], "rows of equal ids have different noise");
            assert_ne!(noise(noisy, 8, Some(3)), whole);
            assert_ne!(noise(plain.with_noise(5.0, 4, &config), 7, Some(3)), whole);

            let model = Model::random(&config, 11, Device::Cpu).unwrap();
            assert_eq!(noisy.validate(&model, &rows, 3).unwrap(), plain.validate(&model, &rows, 3).unwrap());
            let loss = |objective: LanguageModeling| {
                let limits = BatchLimits { max_rows: None, device: Device::Cpu };
                let batches = objective.micro_batches(&rows, Purpose::Training { step: 1 }, limits).unwrap();
                objective.backward(&model, &batches[0], 1.0).unwrap().double_value(&[])
            };
            assert_ne!(loss(noisy), loss(plain));
            assert_eq!(loss(plain.with_noise(0.0, 3, &config)), loss(plain));
        }
    }

    /// The size of a chunk changes only rounding.
    #[test]
    fn chunks_add_up() {
        let hidden = Tensor::arange(50 * 8, (Kind::Float, Device::Cpu)).sin().view([50, 8]);
        let targets = Tensor::arange(50, (Kind::Int64, Device::Cpu)).remainder(13);
        let run = |chunk| {
            let weight = Tensor::arange(13 * 8, (Kind::Float, Device::Cpu)).cos().view([13, 8]).set_requires_grad(true);
            let head = VocabularyHead { hidden: &hidden, weight: &weight, targets: &targets, chunk, bf16: false };
            let (loss, gradient) = shim::head_loss(head, Smoothing::Fixed(0.1), Some(1.0)).unwrap();
            (loss.double_value(&[]), gradient.unwrap(), weight.grad())
        };
        let (whole, parts) = (run(1000), run(7));
        assert!((whole.0 - parts.0).abs() < 1e-4);
        assert!((&whole.1 - &parts.1).abs().max().double_value(&[]) < 1e-5);
        assert!((&whole.2 - &parts.2).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn bf16_stays_near_float32() {
        for arch in Arch::TRAINED {
            let model = Model::random(&small(arch), 11, Device::Cpu).unwrap();
            let rows = [row(&Vec::from_iter(0..30), 0), row(&Vec::from_iter(20..60), 5)];
            let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| {
                LanguageModeling::new(model.config(), precision, 0.0).validate(&model, &rows, 2).unwrap()
            });
            assert_eq!(f32.count, bf16.count);
            assert_ne!(f32.sum, bf16.sum, "bfloat16 was not used");
            assert!((f32.sum / bf16.sum - 1.0).abs() < 0.01, "{arch:?}: {f32:?} {bf16:?}");
        }
    }
}
