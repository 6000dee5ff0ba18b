//! The configurations of BERT and RoBERTa models.

use serde_json::{Value, json};

use super::fields::Fields;
use super::format::ConfigFormat;
use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, Bert, Gelu};
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The format of the file of BERT.
pub(super) const BERT: ConfigFormat = ConfigFormat {
    read: |fields| {
        fields.must_be_of(&["BertForMaskedLM", "BertForPreTraining", "BertModel"])?;
        read(fields, 0, Arch::Bert)
    },
    write: |model| write(model, "BertForMaskedLM"),
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
        "position_embedding_type",
        "type_vocab_size",
        // Of other objectives.
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ],
};

/// The format of the file of RoBERTa.
pub(super) const ROBERTA: ConfigFormat = ConfigFormat {
    read: |fields| {
        fields.must_be_of(&["RobertaForMaskedLM", "RobertaModel"])?;
        // The first position has the embedding after that of the padding token.
        read(fields, fields.whole_or("pad_token_id", Some(1))?.saturating_add(1), Arch::Roberta)
    },
    write: |model| write(model, "RobertaForMaskedLM"),
    ..BERT
};

fn write(model: &ModelConfig, class: &str) -> Value {
    let (Arch::Bert(facts) | Arch::Roberta(facts)) = model.arch else {
        unreachable!("the format of bert for {:?}", model.arch)
    };
    json!({
        "architectures": [class],
        "model_type": model.arch.name(),
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": match facts.gelu {
            Gelu::Exact => "gelu",
            Gelu::Tanh => "gelu_new",
        },
        "hidden_dropout_prob": 0.0,
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "is_decoder": false,
        "layer_norm_eps": model.norm_eps,
        "max_position_embeddings": model.position_embeddings(),
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.layers,
        "type_vocab_size": facts.types,
    })
}

fn read(fields: &Fields<'_>, position_offset: u32, arch: fn(Bert) -> Arch) -> Result<ModelConfig, Unsupported> {
    fields.must_have_no_window()?;
    fields.must_be("is_decoder", &[json!(false)])?;
    // The two releases then take the bias of the vocabulary head from different tensors.
    fields.must_be("tie_word_embeddings", &[json!(true)])?;
    fields.must_be("position_embedding_type", &[json!("absolute")])?;
    let positions = fields.whole_or("max_position_embeddings", Some(512))?;
    if positions <= position_offset {
        return Err(Unsupported(format!(
            "'max_position_embeddings' is {positions}, but the first position has the embedding {position_offset}"
        )));
    }
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    let bert =
        Bert { types: fields.whole_or("type_vocab_size", Some(2))?, gelu: fields.gelu("hidden_act")?, position_offset };
    Ok(ModelConfig {
        arch: arch(bert),
        vocab_size: fields.whole("vocab_size")?,
        max_positions: positions - position_offset,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        intermediate: fields.whole("intermediate_size")?,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: fields.real("layer_norm_eps", 1e-12)?,
        tied: true,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}
