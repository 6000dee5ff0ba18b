//! The `config.json` of Hugging Face models: reading it for imported models, and writing it for exported ones.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::json_text::parse_json;
use super::model::{Arch, ModelConfig};
use super::plain_text::plain_text;

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
}

/// The error for a file or model that is not supported; the message continues a sentence that begins with the file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

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
    /// The largest dropout probability that `transformers` uses in training; grid trains without dropout.
    pub dropout: f64,
}

impl ConfigFile {
    /// Parses the file, as written by transformers 4 or 5.
    ///
    /// # Errors
    /// Invalid JSON, an unsupported architecture, or an option that is not supported and would change the outputs of the
    /// model: such options are never ignored.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        let fields = json_object(text)?;
        let fields = Fields(&fields);
        fields.must_be("quantization_config", &[])?;
        let model_type = fields.get("model_type").and_then(Value::as_str);
        let Some(arch) = Arch::ALL.into_iter().find(|arch| Some(arch.name()) == model_type) else {
            let known = Arch::ALL.map(|arch| format!("'{}'", arch.name())).join(" and ");
            let found = model_type.unwrap_or("missing");
            return Err(Unsupported(format!("'model_type' is {found}; supported are {known}")));
        };
        let (model, dropouts) = match arch {
            Arch::Llama => (llama(&fields)?, &[("attention_dropout", 0.0)][..]),
            Arch::Gpt2 => (gpt2(&fields)?, &[("attn_pdrop", 0.1), ("embd_pdrop", 0.1), ("resid_pdrop", 0.1)][..]),
        };
        let token = |name: &str| {
            let value = fields.get(name)?;
            let first = value.as_array().and_then(|several| several.first()).unwrap_or(value);
            first.as_u64().and_then(|id| u32::try_from(id).ok())
        };
        let tokens =
            SpecialTokens { bos: token("bos_token_id"), eos: token("eos_token_id"), pad: token("pad_token_id") };
        let dtype = fields.get("dtype").or(fields.get("torch_dtype")).and_then(Value::as_str);
        let mut dropout: f64 = 0.0;
        for (name, default) in dropouts {
            dropout = dropout.max(fields.real(name, *default)?);
        }
        Ok(Self { model, tokens, dtype: dtype.unwrap_or("float32").to_owned(), dropout })
    }

    /// The content of the file, for both transformers 4 (`torch_dtype`, `rope_theta`) and 5 (`dtype`,
    /// `rope_parameters`).
    pub fn text(&self) -> String {
        let Self { model, tokens, dtype, dropout: _ } = self;
        let mut value = match model.arch {
            Arch::Llama => json!({
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
            }),
            Arch::Gpt2 => json!({
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
            }),
        };
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
        Some(name) => Err(Unsupported(format!("lists '{name}', which is not a safetensors file in the same folder"))),
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

/// The fields of a JSON object.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// The value of a field, unless it is missing or null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn whole_or(&self, name: &str, default: Option<u32>) -> Result<u32, Unsupported> {
        match (self.get(name), default) {
            (Some(value), _) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| Unsupported(format!("'{name}' is {value}, not a whole number"))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Unsupported(format!("has no '{name}'"))),
        }
    }

    fn whole(&self, name: &str) -> Result<u32, Unsupported> {
        self.whole_or(name, None)
    }

    fn real(&self, name: &str, default: f64) -> Result<f64, Unsupported> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_f64().ok_or_else(|| Unsupported(format!("'{name}' is {value}, not a number")))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Unsupported> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| Unsupported(format!("'{name}' is {value}, neither true nor false")))
    }

    /// Rejects values that would change the outputs of the model.
    fn must_be(&self, name: &str, allowed: &[Value]) -> Result<(), Unsupported> {
        match self.get(name) {
            Some(value) if !allowed.contains(value) => {
                let wanted = allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
                let wanted = if wanted.is_empty() { "a model without it".to_owned() } else { wanted };
                Err(Unsupported(format!("'{name}' is {value}; only {wanted} is supported")))
            }
            _ => Ok(()),
        }
    }
}

fn llama(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be("hidden_act", &[json!("silu"), json!("swish")])?;
    fields.must_be("attention_bias", &[json!(false)])?;
    fields.must_be("mlp_bias", &[json!(false)])?;
    fields.must_be("rope_scaling", &[json!({"type": "default"}), json!({"rope_type": "default"})])?;
    // transformers 5 stores the base of the rotary frequencies in a separate object.
    let rope_base = match fields.get("rope_parameters").and_then(Value::as_object) {
        Some(object) => {
            let inner = Fields(object);
            inner.must_be("rope_type", &[json!("default")])?;
            inner.must_be("partial_rotary_factor", &[json!(1.0), json!(1)])?;
            inner.real("rope_theta", fields.real("rope_theta", 10_000.0)?)?
        }
        None => fields.real("rope_theta", 10_000.0)?,
    };
    fields.must_be("partial_rotary_factor", &[json!(1.0), json!(1)])?;
    let (hidden, heads) = (fields.whole("hidden_size")?, fields.whole("num_attention_heads")?);
    Ok(ModelConfig {
        arch: Arch::Llama,
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_or("max_position_embeddings", Some(2048))?,
        hidden,
        layers: fields.whole("num_hidden_layers")?,
        heads,
        kv_heads: fields.whole_or("num_key_value_heads", Some(heads))?,
        head_dim: fields.whole_or("head_dim", Some(hidden / heads.max(1)))?,
        intermediate: fields.whole("intermediate_size")?,
        rope_base,
        norm_eps: fields.real("rms_norm_eps", 1e-6)?,
        tied: fields.flag("tie_word_embeddings", false)?,
        init_std: fields.real("initializer_range", 0.02)?,
    })
}

fn gpt2(fields: &Fields<'_>) -> Result<ModelConfig, Unsupported> {
    fields.must_be("activation_function", &[json!("gelu_new"), json!("gelu_pytorch_tanh")])?;
    fields.must_be("scale_attn_weights", &[json!(true)])?;
    fields.must_be("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    fields.must_be("add_cross_attention", &[json!(false)])?;
    let (hidden, heads) = (fields.whole("n_embd")?, fields.whole("n_head")?);
    Ok(ModelConfig {
        arch: Arch::Gpt2,
        vocab_size: fields.whole("vocab_size")?,
        max_positions: fields.whole_or("n_positions", Some(1024))?,
        hidden,
        layers: fields.whole("n_layer")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(arch: Arch) -> ConfigFile {
        let model = ModelConfig {
            arch,
            vocab_size: 61,
            max_positions: 40,
            hidden: 32,
            layers: 2,
            heads: 4,
            kv_heads: if arch == Arch::Llama { 2 } else { 4 },
            head_dim: 8,
            intermediate: 48,
            rope_base: if arch == Arch::Llama { 5e5 } else { 10_000.0 },
            norm_eps: 1e-5,
            tied: arch == Arch::Gpt2,
            init_std: 0.1,
        };
        let tokens = SpecialTokens { bos: None, eos: Some(0), pad: Some(1) };
        ConfigFile { model, tokens, dtype: "float32".to_owned(), dropout: 0.0 }
    }

    fn fields(arch: Arch) -> Map<String, Value> {
        serde_json::from_str(&file(arch).text()).unwrap()
    }

    fn parse(fields: &Map<String, Value>) -> Result<ConfigFile, Unsupported> {
        ConfigFile::parse(&serde_json::to_string(fields).unwrap())
    }

    #[test]
    fn configurations_round_trip() {
        for arch in Arch::ALL {
            assert_eq!(ConfigFile::parse(&file(arch).text()), Ok(file(arch)));
        }
    }

    #[test]
    fn both_forms_of_the_rotary_base_are_read() {
        let (mut old, mut new) = (fields(Arch::Llama), fields(Arch::Llama));
        old.remove("rope_parameters");
        new.remove("rope_theta");
        assert_eq!(parse(&old), Ok(file(Arch::Llama)));
        assert_eq!(parse(&new), Ok(file(Arch::Llama)));
    }

    #[test]
    fn absent_fields_have_the_defaults_of_transformers() {
        let mut gpt2 = fields(Arch::Gpt2);
        gpt2.insert("n_inner".to_owned(), Value::Null);
        gpt2.remove("tie_word_embeddings");
        gpt2.remove("resid_pdrop");
        gpt2.insert("eos_token_id".to_owned(), json!([7, 8]));
        let read = parse(&gpt2).unwrap();
        assert_eq!((read.model.intermediate, read.model.tied, read.tokens.eos), (128, true, Some(7)));
        assert_eq!(read.dropout, 0.1);
        let mut llama = fields(Arch::Llama);
        for absent in
            ["num_key_value_heads", "head_dim", "tie_word_embeddings", "dtype", "torch_dtype", "attention_dropout"]
        {
            llama.remove(absent);
        }
        let read = parse(&llama).unwrap();
        assert_eq!((read.model.kv_heads, read.model.head_dim, read.model.tied), (4, 8, false));
        assert_eq!((read.dtype.as_str(), read.dropout), ("float32", 0.0));
    }

    #[test]
    fn options_that_change_the_outputs_are_rejected() {
        let changes = [
            ("hidden_act", json!("gelu")),
            ("attention_bias", json!(true)),
            ("rope_scaling", json!({"type": "linear", "factor": 2.0})),
            ("rope_parameters", json!({"rope_type": "yarn"})),
            ("hidden_size", json!("big")),
            ("vocab_size", Value::Null),
            ("tie_word_embeddings", json!("yes")),
            ("quantization_config", json!({"bits": 4})),
            ("model_type", json!("mamba")),
        ];
        let errors = changes.map(|(field, value)| {
            let mut fields = fields(Arch::Llama);
            fields.insert(field.to_owned(), value);
            parse(&fields).unwrap_err().to_string()
        });
        insta::assert_snapshot!(errors.join("\n"), @r#"
        'hidden_act' is "gelu"; only "silu" or "swish" is supported
        'attention_bias' is true; only false is supported
        'rope_scaling' is {"factor":2.0,"type":"linear"}; only {"type":"default"} or {"rope_type":"default"} is supported
        'rope_type' is "yarn"; only "default" is supported
        'hidden_size' is "big", not a whole number
        has no 'vocab_size'
        'tie_word_embeddings' is "yes", neither true nor false
        'quantization_config' is {"bits":4}; only a model without it is supported
        'model_type' is mamba; supported are 'llama' and 'gpt2'
        "#);
    }

    #[test]
    fn an_index_lists_files_in_its_folder() {
        let index = |name: &str| json!({"metadata": {}, "weight_map": {"b": name, "a": "x.safetensors"}}).to_string();
        assert_eq!(shards(&index("a.safetensors")).unwrap(), ["a.safetensors", "x.safetensors"]);
        for name in ["../a.safetensors", "a.bin"] {
            assert!(shards(&index(name)).unwrap_err().to_string().contains(name));
        }
        assert!(shards("{}").unwrap_err().to_string().contains("weight_map"));
    }
}
