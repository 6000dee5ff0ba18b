//! The LLaMA family: RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases (Touvron et al. 2023).

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::{Heads, Rotary, causal_attention};
use super::decoder::{Decoder, DecoderInputs, Family, HEAD};
use super::layers::{add_norm, linear, swiglu};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The LLaMA family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    optional_prefix: Some("model."),
    learned_positions: false,
    ignored_buffers: &[".rotary_emb.inv_freq"],
    check: |config| match config.head_dim.is_multiple_of(2) {
        true => Ok(()),
        false => Err(Error::Input(format!("rotary positions need heads of even width, not {}", config.head_dim))),
    },
    build: |config, weights| Ok(Box::new(Llama::new(config, weights)?)),
};

const EMBEDDING: &str = "model.embed_tokens.weight";

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct Llama {
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
    output: Tensor,         // [hidden, heads * head_dim]
    mlp_norm: Tensor,       // [hidden]
    gate_up: Tensor,        // [2 * intermediate, hidden]
    down: Tensor,           // [hidden, intermediate]
}

impl Llama {
    fn new(config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let std = config.init_std;
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let matrix = |name: String, rows: u32| PartShape::normal(name, rows, std);
        let embedding = weights.matrix(vec![matrix(EMBEDDING.into(), config.vocab_size)], hidden)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
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
            attention: Heads {
                queries: config.heads.into(),
                keys: config.kv_heads.into(),
                dim: config.head_dim.into(),
            },
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

    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let norm = |x: &Tensor, branch: Option<&Tensor>, gain: &Tensor| add_norm(x, branch, gain, self.norm_eps, kind);
        let mut x = inputs.embed(&self.embedding)?; // [batch, seq, hidden], float32
        let mut branch = None; // the output of the previous block, not yet added to x
        for block in &self.blocks {
            let normed = norm(&x, branch.as_ref(), &block.attention_norm)?;
            let packed = linear(&normed.output, &block.qkv)?; // [batch, seq, (heads + 2 * kv_heads) * head_dim]
            let mixed = causal_attention(&packed, self.attention, Some(&self.rotary), inputs.prefix_tree)?;
            let mixed = linear(&mixed, &block.output)?;
            let normed = norm(&normed.residual, Some(&mixed), &block.mlp_norm)?;
            let inner = swiglu(&linear(&normed.output, &block.gate_up)?)?; // [batch, seq, intermediate]
            x = normed.residual;
            branch = Some(linear(&inner, &block.down)?);
        }
        Ok(norm(&x, branch.as_ref(), &self.norm)?.output)
    }
}
