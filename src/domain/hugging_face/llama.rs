//! The configuration of LLaMA models, and what those of the architectures that were derived from it share.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::rope::{self, Rope, with_rope};
use super::unsupported::Unsupported;
use crate::domain::arch::Arch;
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat = ConfigFormat {
    read,
    write,
    rope: Some(&rope::LLAMA),
    dropouts: &[("attention_dropout", 0.0, &[DropoutPlace::Attention])],
    fields: &[
        "attention_bias",
        "attention_dropout",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "max_position_embeddings",
        "mlp_bias",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "partial_rotary_factor",
        "pretraining_tp", // ignored by transformers
        "rms_norm_eps",
        "rope_interleaved", // of models that were converted from another library
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
    ],
};

/// The fields that only this architecture has.
fn write(model: &ModelConfig) -> Value {
    let mut fields = write_derived(model, "LlamaForCausalLM");
    fields["attention_bias"] = false.into();
    fields["mlp_bias"] = false.into();
    fields
}

/// Reads the configuration.
fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM"])?;
    fields.must_have_no_window()?;
    fields.must_be("attention_bias", &[json!(false)])?;
    fields.must_be("mlp_bias", &[json!(false)])?;
    fields.must_be("rope_interleaved", &[json!(false)])?;
    read_derived(fields, Arch::Llama, &Defaults { positions: 2_048, kv_heads: None, head_dim: None })
}

/// The fields of an architecture that has the same ones as LLaMA.
pub(super) fn write_derived(model: &ModelConfig, class: &str) -> Value {
    let fields = json!({
        "architectures": [class],
        "model_type": model.arch.name(),
        "attention_dropout": 0.0,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "max_position_embeddings": model.max_positions,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "num_key_value_heads": model.kv_heads,
        "rms_norm_eps": model.norm_eps,
    });
    with_rope(fields, model)
}

/// What `transformers` takes where a field is missing.
pub(super) struct Defaults {
    /// `max_position_embeddings`.
    pub(super) positions: u32,
    /// `num_key_value_heads`; `None` for as many as there are heads, which is also what null means.
    pub(super) kv_heads: Option<u32>,
    /// `head_dim`; `None` for the hidden size divided by the number of heads.
    pub(super) head_dim: Option<u32>,
}

/// Reads the configuration of an architecture that has the same fields as LLaMA.
pub(super) fn read_derived(fields: &Fields<'_>, arch: Arch, defaults: &Defaults) -> Result<ModelConfig, Unsupported> {
    fields.must_be("hidden_act", &[json!("silu"), json!("swish")])?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    let head_dim = fields.whole_or("head_dim", defaults.head_dim.or(Some(hidden / heads.max(1))))?;
    let divided = fields.get("head_dim").is_none() && defaults.head_dim.is_none();
    if divided && !hidden.is_multiple_of(heads.max(1)) {
        return Err(Unsupported(format!(
            "'hidden_size' is {hidden}, which is not a multiple of 'num_attention_heads', {heads}"
        )));
    }
    let kv_heads = if fields.0.contains_key("num_key_value_heads") { None } else { defaults.kv_heads };
    let max_positions = fields.whole_or("max_position_embeddings", Some(defaults.positions))?;
    let Rope { base, scaling, .. } = rope::read_whole(fields, max_positions)?;
    Ok(ModelConfig {
        arch,
        vocab_size: fields.whole("vocab_size")?,
        max_positions,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: fields.whole_or("num_key_value_heads", kv_heads.or(Some(heads)))?,
        head_dim,
        intermediate: fields.whole("intermediate_size")?,
        rope_base: base,
        rope_scaling: scaling,
        norm_eps: fields.real("rms_norm_eps", 1e-6)?,
        tied: fields.flag("tie_word_embeddings", false)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}
