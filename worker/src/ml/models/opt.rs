//! The OPT family: LayerNorm before or after each block, learned positions, ReLU, biases, tied embeddings that may be
//! narrower than the residual stream (Zhang et al. 2022).

use grid::domain::{Arch, ModelConfig, NormPlace, Positions};
use tch::{Kind, Tensor};

use super::attention::{Heads, attention};
use super::decoder::{Decoder, DecoderInputs, Family, HEAD};
use super::dropout::Place;
use super::layers::{LayerNorm, Linear, linear};
use crate::ml::error::Error;
use crate::ml::weights::{PartShape, Weights};

/// The OPT family.
pub(super) const FAMILY: Family = Family {
    embedding: EMBEDDING,
    head: HEAD,
    head_layers: None,
    optional_prefix: Some("model."),
    ignored_buffers: &[],
    build: |config, weights| Ok(Box::new(Opt::new(config, weights)?)),
};

const EMBEDDING: &str = "model.decoder.embed_tokens.weight";

/// A model. Every tensor is shared with the list of weights.
#[derive(Debug)]
struct Opt {
    attention: Heads,
    norm_eps: f64,
    norm_place: NormPlace,
    embedding: Tensor,          // [vocab, embedding width]
    positions: Tensor,          // [offset + max_positions, hidden]
    position_offset: i64,       // the number of rows that are not used
    project_in: Option<Tensor>, // [hidden, embedding width]
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
    project_out: Option<Tensor>, // [embedding width, hidden]
    head: Tensor,                // [vocab, embedding width]
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

impl Opt {
    fn new(config: &ModelConfig, weights: &mut Weights) -> Result<Self, Error> {
        let (std, hidden, width) = (config.init_std, config.hidden, config.embedding_width());
        let (Arch::Opt(opt), Positions::Learned { offset }) = (config.arch, config.arch.properties().positions) else {
            return Err(Error::Input(format!("{} is not a model of the OPT family", config.arch.name())));
        };
        let mut matrix = |name: &str, rows: u32, columns: u32| {
            weights.matrix(vec![PartShape::normal(name.to_owned(), rows, std)], columns)
        };
        let embedding = matrix(EMBEDDING, config.vocab_size, width)?;
        let positions = matrix("model.decoder.embed_positions.weight", config.position_embeddings(), hidden)?;
        let projected = opt.embedding.is_some();
        let project_in = projected.then(|| matrix("model.decoder.project_in.weight", hidden, width)).transpose()?;
        let project_out = projected.then(|| matrix("model.decoder.project_out.weight", width, hidden)).transpose()?;
        let head = match config.tied {
            true => embedding.shallow_clone(),
            false => matrix(HEAD, config.vocab_size, width)?,
        };
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("model.decoder.layers.{layer}.{part}");
            let mut linear = |parts: &[&str], inputs: u32, outputs: u32| {
                let parts: Vec<_> = parts.iter().map(|part| (name(part), outputs)).collect();
                Linear::new(&parts, inputs, std, true, weights)
            };
            let qkv = linear(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], hidden, hidden)?;
            let output = linear(&["self_attn.out_proj"], hidden, hidden)?;
            let up = linear(&["fc1"], hidden, config.intermediate)?;
            let down = linear(&["fc2"], config.intermediate, hidden)?;
            let attention_norm = LayerNorm::new(&name("self_attn_layer_norm"), hidden, weights)?;
            let mlp_norm = LayerNorm::new(&name("final_layer_norm"), hidden, weights)?;
            blocks.push(Block { qkv, output, attention_norm, up, down, mlp_norm });
        }
        let norm = match opt.norm {
            NormPlace::Before => Some(LayerNorm::new("model.decoder.final_layer_norm", hidden, weights)?),
            NormPlace::After => None,
        };
        Ok(Self {
            attention: Heads::of(config),
            norm_eps: config.norm_eps,
            norm_place: opt.norm,
            embedding,
            positions,
            position_offset: offset.into(),
            project_in,
            blocks,
            norm,
            project_out,
            head,
        })
    }
}

impl Decoder for Opt {
    fn head(&self) -> &Tensor {
        &self.head
    }

    fn body(&self, inputs: DecoderInputs<'_>, kind: Kind) -> Result<Tensor, Error> {
        let DecoderInputs { ids, context, .. } = inputs;
        let (_, seq) = ids.size2()?;
        let used = self.positions.f_narrow(0, self.position_offset, self.positions.size()[0] - self.position_offset)?;
        let mut x = inputs.embed(&self.embedding)?; // [batch, seq, embedding width], float32
        if let Some(projection) = &self.project_in {
            x = linear(&x, projection, context)?; // [batch, seq, hidden]
        }
        x = x.f_add(&context.position_embeddings(&used, seq)?)?;
        let before = |norm: &LayerNorm, x: &Tensor| match self.norm_place {
            NormPlace::Before => norm.apply(x, self.norm_eps, kind),
            NormPlace::After => Ok(x.f_to_kind(kind)?),
        };
        let after = |norm: &LayerNorm, x: Tensor| match self.norm_place {
            NormPlace::Before => Ok(x),
            NormPlace::After => norm.apply(&x, self.norm_eps, Kind::Float),
        };
        for (layer, block) in self.blocks.iter().enumerate() {
            let packed = block.qkv.apply(&before(&block.attention_norm, &x)?, context)?; // [batch, seq, 3 * hidden]
            let mixed = attention(&packed, self.attention, None, inputs.layer(layer))?;
            let mixed = inputs.drop(block.output.apply(&mixed, context)?, Place::Attention(layer))?;
            x = after(&block.attention_norm, x.f_add(&mixed)?)?;
            let inner = block.up.apply(&before(&block.mlp_norm, &x)?, context)?; // [batch, seq, intermediate]
            let inner = inputs.drop(block.down.apply(&inner.f_relu()?, context)?, Place::FeedForward(layer))?;
            x = after(&block.mlp_norm, x.f_add(&inner)?)?;
        }
        let x = match &self.norm {
            Some(norm) => norm.apply(&x, self.norm_eps, kind)?,
            None => x.f_to_kind(kind)?,
        };
        match &self.project_out {
            Some(projection) => linear(&x, projection, context),
            None => Ok(x),
        }
    }
}
