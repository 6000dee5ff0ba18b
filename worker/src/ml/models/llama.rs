//! The LLaMA family: RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases (Touvron et al. 2023).
//!
//! Other families differ from it in their attention only, and are computed here, too.

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::{Heads, attention};
use super::context::Context;
use super::decoder::{Decoder, DecoderInputs, Family, HEAD};
use super::dropout::Place;
use super::layers::{add_norm, linear, swiglu};
use super::rotary::Rotary;
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The LLaMA family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    head: HEAD,
    head_layers: None,
    optional_prefix: Some("model."),
    ignored_buffers: &[".rotary_emb.inv_freq"],
    build: |config, weights| Ok(Box::new(Llama::new(config, Variant::default(), weights)?)),
};

const EMBEDDING: &str = "model.embed_tokens.weight";

/// What the attention of a derived family has in addition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variant {
    /// Biases of queries, keys and values.
    pub qkv_bias: bool,
    /// An RMSNorm of each query and each key before their rotation.
    pub head_norms: bool,
}

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
pub(super) struct Llama {
    attention: Heads,
    norm_eps: f64,
    rotary: Rotary,
    embedding: Tensor, // [vocab, hidden]
    blocks: Vec<Block>,
    norm: Tensor, // [hidden]
    head: Tensor, // [vocab, hidden]
}

#[derive(Debug)]
struct Block {
    attention_norm: Tensor, // [hidden]
    qkv: Tensor,            // [(heads + 2 * kv_heads) * head_dim, hidden]
    qkv_bias: Option<Tensor>,
    head_norms: Option<HeadNorms>,
    output: Tensor,   // [hidden, heads * head_dim]
    mlp_norm: Tensor, // [hidden]
    gate_up: Tensor,  // [2 * intermediate, hidden]
    down: Tensor,     // [hidden, intermediate]
}

#[derive(Debug)]
struct HeadNorms {
    query: Tensor, // [head_dim]
    key: Tensor,   // [head_dim]
}

impl Llama {
    pub(super) fn new(config: &ModelConfig, variant: Variant, weights: &mut Weights) -> Result<Self, Error> {
        let std = config.init_std;
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let matrix = |name: String, rows: u32| PartShape::normal(name, rows, std);
        let embedding = weights.matrix(vec![matrix(EMBEDDING.into(), config.vocab_size)], hidden)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let biases = [("q", queries), ("k", keys), ("v", keys)]
                .map(|(part, rows)| (format!("model.layers.{layer}.self_attn.{part}_proj.bias"), rows));
            blocks.push(Block {
                attention_norm: weights.vector(name("input_layernorm"), hidden, 1.0)?,
                qkv: weights.matrix(
                    vec![
                        matrix(name("self_attn.q_proj"), queries),
                        matrix(name("self_attn.k_proj"), keys),
                        matrix(name("self_attn.v_proj"), keys),
                    ],
                    hidden,
                )?,
                qkv_bias: variant.qkv_bias.then(|| weights.bias(&biases)).transpose()?,
                head_norms: variant.head_norms.then(|| HeadNorms::new(&name, config, weights)).transpose()?,
                output: weights.matrix(vec![matrix(name("self_attn.o_proj"), hidden)], queries)?,
                mlp_norm: weights.vector(name("post_attention_layernorm"), hidden, 1.0)?,
                gate_up: weights.matrix(
                    vec![matrix(name("mlp.gate_proj"), intermediate), matrix(name("mlp.up_proj"), intermediate)],
                    hidden,
                )?,
                down: weights.matrix(vec![matrix(name("mlp.down_proj"), hidden)], intermediate)?,
            });
        }
        let norm = weights.vector("model.norm.weight".into(), hidden, 1.0)?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(vec![matrix(HEAD.into(), config.vocab_size)], hidden)?,
        };
        Ok(Self {
            attention: Heads::of(config),
            norm_eps: config.norm_eps,
            rotary: Rotary::new(config, weights.device())?,
            embedding,
            blocks,
            norm,
            head,
        })
    }
}

impl Decoder for Llama {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let context = inputs.context;
        let norm = |x: &Tensor, branch: Option<&Tensor>, gain: &Tensor| add_norm(x, branch, gain, self.norm_eps, kind);
        let mut x = inputs.embed(&self.embedding)?; // [batch, seq, hidden], float32
        let mut branch = None; // the output of the previous block, not yet added to x
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = norm(&x, branch.as_ref(), &block.attention_norm)?;
            let packed = self.packed(block, &normed.output, context)?;
            let mixed = attention(&packed, self.attention, Some(&self.rotary), inputs.layer(layer))?;
            let mixed = inputs.drop(linear(&mixed, &block.output, context)?, Place::Attention(layer))?;
            let normed = norm(&normed.residual, Some(&mixed), &block.mlp_norm)?;
            let inner = swiglu(&linear(&normed.output, &block.gate_up, context)?)?; // [batch, seq, intermediate]
            x = normed.residual;
            branch = Some(inputs.drop(linear(&inner, &block.down, context)?, Place::FeedForward(layer))?);
        }
        Ok(norm(&x, branch.as_ref(), &self.norm)?.output)
    }
}

impl Llama {
    /// Queries, keys and values: `[batch, seq, hidden]` -> `[batch, seq, (heads + 2 * kv_heads) * head_dim]`.
    fn packed(&self, block: &Block, x: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
        let mut packed = linear(x, &block.qkv, context)?;
        if let Some(bias) = &block.qkv_bias {
            packed = packed.f_add(&context.weight(bias, packed.kind())?)?;
        }
        match &block.head_norms {
            Some(norms) => norms.apply(&packed, self.attention, self.norm_eps),
            None => Ok(packed),
        }
    }
}

impl HeadNorms {
    fn new(name: &dyn Fn(&str) -> String, config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let query = weights.vector(name("self_attn.q_norm"), config.head_dim, 1.0)?;
        Ok(Self { query, key: weights.vector(name("self_attn.k_norm"), config.head_dim, 1.0)? })
    }

    /// Normalizes the queries and keys among queries, keys and values `[batch, seq, (queries + 2 * keys) * dim]`.
    fn apply(&self, packed: &Tensor, heads: Heads, epsilon: f64) -> Result<Tensor, Error> {
        let (batch, seq, _) = packed.size3()?;
        let Heads { queries, keys, dim, .. } = heads;
        let parts = packed.f_view([batch, seq, -1, dim])?.f_split_with_sizes([queries, keys, keys], 2)?;
        let norm = |x: &Tensor, gain: &Tensor| -> Result<Tensor, Error> {
            Ok(x.f_to_kind(Kind::Float)?.f_rms_norm([dim], Some(gain), epsilon)?.f_to_kind(packed.kind())?)
        };
        let parts = [&norm(&parts[0], &self.query)?, &norm(&parts[1], &self.key)?, &parts[2]];
        Ok(Tensor::f_cat(&parts, 2)?.f_flatten(2, 3)?)
    }
}
