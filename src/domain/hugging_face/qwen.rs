//! The configurations of Qwen2 and Qwen3 models.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::llama::{self, Defaults};
use super::rope;
use super::unsupported::Unsupported;
use crate::domain::arch::Arch;
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file of Qwen2.
pub(super) const QWEN2: ConfigFormat = ConfigFormat {
    read: |fields| {
        fields.must_be_of(&["Qwen2ForCausalLM", "Qwen2Model"])?;
        llama::read_derived(fields, Arch::Qwen2, &Defaults { head_dim: None, ..DEFAULTS })
    },
    write: |model| with_window(llama::write_derived(model, "Qwen2ForCausalLM")),
    ..QWEN3
};

/// The format of the file of Qwen3.
pub(super) const QWEN3: ConfigFormat = ConfigFormat {
    read: read_qwen3,
    write: |model| {
        let mut fields = with_window(llama::write_derived(model, "Qwen3ForCausalLM"));
        fields["attention_bias"] = false.into();
        fields
    },
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

const DEFAULTS: Defaults = Defaults { positions: 32_768, kv_heads: Some(32), head_dim: Some(128) };

/// Turns the window of attention off, which is 4,096 tokens without these fields.
fn with_window(mut fields: Value) -> Value {
    fields["use_sliding_window"] = false.into();
    fields["sliding_window"] = Value::Null;
    fields
}

/// The window with which transformers 4.51.3 computes texts although it is turned off, if the model reads longer ones.
pub(super) fn window_of_release_4(fields: &Fields<'_>, positions: u32) -> Option<u32> {
    const WINDOW: u32 = 4_096;
    let window = match fields.0.get("sliding_window") {
        Some(Value::Null) => return None,
        _ => fields.whole_or("sliding_window", Some(WINDOW)).ok()?,
    };
    (window < positions).then_some(window)
}

fn read_qwen3(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["Qwen3ForCausalLM", "Qwen3Model"])?;
    fields.must_be("attention_bias", &[json!(false)])?;
    llama::read_derived(fields, Arch::Qwen3, &DEFAULTS)
}
