//! The configuration of GPT-NeoX models, such as Pythia.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::rope::{Rope, RopeNames};
use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, Gelu, GptNeox};
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file.
pub(super) const FORMAT: ConfigFormat = ConfigFormat {
    read,
    write,
    rope: Some(&ROPE),
    dropouts: &[
        ("attention_dropout", 0.0, &[DropoutPlace::Attention]),
        ("hidden_dropout", 0.0, &[DropoutPlace::Embedding, DropoutPlace::Residual]),
    ],
    fields: &[
        "attention_bias",
        "attention_dropout",
        "hidden_act",
        "hidden_dropout",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "partial_rotary_factor", // a copy of rotary_pct
        "rope_parameters",
        "rope_scaling",
        "rope_theta", // a copy of rotary_emb_base
        "rotary_emb_base",
        "rotary_pct",
        "use_parallel_residual",
    ],
};

/// The fields of rotary positions beside `rope_parameters`.
const ROPE: RopeNames = RopeNames { base: "rotary_emb_base", fraction: "rotary_pct", default_fraction: 0.25 };

fn write(model: &ModelConfig) -> Value {
    let Arch::GptNeox(neox) = model.arch else { unreachable!("the format of gpt_neox for {:?}", model.arch) };
    let rope = Rope { base: model.rope_base, fraction: neox.rotary_fraction, scaling: model.rope_scaling };
    let mut fields = rope.write(&ROPE);
    // Without this field, it is 0.25.
    fields.insert(ROPE.fraction.to_owned(), json!(neox.rotary_fraction));
    fields["rope_parameters"]["partial_rotary_factor"] = json!(neox.rotary_fraction);
    let Value::Object(own) = json!({
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "attention_bias": neox.attention_bias,
        "attention_dropout": 0.0,
        "hidden_act": match neox.gelu {
            Gelu::Exact => "gelu",
            Gelu::Tanh => "gelu_new",
        },
        "hidden_dropout": 0.0,
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "layer_norm_eps": model.norm_eps,
        "max_position_embeddings": model.max_positions,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "use_parallel_residual": neox.parallel,
    }) else {
        unreachable!("an object")
    };
    fields.extend(own);
    Value::Object(fields)
}

fn read(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be_of(&["GPTNeoXForCausalLM", "GPTNeoXModel"])?;
    fields.must_have_no_window()?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    let head_dim = hidden / heads.max(1);
    let max_positions = fields.whole_or("max_position_embeddings", Some(2_048))?;
    let Rope { base, fraction, scaling } = Rope::read(fields, &ROPE, max_positions)?;
    // transformers 4 writes copies, which transformers 5 ignores.
    fields.must_be("rope_theta", &numbers(base))?;
    fields.must_be("partial_rotary_factor", &numbers(fraction))?;
    if !(0.0..=1.0).contains(&fraction) {
        return Err(Unsupported(format!(
            "has positions that rotate {fraction} of each head, which is not from 0 to 1"
        )));
    }
    let neox = GptNeox {
        parallel: fields.flag("use_parallel_residual", true)?,
        rotary_fraction: fraction,
        gelu: fields.gelu("hidden_act")?,
        attention_bias: fields.flag("attention_bias", true)?,
    };
    Ok(ModelConfig {
        arch: Arch::GptNeox(neox),
        vocab_size: fields.whole("vocab_size")?,
        max_positions,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: fields.whole("intermediate_size")?,
        rope_base: base,
        rope_scaling: scaling,
        norm_eps: fields.real("layer_norm_eps", 1e-5)?,
        tied: fields.flag("tie_word_embeddings", false)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}

/// The forms of a number in JSON.
fn numbers(number: f64) -> Vec<Value> {
    let mut forms = vec![json!(number)];
    if number.fract() == 0.0 && (0.0..1e15).contains(&number) {
        forms.push(json!(number as u64));
    }
    forms
}
