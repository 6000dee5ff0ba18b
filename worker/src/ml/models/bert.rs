//! The BERT family: encoders with post-norm blocks, learned positions and GELU, which predict masked tokens (Devlin et al.
//! 2019). RoBERTa differs in names and positions only (Liu et al. 2019).

use grid::domain::{Arch, Gelu, ModelConfig, Positions};
use tch::{Kind, Tensor};

use super::attention::{Heads, attention, attention_of_one};
use super::context::Context;
use super::decoder::{Decoder, DecoderInputs, Family};
use super::dropout::Place;
use super::layers::{LayerNorm, Linear, gelu};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The BERT family.
pub(super) const BERT: Family = Family {
    embedding: "bert.embeddings.word_embeddings.weight",
    head: "cls.predictions.decoder.weight",
    head_layers: Some("cls.predictions."),
    optional_prefix: None,
    // The bias of a head that is stored twice, and the layers of the other objective of the pretraining.
    ignored_buffers: &[
        ".bert.embeddings.position_ids",
        ".cls.predictions.decoder.bias",
        ".bert.pooler.dense.weight",
        ".bert.pooler.dense.bias",
        ".cls.seq_relationship.weight",
        ".cls.seq_relationship.bias",
    ],
    build: |config, weights| Ok(Box::new(Bert::new(config, &BERT, &BERT_HEAD, weights)?)),
};

/// The RoBERTa family.
pub(super) const ROBERTA: Family = Family {
    embedding: "roberta.embeddings.word_embeddings.weight",
    head: "lm_head.decoder.weight",
    head_layers: Some("lm_head."),
    optional_prefix: None,
    ignored_buffers: &[
        ".roberta.embeddings.position_ids",
        ".lm_head.decoder.bias",
        ".roberta.pooler.dense.weight",
        ".roberta.pooler.dense.bias",
    ],
    build: |config, weights| Ok(Box::new(Bert::new(config, &ROBERTA, &ROBERTA_HEAD, weights)?)),
};

/// The names of the parts of a vocabulary head.
struct HeadNames {
    dense: &'static str,
    norm: &'static str,
    bias: &'static str,
}

const BERT_HEAD: HeadNames = HeadNames {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    bias: "cls.predictions.bias",
};

const ROBERTA_HEAD: HeadNames = HeadNames { dense: "lm_head.dense", norm: "lm_head.layer_norm", bias: "lm_head.bias" };

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct Bert {
    attention: Heads,
    gelu: Gelu,
    norm_eps: f64,
    embedding: Tensor,    // [vocab, hidden]
    positions: Tensor,    // [offset + max_positions, hidden]
    position_offset: i64, // the number of rows that are not those of positions
    padding: Option<i64>, // of RoBERTa: the token that has no position
    types: Tensor,        // [types, hidden], of which the first is that of every token
    embedding_norm: LayerNorm,
    blocks: Vec<Block>,
    transform: Linear, // hidden -> hidden
    transform_norm: LayerNorm,
    head: Tensor,      // [vocab, hidden]
    head_bias: Tensor, // [vocab]
}

#[derive(Debug)]
struct Block {
    qkv: Linear, // hidden -> 3 * hidden
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,   // hidden -> intermediate
    down: Linear, // intermediate -> hidden
    mlp_norm: LayerNorm,
}

impl Bert {
    fn new(config: &ModelConfig, family: &Family, head: &HeadNames, weights: &mut Weights) -> Result<Self, Error> {
        let (std, hidden) = (config.init_std, config.hidden);
        let (Arch::Bert(facts) | Arch::Roberta(facts), Positions::Learned { offset }) =
            (config.arch, config.arch.properties().positions)
        else {
            return Err(Error::Input(format!("{} is not a model of the BERT family", config.arch.name())));
        };
        let (base, _) = family.embedding.split_once('.').unwrap_or_default();
        let mut matrix = |name: String, rows: u32| weights.matrix(vec![PartShape::normal(name, rows, std)], hidden);
        let embedding = matrix(family.embedding.to_owned(), config.vocab_size)?;
        let positions = matrix(format!("{base}.embeddings.position_embeddings.weight"), config.position_embeddings())?;
        let types = matrix(format!("{base}.embeddings.token_type_embeddings.weight"), facts.types)?;
        let tensor = match config.tied {
            true => embedding.shallow_clone(),
            false => matrix(family.head.to_owned(), config.vocab_size)?,
        };
        let embedding_norm = LayerNorm::new(&format!("{base}.embeddings.LayerNorm"), hidden, weights)?;
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("{base}.encoder.layer.{layer}.{part}");
            let mut linear = |parts: &[&str], inputs: u32, outputs: u32| {
                let parts: Vec<_> = parts.iter().map(|part| (name(part), outputs)).collect();
                Linear::new(&parts, inputs, std, true, weights)
            };
            let qkv = ["attention.self.query", "attention.self.key", "attention.self.value"];
            let qkv = linear(&qkv, hidden, hidden)?;
            let output = linear(&["attention.output.dense"], hidden, hidden)?;
            let up = linear(&["intermediate.dense"], hidden, config.intermediate)?;
            let down = linear(&["output.dense"], config.intermediate, hidden)?;
            let attention_norm = LayerNorm::new(&name("attention.output.LayerNorm"), hidden, weights)?;
            let mlp_norm = LayerNorm::new(&name("output.LayerNorm"), hidden, weights)?;
            blocks.push(Block { qkv, output, attention_norm, up, down, mlp_norm });
        }
        Ok(Self {
            attention: Heads::of(config),
            gelu: facts.gelu,
            norm_eps: config.norm_eps,
            embedding,
            positions,
            position_offset: offset.into(),
            padding: matches!(config.arch, Arch::Roberta(_)).then_some(i64::from(offset) - 1),
            types,
            embedding_norm,
            blocks,
            transform: Linear::new(&[(head.dense.to_owned(), hidden)], hidden, std, true, weights)?,
            transform_norm: LayerNorm::new(head.norm, hidden, weights)?,
            head: tensor,
            head_bias: weights.vector(head.bias.to_owned(), config.vocab_size, 0.0)?,
        })
    }
}

impl Bert {
    /// The normalized embeddings of the tokens: `[batch, seq, hidden]`, float32.
    fn embed(&self, inputs: &DecoderInputs<'_>) -> Result<Tensor, Error> {
        let ids = inputs.ids;
        if !matches!(inputs.context, Context::Whole(_)) {
            return Err(Error::Input("a model of the BERT family reads whole texts only".to_owned()));
        }
        let positions = match self.padding {
            None => {
                let offset = self.position_offset;
                inputs.position_embeddings(&self.positions.f_narrow(0, offset, self.positions.size()[0] - offset)?)?
            }
            Some(padding) => {
                let counts = ids.f_ne(padding)?.f_to_kind(Kind::Int64)?;
                let rows = counts.f_cumsum(1, Kind::Int64)?.f_mul(&counts)?.f_add_scalar(padding)?;
                Tensor::f_embedding(&self.positions, &rows, -1, false, false)?
            }
        };
        let x = inputs.embed(&self.embedding)?.f_add(&self.types.f_select(0, 0)?)?;
        let x = self.embedding_norm.apply(&x.f_add(&positions)?, self.norm_eps, Kind::Float)?;
        inputs.drop(x, Place::Embedding)
    }

    /// A whole layer: `[batch, seq, hidden]` float32 -> the same.
    fn layer(&self, layer: usize, x: &Tensor, inputs: &DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let packed = self.blocks[layer].qkv.apply(&x.f_to_kind(kind)?, inputs.context)?; // [batch, seq, 3 * hidden]
        let mixed = attention(&packed, self.attention, None, inputs.layer(layer))?;
        self.after_attention(layer, x, &mixed, inputs, kind)
    }

    /// The rest of a layer: its input and mixed values, `[batch, seq, hidden]` -> its output, float32 of the same shape.
    fn after_attention(
        &self,
        layer: usize,
        x: &Tensor,
        mixed: &Tensor,
        inputs: &DecoderInputs<'_>,
        kind: Kind,
    ) -> Result<Tensor, Error> {
        let (block, context) = (&self.blocks[layer], inputs.context);
        let norm = |norm: &LayerNorm, x: &Tensor| norm.apply(x, self.norm_eps, Kind::Float);
        let mixed = inputs.drop(block.output.apply(mixed, context)?, Place::Attention(layer))?;
        let x = norm(&block.attention_norm, &x.f_add(&mixed)?)?;
        let inner = gelu(&block.up.apply(&x.f_to_kind(kind)?, context)?, self.gelu)?; // [batch, seq, intermediate]
        let inner = inputs.drop(block.down.apply(&inner, context)?, Place::FeedForward(layer))?;
        norm(&block.mlp_norm, &x.f_add(&inner)?)
    }

    /// The first layers of the vocabulary head: `[.., hidden]` of this kind -> the same.
    fn transform(&self, x: &Tensor, context: Context<'_>, kind: Kind) -> Result<Tensor, Error> {
        let transformed = gelu(&self.transform.apply(x, context)?, self.gelu)?;
        self.transform_norm.apply(&transformed.f_to_kind(Kind::Float)?, self.norm_eps, kind)
    }
}

impl Decoder for Bert {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn head_bias(&self) -> Option<&Tensor> {
        Some(&self.head_bias)
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let embedded = self.embed(&inputs)?;
        let layer = |x: Tensor, layer: usize| self.layer(layer, &x, &inputs, kind);
        let x = (0..self.blocks.len()).try_fold(embedded, layer)?;
        Ok(x.f_to_kind(kind)?)
    }

    fn hidden(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        self.transform(&self.body(inputs, kind)?, inputs.context, kind)
    }

    /// Of the last layer, only keys and values are computed at the other tokens.
    fn hidden_at(&self, inputs: DecoderInputs<'_>, tokens: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        let (Context::Whole(padding), Some((last, first))) = (inputs.context, self.blocks.split_last()) else {
            return Ok(self.hidden(inputs, kind)?.f_flatten(0, 1)?.f_index_select(0, tokens)?);
        };
        let embedded = self.embed(&inputs)?;
        let x = (0..first.len()).try_fold(embedded, |x, layer| self.layer(layer, &x, &inputs, kind))?;
        let (_, _, hidden) = x.size3()?;
        let at = x.f_flatten(0, 1)?.f_index_select(0, tokens)?.f_unsqueeze(1)?; // [batch, 1, hidden]
        let query = last.qkv.apply_part(&at.f_to_kind(kind)?, 0..hidden)?;
        let keys_values = last.qkv.apply_part(&x.f_to_kind(kind)?, hidden..3 * hidden)?; // [batch, seq, 2 * hidden]
        let mixed = attention_of_one(&query, &keys_values, self.attention, padding)?;
        let x = self.after_attention(first.len(), &at, &mixed, &inputs, kind)?.f_squeeze_dim(1)?; // [batch, hidden]
        self.transform(&x.f_to_kind(kind)?, inputs.context, kind)
    }
}
