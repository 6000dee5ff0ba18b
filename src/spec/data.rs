//! The sections `corpora:` and `datasets:`.

use std::path::{Path, PathBuf};

use crate::domain::{Corpus, CorpusFormat, Dataset, DatasetFormat, Documents, Source, WorldPart};

use super::fields::{self, Fault, Fields, choice, count, flag, small, text};
use super::problem::Log;
use super::tree::{Node, Value};

/// Decodes one entry of `corpora:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:` | path or glob, relative to `data_root` | this or `world:` |
/// | `world:` | `speech`, `dialogues` or `articles` of the toy world | |
/// | `words:` | size (world) | required |
/// | `world_seed:` | which toy world | 1 |
/// | `documents:` | `blank_line`, `line` or `{lines: N}` | `blank_line` |
/// | `min_words:` | lines with fewer words are dropped | 0 |
pub(super) fn corpus(name: &str, node: &Node, root: &Path, log: &Log) -> Option<Corpus> {
    let parts = [("speech", WorldPart::Speech), ("dialogues", WorldPart::Dialogues), ("articles", WorldPart::Articles)];
    let mut fields = Fields::of(node, &format!("corpus '{name}'"), log)?;
    let source = source(&mut fields, &parts, "words", root);
    let documents = fields.take("documents").and_then(|node| documents(node, log)).unwrap_or(Documents::BlankLine);
    let min_words = fields.get("min_words", 0, small(0..=1_000_000));
    fields.finish();
    Some(Corpus { name: name.to_owned(), source: source?, format: CorpusFormat { documents, min_words } })
}

/// Decodes one entry of `datasets:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:` | path or glob, relative to `data_root` | this or `world:` |
/// | `world:` | `chat` or `questions` of the toy world | |
/// | `records:` | size (world) | required |
/// | `world_seed:` | which toy world | 1 |
/// | `format:` | `records`, `dialogue` or `squad` (files) | `records` |
/// | `prompt:`, `reply:` | names of the fields (`records`) | `prompt`, `reply` |
/// | `min_words:` | shorter utterances are dropped (`dialogue`) | 0 |
/// | `with_context:` | the paragraph stands before the question (`squad`) | false |
/// | `separator:` | stands between prompt and reply | `"\n"` |
pub(super) fn dataset(name: &str, node: &Node, root: &Path, log: &Log) -> Option<Dataset> {
    let parts = [("chat", WorldPart::Chat), ("questions", WorldPart::Questions)];
    let mut fields = Fields::of(node, &format!("dataset '{name}'"), log)?;
    let source = source(&mut fields, &parts, "records", root);
    let records = |prompt: &str, reply: &str| DatasetFormat::Records { prompt: prompt.into(), reply: reply.into() };
    let format = if node.get("world").is_some() {
        fields.forbid("format", "has no meaning for the toy world, whose records are ready");
        records("prompt", "reply")
    } else {
        match fields.get("format", "records", choice(["records", "dialogue", "squad"].map(|word| (word, word)))) {
            "dialogue" => DatasetFormat::Dialogue { min_words: fields.get("min_words", 0, small(0..=1_000_000)) },
            "squad" => DatasetFormat::Squad { with_context: fields.get("with_context", false, flag) },
            _ => {
                let prompt = fields.get("prompt", "prompt".to_owned(), text);
                records(&prompt, &fields.get("reply", "reply".to_owned(), text))
            }
        }
    };
    let separator = fields.get("separator", "\n".to_owned(), text);
    fields.finish();
    Some(Dataset { name: name.to_owned(), source: source?, format, separator })
}

/// `files:`, or `world:` with its size and seed.
fn source(fields: &mut Fields, parts: &[(&'static str, WorldPart)], size: &'static str, root: &Path) -> Option<Source> {
    let (files, world) = (fields.take("files"), fields.take("world"));
    match (files, world) {
        (Some(node), None) => {
            fields::scalar("'files'", node, fields.log, path).map(|path| Source::Files(root.join(path)))
        }
        (None, Some(node)) => {
            let part = fields::scalar("'world'", node, fields.log, choice(parts.iter().copied()));
            let size =
                fields.need(size, &format!("how much of the toy world: `{size}: 10k`"), count(1..=1_000_000_000));
            let seed = fields.get("world_seed", 1, seed);
            Some(Source::World { part: part?, seed, size: size? })
        }
        (Some(_), Some(world)) => {
            fields.log.add(world.mark, "both 'files' and 'world' are given", Some("keep one of them".into()));
            None
        }
        (None, None) => {
            let words: Vec<&str> = parts.iter().map(|(word, _)| *word).collect();
            let hint = format!("give `files: path/*.txt`, or `world:` with one of {}", words.join(", "));
            fields.log.add(fields.mark, "missing key 'files' or 'world'", Some(hint));
            None
        }
    }
}

/// A path; whether something is there is not asked here, so that a spec can be read before its data arrives.
pub(super) fn path(value: &Value) -> Scalar<PathBuf> {
    match text(value)? {
        text if text.trim().is_empty() => Err(Fault::expected("a path").or_hint("such as text/*.txt")),
        text => Ok(PathBuf::from(text)),
    }
}

type Scalar<T> = fields::Scalar<T>;

/// A seed; SQLite's integers bound it.
pub(super) fn seed(value: &Value) -> Scalar<u64> {
    count(0..=i64::MAX as u64)(value).map_err(|_| Fault::expected("a whole number of at least 0").or_hint("such as 1"))
}

fn documents(node: &Node, log: &Log) -> Option<Documents> {
    let Value::Map(_) = node.value else {
        let words = choice([("blank_line", Documents::BlankLine), ("line", Documents::Line)]);
        let words =
            |value: &Value| words(value).map_err(|fault| fault.or_hint("or `{lines: 50}`: so many lines are one"));
        return fields::scalar("'documents'", node, log, words);
    };
    let mut fields = Fields::of(node, "'documents'", log)?;
    let lines = fields.need("lines", "such as `{lines: 50}`", small(1..=1_000_000));
    fields.finish();
    lines.map(Documents::Lines)
}
