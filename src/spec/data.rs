//! The sections `corpora:` and `datasets:`.

use std::path::{Path, PathBuf};

use crate::domain::{
    Corpus, CorpusFormat, DataEntry, Dataset, DatasetFormat, Documents, Layout, Pattern, Source, Template, WorldPart,
};

use super::budget;
use super::build::Build;
use super::fields::{self, Fault, Fields, Scalar};
use super::problem::Log;
use super::remote::elsewhere;
use super::scalars::{choice, count, flag, path, seed, small, text};
use super::tree::{Node, Value};

/// Decodes one entry of `corpora:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:` | path or glob, relative to `data_root`, or in the tree that the next line names | this or `world:` |
/// | `hf:`, `osf:`, `url:` | data on another machine ([`elsewhere`]) | |
/// | `licence:` | its terms, for `grid data list` | unsaid |
/// | `world:` | `speech`, `dialogues` or `articles` of the toy world | |
/// | `words:` | size (world) | required |
/// | `world_seed:` | which toy world | 1 |
/// | `documents:` | `blank_line`, `line`, `{lines: N}`, or rows with a field of text: `{jsonl: text}`, `csv`, `tsv`, `parquet` | `blank_line` |
/// | `remove:` | characters to take out first | none |
/// | `min_words:` | lines with fewer words are dropped | 0 |
/// | `merge_turns:` | then `A:<TAB>text` lines of one speaker become one | false |
/// | `expect:` | how much there is after cleaning, `{words: 8M, documents: 10k}`: what the plan reckons with until the data is there | nothing |
pub(super) fn corpus(name: &str, node: &Node, root: &Path, log: &Log) -> Option<(Corpus, DataEntry)> {
    let parts = [("speech", WorldPart::Speech), ("dialogues", WorldPart::Dialogues), ("articles", WorldPart::Articles)];
    let mut fields = Fields::of(node, &format!("corpus '{name}'"), log)?;
    let source = source(&mut fields, &parts, "words", root);
    let documents = fields.take("documents").and_then(|node| documents(node, log)).unwrap_or_default();
    let remove = fields.get("remove", String::new(), characters);
    let min_words = fields.get("min_words", 0, small(0..=1_000_000));
    let merge_turns = fields.get("merge_turns", false, flag);
    let expected = budget::expected(&mut fields, "documents", false);
    let licence = licence(&mut fields);
    fields.finish();
    let format = CorpusFormat { documents, min_words, remove, merge_turns };
    let source = source?;
    let entry = DataEntry { name: format!("corpora.{name}"), place: place(node, log), source: source.clone(), licence };
    Some((Corpus { name: name.to_owned(), source, format, expected }, entry))
}

/// Decodes one entry of `datasets:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:`, `hf:`, `osf:`, `url:`, `licence:` | as for a corpus | this or `world:` |
/// | `world:` | `chat` or `questions` of the toy world | |
/// | `records:` | size (world) | required |
/// | `world_seed:` | which toy world | 1 |
/// | `format:` | `jsonl` (or its old name `records`), `csv`, `tsv`, `parquet`, `dialogue` or `squad` (files) | `jsonl` |
/// | `prompt:`, `reply:` | fields of a row, or text with fields: `"{instruction}\n{input}"` | `prompt`, `reply` |
/// | `first:` | so many rows are read, from the top | all |
/// | `remove:` | characters to take out first (`dialogue`) | none |
/// | `min_words:` | shorter utterances are dropped (`dialogue`) | 0 |
/// | `across:` | turns merge and pair across the borders of dialogues (`dialogue`) | false |
/// | `with_context:` | the paragraph stands before the question (`squad`) | false |
/// | `separator:` | stands between prompt and reply | `"\n"` |
/// | `expect:` | how much there is, `{records: 38_802, words: 2.6M}`, as for a corpus | nothing |
/// | `new_words:` | how many of its words are text that no corpus has, for `budget` | all; none where a corpus has the same files |
/// | `build:` | how its file is made of a corpus ([`Build`]) | it is there |
/// | `template:` | in place of `separator`: the whole text, such as `"Q: {prompt}\nA: {reply}"` | |
pub(super) fn dataset(
    name: &str,
    node: &Node,
    corpora: &[String],
    root: &Path,
    log: &Log,
) -> Option<((Dataset, DataEntry), Option<Build>)> {
    let parts = [("chat", WorldPart::Chat), ("questions", WorldPart::Questions)];
    let mut fields = Fields::of(node, &format!("dataset '{name}'"), log)?;
    let source = source(&mut fields, &parts, "records", root);
    let format = if node.get("world").is_some() {
        fields.forbid("format", "has no meaning for the toy world, whose records are ready");
        DatasetFormat::json("prompt", "reply")
    } else {
        format(&mut fields)
    };
    let template = template(&mut fields);
    let expected = budget::expected(&mut fields, "records", true);
    let new_words = fields.get("new_words", None, |value| count(0..=budget::MOST_WORDS)(value).map(Some));
    let licence = licence(&mut fields);
    let build = fields.take("build");
    fields.finish();
    let source = source?;
    let build = build.and_then(|node| match &source {
        Source::Files(to) if !to.to_string_lossy().contains(['*', '?']) => {
            Build::decode(name, to.clone(), node, corpora, log)
        }
        _ => {
            let hint = format!("give the dataset `files: made/{name}.jsonl`");
            log.add(node.mark, "'build' makes one local file", Some(hint));
            None
        }
    });
    let entry =
        DataEntry { name: format!("datasets.{name}"), place: place(node, log), source: source.clone(), licence };
    Some(((Dataset { name: name.to_owned(), source, format, template, expected, new_words }, entry), build))
}

/// Where an entry says where its data are: `files:`, or else the entry itself.
fn place(node: &Node, log: &Log) -> String {
    log.place(node.get("files").unwrap_or(node).mark)
}

/// `licence:`.
pub(super) fn licence(fields: &mut Fields) -> Option<String> {
    fields.get("licence", None, |value| text(value).map(Some))
}

fn format(fields: &mut Fields) -> DatasetFormat {
    let words = ["jsonl", "csv", "tsv", "parquet", "dialogue", "squad", "records"];
    let layout = match fields.get("format", "jsonl", choice(words.map(|word| (word, word)))) {
        "dialogue" => {
            return DatasetFormat::Dialogue {
                min_words: fields.get("min_words", 0, small(0..=1_000_000)),
                across: fields.get("across", false, flag),
                remove: fields.get("remove", String::new(), characters),
            };
        }
        "squad" => return DatasetFormat::Squad { with_context: fields.get("with_context", false, flag) },
        "csv" => Layout::Csv,
        "tsv" => Layout::Tsv,
        "parquet" => Layout::Parquet,
        _ => Layout::Json,
    };
    let prompt = fields.get("prompt", Pattern::field("prompt"), pattern);
    let reply = fields.get("reply", Pattern::field("reply"), pattern);
    let first = fields.get("first", None, |value| count(1..=1_000_000_000)(value).map(Some));
    DatasetFormat::Records { layout, prompt, reply, first }
}

/// `template:`, or `separator:` alone.
fn template(fields: &mut Fields) -> Template {
    let separated = Template::separated("\n");
    if fields.take("template").is_some() {
        fields.forbid("separator", "is part of 'template'");
        return fields.get("template", separated, |value| {
            let hint = "such as \"Q: {prompt}\\nA: {reply}\"";
            Template::try_from(text(value)?).map_err(|wrong| Fault::plain(format!("'template' {wrong}"), hint))
        });
    }
    fields.get("separator", separated, |value| text(value).map(|text| Template::separated(&text)))
}

fn pattern(value: &Value) -> Scalar<Pattern> {
    let hint = "name a field, or write text with fields: \"{instruction}\\n{input}\"";
    Pattern::try_from(text(value)?).map_err(|wrong| Fault::plain(format!("a pattern {wrong}"), hint))
}

/// Characters to take out; white space has to stay.
fn characters(value: &Value) -> Scalar<String> {
    match text(value)? {
        text if text.contains(char::is_whitespace) => {
            Err(Fault::plain("white space cannot be removed", "list other characters, such as \"=*_\""))
        }
        text => Ok(text),
    }
}

/// `files:` here or on another machine, or `world:` with its size and seed.
fn source(fields: &mut Fields, parts: &[(&'static str, WorldPart)], size: &'static str, root: &Path) -> Option<Source> {
    let (files, world, there) = (fields.take("files"), fields.take("world"), elsewhere(fields));
    if let Some(there) = there {
        fields.forbid("world", "is the toy world's, which is not fetched");
        return there?.files(fields).map(Source::Remote);
    }
    match (files, world) {
        (Some(node), None) => {
            fields::scalar("'files'", node, fields.log, pattern_of_files).map(|path| Source::Files(root.join(path)))
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
            let hint = format!(
                "give `files: path/*.txt`, `hf:`, `osf:` or `url:`, or `world:` with one of {}",
                words.join(", ")
            );
            fields.log.add(fields.mark, "missing key 'files' or 'world'", Some(hint));
            None
        }
    }
}

/// The one path or pattern of `files:`.
fn pattern_of_files(value: &Value) -> Scalar<PathBuf> {
    match value {
        Value::List(_) => Err(Fault::expected("one path or pattern").or_hint(
            "a pattern has *, **, ? and [ab], such as text/**/*.txt; what no pattern takes together are entries of their own",
        )),
        value => path(value),
    }
}

fn documents(node: &Node, log: &Log) -> Option<Documents> {
    let Value::Map(_) = node.value else {
        let words = choice([("blank_line", Documents::BlankLine), ("line", Documents::Line)]);
        let words =
            |value: &Value| words(value).map_err(|fault| fault.or_hint("or `{lines: 50}`: so many lines are one"));
        return fields::scalar("'documents'", node, log, words);
    };
    let mut fields = Fields::of(node, "'documents'", log)?;
    let layouts = [("jsonl", Layout::Json), ("csv", Layout::Csv), ("tsv", Layout::Tsv), ("parquet", Layout::Parquet)];
    let named = layouts.into_iter().filter(|(word, _)| node.get(word).is_some()).collect::<Vec<_>>();
    let documents = match named[..] {
        [] => fields
            .need("lines", "such as `{lines: 50}`, or `{parquet: text}`", small(1..=1_000_000))
            .map(Documents::Lines),
        [(word, layout)] => {
            fields.need(word, "the field of the text", text).map(|text| Documents::Rows { layout, text })
        }
        _ => {
            log.add(node.mark, "'documents' names two layouts", Some("keep one of them".into()));
            return None;
        }
    };
    if documents.is_none() {
        layouts.iter().for_each(|(word, _)| {
            fields.take(word);
        });
    }
    fields.finish();
    documents
}
