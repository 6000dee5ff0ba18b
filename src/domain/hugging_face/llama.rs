//! The configuration of LLaMA models.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::unsupported::Unsupported;
use crate::domain::excerpt::excerpt;
use crate::domain::model::{Arch, ModelConfig};

/// The base of the rotary frequencies where a configuration has none.
const ROPE_BASE: f64 = 10_000.0;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat =
    ConfigFormat { read, write, dropouts: &[("attention_dropout", 0.0)], fields: FIELDS };

/// The fields of `LlamaConfig` in transformers 4 and 5.
const FIELDS: &[&str] = &[
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
];

/// The fields that only this architecture has.
fn write(model: &ModelConfig) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": false,
        "attention_dropout": 0.0,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "max_position_embeddings": model.max_positions,
        "mlp_bias": false,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "num_key_value_heads": model.kv_heads,
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_base,
        "rope_parameters": {"rope_theta": model.rope_base, "rope_type": "default"},
    })
}

/// Reads the configuration.
fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM"])?;
    model(fields)
}

/// Reads the configuration of a model that is computed as LLaMA is.
pub(super) fn model(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be("hidden_act", &[json!("silu"), json!("swish")])?;
    fields.must_be("attention_bias", &[json!(false)])?;
    fields.must_be("mlp_bias", &[json!(false)])?;
    fields.must_be("rope_interleaved", &[json!(false)])?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    let head_dim = fields.whole_or("head_dim", Some(hidden / heads.max(1)))?;
    if fields.get("head_dim").is_none() && !hidden.is_multiple_of(heads.max(1)) {
        return Err(Unsupported(format!(
            "'hidden_size' is {hidden}, which is not a multiple of 'num_attention_heads', {heads}"
        )));
    }
    Ok(ModelConfig {
        arch: Arch::Llama,
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_or("max_position_embeddings", Some(2048))?,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: fields.whole_or("num_key_value_heads", Some(heads))?,
        head_dim,
        intermediate: fields.whole("intermediate_size")?,
        rope_base: rope_base(fields)?,
        norm_eps: fields.real("rms_norm_eps", 1e-6)?,
        tied: fields.flag("tie_word_embeddings", false)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}

/// The base of the rotary frequencies.
///
/// transformers 5 stores it in `rope_parameters`, and reads an older `rope_scaling` in place of that object. A base inside
/// takes precedence over `rope_theta` beside it. transformers 4 reads `rope_theta` alone.
fn rope_base(fields: &Fields<'_>) -> Result<f64, Unsupported> {
    fields.must_be("partial_rotary_factor", &[json!(1.0), json!(1)])?;
    let mut base = fields.real("rope_theta", ROPE_BASE)?;
    // The last one that is there takes precedence.
    for name in ["rope_parameters", "rope_scaling"] {
        let Some(value) = fields.get(name) else { continue };
        let object =
            value.as_object().ok_or_else(|| Unsupported(format!("'{name}' is {}, not an object", excerpt(value))))?;
        check_rope(name, value, object)?;
        if !object.is_empty() {
            let beside = fields.real("rope_theta", ROPE_BASE)?;
            base = Fields(object).real("rope_theta", beside)?;
        }
    }
    Ok(base)
}

/// What to say about a base that transformers 4.51.3 does not read.
pub(super) fn unread_by_release_4(fields: &Fields<'_>) -> Option<String> {
    let (base, read) = (rope_base(fields).ok()?, fields.real("rope_theta", ROPE_BASE).ok()?);
    (base != read).then(|| {
        format!(
            "the base of the rotary positions is {base}, but transformers 4.51.3, which the official pipeline uses, reads \
             only 'rope_theta' and computes with {read}; set 'rope_theta' to {base} for both to agree"
        )
    })
}

/// Rejects rotary embeddings other than the original ones.
fn check_rope(name: &str, value: &Value, object: &Map<String, Value>) -> Result<(), Unsupported> {
    let inner = Fields(object);
    let refuse = |what: &str| Err(Unsupported(format!("'{name}' is {}; {what} is not supported", excerpt(value))));
    for key in ["rope_type", "type"] {
        if let Some(kind) = inner.get(key).filter(|kind| **kind != json!("default")) {
            return refuse(&format!("the {key} {} of rotary embeddings", excerpt(kind)));
        }
    }
    if let Some(factor) = inner.get("partial_rotary_factor").filter(|factor| factor.as_f64() != Some(1.0)) {
        return refuse(&format!("a partial_rotary_factor of {}", excerpt(factor)));
    }
    let known = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
    match object.iter().find(|(key, value)| !value.is_null() && !known.contains(&key.as_str())) {
        Some((key, _)) => refuse(&format!("the field '{}' in it", excerpt(key))),
        None => Ok(()),
    }
}
