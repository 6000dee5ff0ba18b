//! The special tokens of a tokenizer.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer as Inner;

use crate::domain::hugging_face::files::{CONFIG, SPECIAL_TOKENS, TOKENIZER_CONFIG};
use crate::domain::{SpecialTokens, parse_json, plain_text};

use super::super::error::DataError;

/// Usual names of the end-of-text token, the most common first.
pub(super) const END_OF_TEXT: [&str; 5] = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>"];
/// Usual names of the padding token.
pub(super) const PADDING: [&str; 4] = ["<pad>", "[PAD]", "<|pad|>", "<|padding|>"];

/// The special tokens with the usual names.
pub(super) fn by_name(inner: &Inner) -> SpecialTokens {
    let find = |names: &[&str]| names.iter().find_map(|name| inner.token_to_id(name));
    let eos = find(&END_OF_TEXT);
    SpecialTokens { bos: None, eos, pad: find(&PADDING).or(eos) }
}

/// The special tokens according to the files next to a `tokenizer.json`. The files of the tokenizer take precedence over
/// that of the model.
///
/// # Errors
/// A file that exists but cannot be read.
pub(super) fn of_folder(inner: &Inner, folder: &Path) -> Result<SpecialTokens, DataError> {
    let read = |name: &str| -> Result<Map<String, Value>, DataError> {
        let path = folder.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let failed = |reason: String| DataError::Tokenizer { action: format!("read {}", path.display()), reason };
        match plain_text(&text).map(parse_json) {
            Ok(Ok(Value::Object(fields))) => Ok(fields),
            Ok(Ok(_)) => Err(failed("it is not a JSON object".to_owned())),
            Ok(Err(problem)) => Err(failed(format!("line {}: {problem}", problem.line))),
            Err(problem) => Err(failed(problem.to_string())),
        }
    };
    let (own, older, model) = (read(TOKENIZER_CONFIG)?, read(SPECIAL_TOKENS)?, read(CONFIG)?);
    let find = |role: &str| {
        let named = |file: &Map<String, Value>| {
            let token = file.get(&format!("{role}_token"))?;
            // The token itself, or an object that describes it.
            let word = token.as_str().or_else(|| token.get("content")?.as_str())?;
            inner.token_to_id(word)
        };
        let numbered = |file: &Map<String, Value>| {
            let id = file.get(&format!("{role}_token_id"))?;
            let first = id.as_array().and_then(|several| several.first()).unwrap_or(id).as_u64()?;
            u32::try_from(first).ok().filter(|&id| inner.id_to_token(id).is_some())
        };
        named(&own).or_else(|| named(&older)).or_else(|| numbered(&model))
    };
    let usual = by_name(inner);
    let eos = find("eos").or(usual.eos);
    // A padding token with a usual name takes precedence over the end-of-text token.
    let pad = find("pad").or_else(|| PADDING.iter().find_map(|name| inner.token_to_id(name))).or(eos);
    Ok(SpecialTokens { bos: find("bos"), eos, pad })
}

/// The `tokenizer_config.json` for transformers 4 and 5.
pub(super) fn config(inner: &Inner, special: SpecialTokens) -> Value {
    let mut fields = json!({"clean_up_tokenization_spaces": false, "tokenizer_class": "PreTrainedTokenizerFast"});
    for (role, id) in [("bos", special.bos), ("eos", special.eos), ("pad", special.pad)] {
        if let Some(word) = id.and_then(|id| inner.id_to_token(id)) {
            fields[format!("{role}_token")] = word.into();
        }
    }
    fields
}
