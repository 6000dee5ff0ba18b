//! What an architecture family provides.

use std::fmt::Debug;

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::PrefixTree;
use crate::ml::error::Error;
use crate::ml::weights::Weights;

/// What goes into a forward pass.
#[derive(Debug, Clone, Copy)]
pub struct DecoderInputs<'a> {
    /// Token ids, `[batch, seq]` int64.
    pub ids: &'a Tensor,
    /// Noise that is added to the embeddings of the tokens, `[batch, seq, hidden]` float32.
    pub noise: Option<&'a Tensor>,
    /// The texts with shared prefixes that a row holds. Without it, each row is one text that starts at position 0.
    pub prefix_tree: Option<&'a PrefixTree>,
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
    /// Final hidden states, normalized: `[batch, seq, hidden]` of this kind.
    ///
    /// # Errors
    /// If libtorch fails.
    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error>;

    /// The vocabulary head, `[vocab, hidden]`: logits are `hidden @ head.T`.
    fn head(&self) -> &Tensor;
}

/// Name of the vocabulary head in a Hugging Face file, in every family. A tied model need not have this tensor.
pub const HEAD: &str = "lm_head.weight";

/// Registers the weights of a model under their Hugging Face names and returns its forward pass.
type Build = fn(&ModelConfig, &mut Weights) -> Result<Box<dyn Decoder>, Error>;

/// The facts of an architecture family besides its forward pass.
#[derive(Debug)]
pub struct Family {
    /// Name of the token embedding in a Hugging Face file. A tied vocabulary head is this tensor.
    pub embedding: &'static str,
    /// A prefix of all names that some Hugging Face files omit.
    pub optional_prefix: Option<&'static str>,
    /// Whether each position has an embedding of its own, so that a text cannot be longer than the number of positions.
    /// Rotary positions are computed for a text of any length.
    pub learned_positions: bool,
    /// Ends of the names of constant buffers that older files contain and that readers ignore.
    pub ignored_buffers: &'static [&'static str],
    /// Fails for a configuration that the family cannot compute.
    pub check: fn(&ModelConfig) -> Result<(), Error>,
    /// Makes a model of this family.
    pub build: Build,
}
