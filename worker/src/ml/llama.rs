//! The LLaMA family: RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases (Touvron et al. 2023).

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::{Forest, Heads, Rotary, causal_attention};
use super::error::Error;
use super::ops::{add_norm, linear, swiglu};
use super::weights::Weights;

/// The model; every tensor is shared with the list of weights.
#[derive(Debug)]
pub struct Llama {
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
    /// Registers the weights of this shape.
    pub fn new(config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let std = config.init_std;
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let embedding = weights.matrix(&[("model.embed_tokens.weight".into(), config.vocab_size, std)], hidden)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            blocks.push(Block {
                attention_norm: weights.vector(name("input_layernorm"), hidden, 1.0)?,
                qkv: weights.matrix(
                    &[
                        (name("self_attn.q_proj"), queries, std),
                        (name("self_attn.k_proj"), keys, std),
                        (name("self_attn.v_proj"), keys, std),
                    ],
                    hidden,
                )?,
                output: weights.matrix(&[(name("self_attn.o_proj"), hidden, std)], queries)?,
                mlp_norm: weights.vector(name("post_attention_layernorm"), hidden, 1.0)?,
                gate_up: weights.matrix(
                    &[(name("mlp.gate_proj"), intermediate, std), (name("mlp.up_proj"), intermediate, std)],
                    hidden,
                )?,
                down: weights.matrix(&[(name("mlp.down_proj"), hidden, std)], intermediate)?,
            });
        }
        let norm = weights.vector("model.norm.weight".into(), hidden, 1.0)?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(&[("lm_head.weight".into(), config.vocab_size, std)], hidden)?,
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

    /// `[vocab, hidden]`
    pub fn head(&self) -> &Tensor {
        &self.head
    }

    /// ids `[batch, seq]` -> `[batch, seq, hidden]` of this kind.
    pub fn hidden(&self, ids: &Tensor, forest: Option<&Forest>, kind: Kind) -> Result<Tensor, Error> {
        let norm = |x: &Tensor, branch: Option<&Tensor>, gain: &Tensor| add_norm(x, branch, gain, self.norm_eps, kind);
        let mut x = Tensor::f_embedding(&self.embedding, ids, -1, false, false)?; // [batch, seq, hidden], float32
        let mut branch = None; // what the block before has still to add to x
        for block in &self.blocks {
            let normed = norm(&x, branch.as_ref(), &block.attention_norm)?;
            let packed = linear(&normed.output, &block.qkv)?; // [batch, seq, (heads + 2 * kv_heads) * head_dim]
            let mixed = causal_attention(&packed, self.attention, Some(&self.rotary), forest)?;
            let mixed = linear(&mixed, &block.output)?;
            let normed = norm(&normed.residual, Some(&mixed), &block.mlp_norm)?;
            let inner = swiglu(&linear(&normed.output, &block.gate_up)?)?; // [batch, seq, intermediate]
            x = normed.residual;
            branch = Some(linear(&inner, &block.down)?);
        }
        Ok(norm(&x, branch.as_ref(), &self.norm)?.output)
    }
}
