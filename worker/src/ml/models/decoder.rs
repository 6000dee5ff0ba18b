//! What an architecture family provides.

use std::fmt::Debug;

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::context::Context;
use crate::ml::error::Error;
use crate::ml::weights::Weights;

/// What goes into a forward pass.
#[derive(Debug, Clone, Copy)]
pub struct DecoderInputs<'a> {
    /// Token ids, `[batch, seq]` int64.
    pub ids: &'a Tensor,
    /// Noise that is added to the embeddings of the tokens, `[batch, seq, hidden]` float32.
    pub noise: Option<&'a Tensor>,
    /// What the rows hold. Attention, linear layers and position embeddings take it as an argument.
    pub context: Context<'a>,
}

impl DecoderInputs<'_> {
    /// The embeddings of the tokens with their noise: embedding `[vocab, hidden]` -> `[batch, seq, hidden]`, float32.
    pub(super) fn embed(&self, embedding: &Tensor) -> Result<Tensor, Error> {
        let tokens = Tensor::f_embedding(embedding, self.ids, -1, false, false)?;
        Ok(match self.noise {
            Some(noise) => tokens.f_add(noise)?,
            None => tokens,
        })
    }
}

/// The forward pass of a model.
pub trait Decoder: Debug + Send {
    /// Final hidden states, as the vocabulary head takes them: `[batch, seq, width]` of this kind.
    ///
    /// # Errors
    /// If libtorch fails.
    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error>;

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
    /// A prefix of all names but that of the head that some Hugging Face files omit.
    pub optional_prefix: Option<&'static str>,
    /// Ends of the names of constant buffers that older files contain and that readers ignore.
    pub ignored_buffers: &'static [&'static str],
    /// Makes a model of this family.
    pub build: Build,
}
