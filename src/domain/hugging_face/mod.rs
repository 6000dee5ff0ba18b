//! The `config.json` of Hugging Face models: reading it for imported models, and writing it for exported ones.

mod bert;
mod fields;
mod format;
mod gpt2;
mod gpt_neox;
mod llama;
mod ltg_bert;
mod mistral;
mod names;
mod opt;
mod qwen;
mod rope;
mod unsupported;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::arch::Arch;
use super::dropout::{Dropout, DropoutPlace};
use super::excerpt::excerpt;
use super::json_text::parse_json;
use super::model::ModelConfig;
use super::plain_text::plain_text;
use fields::Fields;
use format::ConfigFormat;

pub use unsupported::Unsupported;

/// The names of the files in a model folder.
pub mod files {
    /// The configuration of the model; see [`super::ConfigFile`].
    pub const CONFIG: &str = "config.json";
    /// The weights, in one file.
    pub const WEIGHTS: &str = "model.safetensors";
    /// The index of weights that are split into several files.
    pub const INDEX: &str = "model.safetensors.index.json";
    /// The tokenizer, in the format of the crate `tokenizers`.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// The special tokens of the tokenizer, and the class that `transformers` loads it with.
    pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
    /// The special tokens, in a file of older releases.
    pub const SPECIAL_TOKENS: &str = "special_tokens_map.json";
    /// The chat template, where it is not in the configuration of the tokenizer.
    pub const CHAT_TEMPLATE: &str = "chat_template.jinja";
    /// The parameters of text generation.
    pub const GENERATION: &str = "generation_config.json";
    /// The added tokens, in a file of older releases.
    pub const ADDED_TOKENS: &str = "added_tokens.json";
    /// The tokens of a byte-level BPE tokenizer with their ids, which older releases save in place of [`TOKENIZER`].
    pub const VOCABULARY: &str = "vocab.json";
    /// The merges of a byte-level BPE tokenizer, one per line, beside [`VOCABULARY`].
    pub const MERGES: &str = "merges.txt";
}

/// The ids of special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// The begin-of-text token.
    pub bos: Option<u32>,
    /// The end-of-text token.
    pub eos: Option<u32>,
    /// The padding token.
    pub pad: Option<u32>,
}

/// The content of a `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// The configuration of the model.
    pub model: ModelConfig,
    /// The special tokens; of several end-of-text tokens, the first.
    pub tokens: SpecialTokens,
    /// The name of the data type in which `transformers` loads the weights.
    pub dtype: String,
    /// The dropout that `transformers` uses in training. Of the trainings of grid, only fine-tuning can use it.
    pub dropout: Dropout,
}

impl ConfigFile {
    /// Parses the file, as written by transformers 4 or 5.
    ///
    /// Every field is one that is computed here, one that has no effect on the outputs, or refused.
    ///
    /// # Errors
    /// Invalid JSON, an unsupported architecture, an option that is not supported and would change the outputs of the
    /// model, or a field that is not known.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        let fields = json_object(text)?;
        let fields = Fields(&fields);
        fields.must_be("quantization_config", &[])?;
        fields.must_be("compression_config", &[])?;
        let known = arch(&fields);
        // The code of these is known.
        let is_published = matches!(known, Some(Arch::LtgBert(_) | Arch::GptBert(_)));
        if let Some(value) = fields.get("auto_map").filter(|value| **value != json!({}) && !is_published) {
            return Err(Unsupported(format!(
                "'auto_map' is {}: the model is computed by Python code of its own, which grid does not run; if the \
                 outputs are those of a standard architecture, remove 'auto_map'",
                excerpt(value)
            )));
        }
        if fields.get("is_encoder_decoder") == Some(&json!(true)) {
            let name = fields.get("model_type").and_then(Value::as_str).unwrap_or("missing");
            return Err(Unsupported(format!(
                "'is_encoder_decoder' is true ('model_type' is {}); grid computes models that are a decoder or an encoder alone",
                excerpt(name)
            )));
        }
        let Some(arch) = known else {
            let [known @ .., last] = Arch::ALL.map(|arch| format!("'{}'", arch.name()));
            let known = format!("{} and {last}", known.join(", "));
            let found = fields.get("model_type").and_then(Value::as_str).unwrap_or("missing");
            return Err(Unsupported(format!("'model_type' is {}; supported are {known}", excerpt(found))));
        };
        fields.check_common()?;
        let format = format(arch);
        let model = (format.read)(&fields)?;
        fields.check_known(arch, |name| is_known(arch, name))?;
        model.check_sizes().map_err(Unsupported)?;
        let token = |name: &str| {
            let value = fields.get(name)?;
            let first = value.as_array().and_then(|several| several.first()).unwrap_or(value);
            first.as_u64().and_then(|id| u32::try_from(id).ok())
        };
        let tokens =
            SpecialTokens { bos: token("bos_token_id"), eos: token("eos_token_id"), pad: token("pad_token_id") };
        let dtype = fields.get("dtype").or(fields.get("torch_dtype")).and_then(Value::as_str);
        let mut dropout = Dropout::default();
        for (name, default, places) in format.dropouts {
            let share = fields.real(name, *default)?;
            dropout = places.iter().fold(dropout, |dropout, place| dropout.with(*place, share));
        }
        Ok(Self { model, tokens, dtype: dtype.unwrap_or("float32").to_owned(), dropout })
    }

    /// The content of the file, for both transformers 4 (`torch_dtype`, `rope_theta`) and 5 (`dtype`,
    /// `rope_parameters`).
    pub fn text(&self) -> String {
        let Self { model, tokens, dtype, dropout: _ } = self;
        let mut value = (format(model.arch).write)(model);
        let common = json!({
            "bos_token_id": tokens.bos,
            "eos_token_id": tokens.eos,
            "pad_token_id": tokens.pad,
            "initializer_range": model.init_std,
            "tie_word_embeddings": model.tied,
            "torch_dtype": dtype,
            "dtype": dtype,
            "use_cache": true,
            "vocab_size": model.vocab_size,
        });
        if let (Value::Object(fields), Value::Object(common)) = (&mut value, common) {
            fields.extend(common);
        }
        format!("{value:#}\n")
    }
}

/// The architecture that a `config.json` names.
fn arch(fields: &Fields<'_>) -> Option<Arch> {
    let model_type = fields.get("model_type").and_then(Value::as_str).map(|name| match name {
        // Published models name it in three ways.
        "gptbert" | "gpt-bert" => "gpt_bert",
        "ltg_bert" | "ltg-bert" => "ltgbert",
        name => name,
    });
    Arch::ALL.into_iter().find(|arch| Some(arch.name()) == model_type)
}

/// The format of the `config.json` of an architecture.
fn format(arch: Arch) -> &'static ConfigFormat {
    match arch {
        Arch::Llama => &llama::FORMAT,
        Arch::Gpt2 => &gpt2::FORMAT,
        Arch::Qwen2 => &qwen::QWEN2,
        Arch::Qwen3 => &qwen::QWEN3,
        Arch::Mistral(_) => &mistral::FORMAT,
        Arch::Opt(_) => &opt::FORMAT,
        Arch::GptNeox(_) => &gpt_neox::FORMAT,
        Arch::Bert(_) => &bert::BERT,
        Arch::Roberta(_) => &bert::ROBERTA,
        Arch::LtgBert(_) => &ltg_bert::LTG_BERT,
        Arch::GptBert(_) => &ltg_bert::GPT_BERT,
    }
}

/// The dropout of a model with this share in place of every dropout probability of its `config.json`, of which that of
/// whole layers stays 0.
pub fn uniform_dropout(arch: Arch, share: f64) -> Dropout {
    let places = format(arch).dropouts.iter().flat_map(|(_, _, places)| *places);
    let of_numbers = places.filter(|place| **place != DropoutPlace::Layers);
    of_numbers.fold(Dropout::default(), |dropout, place| dropout.with(*place, share))
}

/// Whether a field of the `config.json` of an architecture is known: computed here, or without effect on the outputs.
pub fn is_known(arch: Arch, name: &str) -> bool {
    names::is_common(name) || format(arch).fields.contains(&name)
}

/// What transformers 4.51.3 computes differently from the current release for a `config.json`; `None` if nothing.
pub fn difference_in_release_4(text: &str) -> Option<String> {
    let fields = json_object(text).ok()?;
    let fields = Fields(&fields);
    let arch = arch(&fields)?;
    let positions = fields.whole_or("max_position_embeddings", Some(arch.properties().max_positions)).ok()?;
    if let (Arch::Qwen2 | Arch::Qwen3, Some(window)) = (arch, qwen::window_of_release_4(&fields, positions)) {
        return Some(format!(
            "transformers 4.51.3, which the official pipeline uses, lets a token attend to 'sliding_window' = {window} tokens \
             although 'use_sliding_window' is off; longer texts have other log-probabilities there"
        ));
    }
    rope::difference_in_release_4(&fields, format(arch).rope?, positions)
}

/// What cannot be known of a model from its `config.json`, and how grid computes it; `None` if nothing.
pub fn ambiguity(text: &str) -> Option<String> {
    let fields = json_object(text).ok()?;
    let fields = Fields(&fields);
    let is_open = matches!(arch(&fields), Some(Arch::LtgBert(_))) && fields.get(ltg_bert::SPLIT).is_none();
    is_open.then(|| {
        format!(
            "the code of LTG-BERT was published in two releases that divide the embeddings of positions differently, and \
             nothing in the folder tells which one the model has; it is computed as in training/model.py: set '{}' in \
             config.json to \"heads\" if that is right, or to \"halves\" for babylm/train/model.py",
            ltg_bert::SPLIT
        )
    })
}

/// The sorted names of the weight files listed in a `model.safetensors.index.json`.
///
/// # Errors
/// An invalid index, or a name that is not that of a safetensors file in the same folder.
pub fn shards(index: &str) -> Result<Vec<String>, Unsupported> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let index = Value::Object(json_object(index)?);
    let index: Index =
        serde_json::from_value(index).map_err(|error| Unsupported(format!("is not an index of weights: {error}")))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| name.contains(['/', '\\']) || !name.ends_with(".safetensors")) {
        Some(name) => {
            Err(Unsupported(format!("lists '{}', which is not a safetensors file in the same folder", excerpt(name))))
        }
        None if names.is_empty() => Err(Unsupported("lists no files".to_owned())),
        None => Ok(names.into_iter().collect()),
    }
}

/// The fields of a JSON file, with or without a byte-order mark.
fn json_object(text: &str) -> Result<Map<String, Value>, Unsupported> {
    let text = plain_text(text.as_bytes()).map_err(|problem| Unsupported(format!("cannot be read: {problem}")))?;
    match parse_json(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Unsupported("is not a JSON object".to_owned())),
        Err(problem) => Err(Unsupported(format!("is not a JSON object: line {}: {problem}", problem.line))),
    }
}

#[cfg(test)]
mod tests;
