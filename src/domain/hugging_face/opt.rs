//! The configuration of OPT models.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, NormPlace, Opt};
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat = ConfigFormat {
    read,
    write,
    rope: None,
    dropouts: &[
        ("dropout", 0.1, &[DropoutPlace::Residual]),
        ("attention_dropout", 0.0, &[DropoutPlace::Attention]),
        ("layerdrop", 0.0, &[DropoutPlace::Layers]),
    ],
    fields: &[
        "activation_dropout", // ignored by transformers
        "activation_function",
        "attention_dropout",
        "do_layer_norm_before",
        "dropout",
        "enable_bias",
        "ffn_dim",
        "hidden_size",
        "init_std",
        "layer_norm_elementwise_affine",
        "layerdrop",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "word_embed_proj_dim",
    ],
};

/// The epsilon of `torch.nn.LayerNorm`; the configuration has no field for it.
const NORM_EPS: f64 = 1e-5;

fn write(model: &ModelConfig) -> Value {
    let norm = if let Arch::Opt(opt) = model.arch { opt.norm } else { NormPlace::Before };
    json!({
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "_remove_final_layer_norm": false,
        "activation_function": "relu",
        "attention_dropout": 0.0,
        "do_layer_norm_before": norm == NormPlace::Before,
        "dropout": 0.0,
        "enable_bias": true,
        "ffn_dim": model.intermediate,
        "hidden_size": model.hidden,
        "init_std": model.init_std,
        "layer_norm_elementwise_affine": true,
        "layerdrop": 0.0,
        "max_position_embeddings": model.max_positions,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "word_embed_proj_dim": model.embedding_width(),
    })
}

fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["OPTForCausalLM", "OPTModel"])?;
    fields.must_have_no_window()?;
    fields.must_be("activation_function", &[json!("relu")])?;
    fields.must_be("enable_bias", &[json!(true)])?;
    fields.must_be("layer_norm_elementwise_affine", &[json!(true)])?;
    fields.must_be("_remove_final_layer_norm", &[json!(false)])?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    let norm = if fields.flag("do_layer_norm_before", true)? { NormPlace::Before } else { NormPlace::After };
    let embedding = Some(fields.whole_or("word_embed_proj_dim", Some(hidden))?).filter(|&width| width != hidden);
    Ok(ModelConfig {
        arch: Arch::Opt(Opt { norm, embedding }),
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_or("max_position_embeddings", Some(2_048))?,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        intermediate: fields.whole("ffn_dim")?,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: NORM_EPS,
        tied: fields.flag("tie_word_embeddings", true)?,
        init_std: fields.real("init_std", 0.02)?,
    })
}
