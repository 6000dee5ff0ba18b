//! What an architecture family provides.

use std::fmt::Debug;

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::Layer;
use super::context::Context;
use super::dropout::{DropoutMasks, Place};
use crate::ml::error::Error;
use crate::ml::weights::Weights;

/// What goes into a forward pass.
#[derive(Debug, Clone, Copy)]
pub struct DecoderInputs<'a> {
    /// Token ids, `[batch, seq]` int64.
    pub ids: &'a Tensor,
    /// Noise that is added to the embeddings of the tokens, `[batch, seq, hidden]` float32.
    pub noise: Option<&'a Tensor>,
    /// The position of the first token of each row, int64 `[batch]`; `None` for 0. Only learned positions that count the
    /// padding of a text depend on it.
    pub first_positions: Option<&'a Tensor>,
    /// What is dropped.
    pub dropout: Option<&'a DropoutMasks>,
    /// What the rows hold. Attention, linear layers and position embeddings take it as an argument.
    pub context: Context<'a>,
}

impl<'a> DecoderInputs<'a> {
    /// Token ids in this context, and nothing else.
    pub(super) fn of(ids: &'a Tensor, context: Context<'a>) -> Self {
        Self { ids, noise: None, first_positions: None, dropout: None, context }
    }

    /// The embeddings of the tokens with their noise: embedding `[vocab, hidden]` -> `[batch, seq, hidden]`, float32.
    pub(super) fn embed(&self, embedding: &Tensor) -> Result<Tensor, Error> {
        let tokens = Tensor::f_embedding(embedding, self.ids, -1, false, false)?;
        Ok(match self.noise {
            Some(noise) => tokens.f_add(noise)?,
            None => tokens,
        })
    }

    /// The rows of a table of learned positions, `[positions, width]`, for the tokens: `[batch or 1, seq, width]` or `[seq,
    /// width]`, to be added to their embeddings.
    pub(super) fn position_embeddings(&self, table: &Tensor) -> Result<Tensor, Error> {
        let (_, seq) = self.ids.size2()?;
        let Some(first) = self.first_positions else { return self.context.position_embeddings(table, seq) };
        let steps = Tensor::f_arange(seq, (Kind::Int64, table.device()))?;
        // Only padding on the right can be beyond the last position.
        let rows = first.f_unsqueeze(1)?.f_add(&steps)?.f_clamp_max(table.size()[0] - 1)?;
        Ok(Tensor::f_embedding(table, &rows, -1, false, false)?)
    }

    /// Drops numbers of hidden states, `[batch, seq, width]`, if this is a training with dropout.
    pub(super) fn drop(&self, x: Tensor, place: Place) -> Result<Tensor, Error> {
        match self.dropout {
            Some(dropout) => dropout.drop_hidden(&x, place),
            None => Ok(x),
        }
    }

    /// What the attention of a layer is computed in.
    pub(super) fn layer(&self, index: usize) -> Layer<'a> {
        Layer { context: self.context, dropout: self.dropout, index }
    }
}

/// The forward pass of a model.
pub trait Decoder: Debug + Send {
    /// Final hidden states of the body: `[batch, seq, width]` of this kind.
    ///
    /// # Errors
    /// If libtorch fails.
    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error>;

    /// The same as the vocabulary head takes them: in models that predict masked tokens, it begins with layers of its own.
    ///
    /// # Errors
    /// If libtorch fails.
    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        self.body(inputs, kind)
    }

    /// The same at some tokens only, `[tokens]` int64 in the flattened rows, one of each row: `[tokens, width]`.
    ///
    /// # Errors
    /// If libtorch fails.
    fn hidden_at(&self, inputs: DecoderInputs<'_>, tokens: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        Ok(self.hidden(inputs, kind)?.f_flatten(0, 1)?.f_index_select(0, tokens)?)
    }

    /// The vocabulary head, `[vocab, width]`: logits are `hidden @ head.T`, plus the bias.
    fn head(&self) -> &Tensor;

    /// The bias of the vocabulary head, `[vocab]`, if it has one.
    fn head_bias(&self) -> Option<&Tensor> {
        None
    }
}

/// Name of the vocabulary head in the Hugging Face files of most families.
pub(super) const HEAD: &str = "lm_head.weight";

/// Registers the weights of a model under their Hugging Face names and returns its forward pass.
type Build = fn(&ModelConfig, &mut Weights) -> Result<Box<dyn Decoder>, Error>;

/// The facts of an architecture family besides its forward pass.
#[derive(Debug)]
pub struct Family {
    /// Name of the token embedding in a Hugging Face file. A tied vocabulary head is this tensor.
    pub embedding: &'static str,
    /// Name of the vocabulary head in a Hugging Face file. A tied model need not have this tensor.
    pub head: &'static str,
    /// The beginning of the names of all tensors of a vocabulary head that has layers of its own.
    pub head_layers: Option<&'static str>,
    /// A prefix of all names but that of the head that some Hugging Face files omit.
    pub optional_prefix: Option<&'static str>,
    /// Ends of the names of constant buffers that older files contain and that readers ignore.
    pub ignored_buffers: &'static [&'static str],
    /// Makes a model of this family.
    pub build: Build,
}
