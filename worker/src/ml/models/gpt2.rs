//! The GPT-2 family: LayerNorm, learned positions, GELU in its tanh form, biases, tied head (Radford et al. 2019).

use grid::domain::ModelConfig;
use tch::{Kind, Tensor};

use super::attention::{Heads, causal_attention};
use super::decoder::{Decoder, DecoderInputs, Family, HEAD};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The GPT-2 family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    optional_prefix: Some("transformer."),
    learned_positions: true,
    ignored_buffers: &[".attn.bias", ".attn.masked_bias"],
    check: |config| match config.heads * config.head_dim == config.hidden {
        true => Ok(()),
        false => Err(Error::Input(format!(
            "{} heads of width {} do not fill a width of {}",
            config.heads, config.head_dim, config.hidden
        ))),
    },
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
    norm: Norm,
    head: Tensor, // [vocab, hidden]
}

#[derive(Debug)]
struct Block {
    attention_norm: Norm,
    qkv: Linear,    // hidden -> 3 * hidden
    output: Linear, // hidden -> hidden
    mlp_norm: Norm,
    up: Linear,   // hidden -> intermediate
    down: Linear, // intermediate -> hidden
}

/// A linear layer whose weight is stored transposed, `[in, out]`, like that of Hugging Face's `Conv1D`.
#[derive(Debug)]
struct Linear {
    weight: Tensor, // [in, out]
    bias: Tensor,   // [out]
}

#[derive(Debug)]
struct Norm {
    gain: Tensor, // [hidden]
    bias: Tensor, // [hidden]
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
                attention_norm: Norm::new(name("ln_1"), hidden, weights)?,
                qkv: Linear::new(name("attn.c_attn"), hidden, 3 * hidden, std, weights)?,
                output: Linear::new(name("attn.c_proj"), hidden, hidden, residual_std, weights)?,
                mlp_norm: Norm::new(name("ln_2"), hidden, weights)?,
                up: Linear::new(name("mlp.c_fc"), hidden, intermediate, std, weights)?,
                down: Linear::new(name("mlp.c_proj"), intermediate, hidden, residual_std, weights)?,
            });
        }
        let norm = Norm::new("transformer.ln_f".into(), hidden, weights)?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(vec![matrix(HEAD.into(), config.vocab_size)], hidden)?,
        };
        Ok(Self {
            attention: Heads { queries: config.heads.into(), keys: config.heads.into(), dim: config.head_dim.into() },
            norm_eps: config.norm_eps,
            embedding,
            positions,
            blocks,
            norm,
            head,
        })
    }
}

impl Decoder for Gpt2 {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let DecoderInputs { ids, prefix_tree, .. } = inputs;
        let (_, seq) = ids.size2()?;
        let norm = |norm: &Norm, x: &Tensor| norm.apply(x, self.norm_eps, kind);
        let tokens = inputs.embed(&self.embedding)?; // [batch, seq, hidden]
        let positions = match prefix_tree {
            Some(tree) => Tensor::f_embedding(&self.positions, &tree.position_ids, -1, false, false)?,
            None => self.positions.f_narrow(0, 0, seq)?,
        };
        let mut x = tokens.f_add(&positions)?; // float32
        for block in &self.blocks {
            let packed = block.qkv.apply(&norm(&block.attention_norm, &x)?)?; // [batch, seq, 3 * hidden]
            x = x.f_add(&block.output.apply(&causal_attention(&packed, self.attention, None, prefix_tree)?)?)?;
            let h = block.up.apply(&norm(&block.mlp_norm, &x)?)?; // [batch, seq, intermediate]
            x = x.f_add(&block.down.apply(&h.f_gelu("tanh")?)?)?;
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
    fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        let (batch, seq, inputs) = x.size3()?;
        let (weight, bias) = (self.weight.f_to_kind(x.kind())?, self.bias.f_to_kind(x.kind())?);
        let flat = bias.f_addmm(&x.f_reshape([batch * seq, inputs])?, &weight)?; // [batch * seq, out]
        Ok(flat.f_view([batch, seq, -1])?)
    }
}

impl Norm {
    fn new(name: String, hidden: u32, weights: &mut Weights) -> Result<Self, Error> {
        let gain = weights.vector(format!("{name}.weight"), hidden, 1.0)?;
        Ok(Self { gain, bias: weights.vector(format!("{name}.bias"), hidden, 0.0)? })
    }

    fn apply(&self, x: &Tensor, epsilon: f64, kind: Kind) -> Result<Tensor, Error> {
        let normed = x.f_layer_norm(self.gain.size(), Some(&self.gain), Some(&self.bias), epsilon, true)?;
        Ok(normed.f_to_kind(kind)?)
    }
}
