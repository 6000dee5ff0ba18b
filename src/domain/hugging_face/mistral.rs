//! The configuration of Mistral models.

use serde_json::Value;

use super::fields::Fields;
use super::format::ConfigFormat;
use super::llama::{self, Defaults};
use super::rope;
use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, Mistral};
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat = ConfigFormat {
    read,
    write,
    rope: Some(&rope::LLAMA),
    dropouts: &[("attention_dropout", 0.0, &[DropoutPlace::Attention])],
    fields: &[
        "attention_dropout",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "partial_rotary_factor",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
    ],
};

/// The window of a file without that field; null means none.
const WINDOW: u32 = 4_096;

fn write(model: &ModelConfig) -> Value {
    let mut fields = llama::write_derived(model, "MistralForCausalLM");
    fields["sliding_window"] = match model.arch {
        Arch::Mistral(Mistral { window: Some(window) }) => window.into(),
        _ => Value::Null,
    };
    fields
}

fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["MistralForCausalLM", "MistralModel"])?;
    let window = match fields.0.get("sliding_window") {
        Some(Value::Null) => None,
        _ => Some(fields.whole_or("sliding_window", Some(WINDOW))?),
    };
    if window == Some(0) {
        return Err(Unsupported("'sliding_window' is 0, so that no token attends to itself".to_owned()));
    }
    let defaults = Defaults { positions: 131_072, kv_heads: Some(8), head_dim: None };
    llama::read_derived(fields, Arch::Mistral(Mistral { window }), &defaults)
}
