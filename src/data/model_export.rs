//! The export of models in the format of `transformers` 4 and 5.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::domain::hugging_face::files::{
    ADDED_TOKENS, CHAT_TEMPLATE, CONFIG, GENERATION, INDEX, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS,
};
use crate::domain::hugging_face::shards;
use crate::domain::{ConfigFile, SpecialTokens};

use super::error::DataError;
use super::model_folder::model_config;
use super::new_folder::create_folder;
use super::tokenizer::Tokenizer;

/// The name of the model card.
const CARD: &str = "README.md";

/// Writes the model in `from` to a new folder, atomically: unchanged weights and tokenizer, configurations for
/// `transformers` 4 and later, and a model card.
///
/// # Errors
/// A folder that is not empty, or cannot be written; a model that cannot be read.
pub fn export_model(from: &Path, to: &Path, card: &str) -> Result<(), DataError> {
    create_folder(to, |folder| write(from, folder, card))
}

/// A model to export as one of several revisions.
#[derive(Debug)]
pub struct ExportedRevision {
    /// The name of the revision, which is that of its folder.
    pub name: String,
    /// The folder of the model.
    pub from: PathBuf,
    /// The text of its model card.
    pub card: String,
}

/// Writes the models of several revisions, each into a folder of its own as [`export_model`] does, and a text file beside
/// them, to a new folder, atomically.
///
/// # Errors
/// As [`export_model`].
pub fn export_revisions(
    revisions: &[ExportedRevision],
    to: &Path,
    (name, text): (&str, &str),
) -> Result<(), DataError> {
    create_folder(to, |folder| {
        for ExportedRevision { name, from, card } in revisions {
            let folder = folder.join(name);
            fs::create_dir(&folder).map_err(DataError::io("create folder", &folder))?;
            write(from, &folder, card)?;
        }
        let path = folder.join(name);
        fs::write(&path, text).map_err(DataError::io("write", &path))
    })
}

fn write(from: &Path, to: &Path, card: &str) -> Result<(), DataError> {
    let config = model_config(from)?;
    let tokenizer = Tokenizer::load(from)?;
    let mut unchanged = vec![TOKENIZER.to_owned()];
    if from.join(WEIGHTS).exists() {
        unchanged.push(WEIGHTS.to_owned());
    } else {
        let index = from.join(INDEX);
        let text = fs::read_to_string(&index).map_err(DataError::io("read", &index))?;
        unchanged.extend(shards(&text).map_err(|error| DataError::Model { path: index, problem: error.to_string() })?);
        unchanged.push(INDEX.to_owned());
    }
    unchanged.extend(
        [SPECIAL_TOKENS, ADDED_TOKENS, CHAT_TEMPLATE, GENERATION]
            .map(str::to_owned)
            .into_iter()
            .filter(|name| from.join(name).exists()),
    );
    for name in &unchanged {
        fs::copy(from.join(name), to.join(name)).map_err(DataError::io("copy", &from.join(name)))?;
    }
    let put = |name: &str, text: String| {
        let path = to.join(name);
        fs::write(&path, text).map_err(DataError::io("write", &path))
    };
    put(TOKENIZER_CONFIG, format!("{:#}\n", tokenizer_config(from, &tokenizer, &config)?))?;
    if !from.join(GENERATION).exists() {
        put(GENERATION, format!("{:#}\n", generation_config(&tokenizer)))?;
    }
    let (known, own) = (tokenizer.special_tokens(), config.tokens);
    // Where the tokenizer has no token, that of the model stays.
    let tokens = SpecialTokens { bos: known.bos.or(own.bos), eos: known.eos.or(own.eos), pad: known.pad.or(own.pad) };
    put(CONFIG, ConfigFile { tokens, ..config }.text())?;
    put(CARD, card.to_owned())
}

/// The `tokenizer_config.json` of the model, or a new one, in a form that transformers 4 also supports.
fn tokenizer_config(from: &Path, tokenizer: &Tokenizer, config: &ConfigFile) -> Result<Value, DataError> {
    let path = from.join(TOKENIZER_CONFIG);
    let mut fields: Map<String, Value> = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| DataError::Model { path, problem: format!("is not a JSON object: {error}") })?,
        Err(_) => match tokenizer.config() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        },
    };
    // transformers 5 renamed this class; it supports both names, and transformers 4 only the old one.
    let class = fields.get("tokenizer_class").and_then(Value::as_str);
    if class.is_none_or(|class| class == "TokenizersBackend") {
        fields.insert("tokenizer_class".to_owned(), tokenizer.class().into());
    }
    fields.entry("model_max_length").or_insert(config.model.max_positions.into());
    Ok(Value::Object(fields))
}

/// The `generation_config.json` for greedy generation until the end-of-text token.
fn generation_config(tokenizer: &Tokenizer) -> Value {
    let tokens = tokenizer.special_tokens();
    let mut fields = json!({"_from_model_config": true});
    for (name, id) in [("bos_token_id", tokens.bos), ("eos_token_id", tokens.eos), ("pad_token_id", tokens.pad)] {
        if let Some(id) = id {
            fields[name] = id.into();
        }
    }
    fields
}
