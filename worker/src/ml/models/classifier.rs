//! A classification head on the body of a language model: that of the official fine-tuning.

use std::cmp::Reverse;
use std::collections::HashMap;

use grid::domain::{Pooling, Precision};
use tch::{Device, Kind, Tensor};

use super::model::Model;
use crate::ml::error::Error;
use crate::ml::weights::{Trainable, Weights};

/// Epsilon of the normalizations in the head.
const NORM_EPS: f64 = 1e-5;

/// A language model whose vocabulary head is replaced by one for a few classes.
///
/// The head: normalize, linear, GELU, normalize, dropout, linear. The normalizations have no weights.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    pooling: Pooling,
    weights: Weights,
    inner: Linear,  // hidden -> hidden
    output: Linear, // hidden -> classes
}

#[derive(Debug)]
struct Linear {
    weight: Tensor, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    fn new(name: &str, inputs: u32, outputs: u32, weights: &mut Weights) -> Result<Self, Error> {
        let (weight, bias) = weights.linear(name, inputs, outputs)?;
        Ok(Self { weight, bias })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

impl Classifier {
    /// A new head for this number of classes, as a function of the seed. The model's vocabulary head is not used.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new(model: Model, classes: u32, pooling: Pooling, seed: u64) -> Result<Self, Error> {
        let hidden = model.config().embedding_width();
        let mut head = Weights::new(model.device());
        let inner = Linear::new("classifier.nonlinearity.1", hidden, hidden, &mut head)?;
        let output = Linear::new("classifier.nonlinearity.5", hidden, classes, &mut head)?;
        head.initialize(seed)?;
        let weights = model.weights().replacing(model.head_name(), &head);
        Ok(Self { model, pooling, weights, inner, output })
    }

    /// The trainable weights: those of the body under their Hugging Face names, then those of the head under the names of
    /// the official fine-tuning.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The body.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The position that is classified.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The logits of the classes for each input.
    ///
    /// # Errors
    /// For inputs that the model cannot process, or if libtorch fails.
    pub fn logits(&self, inputs: &[&[u32]], precision: Precision) -> Result<Vec<Vec<f32>>, Error> {
        let _no_grad = tch::no_grad_guard();
        let device = self.model.device();
        let tokens = if device == Device::Cpu { 4096 } else { 65_536 };
        let mut logits = vec![vec![]; inputs.len()];
        let vocab_size = self.model.config().vocab_size;
        for group in InputGroup::split(inputs, self.pooling, vocab_size, |lengths| sizes_of(lengths, tokens))? {
            let PaddedInputs { ids, positions } = group.padded()?;
            let pooled = self.pooled(&ids.f_to_device(device)?, &positions.f_to_device(device)?, precision)?;
            let values = self.head(&pooled, None)?.f_to_device(Device::Cpu)?; // [inputs, classes]
            let values = Vec::<Vec<f32>>::try_from(values)?;
            for member in group.members {
                logits[member.row].clone_from(&values[member.input]);
            }
        }
        Ok(logits)
    }

    /// The hidden states that are classified, float32: ids `[inputs, width]`, flat positions `[inputs]` -> `[inputs, hidden]`.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn pooled(&self, ids: &Tensor, positions: &Tensor, precision: Precision) -> Result<Tensor, Error> {
        let hidden = self.model.hidden_in(ids, None, precision)?; // [inputs, width, hidden]
        Ok(hidden.f_flatten(0, 1)?.f_index_select(0, positions)?.f_to_kind(Kind::Float)?)
    }

    /// The head: `[rows, hidden]` -> `[rows, classes]`. The input of the last layer is multiplied by the dropout factors
    /// `[rows, hidden]`, if there are any.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn head(&self, pooled: &Tensor, dropout: Option<&Tensor>) -> Result<Tensor, Error> {
        let (_, hidden) = pooled.size2()?;
        let normalize = |x: &Tensor| x.f_layer_norm([hidden], None::<&Tensor>, None::<&Tensor>, NORM_EPS, true);
        let x = self.inner.apply(&normalize(pooled)?)?.f_gelu("none")?;
        let x = normalize(&x)?;
        let x = match dropout {
            Some(factors) => x.f_mul(factors)?,
            None => x,
        };
        self.output.apply(&x)
    }
}

impl Trainable for Classifier {
    fn weights(&self) -> &Weights {
        &self.weights
    }
}

/// Inputs whose hidden states are computed together, and the rows of the batch that have these inputs.
#[derive(Debug)]
pub struct InputGroup<'a> {
    /// Distinct inputs, the longest first, cut to the ids that decide the class.
    pub inputs: Vec<&'a [u32]>,
    /// The rows that have one of these inputs.
    pub members: Vec<GroupMember>,
}

/// A row of a batch in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupMember {
    /// The index of the row in the batch.
    pub row: usize,
    /// The index of its input in the group.
    pub input: usize,
}

/// Inputs as CPU tensors.
#[derive(Debug)]
pub struct PaddedInputs {
    /// Token ids, padded on the right, int64 `[inputs, longest]`.
    pub ids: Tensor,
    /// Index of the last token of each input in the flattened ids, int64 `[inputs]`.
    pub positions: Tensor,
}

impl<'a> InputGroup<'a> {
    /// Splits the inputs of a batch into groups of similar length, each distinct input once. `sizes` gets the lengths of
    /// the distinct inputs, in falling order, and returns the size of each group.
    ///
    /// # Errors
    /// For inputs without any token, or with one that is not in the vocabulary.
    pub fn split(
        inputs: &[&'a [u32]],
        pooling: Pooling,
        vocab_size: u32,
        sizes: impl FnOnce(&[usize]) -> Vec<usize>,
    ) -> Result<Vec<Self>, Error> {
        let mut rows_of: HashMap<&[u32], Vec<usize>> = HashMap::new();
        let mut distinct: Vec<&[u32]> = vec![];
        for (row, input) in inputs.iter().enumerate() {
            let refuse = |reason: String| Err(Error::Input(format!("row {row} of the batch {reason}")));
            if let Some(id) = input.iter().find(|&&id| id >= vocab_size) {
                return refuse(format!(
                    "has id {id}, which is not in the model's vocabulary of {vocab_size}: was the text encoded with \
                     another tokenizer?"
                ));
            }
            let input = relevant(input, pooling);
            if input.is_empty() {
                return refuse("has no token".to_owned());
            }
            let rows = rows_of.entry(input).or_default();
            if rows.is_empty() {
                distinct.push(input);
            }
            rows.push(row);
        }
        distinct.sort_by_key(|input| Reverse(input.len()));
        let lengths: Vec<usize> = distinct.iter().map(|input| input.len()).collect();
        let mut groups = vec![];
        let mut rest = distinct.into_iter();
        for size in sizes(&lengths) {
            let inputs: Vec<&[u32]> = rest.by_ref().take(size).collect();
            let rows_of = &rows_of;
            let members = inputs
                .iter()
                .enumerate()
                .flat_map(|(input, ids)| rows_of[*ids].iter().map(move |&row| GroupMember { row, input }))
                .collect();
            groups.push(Self { inputs, members });
        }
        Ok(groups)
    }

    /// The inputs as tensors.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn padded(&self) -> Result<PaddedInputs, Error> {
        let width = self.inputs[0].len();
        let mut ids = vec![0i64; self.inputs.len() * width];
        let mut positions = Vec::with_capacity(self.inputs.len());
        for (index, input) in self.inputs.iter().enumerate() {
            let start = index * width;
            for (slot, &id) in ids[start..].iter_mut().zip(*input) {
                *slot = i64::from(id);
            }
            // No position of an input attends to the padding behind it.
            positions.push((start + input.len() - 1) as i64);
        }
        Ok(PaddedInputs {
            ids: Tensor::f_from_slice(&ids)?.f_view([self.inputs.len() as i64, width as i64])?,
            positions: Tensor::f_from_slice(&positions)?,
        })
    }
}

/// The ids of an input that decide its class. At its first position, a causal model has read that token alone.
fn relevant(ids: &[u32], pooling: Pooling) -> &[u32] {
    match pooling {
        Pooling::First => &ids[..ids.len().min(1)],
        Pooling::Last => ids,
    }
}

/// The sizes of groups of inputs with these lengths (in falling order), each of about this number of tokens.
fn sizes_of(lengths: &[usize], tokens: usize) -> Vec<usize> {
    let (mut sizes, mut start) = (vec![], 0);
    while let Some(longest) = lengths.get(start) {
        sizes.push((tokens / longest).clamp(1, lengths.len() - start));
        start += sizes[sizes.len() - 1];
    }
    sizes
}

#[cfg(test)]
mod tests;
