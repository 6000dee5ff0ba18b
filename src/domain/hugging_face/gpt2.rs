//! The configuration of GPT-2 models.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::unsupported::Unsupported;
use crate::domain::arch::Arch;
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat = ConfigFormat {
    read,
    write,
    rope: None,
    dropouts: &[
        ("attn_pdrop", 0.1, &[DropoutPlace::Attention]),
        ("embd_pdrop", 0.1, &[DropoutPlace::Embedding]),
        ("resid_pdrop", 0.1, &[DropoutPlace::Residual]),
    ],
    fields: FIELDS,
};

/// The fields of `GPT2Config` in transformers 4 and 5, and the general names that it maps to its own.
const FIELDS: &[&str] = &[
    "activation_function",
    "attn_pdrop",
    "embd_pdrop",
    "hidden_size",
    "layer_norm_epsilon",
    "max_position_embeddings",
    "n_ctx", // ignored by transformers
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "num_attention_heads",
    "num_hidden_layers",
    "reorder_and_upcast_attn", // another order of the same float32 operations
    "resid_pdrop",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    // The head for multiple choice.
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
];

/// The fields that only this architecture has.
fn write(model: &ModelConfig) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "layer_norm_epsilon": model.norm_eps,
        "n_embd": model.hidden,
        "n_head": model.heads,
        "n_inner": model.intermediate,
        "n_layer": model.layers,
        "n_positions": model.max_positions,
    })
}

/// Reads the configuration.
fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["GPT2LMHeadModel", "GPT2Model"])?;
    fields.must_have_no_window()?;
    // All names of the tanh form of GELU.
    let gelu = ["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"];
    fields.must_be("activation_function", &gelu.map(|name| json!(name)))?;
    fields.must_be("scale_attn_weights", &[json!(true)])?;
    fields.must_be("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    let hidden = fields.whole_of("n_embd", "hidden_size", None)?;
    let heads = fields.whole_of("n_head", "num_attention_heads", None)?;
    Ok(ModelConfig {
        arch: Arch::Gpt2,
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_of("n_positions", "max_position_embeddings", Some(1024))?,
        hidden,
        layers: fields.whole_of("n_layer", "num_hidden_layers", None)?,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        intermediate: fields.whole_or("n_inner", Some(hidden.saturating_mul(4)))?,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: fields.real("layer_norm_epsilon", 1e-5)?,
        tied: fields.flag("tie_word_embeddings", true)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}
