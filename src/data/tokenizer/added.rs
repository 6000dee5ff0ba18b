//! The tokens that `transformers` adds to those of `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::domain::hugging_face::files::{ADDED_TOKENS, SPECIAL_TOKENS, TOKENIZER_CONFIG};
use crate::domain::{Transformers, excerpt};

use super::super::error::DataError;
use super::class::Class;
use super::files::TokenizerFiles;

/// The roles of special tokens, in the order in which `transformers` adds their tokens.
pub(super) const ROLES: [&str; 7] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/// A token as a file gives it.
#[derive(Debug, Clone, PartialEq)]
enum Given {
    /// Its text only.
    Text(String),
    /// With its properties.
    Token(AddedToken),
}

impl Given {
    fn content(&self) -> &str {
        match self {
            Given::Text(content) => content,
            Given::Token(token) => &token.content,
        }
    }

    /// The token to add; one that is given as text is special.
    fn token(&self) -> AddedToken {
        match self {
            Given::Text(content) => AddedToken::from(content.clone(), true),
            Given::Token(token) => token.clone(),
        }
    }
}

/// The special tokens of a tokenizer and the tokens that its files add.
#[derive(Debug)]
pub(super) struct AddedTokens {
    /// The token of each role that has one, with the file that names it; `None` for the default of the class.
    roles: Vec<(&'static str, Given, Option<&'static str>)>,
    /// Special tokens without a role.
    extra: Vec<Given>,
    /// The tokens that a file lists with their ids.
    listed: BTreeMap<u32, AddedToken>,
}

impl AddedTokens {
    /// Reads them as a release does: with `added_tokens_decoder` in `tokenizer_config.json`, the older files do not count;
    /// without it, `special_tokens_map.json` takes precedence over `tokenizer_config.json`.
    ///
    /// # Errors
    /// A token that is neither text nor an object that describes a token.
    pub(super) fn read(files: &TokenizerFiles, class: Class, release: Transformers) -> Result<Self, DataError> {
        let mut listed = BTreeMap::new();
        let mut named: BTreeMap<&str, (&Value, &'static str)> = BTreeMap::new();
        for (name, value) in &files.settings {
            named.insert(name, (value, TOKENIZER_CONFIG));
        }
        let decoder = files.settings.get("added_tokens_decoder");
        if let Some(decoder) = decoder {
            let decoder = decoder.as_object().ok_or_else(|| {
                files
                    .invalid(TOKENIZER_CONFIG, format!("'added_tokens_decoder' is {}, not an object", excerpt(decoder)))
            })?;
            for (id, value) in decoder {
                let invalid = || {
                    files.invalid(
                        TOKENIZER_CONFIG,
                        format!("'added_tokens_decoder' has {} under the id '{}'", excerpt(value), excerpt(id)),
                    )
                };
                let token = value.as_object().and_then(described).ok_or_else(invalid)?;
                listed.insert(id.parse().map_err(|_| invalid())?, token);
            }
        } else {
            for (name, value) in &files.special {
                named.insert(name, (value, SPECIAL_TOKENS));
            }
        }
        let mut tokens = Self { roles: vec![], extra: extra_tokens(files, decoder.is_none(), release)?, listed };
        let given = |name: &str, value: &Value, file: &str| {
            let special = file == SPECIAL_TOKENS;
            given(value, special)
                .ok_or_else(|| files.invalid(file, format!("'{name}' is {}, not a token", excerpt(value))))
        };
        for role in ROLES {
            let name = format!("{role}_token");
            match named.get(name.as_str()) {
                Some((Value::Null, _)) => {}
                Some((value, file)) => tokens.roles.push((role, given(&name, value, file)?, Some(file))),
                None => tokens.roles.extend(class.default_token(role, release).map(|token| (role, token, None))),
            }
        }
        if decoder.is_none() {
            tokens.list_older(files)?;
        }
        if release == Transformers::V5 {
            tokens.add_roles_of_models(files, &named)?;
        }
        if class == Class::Roberta && release == Transformers::V4 {
            tokens.widen_mask();
        }
        // A listed token describes the token of the same text.
        for (role, given, file) in &mut tokens.roles {
            // Release 4 does not look for one that no file names: it adds the mask token of RoBERTa again.
            let again = *role == "mask" && file.is_none() && matches!(given, Given::Token(_));
            if !again && let Some(token) = tokens.listed.values().find(|token| token.content == given.content()) {
                *given = Given::Token(token.clone());
            }
        }
        Ok(tokens)
    }

    /// A mask token that is given as text includes the space before it in RoBERTa of release 4.
    fn widen_mask(&mut self) {
        for (role, given, _) in &mut self.roles {
            if let ("mask", Given::Text(content)) = (&**role, &*given) {
                *given = Given::Token(AddedToken::from(content.clone(), true).lstrip(true));
            }
        }
    }

    /// Lists the tokens of `added_tokens.json`, then those of `tokenizer.json`.
    fn list_older(&mut self, files: &TokenizerFiles) -> Result<(), DataError> {
        for (content, id) in &files.added {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                files.invalid(ADDED_TOKENS, format!("'{content}' has {id}, which is not the id of a token"))
            })?;
            let special = self.roles.iter().map(|(_, given, _)| given).chain(&self.extra);
            let special = special.into_iter().any(|given| given.content() == content);
            self.listed.insert(id, AddedToken::from(content.clone(), special));
        }
        for value in files.tokenizer.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            let id = value.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            if let (Some(id), Some(token)) = (id, value.as_object().and_then(described)) {
                self.listed.insert(id, token);
            }
        }
        Ok(())
    }

    /// Adds the tokens of further roles, such as `image_token`, which release 5 reads.
    fn add_roles_of_models(
        &mut self,
        files: &TokenizerFiles,
        named: &BTreeMap<&str, (&Value, &'static str)>,
    ) -> Result<(), DataError> {
        let is_role = |name: &str| name.strip_suffix("_token").is_some_and(|role| !ROLES.contains(&role));
        let others = named.iter().filter(|(name, _)| is_role(name));
        let others: Vec<Given> = others.filter_map(|(_, (value, _))| given(value, true)).collect();
        let new: Vec<&str> = others.iter().map(Given::content).filter(|content| !files.has_token(content)).collect();
        if new.len() > 1 {
            return Err(files.invalid(
                TOKENIZER_CONFIG,
                format!(
                    "the tokens {} are not in {}, and their ids depend on the order of the fields: add them to \
                     tokenizer.json (`save_pretrained` of the loaded tokenizer does)",
                    new.join(", "),
                    files.vocabulary_file()
                ),
            ));
        }
        self.extra.splice(0..0, others);
        Ok(())
    }

    /// The tokens to add, in order. Those that the tokenizer has already get these properties.
    pub(super) fn to_add(&self) -> Vec<AddedToken> {
        let special: Vec<&str> = self.roles.iter().map(|(_, given, _)| given.content()).collect();
        let mut tokens: Vec<AddedToken> = self.listed.values().cloned().collect();
        for token in &mut tokens {
            token.special |= special.contains(&token.content.as_str());
        }
        let roles = self.roles.iter().map(|(_, given, _)| (given, true));
        for (given, has_role) in roles.chain(self.extra.iter().map(|given| (given, false))) {
            let known = tokens.iter().find(|token| token.content == given.content());
            let differs = |known: &AddedToken| matches!(given, Given::Token(own) if own.lstrip != known.lstrip);
            if known.is_none_or(|known| has_role && differs(known)) {
                tokens.push(AddedToken { special: true, ..given.token() });
            }
        }
        tokens
    }

    /// The text of the token of a role.
    pub(super) fn of_role(&self, role: &str) -> Option<&str> {
        self.roles.iter().find(|(known, ..)| *known == role).map(|(_, given, _)| given.content())
    }

    /// The file that names the token of a role; `None` for the default of the class.
    pub(super) fn file_of_role(&self, role: &str) -> Option<&'static str> {
        self.roles.iter().find(|(known, ..)| *known == role).and_then(|(.., file)| *file)
    }

    /// Whether a file lists this token with its id.
    pub(super) fn lists(&self, content: &str) -> bool {
        self.listed.values().any(|token| token.content == content)
    }
}

impl Class {
    /// The token of a role for which no file names one.
    fn default_token(self, role: &str, release: Transformers) -> Option<Given> {
        let text = match (self, role) {
            (Class::Gpt2 | Class::GptNeoX, "bos" | "eos" | "unk") => "<|endoftext|>",
            (Class::Qwen2, "unk" | "eos" | "pad") => "<|endoftext|>",
            (Class::GptNeoX, "pad") if release == Transformers::V5 => "<|padding|>",
            (Class::Llama | Class::Roberta, "unk") => "<unk>",
            (Class::Llama | Class::Roberta, "bos") | (Class::Roberta, "cls") => "<s>",
            (Class::Llama | Class::Roberta, "eos") | (Class::Roberta, "sep") => "</s>",
            (Class::Roberta, "pad") => "<pad>",
            (Class::Roberta, "mask") => "<mask>",
            (Class::Bert, "unk") => "[UNK]",
            (Class::Bert, "sep") => "[SEP]",
            (Class::Bert, "pad") => "[PAD]",
            (Class::Bert, "cls") => "[CLS]",
            (Class::Bert, "mask") => "[MASK]",
            _ => return None,
        };
        Some(Given::Text(text.to_owned()))
    }
}

/// A token from its value in a file.
fn given(value: &Value, special: bool) -> Option<Given> {
    match value {
        Value::String(content) => Some(Given::Text(content.clone())),
        Value::Object(fields) => {
            let token = described(fields)?;
            Some(Given::Token(AddedToken { special: token.special || special, ..token }))
        }
        _ => None,
    }
}

/// A token from the object that describes it.
pub(super) fn described(fields: &Map<String, Value>) -> Option<AddedToken> {
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(fields.get("content")?.as_str()?, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false));
    Some(match flag("normalized") {
        Some(normalized) => token.normalized(normalized),
        None => token,
    })
}

/// The special tokens without a role, in the lists or objects of the files; `older` says whether
/// `special_tokens_map.json` counts.
fn extra_tokens(files: &TokenizerFiles, older: bool, release: Transformers) -> Result<Vec<Given>, DataError> {
    let settings = |list| tokens_of(files, &files.settings, TOKENIZER_CONFIG, list);
    let special = |list| if older { tokens_of(files, &files.special, SPECIAL_TOKENS, list) } else { Ok(vec![]) };
    let (additional, extra) = ("additional_special_tokens", "extra_special_tokens");
    let lists = match release {
        Transformers::V4 => vec![settings(additional)?, special(additional)?, settings(extra)?, special(extra)?],
        Transformers::V5 => {
            // The old name counts where there is nothing under the new one.
            let own =
                Some(settings(extra)?).filter(|tokens| !tokens.is_empty()).map_or_else(|| settings(additional), Ok)?;
            let more = special(extra)?;
            if own.is_empty() && more.is_empty() { vec![special(additional)?] } else { vec![own, more] }
        }
    };
    let mut tokens: Vec<Given> = vec![];
    for token in lists.into_iter().flatten() {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The tokens in a list or object of a file; none if it is not there.
fn tokens_of(
    files: &TokenizerFiles,
    file: &Map<String, Value>,
    name: &str,
    list: &str,
) -> Result<Vec<Given>, DataError> {
    let values: Vec<&Value> = match file.get(list) {
        None | Some(Value::Null) => vec![],
        Some(Value::Array(values)) => values.iter().collect(),
        Some(Value::Object(values)) => values.values().collect(),
        Some(other) => vec![other],
    };
    let token = |value: &Value| {
        given(value, true)
            .ok_or_else(|| files.invalid(name, format!("'{list}' has {}, which is not a token", excerpt(value))))
    };
    values.into_iter().map(token).collect()
}
