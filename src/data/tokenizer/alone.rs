//! Tokenizers for which `tokenizer.json` alone determines the ids.

use std::path::Path;

use serde_json::Value;
use tokenizers::AddedToken;

use crate::domain::Transformers;

use super::super::error::DataError;
use super::added::{AddedTokens, described};
use super::class::Class;
use super::files::TokenizerFiles;

/// Whether the other files beside `tokenizer.json` change nothing, in any release of `transformers`.
///
/// Earlier versions of grid read `tokenizer.json` alone, so the results of all other models are computed again.
pub(in super::super) fn file_is_enough(folder: &Path) -> bool {
    // What cannot be read fails when it is loaded.
    TokenizerFiles::read(folder).and_then(|files| is_enough(&files)).unwrap_or(true)
}

fn is_enough(files: &TokenizerFiles) -> Result<bool, DataError> {
    let own: Vec<AddedToken> = files
        .tokenizer
        .get("added_tokens")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|token| described(token.as_object()?))
        .collect();
    for release in Transformers::ALL {
        let class = Class::of(files, release)?;
        if class != Class::Generic {
            return Ok(false);
        }
        let tokens = AddedTokens::read(files, class, release)?;
        if tokens.to_add().iter().any(|token| !own.contains(token)) {
            return Ok(false);
        }
    }
    let splitter = files.tokenizer.get("pre_tokenizer");
    let is_bytes = splitter.and_then(|splitter| splitter.get("type")).and_then(Value::as_str) == Some("ByteLevel");
    let spaced = splitter.and_then(|splitter| splitter.get("add_prefix_space")).and_then(Value::as_bool);
    let same_space = !is_bytes || spaced == Some(files.flag("add_prefix_space", false)?);
    let conflict = files.special.iter().any(|(name, value)| files.setting(name).is_some_and(|other| other != value));
    Ok(same_space
        && !conflict
        && !files.flag("split_special_tokens", false)?
        && !files.flag("clean_up_tokenization_spaces", false)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_that_change_ids_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let with = |settings: Value, config: Value| {
            let stop = json!({"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true});
            let tokenizer = json!({
                "version": "1.0", "added_tokens": [stop], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true},
                "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
            });
            for (name, value) in
                [("tokenizer.json", tokenizer), ("tokenizer_config.json", settings), ("config.json", config)]
            {
                std::fs::write(folder.path().join(name), value.to_string()).unwrap();
            }
            file_is_enough(folder.path())
        };
        let generic =
            json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true, "eos_token": "</s>"});
        assert!(with(generic.clone(), json!({"model_type": "llama"})));
        for (name, value) in [
            ("tokenizer_class", json!("GPT2Tokenizer")),
            ("tokenizer_class", Value::Null),
            ("add_prefix_space", json!(false)),
            ("eos_token", json!("<|im_end|>")),
            ("eos_token", json!("a")),
            ("split_special_tokens", json!(true)),
            ("clean_up_tokenization_spaces", json!(true)),
        ] {
            let mut settings = generic.clone();
            settings[name] = value;
            assert!(!with(settings, json!({"model_type": "llama"})), "{name}");
        }
    }
}
