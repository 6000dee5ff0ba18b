//! The section `budget:`, and the key `expect:` of corpora and datasets.

use crate::domain::{Budget, Premiums, TextSize};

use super::fields::{self, Fault, Fields, Scalar};
use super::problem::{Log, Mark};
use super::scalars::{Within, choice, count, real, small, text};
use super::tree::{Key, Node, Value};

/// Larger than any text.
pub(super) const MAX_WORDS: u64 = 1_000_000_000_000;

/// Decodes `expect:` of a corpus or dataset. The toy world always has the requested size, so the key is not allowed there.
/// `units` is the key for the number of documents or records.
pub(super) fn expected(fields: &mut Fields, units: &'static str, required: bool) -> Option<TextSize> {
    let node = fields.take("expect")?;
    if fields.take("world").is_some() {
        fields.forbid("expect", "has no meaning for the toy world, which is always available");
        return None;
    }
    let mut fields = Fields::of(node, "'expect'", fields.log)?;
    let words = fields.required("words", "such as `words: 8M`", count(1..=MAX_WORDS));
    if required {
        fields.required_node(units, &format!("such as `{units}: 10k`"));
    }
    let units = fields.get(units, None, |value| count(1..=MAX_WORDS)(value).map(Some));
    fields.finish();
    Some(TextSize { units, words: words? })
}

/// Decodes `budget:`, the most text that the model of a cell may see; without it there is no limit.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `track:` | `strict` (100M words × 10 epochs), `strict-small` (10M × 10) or `multilingual` (100M English words × 10) | this or `words:` |
/// | `words:` | words of different text, including instruction data, held-out text and the text of the tokenizer | |
/// | `epochs:` | how many times that many words may be seen in total | 10 |
/// | `premium:` | the byte premium of each language, `{nld: 1.05161}`; text then counts in English words | multilingual: eng 1, nld 1.05161 |
pub(super) fn budget(node: Option<&Node>, log: &Log) -> Option<Budget> {
    let node = node?;
    let mut fields = Fields::of(node, "'budget'", log)?;
    let track = fields.take("track").is_some();
    let mut budget = if track {
        for key in ["words", "epochs"] {
            fields.forbid(key, "is part of 'track'");
        }
        fields.required("track", "such as `track: strict`", choice(Budget::tracks()))
    } else {
        let hint = "such as `{track: strict}` or `{words: 100M, epochs: 10}`";
        let words = fields.required("words", hint, count(1..=MAX_WORDS));
        let epochs = fields.get("epochs", 10, small(1..=100_000));
        words.map(|words| Budget { words, epochs, premiums: None })
    };
    if track && budget.as_ref().is_some_and(|budget| budget.premiums.is_none()) {
        fields.forbid("premium", "has no meaning for this track, which counts words");
    } else if let Some(given) = fields.take("premium").and_then(|node| premiums(node, log))
        && let Some(budget) = &mut budget
    {
        budget.premiums.get_or_insert_with(|| Premiums([("eng".to_owned(), 1.0)].into())).0.extend(given);
    }
    fields.finish();
    budget
}

/// The byte premiums of `premium:`.
fn premiums(node: &Node, log: &Log) -> Option<Vec<(String, f64)>> {
    Fields::of(node, "'premium'", log)?;
    let one = |(key, node): &(Key, Node)| {
        let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
        let name = fields::scalar("a key of 'premium'", &name, log, language);
        name.zip(fields::scalar(&format!("'{}'", key.text), node, log, real(Within::Positive)))
    };
    let all: Vec<Option<(String, f64)>> = node.entries().iter().map(one).collect();
    all.into_iter().collect()
}

/// The code of a language.
pub(super) fn language(value: &Value) -> Scalar<String> {
    let code = text(value)?;
    let valid = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    let fault = || Fault::expected("a code of ISO 639-3").or_hint("three letters, such as eng, nld or zho");
    valid.then_some(code).ok_or_else(fault)
}

/// Reports texts whose language a budget with byte premiums does not know. `texts` are all corpora and datasets of the
/// spec: the kind, the name and the language of each.
pub(super) fn check_languages<'a>(
    budget: &Budget,
    mark: Mark,
    texts: impl Iterator<Item = (&'static str, &'a str, Option<&'a str>)>,
    log: &Log,
) {
    let Some(premiums) = &budget.premiums else { return };
    for (kind, name, language) in texts {
        let Some(language) = language else {
            let reason = format!("the budget counts English words, but the language of {kind} '{name}' is not known");
            log.add(mark, reason, Some("add its `language:`, such as `language: nld`".into()));
            continue;
        };
        if !premiums.0.contains_key(language) {
            let hint = match language {
                "zho" => {
                    "add `premium: {zho: ...}`: the site of the challenge quotes 0.9894, its table has 0.93597 for \
                     simplified and 0.98938 for traditional characters"
                }
                _ => "add it to `premium:`, such as `premium: {deu: 1.05}`",
            };
            let reason = format!("the byte premium of '{language}', the language of {kind} '{name}', is not known");
            log.add(mark, reason, Some(hint.into()));
        }
    }
}
