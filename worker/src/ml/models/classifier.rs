//! A classification head on the body of a language model: that of the official fine-tuning.

use std::cmp::Reverse;
use std::collections::HashMap;

use grid::domain::{Pooling, Precision};
use tch::{Device, Kind, Tensor};

use super::context::{MASKED, Padding};
use super::dropout::DropoutMasks;
use super::model::{BodyInputs, Model};
use crate::ml::error::Error;
use crate::ml::weights::{Trainable, Weights};

/// Epsilon of the normalizations in the head.
const NORM_EPS: f64 = 1e-5;

/// The number of rows that the official pipeline predicts together, padded to the longest of them.
const OFFICIAL_VALIDATION_BATCH: usize = 64;

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
        let weights = model.weights().replacing(|name| model.is_of_head(name), &head);
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

    /// How the inputs are read.
    pub fn reading(&self) -> Reading {
        let arch = self.model.config().arch;
        Reading {
            pooling: self.pooling,
            whole: arch.reads_whole_texts(),
            counts_padding: arch.counts_left_padding(),
            vocab_size: self.model.config().vocab_size,
        }
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
        let reading = self.reading();
        let inputs = inputs.chunks(OFFICIAL_VALIDATION_BATCH).map(|batch| reading.inputs(batch));
        let inputs = inputs.collect::<Vec<_>>().concat();
        for group in InputGroup::split(&inputs, true, reading.vocab_size, |lengths| sizes_of(lengths, tokens))? {
            let put = |tensor: &Tensor| -> Result<Tensor, Error> { Ok(tensor.f_to_device(device)?) };
            let pooled = self.pooled(&group.padded(self.pooling)?.map(put)?, None, precision)?;
            let values = self.head(&pooled, None)?.f_to_device(Device::Cpu)?; // [inputs, classes]
            let values = Vec::<Vec<f32>>::try_from(values)?;
            for member in group.members {
                logits[member.row].clone_from(&values[member.input]);
            }
        }
        Ok(logits)
    }

    /// The hidden states that are classified, float32 `[inputs, hidden]`.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn pooled(
        &self,
        inputs: &PaddedInputs,
        dropout: Option<&DropoutMasks>,
        precision: Precision,
    ) -> Result<Tensor, Error> {
        let PaddedInputs { ids, positions, padding, first_positions } = inputs;
        let inputs = BodyInputs { ids, padding, first_positions: first_positions.as_ref(), dropout };
        let hidden = self.model.body(inputs, precision)?; // [inputs, width, hidden]
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

/// How the inputs of a classifier are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The position that is classified.
    pub pooling: Pooling,
    /// Whether each token attends to the whole input.
    pub whole: bool,
    /// Whether padding on the left of an input moves its positions.
    pub counts_padding: bool,
    /// The number of tokens in the vocabulary.
    pub vocab_size: u32,
}

/// What decides the class of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClassifierInput<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// The position of the first of them.
    pub first_position: usize,
}

impl Reading {
    /// What decides the classes of the rows of a batch, whose inputs are padded to the longest of them.
    pub fn inputs<'a>(&self, batch: &[&'a [u32]]) -> Vec<ClassifierInput<'a>> {
        let longest = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let input = |ids: &&'a [u32]| match self.pooling {
            // At its first position, a causal model has read that token alone.
            Pooling::First if !self.whole => ClassifierInput { ids: &ids[..ids.len().min(1)], first_position: 0 },
            Pooling::LastLeft if self.counts_padding => ClassifierInput { ids, first_position: longest - ids.len() },
            Pooling::First | Pooling::Last | Pooling::LastLeft => ClassifierInput { ids, first_position: 0 },
        };
        batch.iter().map(input).collect()
    }
}

/// Inputs whose hidden states are computed together, and the rows of the batch that have these inputs.
#[derive(Debug)]
pub struct InputGroup<'a> {
    /// Inputs, the longest first.
    pub inputs: Vec<ClassifierInput<'a>>,
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

/// Inputs as tensors.
#[derive(Debug)]
pub struct PaddedInputs {
    /// Token ids, padded on the right, int64 `[inputs, longest]`.
    pub ids: Tensor,
    /// Index of the token that is classified of each input in the flattened ids, int64 `[inputs]`.
    pub positions: Tensor,
    /// Which ids are padding.
    pub padding: Padding,
    /// The position of the first token of each input, int64 `[inputs]`; `None` if all are 0.
    pub first_positions: Option<Tensor>,
}

impl PaddedInputs {
    /// The result of a function for each of the tensors.
    ///
    /// # Errors
    /// That of the function.
    pub fn map(&self, function: impl Fn(&Tensor) -> Result<Tensor, Error>) -> Result<Self, Error> {
        Ok(Self {
            ids: function(&self.ids)?,
            positions: function(&self.positions)?,
            padding: Padding { mask: function(&self.padding.mask)? },
            first_positions: self.first_positions.as_ref().map(function).transpose()?,
        })
    }
}

impl<'a> InputGroup<'a> {
    /// Splits the inputs of a batch into groups of similar length, each distinct input once if `shared`, otherwise one for
    /// each row. `sizes` gets the lengths of these inputs, in falling order, and returns the size of each group.
    ///
    /// # Errors
    /// For inputs without any token, or with one that is not in the vocabulary.
    pub fn split(
        inputs: &[ClassifierInput<'a>],
        shared: bool,
        vocab_size: u32,
        sizes: impl FnOnce(&[usize]) -> Vec<usize>,
    ) -> Result<Vec<Self>, Error> {
        let mut number_of: HashMap<&ClassifierInput<'_>, usize> = HashMap::new();
        let mut distinct: Vec<(ClassifierInput<'_>, Vec<usize>)> = vec![]; // with the rows that have it
        for (row, input) in inputs.iter().enumerate() {
            let refuse = |reason: String| Err(Error::Input(format!("row {row} of the batch {reason}")));
            if let Some(id) = input.ids.iter().find(|&&id| id >= vocab_size) {
                return refuse(format!(
                    "has id {id}, which is not in the model's vocabulary of {vocab_size}: was the text encoded with \
                     another tokenizer?"
                ));
            }
            if input.ids.is_empty() {
                return refuse("has no token".to_owned());
            }
            match number_of.get(input).filter(|_| shared) {
                Some(&number) => distinct[number].1.push(row),
                None => {
                    number_of.insert(input, distinct.len());
                    distinct.push((*input, vec![row]));
                }
            }
        }
        distinct.sort_by_key(|(input, _)| Reverse(input.ids.len()));
        let lengths: Vec<usize> = distinct.iter().map(|(input, _)| input.ids.len()).collect();
        let mut groups = vec![];
        let mut rest = distinct.into_iter();
        for size in sizes(&lengths) {
            let (inputs, rows): (Vec<_>, Vec<_>) = rest.by_ref().take(size).unzip();
            let members = rows.into_iter().enumerate();
            let members = members.flat_map(|(input, rows)| rows.into_iter().map(move |row| GroupMember { row, input }));
            groups.push(Self { inputs, members: members.collect() });
        }
        Ok(groups)
    }

    /// The inputs as tensors on the CPU.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn padded(&self, pooling: Pooling) -> Result<PaddedInputs, Error> {
        let width = self.inputs[0].ids.len();
        let count = self.inputs.len();
        let (mut ids, mut mask) = (vec![0i64; count * width], vec![MASKED as f32; count * width]);
        let (mut positions, mut first_positions) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (index, input) in self.inputs.iter().enumerate() {
            let start = index * width;
            for (token, &id) in input.ids.iter().enumerate() {
                (ids[start + token], mask[start + token]) = (i64::from(id), 0.0);
            }
            // The padding is behind the input, where no position of a causal model attends to it; `first_positions` moves
            // the positions as padding in front of the input does.
            let classified = match pooling {
                Pooling::First => start,
                Pooling::Last | Pooling::LastLeft => start + input.ids.len() - 1,
            };
            positions.push(classified as i64);
            first_positions.push(input.first_position as i64);
        }
        let moved = first_positions.iter().any(|first| *first > 0);
        let (count, width) = (count as i64, width as i64);
        Ok(PaddedInputs {
            ids: Tensor::f_from_slice(&ids)?.f_view([count, width])?,
            positions: Tensor::f_from_slice(&positions)?,
            padding: Padding { mask: Tensor::f_from_slice(&mask)?.f_view([count, 1, 1, width])? },
            first_positions: moved.then(|| Tensor::f_from_slice(&first_positions)).transpose()?,
        })
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
