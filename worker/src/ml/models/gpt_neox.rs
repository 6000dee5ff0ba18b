//! The GPT-NeoX family, such as Pythia: LayerNorm, partly rotary positions, GELU, biases, attention and feed-forward layers
//! side by side (Black et al. 2022, Biderman et al. 2023).

use grid::domain::{Arch, GptNeox as Facts, ModelConfig};
use tch::{Kind, Tensor};

use super::attention::{Heads, attention};
use super::decoder::{Decoder, DecoderInputs, Family};
use super::dropout::Place;
use super::layers::{LayerNorm, Linear, gelu};
use super::rotary::Rotary;
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The GPT-NeoX family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    head: HEAD,
    head_layers: None,
    optional_prefix: Some("gpt_neox."),
    ignored_buffers: &[
        ".attention.bias",
        ".attention.masked_bias",
        ".attention.rotary_emb.inv_freq",
        ".rotary_emb.inv_freq",
    ],
    build: |config, weights| Ok(Box::new(GptNeox::new(config, weights)?)),
};

const EMBEDDING: &str = "gpt_neox.embed_in.weight";
const HEAD: &str = "embed_out.weight";

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct GptNeox {
    attention: Heads,
    facts: Facts,
    norm_eps: f64,
    rotary: Rotary,
    embedding: Tensor, // [vocab, hidden]
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Tensor, // [vocab, hidden]
}

#[derive(Debug)]
struct Block {
    attention_norm: LayerNorm,
    mlp_norm: LayerNorm,
    qkv: Linear, // hidden -> query, key and value of the first head, then those of the second, ...
    output: Linear,
    up: Linear,   // hidden -> intermediate
    down: Linear, // intermediate -> hidden
}

impl GptNeox {
    fn new(config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let (std, hidden, intermediate) = (config.init_std, config.hidden, config.intermediate);
        let Arch::GptNeox(facts) = config.arch else {
            return Err(Error::Input(format!("{} is not a model of the GPT-NeoX family", config.arch.name())));
        };
        let matrix = |name: &str| vec![PartShape::normal(name.to_owned(), config.vocab_size, std)];
        let embedding = weights.matrix(matrix(EMBEDDING), hidden)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("gpt_neox.layers.{layer}.{part}");
            let attention_norm = LayerNorm::new(&name("input_layernorm"), hidden, weights)?;
            let mlp_norm = LayerNorm::new(&name("post_attention_layernorm"), hidden, weights)?;
            let mut linear = |part: &str, inputs: u32, outputs: u32, bias: bool| {
                Linear::new(&[(name(part), outputs)], inputs, std, bias, weights)
            };
            blocks.push(Block {
                attention_norm,
                mlp_norm,
                qkv: linear("attention.query_key_value", hidden, 3 * hidden, facts.attention_bias)?,
                output: linear("attention.dense", hidden, hidden, facts.attention_bias)?,
                up: linear("mlp.dense_h_to_4h", hidden, intermediate, true)?,
                down: linear("mlp.dense_4h_to_h", intermediate, hidden, true)?,
            });
        }
        let norm = LayerNorm::new("gpt_neox.final_layer_norm", hidden, weights)?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(matrix(HEAD), hidden)?,
        };
        Ok(Self {
            attention: Heads::of(config),
            facts,
            norm_eps: config.norm_eps,
            rotary: Rotary::new(config, weights.device())?,
            embedding,
            blocks,
            norm,
            head,
        })
    }

    /// The queries of all heads, then the keys, then the values: `[batch, seq, 3 * hidden]` -> the same.
    fn packed(&self, by_head: &Tensor) -> Result<Tensor, Error> {
        let (batch, seq, _) = by_head.size3()?;
        let Heads { queries, dim, .. } = self.attention;
        let by_head = by_head.f_view([batch, seq, queries, 3, dim])?;
        Ok(by_head.f_transpose(2, 3)?.f_reshape([batch, seq, 3 * queries * dim])?)
    }
}

impl Decoder for GptNeox {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let context = inputs.context;
        let norm = |norm: &LayerNorm, x: &Tensor| norm.apply(x, self.norm_eps, kind);
        let tokens = inputs.embed(&self.embedding)?; // [batch, seq, hidden], float32
        let mut x = inputs.drop(tokens, Place::Embedding)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let packed = self.packed(&block.qkv.apply(&norm(&block.attention_norm, &x)?, context)?)?;
            let mixed = attention(&packed, self.attention, Some(&self.rotary), inputs.layer(layer))?;
            let mixed = inputs.drop(block.output.apply(&mixed, context)?, Place::Attention(layer))?;
            let sum = x.f_add(&mixed)?;
            let normed = norm(&block.mlp_norm, if self.facts.parallel { &x } else { &sum })?;
            let inner = gelu(&block.up.apply(&normed, context)?, self.facts.gelu)?; // [batch, seq, intermediate]
            x = sum.f_add(&inputs.drop(block.down.apply(&inner, context)?, Place::FeedForward(layer))?)?;
        }
        norm(&self.norm, &x)
    }
}
