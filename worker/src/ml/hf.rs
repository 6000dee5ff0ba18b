//! Model folders in the Hugging Face form: `config.json` and `model.safetensors`.

use std::fs;
use std::io::Write;
use std::path::Path;

use grid::domain::{Arch, Digest, ModelConfig};
use serde_json::{Map, Value, json};
use tch::Device;

use super::error::Error;
use super::model::Model;
use super::tensors::{self, Accept, Stored};

/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the configuration.
pub const CONFIG: &str = "config.json";

/// Ids that `config.json` repeats from the tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Begin of text.
    pub bos: Option<u32>,
    /// End of text.
    pub eos: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
}

/// Writes `config.json` and `model.safetensors` into a folder that exists, and waits until they are on disk.
///
/// Equal models give equal bytes. Returns the digest of the weights file.
pub fn write(folder: &Path, model: &Model, tokens: SpecialTokens) -> Result<Digest, Error> {
    let path = folder.join(CONFIG);
    let mut text = format!("{:#}", config_json(model.config(), tokens));
    text.push('\n');
    let save = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    save().map_err(Error::io(&path))?;
    write_weights(&folder.join(WEIGHTS), model)
}

/// Writes the weights of a model under their published names; returns the digest of the file.
pub fn write_weights(path: &Path, model: &Model) -> Result<Digest, Error> {
    tensors::write(path, model.weights().named()?)
}

/// Reads a model folder.
pub fn read(folder: &Path, device: Device) -> Result<Model, Error> {
    let model = Model::zeros(&read_config(folder)?, device)?;
    let path = folder.join(WEIGHTS);
    if !path.exists() && folder.join("model.safetensors.index.json").exists() {
        return Err(Error::file(folder, "is split over several files: save it with a larger max_shard_size"));
    }
    read_weights(&path, &model)?;
    Ok(model)
}

/// Fills a model from a weights file, which must fit it in every name and shape.
///
/// Also takes float16 and bfloat16 numbers, a repeated tied head, names without `transformer.` and the constant
/// buffers of older releases.
pub fn read_weights(path: &Path, model: &Model) -> Result<(), Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let named = model.weights().named()?;
    let config = model.config();
    let prefix = "transformer.";
    let bare = config.arch == Arch::Gpt2
        && safetensors::SafeTensors::deserialize(&bytes)
            .is_ok_and(|file| !file.names().iter().any(|name| name.starts_with(prefix)));
    let rename = |name: &str| if bare { name.strip_prefix(prefix).unwrap_or(name) } else { name }.to_owned();
    let known_extra = |name: &str| {
        let buffers = [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"];
        buffers.iter().any(|buffer| name.ends_with(buffer)) || (config.tied && name == "lm_head.weight")
    };
    Stored::new(path, &bytes).copy_into(&named, Accept::Widening, rename, known_extra)
}

/// Reads the configuration of a model folder.
pub fn read_config(folder: &Path) -> Result<ModelConfig, Error> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let fields: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| Error::file(&path, format!("is not a JSON object: {error}")))?;
    parse_config(&Fields { path: &path, fields })
}

/// The fields of a `config.json`, with its path for messages.
struct Fields<'a> {
    path: &'a Path,
    fields: Map<String, Value>,
}

impl Fields<'_> {
    /// The value of a field that is there and not null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn whole_or(&self, name: &str, default: Option<u32>) -> Result<u32, Error> {
        match (self.get(name), default) {
            (Some(value), _) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| Error::file(self.path, format!("'{name}' is {value}, not a whole number"))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Error::file(self.path, format!("has no '{name}'"))),
        }
    }

    fn whole(&self, name: &str) -> Result<u32, Error> {
        self.whole_or(name, None)
    }

    fn real(&self, name: &str, default: f64) -> Result<f64, Error> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_f64().ok_or_else(|| Error::file(self.path, format!("'{name}' is {value}, not a number")))
    }

    /// Refuses a value that would change the function of the model.
    fn must_be(&self, name: &str, allowed: &[Value]) -> Result<(), Error> {
        match self.get(name) {
            Some(value) if !allowed.contains(value) => {
                let wanted = allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
                Err(Error::file(self.path, format!("'{name}' is {value}; only {wanted} can be computed here")))
            }
            _ => Ok(()),
        }
    }
}

fn parse_config(fields: &Fields<'_>) -> Result<ModelConfig, Error> {
    match fields.get("model_type").and_then(Value::as_str) {
        Some("llama") => parse_llama(fields),
        Some("gpt2") => parse_gpt2(fields),
        other => {
            let kind = other.unwrap_or("missing");
            Err(Error::file(fields.path, format!("'model_type' is {kind}; 'llama' and 'gpt2' can be computed here")))
        }
    }
}

fn parse_llama(fields: &Fields<'_>) -> Result<ModelConfig, Error> {
    fields.must_be("hidden_act", &[json!("silu"), json!("swish")])?;
    fields.must_be("attention_bias", &[json!(false)])?;
    fields.must_be("mlp_bias", &[json!(false)])?;
    fields.must_be("rope_scaling", &[json!({"type": "default"}), json!({"rope_type": "default"})])?;
    // transformers 5 keeps the base of the rotary frequencies in an object of its own.
    let rope_base = match fields.get("rope_parameters").and_then(Value::as_object) {
        Some(object) => {
            let inner = Fields { path: fields.path, fields: object.clone() };
            inner.must_be("rope_type", &[json!("default")])?;
            inner.real("rope_theta", fields.real("rope_theta", 10_000.0)?)?
        }
        None => fields.real("rope_theta", 10_000.0)?,
    };
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
        tied: fields.get("tie_word_embeddings") == Some(&json!(true)),
        init_std: fields.real("initializer_range", 0.02)?,
    })
}

fn parse_gpt2(fields: &Fields<'_>) -> Result<ModelConfig, Error> {
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
        tied: fields.get("tie_word_embeddings") != Some(&json!(false)),
        init_std: fields.real("initializer_range", 0.02)?,
    })
}

/// The configuration as both transformers 4 (`torch_dtype`, `rope_theta`) and 5 (`dtype`, `rope_parameters`) read it.
fn config_json(config: &ModelConfig, tokens: SpecialTokens) -> Value {
    let mut value = match config.arch {
        Arch::Llama => json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": false,
            "attention_dropout": 0.0,
            "head_dim": config.head_dim,
            "hidden_act": "silu",
            "hidden_size": config.hidden,
            "intermediate_size": config.intermediate,
            "max_position_embeddings": config.max_positions,
            "mlp_bias": false,
            "num_attention_heads": config.heads,
            "num_hidden_layers": config.layers,
            "num_key_value_heads": config.kv_heads,
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rope_base,
            "rope_parameters": {"rope_theta": config.rope_base, "rope_type": "default"},
        }),
        Arch::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
            "layer_norm_epsilon": config.norm_eps,
            "n_embd": config.hidden,
            "n_head": config.heads,
            "n_inner": config.intermediate,
            "n_layer": config.layers,
            "n_positions": config.max_positions,
        }),
    };
    let common = json!({
        "bos_token_id": tokens.bos,
        "eos_token_id": tokens.eos,
        "pad_token_id": tokens.pad,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tied,
        "torch_dtype": "float32",
        "dtype": "float32",
        "use_cache": true,
        "vocab_size": config.vocab_size,
    });
    if let (Value::Object(fields), Value::Object(common)) = (&mut value, common) {
        fields.extend(common);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::small;
    use super::*;

    fn parse(value: Value) -> Result<ModelConfig, Error> {
        let Value::Object(fields) = value else { panic!("an object") };
        parse_config(&Fields { path: Path::new("config.json"), fields })
    }

    #[test]
    fn folders_come_back_as_they_were_written() {
        for arch in [Arch::Llama, Arch::Gpt2] {
            for tied in [true, false] {
                let config = ModelConfig { tied, ..small(arch) };
                let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
                let model = Model::random(&config, 5, Device::Cpu).unwrap();
                let tokens = SpecialTokens { eos: Some(0), ..SpecialTokens::default() };
                let digest = write(one.path(), &model, tokens).unwrap();
                let again = read(one.path(), Device::Cpu).unwrap();
                assert_eq!(again.config(), &config);
                assert_eq!(write(two.path(), &again, tokens).unwrap(), digest);
                let configs = [&one, &two].map(|folder| fs::read_to_string(folder.path().join(CONFIG)).unwrap());
                assert_eq!(configs[0], configs[1]);
            }
        }
    }

    #[test]
    fn both_forms_of_the_rotary_base_are_read() {
        let config = ModelConfig { rope_base: 5e5, ..small(Arch::Llama) };
        let Value::Object(mut old) = config_json(&config, SpecialTokens::default()) else { panic!("an object") };
        let mut new = old.clone();
        old.remove("rope_parameters");
        new.remove("rope_theta");
        assert_eq!(parse(Value::Object(old)).unwrap(), config);
        assert_eq!(parse(Value::Object(new)).unwrap(), config);
    }

    #[test]
    fn what_would_change_the_function_is_refused() {
        for (field, value, said) in [
            ("hidden_act", json!("gelu"), r#"'hidden_act' is "gelu"; only "silu" or "swish" can be computed here"#),
            ("attention_bias", json!(true), "'attention_bias' is true; only false can be computed here"),
            ("rope_scaling", json!({"type": "linear", "factor": 2.0}), "'rope_scaling' is"),
            ("rope_parameters", json!({"rope_type": "yarn"}), r#"'rope_type' is "yarn"; only "default" can"#),
            ("hidden_size", json!("big"), "'hidden_size' is \"big\", not a whole number"),
            ("vocab_size", Value::Null, "has no 'vocab_size'"),
            ("model_type", json!("mamba"), "'model_type' is mamba; 'llama' and 'gpt2' can be computed here"),
        ] {
            let mut fields = config_json(&small(Arch::Llama), SpecialTokens::default());
            fields[field] = value;
            let refusal = parse(fields).unwrap_err().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
    }
}
