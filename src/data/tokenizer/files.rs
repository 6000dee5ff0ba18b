//! The files of a tokenizer in a model folder.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::domain::hugging_face::files::{
    ADDED_TOKENS, CONFIG, MERGES, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY,
};
use crate::domain::{Transformers, excerpt, parse_json, plain_text};

use super::super::error::DataError;

/// The files of a tokenizer; those that do not exist are empty.
#[derive(Debug)]
pub(super) struct TokenizerFiles {
    folder: PathBuf,
    /// `tokenizer.json`, or a BPE model of the tokens in `vocab.json`, without merges.
    pub(super) tokenizer: Map<String, Value>,
    /// The text of `merges.txt`, if there is no `tokenizer.json`.
    merges: Option<String>,
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
    /// Neither `tokenizer.json` nor `vocab.json` with `merges.txt`; a file that cannot be read, or is not of its format.
    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        let (tokenizer, merges) = match read(folder, TOKENIZER)? {
            Some(tokenizer) => (tokenizer, None),
            None => {
                let older = OlderLayout::read(folder)?.ok_or_else(|| DataError::Tokenizer {
                    action: format!("load tokenizer {}", folder.join(TOKENIZER).display()),
                    reason: format!("the file is missing; {CREATE}"),
                })?;
                (older.tokenizer, Some(older.merges))
            }
        };
        let optional = |name: &str| read(folder, name).map(Option::unwrap_or_default);
        Ok(Self {
            folder: folder.to_owned(),
            tokenizer,
            merges,
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

    /// Whether the tokenizer is `vocab.json` and `merges.txt`, as releases of `transformers` saved it before there was
    /// `tokenizer.json`.
    pub(super) fn is_older_layout(&self) -> bool {
        self.merges.is_some()
    }

    /// The name of the file with the vocabulary.
    pub(super) fn vocabulary_file(&self) -> &'static str {
        if self.is_older_layout() { VOCABULARY } else { TOKENIZER }
    }

    /// The merges in `merges.txt` as a release reads them, the first one first; `None` with a `tokenizer.json`.
    ///
    /// Release 5 leaves out lines that begin with `#version`, and release 4 the first line and what follows the last line
    /// break, whatever they contain.
    ///
    /// # Errors
    /// A line that is not two tokens with a space between them.
    pub(super) fn merges(&self, release: Transformers) -> Result<Option<Value>, DataError> {
        let Some(text) = &self.merges else { return Ok(None) };
        let lines: Vec<&str> = match release {
            Transformers::V4 => text.rsplit_once('\n').map_or("", |(lines, _)| lines).split('\n').collect(),
            Transformers::V5 => text.lines().collect(),
        };
        let is_header = |(number, line): (usize, &str)| match release {
            Transformers::V4 => number == 0,
            Transformers::V5 => line.starts_with("#version"),
        };
        let (mut merges, mut known) = (vec![], HashSet::new());
        for (number, line) in lines.into_iter().enumerate().filter(|(number, line)| !is_header((*number, line))) {
            let pair: Vec<&str> = match release {
                Transformers::V4 => line.split_whitespace().collect(),
                Transformers::V5 => line.split(' ').collect(),
            };
            if pair.len() != 2 {
                return Err(self.invalid(
                    MERGES,
                    format!(
                        "line {}: \"{}\" is not two tokens with a space between them, so that transformers {release} cannot \
                         read it either; remove the line, or download the file again",
                        number + 1,
                        excerpt(line)
                    ),
                ));
            }
            // Release 4 keeps the first of two equal merges, release 5 the last, as the library does.
            if release == Transformers::V5 || known.insert(line) {
                merges.push(json!(pair));
            }
        }
        Ok(Some(merges.into()))
    }

    /// The id of the unknown piece of a unigram model.
    pub(super) fn unknown_piece(&self) -> Option<u32> {
        let id = self.tokenizer.get("model")?.get("unk_id")?.as_u64()?;
        u32::try_from(id).ok()
    }

    /// Whether the vocabulary has this token.
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

/// The remedy for a tokenizer whose files are not read.
pub(super) const CREATE: &str = "create it with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`";

/// A tokenizer without `tokenizer.json`.
struct OlderLayout {
    /// A model with the tokens of `vocab.json`, in the form of `tokenizer.json`.
    tokenizer: Map<String, Value>,
    /// The text of `merges.txt`.
    merges: String,
}

impl OlderLayout {
    /// Reads the files, if there are both.
    fn read(folder: &Path) -> Result<Option<Self>, DataError> {
        let (vocab, merges) = (read(folder, VOCABULARY)?, content(&folder.join(MERGES))?);
        let Some((vocab, merges)) = vocab.zip(merges) else { return Ok(None) };
        let failed = |name: &str, reason: String| DataError::Tokenizer {
            action: format!("read {}", folder.join(name).display()),
            reason,
        };
        if let Some((token, id)) = vocab.iter().find(|(_, id)| id.as_u64().is_none_or(|id| u32::try_from(id).is_err()))
        {
            let (token, id) = (excerpt(token), excerpt(id));
            return Err(failed(VOCABULARY, format!("{token} has {id}, which is not the id of a token")));
        }
        let merges = plain_text(&merges).map_err(|problem| failed(MERGES, problem.to_string()))?.to_owned();
        let parts =
            json!({"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocab, "merges": []}});
        Ok(parts.as_object().map(|tokenizer| OlderLayout { tokenizer: tokenizer.clone(), merges }))
    }
}

/// The bytes of a file, if there is one.
fn content(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DataError::io("read", path)(error)),
    }
}

fn read(folder: &Path, name: &str) -> Result<Option<Map<String, Value>>, DataError> {
    let path = folder.join(name);
    let Some(text) = content(&path)? else { return Ok(None) };
    let failed = |reason: String| DataError::Tokenizer { action: format!("read {}", path.display()), reason };
    match plain_text(&text).map(parse_json) {
        Ok(Ok(Value::Object(fields))) => Ok(Some(fields)),
        Ok(Ok(_)) => Err(failed("it is not a JSON object".to_owned())),
        Ok(Err(problem)) => Err(failed(format!("line {}: {problem}", problem.line))),
        Err(problem) => Err(failed(problem.to_string())),
    }
}
