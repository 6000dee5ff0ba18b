//! The special tokens of a tokenizer.

use serde_json::{Map, Value};
use tokenizers::Tokenizer as Inner;

use crate::domain::SpecialTokens;
use crate::domain::hugging_face::files::{CONFIG, TOKENIZER_CONFIG};

use super::added::AddedTokens;
use super::class::Class;
use super::files::TokenizerFiles;

/// Usual names of the end-of-text token, the most common first.
pub(super) const END_OF_TEXT: [&str; 5] = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>"];
/// Usual names of the padding token.
pub(super) const PADDING: [&str; 4] = ["<pad>", "[PAD]", "<|pad|>", "<|padding|>"];

/// The special tokens of a tokenizer, with what there is to say about them.
#[derive(Debug, Clone)]
pub(super) struct Special {
    /// The ids.
    pub(super) tokens: SpecialTokens,
    /// The mask token and its id.
    pub(super) mask: Option<(String, u32)>,
    /// Why there is no end-of-text token, with a remedy.
    pub(super) no_end: Option<String>,
    /// Contradictions between the files.
    pub(super) warnings: Vec<String>,
}

/// The special tokens with the usual names.
pub(super) fn by_name(inner: &Inner) -> Special {
    let find = |names: &[&str]| names.iter().find_map(|name| inner.token_to_id(name));
    let eos = find(&END_OF_TEXT);
    let tokens = SpecialTokens { bos: None, eos, pad: find(&PADDING).or(eos) };
    Special { tokens, mask: None, no_end: None, warnings: vec![] }
}

/// The special tokens according to the files. Those of the tokenizer take precedence over `config.json`, and that over the
/// usual names.
///
/// A token that the files of the tokenizer name but `tokenizer.json` does not have is none: `transformers` adds it under a
/// new id, for which no model has been trained.
pub(super) fn of_files(inner: &Inner, files: &TokenizerFiles, added: &AddedTokens) -> Special {
    let is_known = |content: &str| files.has_token(content) || added.lists(content);
    let named =
        |role: &str| added.of_role(role).filter(|content| is_known(content)).and_then(|name| inner.token_to_id(name));
    let numbers = |role: &str| -> Vec<u32> {
        let several = match files.model.get(&format!("{role}_token_id")) {
            Some(Value::Array(several)) => several.clone(),
            Some(one) => vec![one.clone()],
            None => vec![],
        };
        let ids = several.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok());
        ids.filter(|&id| inner.id_to_token(id).is_some()).collect()
    };
    let numbered = |role: &str| numbers(role).first().copied();
    let usual = by_name(inner).tokens;
    let mut warnings = vec![];
    let missing = added.of_role("eos").zip(added.file_of_role("eos")).filter(|(content, _)| !is_known(content));
    let no_end = missing.map(|(content, file)| {
        format!(
            "{file} names '{content}' as the end-of-text token, but {} does not have it; name one of its tokens as \
             `eos_token`",
            files.vocabulary_file()
        )
    });
    let eos = match no_end {
        Some(_) => None,
        None => named("eos").or_else(|| numbered("eos")).or(usual.eos),
    };
    if let (Some(id), Some(content)) = (named("eos"), added.of_role("eos")) {
        let of_model = numbers("eos");
        if let Some(&other) = of_model.first().filter(|_| !of_model.contains(&id)) {
            let other_name = inner.id_to_token(other).unwrap_or_default();
            warnings.push(format!(
                "the files disagree about the end-of-text token: the tokenizer has '{content}' (id {id}), which is used, \
                 and {CONFIG} has '{other_name}' (id {other})"
            ));
        }
    }
    warnings.extend(no_end.clone());
    // A padding token with a usual name takes precedence over the end-of-text token.
    let usual_pad = || PADDING.iter().find_map(|name| inner.token_to_id(name));
    let pad = named("pad").or_else(|| numbered("pad")).or_else(usual_pad).or(eos);
    let tokens = SpecialTokens { bos: named("bos").or_else(|| numbered("bos")), eos, pad };
    let mask = added.of_role("mask").map(str::to_owned).zip(named("mask"));
    Special { tokens, mask, no_end, warnings }
}

/// The `tokenizer_config.json` for transformers 4 and 5.
pub(super) fn config(inner: &Inner, class: Class, special: SpecialTokens) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    fields.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    fields.insert("tokenizer_class".to_owned(), class.name().into());
    for (role, id) in [("bos", special.bos), ("eos", special.eos), ("pad", special.pad)] {
        if let Some(word) = id.and_then(|id| inner.id_to_token(id)) {
            fields.insert(format!("{role}_token"), word.into());
        }
    }
    Value::Object(fields)
}

/// The error for a tokenizer that names no end-of-text token and has none with a usual name.
pub(super) fn no_end_of_text() -> String {
    format!("the tokenizer has none; set `eos_token` in {TOKENIZER_CONFIG}")
}
