//! The configuration of GPT-2 models.

use serde_json::json;

use super::fields::Fields;
use super::unsupported::Unsupported;
use crate::domain::model::{Arch, ModelConfig};

/// Reads the configuration.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["GPT2LMHeadModel", "GPT2Model"])?;
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
        intermediate: fields.whole_or("n_inner", Some(4 * hidden))?,
        rope_base: 10_000.0,
        norm_eps: fields.real("layer_norm_epsilon", 1e-5)?,
        tied: fields.flag("tie_word_embeddings", true)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}
