//! Builds a tokenizer from its files as `AutoTokenizer` does.
//!
//! `AutoTokenizer` does not only read `tokenizer.json`: depending on the class and the release, it replaces parts of it by
//! rules of the class and by settings in `tokenizer_config.json`, and adds special tokens.

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer as Inner;
use tokenizers::processors::PostProcessorWrapper;

use crate::domain::hugging_face::files::{TOKENIZER, TOKENIZER_CONFIG};
use crate::domain::{Transformers, excerpt};

use super::super::error::DataError;
use super::added::AddedTokens;
use super::class::Class;
use super::files::TokenizerFiles;

/// Builds the tokenizer of a class, with its added tokens.
///
/// # Errors
/// Files that do not fit the class, or settings that are not supported.
pub(super) fn build(
    files: &TokenizerFiles,
    class: Class,
    release: Transformers,
    added: &AddedTokens,
) -> Result<Inner, DataError> {
    let mut parts = files.tokenizer.clone();
    // Without a `tokenizer.json` there is nothing that release 4 could change: it makes the same parts as release 5.
    match release {
        Transformers::V4 if !files.is_older_layout() => adapt(files, class, &mut parts)?,
        Transformers::V4 | Transformers::V5 => rebuild(files, class, release, added, &mut parts)?,
    }
    let failed = |reason: String| files.invalid(files.vocabulary_file(), reason);
    let dropout = parts.get("model").and_then(|model| model.get("dropout")).and_then(Value::as_f64);
    if let Some(dropout) = dropout.filter(|&dropout| dropout > 0.0) {
        return Err(failed(format!(
            "'dropout' of its model is {dropout}, so that a text gets other ids each time; set it to null"
        )));
    }
    let parts = Value::Object(parts).to_string();
    let mut inner: Inner = parts.parse().map_err(|error: tokenizers::Error| failed(error.to_string()))?;
    inner.with_padding(None).with_truncation(None).map_err(|error| failed(error.to_string()))?;
    inner.add_tokens(added.to_add()).map_err(|error| failed(error.to_string()))?;
    if let Some(template) = template(files, class, release, added, &inner)? {
        let processor: PostProcessorWrapper =
            serde_json::from_value(template).map_err(|error| failed(error.to_string()))?;
        inner.with_post_processor(Some(processor));
    }
    if files.flag("split_special_tokens", false)? {
        inner.set_encode_special_tokens(true);
    }
    Ok(inner)
}

fn byte_level(add_prefix_space: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true})
}

/// Changes the parts that classes of release 4 change after they have read `tokenizer.json`.
fn adapt(files: &TokenizerFiles, class: Class, parts: &mut Map<String, Value>) -> Result<(), DataError> {
    if class == Class::Llama {
        if let Some(value) = files.setting("add_prefix_space") {
            return Err(files.invalid(
                TOKENIZER_CONFIG,
                format!(
                    "'add_prefix_space' is {}: LlamaTokenizer of transformers 4.51.3 then converts tokenizer.model \
                     instead of reading tokenizer.json, which grid does not do; remove the setting",
                    excerpt(value)
                ),
            ));
        }
        return Ok(());
    }
    // The setting takes precedence, also where it is missing and therefore false.
    let space = files.flag("add_prefix_space", false)?;
    if let Some(Value::Object(splitter)) = parts.get_mut("pre_tokenizer")
        && splitter.get("type").and_then(Value::as_str) == Some("ByteLevel")
    {
        splitter.insert("add_prefix_space".to_owned(), space.into());
    }
    match class {
        Class::Bert => {
            let settings = bert_settings(files)?;
            if let Some(Value::Object(normalizer)) = parts.get_mut("normalizer") {
                normalizer.extend(settings);
            }
        }
        Class::Roberta => {
            let trim = files.flag("trim_offsets", true)?;
            if let Some(Value::Object(processor)) = parts.get_mut("post_processor") {
                for (name, value) in [("add_prefix_space", space), ("trim_offsets", trim)] {
                    if processor.contains_key(name) {
                        processor.insert(name.to_owned(), value.into());
                    }
                }
            }
        }
        Class::Generic | Class::Gpt2 | Class::Llama | Class::GptNeoX | Class::Qwen2 => {}
    }
    Ok(())
}

/// The words of `Qwen2Tokenizer`.
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The settings of the normalizer of BERT.
fn bert_settings(files: &TokenizerFiles) -> Result<Map<String, Value>, DataError> {
    let accents = files.setting("strip_accents").cloned().unwrap_or(Value::Null);
    let settings = json!({
        "lowercase": files.flag("do_lower_case", true)?,
        "strip_accents": accents,
        "handle_chinese_chars": files.flag("tokenize_chinese_chars", true)?,
    });
    match settings {
        Value::Object(settings) => Ok(settings),
        _ => Ok(Map::new()),
    }
}

/// Replaces the parts that classes of release 5 build themselves. Only the vocabulary and the post-processor remain.
fn rebuild(
    files: &TokenizerFiles,
    class: Class,
    release: Transformers,
    added: &AddedTokens,
    parts: &mut Map<String, Value>,
) -> Result<(), DataError> {
    let (vocab, merges) = match class {
        Class::Generic => return Ok(()),
        Class::Bert => (vocabulary(files, class, "WordPiece", parts)?, Value::Null),
        Class::Gpt2 | Class::Llama | Class::GptNeoX | Class::Roberta | Class::Qwen2 => {
            let vocab = vocabulary(files, class, "BPE", parts)?;
            let merges = match files.merges(release)? {
                Some(merges) => Some(merges),
                None => parts["model"].get("merges").cloned(),
            };
            (vocab, merges.unwrap_or_else(|| json!([])))
        }
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let pairs = |fuse_unk: bool, byte_fallback: bool, affix: Value| {
        json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": affix,
            "end_of_word_suffix": affix, "fuse_unk": fuse_unk, "byte_fallback": byte_fallback, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        })
    };
    let space = files.flag("add_prefix_space", class == Class::Llama)?;
    let (model, normalizer, splitter, decoder) = match class {
        Class::Generic => return Ok(()),
        Class::Gpt2 | Class::Roberta => (pairs(false, false, json!("")), Value::Null, byte_level(space), bytes),
        Class::GptNeoX => (pairs(false, false, json!("")), json!({"type": "NFC"}), byte_level(space), bytes),
        Class::Qwen2 => {
            let split = json!({
                "type": "Split", "pattern": {"Regex": QWEN2_WORDS}, "behavior": "Isolated", "invert": false,
            });
            let mut bytes_of_words = byte_level(space);
            bytes_of_words["use_regex"] = false.into();
            let splitter = json!({"type": "Sequence", "pretokenizers": [split, bytes_of_words]});
            (pairs(false, false, json!("")), json!({"type": "NFC"}), splitter, bytes)
        }
        Class::Llama => {
            let scheme = match (space, files.flag("legacy", false)?) {
                (false, _) => "never",
                (true, true) => "always",
                (true, false) => "first",
            };
            let splitter =
                json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false});
            let mut decoders = vec![
                json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
                json!({"type": "ByteFallback"}),
                json!({"type": "Fuse"}),
            ];
            if space {
                decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            }
            let decoder = json!({"type": "Sequence", "decoders": decoders});
            (pairs(true, true, Value::Null), Value::Null, splitter, decoder)
        }
        Class::Bert => {
            let mut normalizer = bert_settings(files)?;
            normalizer.insert("type".to_owned(), "BertNormalizer".into());
            normalizer.insert("clean_text".to_owned(), true.into());
            let model = json!({
                "type": "WordPiece", "unk_token": added.of_role("unk").unwrap_or("[UNK]"),
                "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab,
            });
            let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
            (model, Value::Object(normalizer), json!({"type": "BertPreTokenizer"}), decoder)
        }
    };
    for (name, value) in
        [("model", model), ("normalizer", normalizer), ("pre_tokenizer", splitter), ("decoder", decoder)]
    {
        parts.insert(name.to_owned(), value);
    }
    parts.insert("added_tokens".to_owned(), json!([]));
    Ok(())
}

/// The vocabulary of `tokenizer.json`, whose model must be of a type.
fn vocabulary(
    files: &TokenizerFiles,
    class: Class,
    wanted: &str,
    parts: &Map<String, Value>,
) -> Result<Value, DataError> {
    let model = parts.get("model").cloned().unwrap_or_default();
    let kind = model.get("type").and_then(Value::as_str);
    match (kind, model.get("vocab")) {
        (Some(kind), Some(vocab @ Value::Object(_))) if kind == wanted => Ok(vocab.clone()),
        _ => Err(files.invalid(
            TOKENIZER,
            format!(
                "its model is {}, but 'tokenizer_class' {} of transformers 5 makes a {wanted} tokenizer of it; name \
                 PreTrainedTokenizerFast in {TOKENIZER_CONFIG} to read it unchanged",
                kind.unwrap_or("of an unknown type"),
                class.name()
            ),
        )),
    }
}

/// The template with which a class replaces the post-processor; `None` if it keeps the one of `tokenizer.json`.
fn template(
    files: &TokenizerFiles,
    class: Class,
    release: Transformers,
    added: &AddedTokens,
    inner: &Inner,
) -> Result<Option<Value>, DataError> {
    let token = |role: &str| -> Result<(String, u32), DataError> {
        let content = added.of_role(role).map(str::to_owned);
        content.and_then(|content| inner.token_to_id(&content).map(|id| (content, id))).ok_or_else(|| {
            files.invalid(TOKENIZER_CONFIG, format!("{} adds a {role} token, but '{role}_token' is null", class.name()))
        })
    };
    let around_text = |bos: bool, eos: bool| -> Result<Value, DataError> {
        let (bos, eos) = (bos.then(|| token("bos")).transpose()?, eos.then(|| token("eos")).transpose()?);
        Ok(around(bos, eos))
    };
    if files.is_older_layout() {
        // Release 5 ignores these settings only beside a `tokenizer.json`; release 4 knows one of them.
        let bos = files.flag("add_bos_token", false)?;
        let eos = files.flag("add_eos_token", false)?;
        match (class, release) {
            (Class::Gpt2, Transformers::V4) if !bos => return Ok(Some(untrimmed_bytes())),
            (Class::Gpt2, Transformers::V4) => return around_text(true, false).map(Some),
            (Class::Gpt2 | Class::GptNeoX, Transformers::V5) => return around_text(bos, eos).map(Some),
            _ => {}
        }
    }
    match (class, release) {
        (Class::Roberta, Transformers::V4) if files.is_older_layout() => {
            roberta(files, token("sep")?, token("cls")?).map(Some)
        }
        (Class::Generic | Class::Gpt2 | Class::Qwen2, _) | (Class::Bert | Class::Roberta, Transformers::V4) => Ok(None),
        (Class::Llama, Transformers::V5) => Ok(None),
        (Class::Llama | Class::GptNeoX, Transformers::V4) => {
            around_text(files.flag("add_bos_token", class == Class::Llama)?, files.flag("add_eos_token", false)?)
                .map(Some)
        }
        // Release 5 ignores `add_bos_token` and `add_eos_token` beside a `tokenizer.json`.
        (Class::GptNeoX, Transformers::V5) => Ok(Some(around(None, None))),
        (Class::Roberta, Transformers::V5) => roberta(files, token("sep")?, token("cls")?).map(Some),
        (Class::Bert, Transformers::V5) => {
            let (cls, sep) = (token("cls")?, token("sep")?);
            let special =
                |(content, _): &(String, u32), kind: u32| json!({"SpecialToken": {"id": content, "type_id": kind}});
            let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
            Ok(Some(json!({
                "type": "TemplateProcessing",
                "single": [special(&cls, 0), text("A", 0), special(&sep, 0)],
                "pair": [special(&cls, 0), text("A", 0), special(&sep, 0), text("B", 1), special(&sep, 1)],
                "special_tokens": ids_of([Some(cls), Some(sep)]),
            })))
        }
    }
}

/// The post-processor of GPT-2 in release 4, which changes nothing.
fn untrimmed_bytes() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true})
}

/// The template of RoBERTa.
fn roberta(files: &TokenizerFiles, sep: (String, u32), cls: (String, u32)) -> Result<Value, DataError> {
    Ok(json!({
        "type": "RobertaProcessing", "sep": sep, "cls": cls,
        "trim_offsets": files.flag("trim_offsets", true)?,
        "add_prefix_space": files.flag("add_prefix_space", false)?,
    }))
}

/// The template that puts tokens before and after each text.
fn around(bos: Option<(String, u32)>, eos: Option<(String, u32)>) -> Value {
    let one = |name: &str, kind: u32| {
        let special = |token: &Option<(String, u32)>| {
            token.as_ref().map(|(content, _)| json!({"SpecialToken": {"id": content, "type_id": kind}}))
        };
        let text = Some(json!({"Sequence": {"id": name, "type_id": kind}}));
        [special(&bos), text, special(&eos)].into_iter().flatten().collect::<Vec<_>>()
    };
    let pair = [one("A", 0), one("B", 1)].concat();
    json!({
        "type": "TemplateProcessing",
        "single": one("A", 0),
        "pair": pair,
        "special_tokens": ids_of([bos.clone(), eos.clone()]),
    })
}

/// The tokens of a template with their ids.
fn ids_of(tokens: [Option<(String, u32)>; 2]) -> Value {
    let entry = |(content, id): (String, u32)| {
        let description = json!({"id": content, "ids": [id], "tokens": [content]});
        (content, description)
    };
    Value::Object(tokens.into_iter().flatten().map(entry).collect())
}
