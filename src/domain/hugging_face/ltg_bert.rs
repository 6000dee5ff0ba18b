//! The configurations of LTG-BERT and GPT-BERT models, whose code is published beside them.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, GptBert, LtgBert, PositionSplit};
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file of LTG-BERT.
pub(super) const LTG_BERT: ConfigFormat = ConfigFormat {
    read: |fields| {
        fields.must_be_of(&["LtgBertForMaskedLM", "LTGBertForMaskedLM"])?;
        let bucket = bucket(fields)?;
        // Two releases of the code differ, and nothing else in the file tells them apart.
        let split = match fields.get(SPLIT).map(Value::as_str) {
            None | Some(Some("heads")) => PositionSplit::Heads,
            Some(Some("halves")) => PositionSplit::Halves,
            Some(_) => return Err(Unsupported(format!("'{SPLIT}' is neither \"heads\" nor \"halves\""))),
        };
        read(fields, Arch::LtgBert(LtgBert { bucket, split }), 1e-7)
    },
    write: |model| write(model, "LtgBertForMaskedLM"),
    rope: None,
    dropouts: &[
        ("attention_probs_dropout_prob", 0.1, &[DropoutPlace::Attention]),
        ("hidden_dropout_prob", 0.1, &[DropoutPlace::Embedding, DropoutPlace::Residual]),
    ],
    fields: &[
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_dropout_prob",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "num_layers", // a copy of num_hidden_layers
        "position_bucket_size",
        SPLIT,
    ],
};

/// The format of the file of GPT-BERT.
pub(super) const GPT_BERT: ConfigFormat = ConfigFormat {
    read: |fields| {
        fields.must_be_of(&["GPTBERTForMaskedLM", "GPTBERTForCausalLM", "GPTBERT"])?;
        fields.must_be(SPLIT, &[])?;
        read(fields, Arch::GptBert(GptBert { bucket: bucket(fields)? }), 1e-5)
    },
    write: |model| write(model, "GPTBERTForMaskedLM"),
    ..LTG_BERT
};

/// A field of grid: which parts of a projected embedding of a relative position are its query and its key, `heads` (the
/// halves of the part of each head, as in `training/model.py` of LTG-BERT) or `halves` (of the whole, as in its
/// `babylm/train/model.py`).
pub(super) const SPLIT: &str = "relative_position_split";

fn bucket(fields: &Fields<'_>) -> Result<u32, Unsupported> {
    match fields.whole_or("position_bucket_size", Some(32))? {
        bucket if (4..=65_536).contains(&bucket) && bucket.is_multiple_of(2) => Ok(bucket),
        bucket => {
            Err(Unsupported(format!("'position_bucket_size' is {bucket}; only even numbers from 4 on are supported")))
        }
    }
}

fn write(model: &ModelConfig, class: &str) -> Value {
    let (bucket, split) = match model.arch {
        Arch::LtgBert(LtgBert { bucket, split }) => (bucket, Some(split)),
        Arch::GptBert(GptBert { bucket }) => (bucket, None),
        other => unreachable!("the format of ltgbert for {other:?}"),
    };
    json!({
        "architectures": [class],
        "model_type": model.arch.name(),
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "layer_norm_eps": model.norm_eps,
        "max_position_embeddings": model.max_positions,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "position_bucket_size": bucket,
        SPLIT: split.map(|split| match split {
            PositionSplit::Heads => "heads",
            PositionSplit::Halves => "halves",
        }),
    })
}

fn read(fields: &Fields<'_>, arch: Arch, norm_eps: f64) -> Result<ModelConfig, Unsupported> {
    fields.must_have_no_window()?;
    // The code does not read it: it has gates with the tanh form, and the exact form elsewhere.
    fields.must_be("hidden_act", &[json!("gelu")])?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    Ok(ModelConfig {
        arch,
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_or("max_position_embeddings", Some(512))?,
        hidden,
        layers: fields.whole_of("num_hidden_layers", "num_layers", None)?,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        intermediate: fields.whole("intermediate_size")?,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: fields.real("layer_norm_eps", norm_eps)?,
        tied: fields.flag("tie_word_embeddings", true)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}
