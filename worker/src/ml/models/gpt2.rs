//! The GPT-2 family: LayerNorm, learned positions, GELU in its tanh form, biases, tied head (Radford et al. 2019).

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::{Heads, attention};
use super::context::Context;
use super::decoder::{Decoder, DecoderInputs, Family, HEAD};
use super::dropout::Place;
use super::layers::{LayerNorm, gelu_tanh, transposed_linear};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The GPT-2 family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    head: HEAD,
    head_layers: None,
    optional_prefix: Some("transformer."),
    ignored_buffers: &[".attn.bias", ".attn.masked_bias"],
    build: |config, weights| Ok(Box::new(Gpt2::new(config, weights)?)),
};

const EMBEDDING: &str = "transformer.wte.weight";

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct Gpt2 {
    attention: Heads,
    norm_eps: f64,
    embedding: Tensor, // [vocab, hidden]
    positions: Tensor, // [max_positions, hidden]
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Tensor, // [vocab, hidden]
}

#[derive(Debug)]
struct Block {
    attention_norm: LayerNorm,
    qkv: Linear,    // hidden -> 3 * hidden
    output: Linear, // hidden -> hidden
    mlp_norm: LayerNorm,
    up: Linear,   // hidden -> intermediate
    down: Linear, // intermediate -> hidden
}

/// A linear layer whose weight is stored transposed, `[in, out]`, like that of Hugging Face's `Conv1D`.
#[derive(Debug)]
struct Linear {
    weight: Tensor, // [in, out]
    bias: Tensor,   // [out]
}

impl Gpt2 {
    fn new(config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let std = config.init_std;
        // The projections into the residual stream, two for each layer, start smaller by the square root of their number.
        let residual_std = std / f64::from(2 * config.layers).sqrt();
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let matrix = |name: String, rows: u32| PartShape::normal(name, rows, std);
        let embedding = weights.matrix(vec![matrix(EMBEDDING.into(), config.vocab_size)], hidden)?;
        let positions = weights.matrix(vec![matrix("transformer.wpe.weight".into(), config.max_positions)], hidden)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("transformer.h.{layer}.{part}");
            blocks.push(Block {
                attention_norm: LayerNorm::new(&name("ln_1"), hidden, weights)?,
                qkv: Linear::new(name("attn.c_attn"), hidden, 3 * hidden, std, weights)?,
                output: Linear::new(name("attn.c_proj"), hidden, hidden, residual_std, weights)?,
                mlp_norm: LayerNorm::new(&name("ln_2"), hidden, weights)?,
                up: Linear::new(name("mlp.c_fc"), hidden, intermediate, std, weights)?,
                down: Linear::new(name("mlp.c_proj"), intermediate, hidden, residual_std, weights)?,
            });
        }
        let norm = LayerNorm::new("transformer.ln_f", hidden, weights)?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(vec![matrix(HEAD.into(), config.vocab_size)], hidden)?,
        };
        Ok(Self { attention: Heads::of(config), norm_eps: config.norm_eps, embedding, positions, blocks, norm, head })
    }
}

impl Decoder for Gpt2 {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let context = inputs.context;
        let norm = |norm: &LayerNorm, x: &Tensor| norm.apply(x, self.norm_eps, kind);
        let tokens = inputs.embed(&self.embedding)?; // [batch, seq, hidden]
        let tokens = tokens.f_add(&inputs.position_embeddings(&self.positions)?)?; // float32
        let mut x = inputs.drop(tokens, Place::Embedding)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let packed = block.qkv.apply(&norm(&block.attention_norm, &x)?, context)?; // [batch, seq, 3 * hidden]
            let mixed = attention(&packed, self.attention, None, inputs.layer(layer))?;
            x = x.f_add(&inputs.drop(block.output.apply(&mixed, context)?, Place::Attention(layer))?)?;
            let h = block.up.apply(&norm(&block.mlp_norm, &x)?, context)?; // [batch, seq, intermediate]
            let inner = block.down.apply(&gelu_tanh(&h, context)?, context)?;
            x = x.f_add(&inputs.drop(inner, Place::FeedForward(layer))?)?;
        }
        norm(&self.norm, &x)
    }
}

impl Linear {
    fn new(name: String, inputs: u32, outputs: u32, std: f64, weights: &mut Weights) -> Result<Self, Error> {
        let weight = weights.matrix(vec![PartShape::normal(format!("{name}.weight"), inputs, std)], outputs)?;
        Ok(Self { weight, bias: weights.vector(format!("{name}.bias"), outputs, 0.0)? })
    }

    /// `[batch, seq, in]` -> `[batch, seq, out]`, of the kind of `x`.
    fn apply(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
        transposed_linear(x, &self.weight, &self.bias, context)
    }
}
