//! The LLaMA family: RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases (Touvron et al. 2023).

use grid::domain::ModelConfig;
use tch::{Device, Kind, Tensor};

use super::attention::{Forest, causal_attention};
use super::error::Error;
use super::weights::Weights;

/// The model; every tensor is shared with the list of weights.
#[derive(Debug)]
pub struct Llama {
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
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
            heads: config.heads.into(),
            kv_heads: config.kv_heads.into(),
            head_dim: config.head_dim.into(),
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

    /// ids `[batch, seq]` -> `[batch, seq, hidden]`
    pub fn hidden(&self, ids: &Tensor, forest: Option<&Forest>) -> Result<Tensor, Error> {
        let (_, seq) = ids.size2()?;
        let turns = self.rotary.turns(seq, forest)?;
        let mut x = Tensor::f_embedding(&self.embedding, ids, -1, false, false)?; // [batch, seq, hidden]
        for block in &self.blocks {
            let h = self.attention(block, &self.normalise(&x, &block.attention_norm)?, &turns, forest)?;
            x = x.f_add(&h)?;
            let h = feed_forward(block, &self.normalise(&x, &block.mlp_norm)?)?;
            x = x.f_add(&h)?;
        }
        self.normalise(&x, &self.norm)
    }

    fn normalise(&self, x: &Tensor, gain: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_rms_norm(gain.size(), Some(gain), self.norm_eps)?)
    }

    /// `[batch, seq, hidden]` -> `[batch, seq, hidden]`
    fn attention(&self, block: &Block, x: &Tensor, turns: &Turns, forest: Option<&Forest>) -> Result<Tensor, Error> {
        let (batch, seq, _) = x.size3()?;
        let (heads, kv_heads, head_dim) = (self.heads, self.kv_heads, self.head_dim);
        let qkv = x.f_linear(&block.qkv, None::<&Tensor>)?;
        let qkv = qkv.f_view([batch, seq, heads + 2 * kv_heads, head_dim])?; // [batch, seq, head, head_dim]
        let parts = qkv.f_split_with_sizes([heads + kv_heads, kv_heads], 2)?;
        let rotated = turns.rotate(&parts[0])?; // queries and keys
        let rotated = rotated.f_split_with_sizes([heads, kv_heads], 2)?;
        let query = rotated[0].f_transpose(1, 2)?; // [batch, head, seq, head_dim]
        let key = self.spread(&rotated[1])?.f_transpose(1, 2)?;
        let value = self.spread(&parts[1])?.f_transpose(1, 2)?;
        let mixed = causal_attention(&query, &key, &value, forest)?; // [batch, head, seq, head_dim]
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([batch, seq, heads * head_dim])?;
        Ok(mixed.f_linear(&block.output, None::<&Tensor>)?)
    }

    /// Gives every query head a key or value head of its own: `[batch, seq, kv_head, d]` -> `[batch, seq, head, d]`.
    fn spread(&self, x: &Tensor) -> Result<Tensor, Error> {
        if self.heads == self.kv_heads {
            return Ok(x.shallow_clone());
        }
        let (batch, seq, kv_heads, head_dim) = x.size4()?;
        let group = self.heads / kv_heads;
        let x = x.f_unsqueeze(3)?.f_expand([batch, seq, kv_heads, group, head_dim], false)?;
        Ok(x.f_reshape([batch, seq, self.heads, head_dim])?)
    }
}

/// SwiGLU: `down(silu(gate(x)) * up(x))`, `[batch, seq, hidden]` -> `[batch, seq, hidden]`.
fn feed_forward(block: &Block, x: &Tensor) -> Result<Tensor, Error> {
    let gate_up = x.f_linear(&block.gate_up, None::<&Tensor>)?; // [batch, seq, 2 * intermediate]
    let parts = gate_up.f_chunk(2, -1)?;
    let inner = parts[0].f_silu()?.f_mul(&parts[1])?; // [batch, seq, intermediate]
    Ok(inner.f_linear(&block.down, None::<&Tensor>)?)
}

/// Rotary positions in the half-split form of Hugging Face (Su et al. 2021).
#[derive(Debug)]
struct Rotary {
    cosine: Tensor, // [1, max_positions, 1, head_dim / 2]
    sine: Tensor,   // [1, max_positions, 1, head_dim / 2]
}

impl Rotary {
    fn new(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        let (positions, half) = (i64::from(config.max_positions), i64::from(config.head_dim / 2));
        // Hugging Face rounds the frequencies to float32 before it multiplies.
        let frequencies: Vec<f32> =
            (0..half).map(|i| config.rope_base.powf(-(i as f64) / half as f64) as f32).collect();
        let steps = Tensor::f_arange(positions, (Kind::Float, Device::Cpu))?;
        let angles = steps.f_outer(&Tensor::f_from_slice(&frequencies)?)?; // [max_positions, head_dim / 2]
        let table = |x: Tensor| x.f_view([1, positions, 1, half])?.f_to_device(device);
        Ok(Self { cosine: table(angles.f_cos()?)?, sine: table(angles.f_sin()?)? })
    }

    /// The angles of positions 0..seq, or of each token of a forest.
    fn turns(&self, seq: i64, forest: Option<&Forest>) -> Result<Turns, Error> {
        let Some(Forest { depths, .. }) = forest else {
            return Ok(Turns { cosine: self.cosine.f_narrow(1, 0, seq)?, sine: self.sine.f_narrow(1, 0, seq)? });
        };
        let (batch, seq) = depths.size2()?;
        let of = |table: &Tensor| -> Result<Tensor, Error> {
            let angles = table.f_index_select(1, &depths.f_flatten(0, 1)?)?; // [1, batch * seq, 1, half]
            Ok(angles.f_view([batch, seq, 1, -1])?)
        };
        Ok(Turns { cosine: of(&self.cosine)?, sine: of(&self.sine)? })
    }
}

/// Angles of some positions, `[1 or batch, seq, 1, head_dim / 2]`.
struct Turns {
    cosine: Tensor,
    sine: Tensor,
}

impl Turns {
    /// `[batch, seq, head, head_dim]` -> the same, every pair (i, i + head_dim / 2) turned by its angle, in float32.
    fn rotate(&self, x: &Tensor) -> Result<Tensor, Error> {
        let (_, _, _, head_dim) = x.size4()?;
        let Turns { cosine, sine } = self;
        let halves = x.f_split(head_dim / 2, 3)?;
        let (low, high) = (&halves[0], &halves[1]); // [batch, seq, head, head_dim / 2]
        let new_low = low.f_mul(cosine)?.f_sub(&high.f_mul(sine)?)?;
        let new_high = high.f_mul(cosine)?.f_add(&low.f_mul(sine)?)?;
        Ok(Tensor::f_cat(&[new_low, new_high], 3)?)
    }
}
