//! The files of a tokenizer in a model folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::domain::hugging_face::files::{ADDED_TOKENS, CONFIG, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG};
use crate::domain::{excerpt, parse_json, plain_text};

use super::super::error::DataError;

/// The files of a tokenizer; those that do not exist are empty.
#[derive(Debug)]
pub(super) struct TokenizerFiles {
    folder: PathBuf,
    /// `tokenizer.json`.
    pub(super) tokenizer: Map<String, Value>,
    /// `tokenizer_config.json`.
    pub(super) settings: Map<String, Value>,
    /// `special_tokens_map.json`.
    pub(super) special: Map<String, Value>,
    /// `added_tokens.json`.
    pub(super) added: Map<String, Value>,
    /// `config.json`.
    pub(super) model: Map<String, Value>,
}

impl TokenizerFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// No `tokenizer.json`; a file that cannot be read or is not a JSON object.
    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        let tokenizer = read(folder, TOKENIZER)?.ok_or_else(|| DataError::Tokenizer {
            action: format!("load tokenizer {}", folder.join(TOKENIZER).display()),
            reason: "there is no such file; create it with \
                     `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`"
                .to_owned(),
        })?;
        let optional = |name: &str| read(folder, name).map(Option::unwrap_or_default);
        Ok(Self {
            folder: folder.to_owned(),
            tokenizer,
            settings: optional(TOKENIZER_CONFIG)?,
            special: optional(SPECIAL_TOKENS)?,
            added: optional(ADDED_TOKENS)?,
            model: optional(CONFIG)?,
        })
    }

    /// A setting of `tokenizer_config.json`, unless it is missing or null.
    pub(super) fn setting(&self, name: &str) -> Option<&Value> {
        self.settings.get(name).filter(|value| !value.is_null())
    }

    /// A setting that is true or false.
    ///
    /// # Errors
    /// Another value.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, DataError> {
        let Some(value) = self.setting(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| {
            self.invalid(TOKENIZER_CONFIG, format!("'{name}' is {}, neither true nor false", excerpt(value)))
        })
    }

    /// The name of the class of the tokenizer, if a file names one.
    pub(super) fn class(&self) -> Option<&str> {
        [&self.settings, &self.model].into_iter().find_map(|file| file.get("tokenizer_class").and_then(Value::as_str))
    }

    /// The type of the model in `config.json`.
    pub(super) fn model_type(&self) -> Option<&str> {
        self.model.get("model_type").and_then(Value::as_str)
    }

    /// Whether `tokenizer.json` itself has this token.
    pub(super) fn has_token(&self, content: &str) -> bool {
        let is = |token: &Value| token.get("content").and_then(Value::as_str) == Some(content);
        let added = self.tokenizer.get("added_tokens").and_then(Value::as_array);
        if added.is_some_and(|tokens| tokens.iter().any(is)) {
            return true;
        }
        match self.tokenizer.get("model").and_then(|model| model.get("vocab")) {
            Some(Value::Object(vocab)) => vocab.contains_key(content),
            // The pieces of a unigram model with their scores.
            Some(Value::Array(pieces)) => {
                pieces.iter().any(|piece| piece.get(0).and_then(Value::as_str) == Some(content))
            }
            _ => false,
        }
    }

    /// The error for a file whose content cannot be used.
    pub(super) fn invalid(&self, file: &str, reason: String) -> DataError {
        DataError::Tokenizer { action: format!("load tokenizer {}", self.folder.join(file).display()), reason }
    }
}

fn read(folder: &Path, name: &str) -> Result<Option<Map<String, Value>>, DataError> {
    let path = folder.join(name);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataError::io("read", &path)(error)),
    };
    let failed = |reason: String| DataError::Tokenizer { action: format!("read {}", path.display()), reason };
    match plain_text(&text).map(parse_json) {
        Ok(Ok(Value::Object(fields))) => Ok(Some(fields)),
        Ok(Ok(_)) => Err(failed("it is not a JSON object".to_owned())),
        Ok(Err(problem)) => Err(failed(format!("line {}: {problem}", problem.line))),
        Err(problem) => Err(failed(problem.to_string())),
    }
}
