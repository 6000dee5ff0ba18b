//! LTG-BERT and GPT-BERT: encoders with disentangled attention to relative positions and gated feed-forward layers (Samuel
//! et al. 2023). GPT-BERT gates attention too, sums the outputs of all layers, and also predicts from the left (Charpentier
//! and Samuel 2024; the sums by Pagliardini et al. 2024).

use grid::domain::{Arch, Gelu, ModelConfig, PositionSplit};
use tch::{Kind, Tensor};

use super::attention::Heads;
use super::context::Context;
use super::decoder::{Decoder, DecoderInputs, Family};
use super::dropout::Place;
use super::layers::{LayerNorm, Linear, gelu, linear};
use super::relative::{RelativeAttention, RelativePositions};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The LTG-BERT family.
pub(super) const LTG_BERT: Family = Family {
    embedding: "embedding.word_embedding.weight",
    head: "classifier.nonlinearity.5.weight",
    head_layers: Some("classifier.nonlinearity."),
    optional_prefix: None,
    ignored_buffers: &[".attention.position_indices"],
    build: |config, weights| Ok(Box::new(LtgBert::new(config, &LTG_BERT, weights)?)),
};

/// The GPT-BERT family.
pub(super) const GPT_BERT: Family = Family {
    embedding: "model.embedding.word_embedding.weight",
    head: "lm_head.nonlinearity.5.weight",
    head_layers: Some("lm_head.nonlinearity."),
    optional_prefix: None,
    ignored_buffers: &[".position_indices"],
    build: |config, weights| Ok(Box::new(LtgBert::new(config, &GPT_BERT, weights)?)),
};

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct LtgBert {
    attention: Heads,
    norm_eps: f64,
    embedding: Tensor, // [vocab, hidden]
    relative: Tensor,  // [2 * bucket - 1, hidden]
    relative_norm: LayerNorm,
    positions: RelativePositions,
    blocks: Vec<Block>,
    /// Of GPT-BERT: the weights of the embeddings and of all outputs so far in the input of what follows each of the two
    /// layers of a block.
    sums: Option<Vec<Tensor>>,
    transform: Linear, // hidden -> hidden
    head: Tensor,      // [vocab, hidden]
    head_bias: Tensor, // [vocab]
}

#[derive(Debug)]
struct Block {
    query_key: Linear, // hidden -> 2 * hidden
    value: Linear,     // hidden -> hidden, or values and gates of 2 * hidden
    output: Linear,
    /// Of LTG-BERT, after the output; GPT-BERT normalizes in front of it, without weights.
    output_norm: Option<LayerNorm>,
    up: Tensor,   // [2 * intermediate, hidden]
    down: Tensor, // [hidden, intermediate]
}

impl LtgBert {
    fn new(config: &ModelConfig, family: &Family, weights: &mut Weights) -> Result<Self, Error> {
        let (std, hidden, inner) = (config.init_std, config.hidden, config.intermediate);
        let (bucket, split) = match config.arch {
            Arch::LtgBert(facts) => (facts.bucket, facts.split),
            Arch::GptBert(facts) => (facts.bucket, PositionSplit::Halves),
            other => return Err(Error::Input(format!("{} is not a model of the LTG-BERT family", other.name()))),
        };
        let gated = matches!(config.arch, Arch::GptBert(_));
        let (base, _) = family.embedding.split_once("word_embedding").unwrap_or_default();
        let head_base = family.head.trim_end_matches("5.weight");
        let matrix = |name: String, rows: u32| vec![PartShape::normal(name, rows, std)];
        let embedding = weights.matrix(matrix(family.embedding.to_owned(), config.vocab_size), hidden)?;
        let relative = weights.matrix(matrix(format!("{base}relative_embedding"), 2 * bucket - 1), hidden)?;
        let relative_norm = LayerNorm::new(&format!("{base}relative_layer_norm"), hidden, weights)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let (attention, mlp) = match gated {
                true => (format!("model.attention_layers.{layer}."), format!("model.mlp_layers.{layer}.mlp.")),
                false => {
                    let layer = format!("transformer.layers.{layer}.");
                    (format!("{layer}attention."), format!("{layer}mlp.mlp."))
                }
            };
            let mut linear = |part: &str, outputs: u32| {
                Linear::new(&[(format!("{attention}{part}"), outputs)], hidden, std, true, weights)
            };
            let query_key = linear("in_proj_qk", 2 * hidden)?;
            let value = if gated { linear("in_proj_vg", 2 * hidden)? } else { linear("in_proj_v", hidden)? };
            let output = linear("out_proj", hidden)?;
            let norm = || LayerNorm::new(&format!("{attention}post_layer_norm"), hidden, weights);
            let output_norm = (!gated).then(norm).transpose()?;
            let up = weights.matrix(matrix(format!("{mlp}1.weight"), 2 * inner), hidden)?;
            let down = weights.matrix(matrix(format!("{mlp}4.weight"), hidden), inner)?;
            blocks.push(Block { query_key, value, output, output_norm, up, down });
        }
        let sum = |index: u32| {
            let name = format!("model.dwa_modules.alphas.{index}");
            weights.vector(name, index + 2, 1.0 / (index + 2) as f32)
        };
        let sums = gated.then(|| (0..2 * config.layers).map(sum).collect::<Result<_, Error>>()).transpose()?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => weights.matrix(matrix(family.head.to_owned(), config.vocab_size), hidden)?,
        };
        Ok(Self {
            attention: Heads::of(config),
            norm_eps: config.norm_eps,
            embedding,
            relative,
            relative_norm,
            positions: RelativePositions { bucket: bucket.into(), most: config.max_positions.into(), split },
            blocks,
            sums,
            transform: Linear::new(&[(format!("{head_base}1"), hidden)], hidden, std, true, weights)?,
            head,
            head_bias: weights.vector(format!("{head_base}5.bias"), config.vocab_size, 0.0)?,
        })
    }

    /// LayerNorm without weights.
    fn normalize(&self, x: &Tensor) -> Result<Tensor, Error> {
        let width = x.size().last().copied().unwrap_or(0);
        Ok(x.f_layer_norm([width], None::<&Tensor>, None::<&Tensor>, self.norm_eps, true)?)
    }

    /// The first layers of the vocabulary head: `[.., hidden]` float32 -> the same of this kind.
    fn transform(&self, x: &Tensor, context: Context<'_>, kind: Kind) -> Result<Tensor, Error> {
        let transformed = self.transform.apply(&self.normalize(x)?, context)?;
        Ok(self.normalize(&gelu(&transformed, Gelu::Exact)?)?.f_to_kind(kind)?)
    }

    /// `[batch, seq, hidden]` float32 -> the same.
    fn attend(&self, layer: usize, x: &Tensor, shared: &Shared<'_>) -> Result<Tensor, Error> {
        let (block, context) = (&self.blocks[layer], shared.inputs.context);
        let normed = self.normalize(x)?;
        let query_key = block.query_key.apply(&normed, context)?;
        let value = block.value.apply(&normed, context)?;
        let (value, gate) = match &block.output_norm {
            Some(_) => (value, None),
            None => {
                let parts = value.f_chunk(2, 2)?;
                (parts[0].f_contiguous()?, Some(gelu(&parts[1], Gelu::Exact)?))
            }
        };
        let relative = match shared.inputs.dropout {
            Some(dropout) => dropout.drop_relative(&shared.relative, layer)?,
            None => shared.relative.shallow_clone(),
        };
        let attention = RelativeAttention {
            heads: self.attention,
            query_key: &query_key,
            value: &value,
            relative: &block.query_key.apply(&relative, context)?,
            indices: &shared.indices,
            mask: &shared.mask,
            layer: shared.inputs.layer(layer),
        };
        let mixed = attention.compute(self.positions.split)?;
        let gated = match gate {
            Some(gate) => self.normalize(&mixed.f_mul(&gate)?)?,
            None => mixed,
        };
        let output = block.output.apply(&gated, context)?;
        let output = match &block.output_norm {
            Some(norm) => norm.apply(&output, self.norm_eps, Kind::Float)?,
            None => output,
        };
        shared.inputs.drop(output, Place::AttentionOfLtgBert(layer))
    }

    /// The feed-forward layer: `[batch, seq, hidden]` float32 -> the same.
    fn feed_forward(&self, layer: usize, x: &Tensor, inputs: &DecoderInputs<'_>) -> Result<Tensor, Error> {
        let (block, context) = (&self.blocks[layer], inputs.context);
        let parts = linear(&self.normalize(x)?, &block.up, context)?.f_chunk(2, 2)?;
        let inner = parts[0].f_mul(&gelu(&parts[1], Gelu::Tanh)?)?; // [batch, seq, intermediate]
        inputs.drop(linear(&self.normalize(&inner)?, &block.down, context)?, Place::FeedForward(layer))
    }
}

/// What all layers share.
struct Shared<'a> {
    inputs: DecoderInputs<'a>,
    relative: Tensor, // [embeddings, hidden]
    indices: Tensor,  // [batch or 1, seq, seq]
    mask: Tensor,     // of the scores
}

impl Decoder for LtgBert {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn head_bias(&self) -> Option<&Tensor> {
        Some(&self.head_bias)
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let DecoderInputs { ids, context, .. } = inputs;
        if self.sums.is_none() && !matches!(context, Context::Whole(_)) {
            return Err(Error::Input("a model of the LTG-BERT family reads whole texts only".to_owned()));
        }
        let (_, seq) = ids.size2()?;
        let shared = Shared {
            inputs,
            relative: self.relative_norm.apply(&self.relative, self.norm_eps, Kind::Float)?,
            indices: self.positions.indices(context, seq, ids.device())?,
            mask: context.additive_mask(seq, None, ids.device())?,
        };
        let tokens = self.normalize(&inputs.embed(&self.embedding)?)?; // [batch, seq, hidden], float32
        let mut x = inputs.drop(tokens, Place::Embedding)?;
        let mut outputs = vec![x.shallow_clone()]; // the embeddings, and the outputs of all layers
        for layer in 0..self.blocks.len() {
            for is_attention in [true, false] {
                let branch = match is_attention {
                    true => self.attend(layer, &x, &shared)?,
                    false => self.feed_forward(layer, &x, &inputs)?,
                };
                x = x.f_add(&branch)?;
                if let Some(sums) = &self.sums {
                    outputs.push(x);
                    let weights = &sums[outputs.len() - 2];
                    x = Tensor::f_tensordot(weights, &Tensor::f_stack(&outputs, 0)?, [0], [0])?;
                }
            }
        }
        Ok(x.f_to_kind(kind)?)
    }

    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        self.transform(&self.body(inputs, Kind::Float)?, inputs.context, kind)
    }

    fn hidden_at(&self, inputs: DecoderInputs<'_>, tokens: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        let x = self.body(inputs, Kind::Float)?.f_flatten(0, 1)?.f_index_select(0, tokens)?;
        self.transform(&x, inputs.context, kind)
    }
}
