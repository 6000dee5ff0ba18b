//! A classifier on top of a model's body: the head of the official fine-tuning, and what it reads.

use std::collections::HashMap;
use std::path::Path;

use grid::domain::{Pooling, Precision};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Kind, Tensor};

use super::batch::cuts;
use super::error::Error;
use super::model::Model;
use super::tensors;
use super::weights::Weights;

/// Epsilon of the head's normalisations.
const NORM_EPS: f64 = 1e-5;

/// A model whose vocabulary head has made way for one of a few classes.
///
/// The head: normalise, linear, GELU, normalise, drop, linear; the normalisations have no weights.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    pooling: Pooling,
    weights: Weights,
    inner: (Tensor, Tensor),  // [hidden, hidden], [hidden]
    output: (Tensor, Tensor), // [classes, hidden], [classes]
}

/// Rows whose body is computed together.
struct Piece<'a> {
    /// Different inputs, the longest first.
    inputs: Vec<&'a [u32]>,
    /// Rows of the batch, and the input of each.
    rows: Vec<(usize, usize)>,
}

impl Classifier {
    /// A fresh head of so many classes, a function of the seed, on a model whose vocabulary head is not used.
    pub fn new(model: Model, classes: u32, pooling: Pooling, seed: u64) -> Result<Self, Error> {
        let hidden = model.config().hidden;
        let mut head = Weights::new(model.device());
        let inner = head.linear("classifier.nonlinearity.1", hidden, hidden)?;
        let output = head.linear("classifier.nonlinearity.5", hidden, classes)?;
        head.initialise(seed)?;
        let weights = model.weights().without_then("lm_head.weight", &head);
        Ok(Self { model, pooling, weights, inner, output })
    }

    /// The weights that are trained: those of the body, then those of the head.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Writes all of them into a new safetensors file: those of the body under their Hugging Face names, those of the
    /// head under the official fine-tuning's.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        tensors::write(path, self.weights.named()?).map(drop)
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.model.device()
    }

    /// Width of the hidden states.
    pub fn width(&self) -> usize {
        self.model.config().hidden as usize
    }

    /// The ids of an input that decide its class. A causal model read at its first position needs that token alone.
    fn read<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        match self.pooling {
            Pooling::First => &ids[..ids.len().min(1)],
            Pooling::Last => ids,
        }
    }

    /// Scores of the classes (logits) of each input.
    pub fn logits(&self, inputs: &[&[u32]], precision: Precision) -> Result<Vec<Vec<f32>>, Error> {
        let _no_grad = tch::no_grad_guard();
        let tokens = if self.device() == Device::Cpu { 4096 } else { 65_536 };
        let mut logits = vec![vec![]; inputs.len()];
        for piece in self.pieces(inputs, |lengths| filled(lengths, tokens))? {
            let pooled = self.pooled(&piece.inputs, precision)?; // [inputs, hidden]
            let values = self.head(&pooled, None)?.f_to_device(Device::Cpu)?; // [inputs, classes]
            let values = Vec::<Vec<f32>>::try_from(values)?;
            for (row, input) in piece.rows {
                logits[row].clone_from(&values[input]);
            }
        }
        Ok(logits)
    }

    /// Adds the gradients of `scale` times the summed cross entropy of a batch to the weights; returns that sum (0-dim,
    /// double).
    ///
    /// The batch goes through the body in pieces of similar length, at most `most` rows in each, so that little is
    /// padded. `keep` (`[rows, hidden]`) multiplies the head's last layer's input: the dropout.
    pub fn backward(
        &self,
        inputs: &[&[u32]],
        labels: &[u32],
        keep: Option<&Tensor>,
        (precision, scale, most): (Precision, f64, Option<u32>),
    ) -> Result<Tensor, Error> {
        let device = self.device();
        let whole =
            |numbers: &[i64]| -> Result<Tensor, Error> { Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?) };
        let mut sum = Tensor::f_zeros(&[] as &[i64], (Kind::Double, device))?;
        for piece in self.pieces(inputs, |lengths| cuts(lengths, most, device))? {
            let pooled = self.pooled(&piece.inputs, precision)?; // [inputs, hidden]
            let (rows, owners): (Vec<i64>, Vec<i64>) =
                piece.rows.iter().map(|&(row, input)| (row as i64, input as i64)).unzip();
            let pooled = pooled.f_index_select(0, &whole(&owners)?)?; // [rows, hidden]
            let keep = match keep {
                Some(keep) => Some(keep.f_index_select(0, &whole(&rows)?)?),
                None => None,
            };
            let logits = self.head(&pooled, keep.as_ref())?; // [rows, classes]
            let targets: Vec<i64> = rows.iter().map(|&row| i64::from(labels[row as usize])).collect();
            let loss =
                logits.f_cross_entropy_loss(&whole(&targets)?, None::<Tensor>, tch::Reduction::Sum, -100, 0.0)?;
            loss.f_mul_scalar(scale)?.f_backward()?;
            sum = sum.f_add(&loss.detach())?;
        }
        Ok(sum)
    }

    /// The hidden state that is classified, of inputs sorted by length: `[inputs, hidden]`, float32.
    fn pooled(&self, inputs: &[&[u32]], precision: Precision) -> Result<Tensor, Error> {
        let width = inputs[0].len();
        let mut ids = vec![0i64; inputs.len() * width];
        let mut positions = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            let start = index * width;
            for (slot, &id) in ids[start..].iter_mut().zip(*input) {
                *slot = i64::from(id);
            }
            // What stands behind an input is seen by none of its positions.
            positions.push((start + input.len() - 1) as i64);
        }
        let device = self.device();
        let put = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(device);
        let ids = put(&ids)?.f_view([inputs.len() as i64, width as i64])?;
        let hidden = self.model.hidden_in(&ids, precision)?; // [inputs, width, hidden]
        Ok(hidden.f_flatten(0, 1)?.f_index_select(0, &put(&positions)?)?.f_to_kind(Kind::Float)?)
    }

    /// `[rows, hidden]` -> `[rows, classes]`
    fn head(&self, pooled: &Tensor, keep: Option<&Tensor>) -> Result<Tensor, Error> {
        let (_, hidden) = pooled.size2()?;
        let normalise = |x: &Tensor| x.f_layer_norm([hidden], None::<&Tensor>, None::<&Tensor>, NORM_EPS, true);
        let x = normalise(pooled)?.f_linear(&self.inner.0, Some(&self.inner.1))?.f_gelu("none")?;
        let x = normalise(&x)?;
        let x = match keep {
            Some(keep) => x.f_mul(keep)?,
            None => x,
        };
        Ok(x.f_linear(&self.output.0, Some(&self.output.1))?)
    }

    /// The inputs without repetition, sorted by length (the longest first, then as they came), in pieces, whose
    /// sizes `cut` finds.
    fn pieces<'a>(
        &self,
        inputs: &[&'a [u32]],
        cut: impl FnOnce(&[usize]) -> Vec<usize>,
    ) -> Result<Vec<Piece<'a>>, Error> {
        let vocab = self.model.config().vocab_size;
        let mut members: HashMap<&[u32], Vec<usize>> = HashMap::new();
        let mut distinct: Vec<&[u32]> = vec![];
        for (row, input) in inputs.iter().enumerate() {
            let refuse = |reason: String| Err(Error::Input(format!("row {row} of the batch {reason}")));
            if let Some(id) = input.iter().find(|&&id| id >= vocab) {
                return refuse(format!("has id {id}, but the vocabulary {vocab}: another tokenizer's?"));
            }
            let input = self.read(input);
            if input.is_empty() {
                return refuse("has no token".to_owned());
            }
            let known = members.entry(input).or_default();
            if known.is_empty() {
                distinct.push(input);
            }
            known.push(row);
        }
        distinct.sort_by_key(|input| std::cmp::Reverse(input.len()));
        let lengths: Vec<usize> = distinct.iter().map(|input| input.len()).collect();
        let mut pieces = vec![];
        let mut rest = distinct.into_iter();
        for size in cut(&lengths) {
            let inputs: Vec<&[u32]> = rest.by_ref().take(size).collect();
            let of_input = |(index, input): (usize, &&[u32])| {
                members[*input].iter().map(move |row| (*row, index)).collect::<Vec<_>>()
            };
            let rows = inputs.iter().enumerate().flat_map(of_input).collect();
            pieces.push(Piece { inputs, rows });
        }
        Ok(pieces)
    }
}

/// Sizes of pieces of these lengths (falling), each of about so many tokens.
fn filled(lengths: &[usize], tokens: usize) -> Vec<usize> {
    let (mut sizes, mut start) = (vec![], 0);
    while let Some(longest) = lengths.get(start) {
        sizes.push((tokens / longest).clamp(1, lengths.len() - start));
        start += sizes[sizes.len() - 1];
    }
    sizes
}

/// Factors of a dropout, 0 or `1 / (1 - share)`: `[rows, width]` on the CPU, a function of these arguments.
pub(super) fn dropout(share: f64, seed: u64, step: u64, (rows, width): (usize, usize)) -> Result<Tensor, Error> {
    let mut hasher = blake3::Hasher::new_derive_key("grid dropout of the classifier 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&step.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    let border = (share * 2f64.powi(32)) as u64;
    let kept = (1.0 / (1.0 - share)) as f32;
    let factors: Vec<f32> =
        (0..rows * width).map(|_| if u64::from(random.next_u32()) < border { 0.0 } else { kept }).collect();
    Ok(Tensor::f_from_slice(&factors)?.f_view([rows as i64, width as i64])?)
}

#[cfg(test)]
mod tests;
