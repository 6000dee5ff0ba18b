//! The sections `corpora:` and `datasets:`.

use std::path::{Path, PathBuf};

use crate::domain::{
    Corpus, CorpusFormat, DataEntry, Dataset, DatasetFormat, Documents, FileSelection, Layout, Remote, RemoteLocation,
    RowFormat, Source, WorldPart,
};

use super::budget;
use super::build::Build;
use super::dataset_format::{characters, format, formatting};
use super::fields::{self, Fault, Fields, Scalar};
use super::metalang;
use super::names::Names;
use super::problem::Log;
use super::remote::remote_files;
use super::sampling::{Sampling, SamplingPlace};
use super::scalars::{choice, count, flag, line, path, seed, small, text};
use super::tree::{Node, Value};

/// The most words of the toy world, whose text is made in memory: about 100 MB. Its grammar has nothing new to say long
/// before.
const MAX_WORLD_WORDS: u64 = 20_000_000;

/// The most records of the toy world.
const MAX_WORLD_RECORDS: u64 = 1_000_000;

/// Decodes one entry of `corpora:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:` | path or glob, relative to `data_root` or within the remote source | this or `world:` |
/// | `hf:`, `osf:`, `url:` | data on another machine ([`remote_files`]) | |
/// | `licence:` | the licence, shown by `grid data list` | none |
/// | `world:` | `speech`, `dialogues` or `articles` of the toy world, or its random languages ([`metalang`]) | |
/// | `words:` | number of words, at most 20M (`world`) | required |
/// | `streams:` | in place of `words:`, the number of streams (`metalang`) | required |
/// | `world_seed:` | seed of the toy world | 1 |
/// | `documents:` | what separates documents: `blank_line`, `line` or `{lines: N}`; or rows with a field of text: `{jsonl: text}`, `csv`, `tsv`, `parquet` | `blank_line` |
/// | `remove:` | characters to delete before anything else | none |
/// | `min_words:` | lines with fewer words are dropped | 0 |
/// | `merge_turns:` | whether consecutive `A:<TAB>text` lines of one speaker are merged afterwards | false |
/// | `expect:` | the size after cleaning, `{words: 8M, documents: 10k}`, which the plan uses until the data is available | none |
/// | `language:` | its code of ISO 639-3, such as `nld`, for the budget of the multilingual track | none |
pub(super) fn corpus(name: &str, node: &Node, root: &Path, log: &Log) -> Option<(Corpus, DataEntry)> {
    let parts = [("speech", WorldPart::Speech), ("dialogues", WorldPart::Dialogues), ("articles", WorldPart::Articles)];
    let mut fields = Fields::of(node, &format!("corpus '{name}'"), log)?;
    let source = source(&mut fields, &parts, ("words", MAX_WORLD_WORDS), root);
    if let Some(Source::World { part: WorldPart::MetaLang(_), .. }) = source {
        for key in ["documents", "remove", "min_words", "merge_turns"] {
            fields.forbid(key, "has no meaning for streams of metalang");
        }
    }
    let CorpusFormat { documents, remove, min_words, .. } = cleaned_text(&mut fields);
    let merge_turns = fields.get("merge_turns", false, flag);
    let expected = budget::expected(&mut fields, "documents", false);
    let language = fields.get("language", None, |value| budget::language(value).map(Some));
    let licence = licence(&mut fields);
    fields.finish();
    let format = CorpusFormat { documents, min_words, remove, merge_turns };
    let source = source?;
    let entry = DataEntry { name: format!("corpora.{name}"), place: place(node, log), source: source.clone(), licence };
    Some((Corpus { name: name.to_owned(), source, format, expected, language }, entry))
}

/// Decodes how files of text become documents: `documents:`, `remove:` and `min_words:` of a corpus.
pub(super) fn cleaned_text(fields: &mut Fields) -> CorpusFormat {
    let log = fields.log;
    CorpusFormat {
        documents: fields.take("documents").and_then(|node| documents(node, log)).unwrap_or_default(),
        remove: fields.get("remove", String::new(), characters),
        min_words: fields.get("min_words", 0, small(0..=1_000_000)),
        merge_turns: false,
    }
}

/// An entry of `datasets:`.
pub(super) enum DatasetEntry {
    /// Data that exist before the experiment, or that `grid data build` makes.
    Data(Box<(Dataset, DataEntry)>, Option<Build>),
    /// Data that a model of the spec makes, and their name.
    Sampled(String, Box<Sampling>),
}

/// Decodes one entry of `datasets:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `files:`, `hf:`, `osf:`, `url:`, `licence:` | as for a corpus | this or `world:` |
/// | `world:` | `chat`, `questions`, `preferences` or `habits` of the toy world | |
/// | `records:` | number of records, at most 1M (`world`) | required |
/// | `world_seed:` | seed of the toy world | 1 |
/// | `uncertainty:` | `random`: a number from 0 to 1 for each record, which says nothing about its reply (`world`) | none |
/// | `format:`, ... | the format of the files ([`format`]) | detected |
/// | `template:`, ... | how a record becomes text ([`formatting`]) | prompt and reply on lines of their own |
/// | `expect:` | the size, `{records: 38_802, words: 2.6M}`, as for a corpus | none |
/// | `language:` | as for a corpus | none |
/// | `new_words:` | how many of its words no corpus contains, for `budget` | all; none if a corpus has the same files |
/// | `build:` | how to generate the file from a corpus ([`Build`]), or in place of a file a model of the spec that makes the data ([`Sampling`]) | the file must exist |
pub(super) fn dataset(name: &str, node: &Node, names: &Names, root: &Path, log: &Log) -> Option<DatasetEntry> {
    let parts = [
        ("chat", WorldPart::Chat),
        ("questions", WorldPart::Questions),
        ("preferences", WorldPart::Preferences),
        ("habits", WorldPart::Habits),
    ];
    let mut fields = Fields::of(node, &format!("dataset '{name}'"), log)?;
    if let Some(build) = fields.take("build").filter(|build| build.get("sample").or(build.get("select")).is_some()) {
        let sampling = Sampling::decode(SamplingPlace::Dataset, build, &mut fields, names, root, log);
        let own: Vec<&str> = node.entries().iter().map(|(key, _)| key.text.as_str()).collect();
        for key in own.into_iter().filter(|key| !["build", "teacher", "pairs"].contains(key)) {
            fields.forbid(key, "has no meaning for data that a model makes");
        }
        fields.finish();
        return Some(DatasetEntry::Sampled(name.to_owned(), Box::new(sampling?)));
    }
    let source = source(&mut fields, &parts, ("records", MAX_WORLD_RECORDS), root);
    let format = if node.get("world").is_some() {
        fields.forbid("format", "has no meaning for the toy world");
        format_of_world(&mut fields, source.as_ref())
    } else {
        format(&mut fields, source.as_ref().map_or(Layout::Json, layout_of))
    };
    let formatting = formatting(&mut fields, &format, root);
    let expected = budget::expected(&mut fields, "records", true);
    let language = fields.get("language", None, |value| budget::language(value).map(Some));
    let new_words = fields.get("new_words", None, |value| count(0..=budget::MAX_WORDS)(value).map(Some));
    let licence = licence(&mut fields);
    let build = fields.take("build");
    fields.finish();
    let source = source?;
    let build = build.and_then(|node| match &source {
        Source::Files(to) if !to.to_string_lossy().contains(['*', '?']) => {
            Build::decode(name, to.clone(), node, &names.corpora, log)
        }
        _ => {
            let hint = format!("give the dataset `files: made/{name}.jsonl`");
            log.add(node.mark, "'build' needs one local file to write", Some(hint));
            None
        }
    });
    let entry =
        DataEntry { name: format!("datasets.{name}"), place: place(node, log), source: source.clone(), licence };
    let dataset = Dataset { name: name.to_owned(), source, format, formatting, expected, new_words, language };
    Some(DatasetEntry::Data(Box::new((dataset, entry)), build))
}

/// The format of the records of the toy world, with the key `uncertainty:`, which can only be `random` there.
fn format_of_world(fields: &mut Fields, source: Option<&Source>) -> DatasetFormat {
    let random = fields.get("uncertainty", None, |value| choice([("random", "random")])(value).map(Some));
    let has_pairs = matches!(source, Some(Source::World { part: WorldPart::Preferences | WorldPart::Habits, .. }));
    let row = match (has_pairs, random) {
        (false, None) => return DatasetFormat::json("prompt", "reply"),
        (false, Some(_)) => RowFormat::PromptCompletion,
        (true, _) => RowFormat::Preference,
    };
    DatasetFormat::rows(Layout::Json, row).with_uncertainty(random)
}

/// The place of `files:`, or of the whole entry without that key.
fn place(node: &Node, log: &Log) -> String {
    log.place(node.get("files").unwrap_or(node).mark)
}

/// The key `licence:`.
pub(super) fn licence(fields: &mut Fields) -> Option<String> {
    fields.get("licence", None, |value| line(value).map(Some))
}

/// The layout of rows in the files of a source, by their extension.
pub(super) fn layout_of(source: &Source) -> Layout {
    match source {
        Source::Files(pattern) => Layout::of_file(&pattern.to_string_lossy()),
        Source::Remote(Remote { pick: FileSelection::Files(pattern), .. }) => Layout::of_file(pattern),
        Source::Remote(Remote { place: RemoteLocation::Url { url, .. }, archive: None, .. }) => {
            Layout::of_file(RemoteLocation::file_name(url))
        }
        Source::World { .. } | Source::Folder(_) | Source::Model(_) | Source::Remote(_) => Layout::Json,
    }
}

/// The source: local or remote `files:`, or `world:` with its size and seed.
fn source(
    fields: &mut Fields,
    parts: &[(&'static str, WorldPart)],
    (size, largest): (&'static str, u64),
    root: &Path,
) -> Option<Source> {
    let (files, world, remote) = (fields.take("files"), fields.take("world"), remote_files(fields));
    if let Some(remote) = remote {
        fields.forbid("world", "cannot be combined with data on another machine");
        return remote?.files(fields).map(Source::Remote);
    }
    match (files, world) {
        (Some(node), None) => {
            fields::scalar("'files'", node, fields.log, pattern_of_files).map(|path| Source::Files(root.join(path)))
        }
        (None, Some(node)) if size == "words" && metalang::is_metalang(node) => streams(fields, node),
        (None, Some(node)) => {
            let part = fields::scalar("'world'", node, fields.log, choice(parts.iter().copied()));
            let size =
                fields.required(size, &format!("the size of the toy world, such as `{size}: 10k`"), count(1..=largest));
            let seed = fields.get("world_seed", 1, seed);
            Some(Source::World { part: part?, seed, size: size? })
        }
        (Some(_), Some(world)) => {
            fields.log.add(world.mark, "both 'files' and 'world' are given", Some("remove one of them".into()));
            None
        }
        (None, None) => {
            let words: Vec<&str> = parts.iter().map(|(word, _)| *word).collect();
            let hint = format!(
                "add `files: path/*.txt`, `hf:`, `osf:` or `url:`, or `world:` with one of {}",
                words.join(", ")
            );
            fields.log.add(fields.mark, "missing key 'files' or 'world'", Some(hint));
            None
        }
    }
}

/// The streams of `world: metalang`: their languages, number and seed.
pub(super) fn streams(fields: &mut Fields, world: &Node) -> Option<Source> {
    let family = metalang::metalang(world, fields.log);
    let most = |value: &Value| match family {
        Some(family) => count(1..=metalang::most_streams(family))(value),
        None => count(1..=MAX_WORLD_WORDS)(value),
    };
    let size = fields.required("streams", "the number of streams, such as `streams: 2000`", most);
    let seed = fields.get("world_seed", 1, seed);
    Some(Source::World { part: WorldPart::MetaLang(family?), seed, size: size? })
}

/// The source of a test set: local or remote `files:`, or `world:` with the number of items and its seed.
pub(super) fn test_source(fields: &mut Fields, root: &Path) -> Option<Source> {
    if fields.take("world").is_none() {
        return test_files(fields, root);
    }
    let parts = [
        ("preferences", WorldPart::Preferences),
        ("habits", WorldPart::Habits),
        ("dialogue-pairs", WorldPart::DialoguePairs),
        ("maxims", WorldPart::Maxims),
    ];
    source(fields, &parts, ("items", MAX_WORLD_RECORDS), root)
}

/// The source of the files of a test set: local or remote `files:`.
pub(super) fn test_files(fields: &mut Fields, root: &Path) -> Option<Source> {
    if let Some(remote) = remote_files(fields) {
        return remote?.files(fields).map(Source::Remote);
    }
    let hint = "the files of the test set, such as `files: pairs.jsonl`, or `hf:`, `osf:` or `url:`";
    fields.required("files", hint, pattern_of_files).map(|path| Source::Files(root.join(path)))
}

/// The path or glob pattern of `files:`.
pub(super) fn pattern_of_files(value: &Value) -> Scalar<PathBuf> {
    match value {
        Value::List(_) => Err(Fault::expected("one path or pattern").or_hint(
            "a pattern may contain *, **, ? and [ab], such as text/**/*.txt; files that no single pattern matches need entries of their own",
        )),
        value => path(value),
    }
}

fn documents(node: &Node, log: &Log) -> Option<Documents> {
    let Value::Map(_) = node.value else {
        let words = choice([("blank_line", Documents::BlankLine), ("line", Documents::Line)]);
        let words =
            |value: &Value| words(value).map_err(|fault| fault.or_hint("or `{lines: 50}` for documents of 50 lines"));
        return fields::scalar("'documents'", node, log, words);
    };
    let mut fields = Fields::of(node, "'documents'", log)?;
    let layouts = [("jsonl", Layout::Json), ("csv", Layout::Csv), ("tsv", Layout::Tsv), ("parquet", Layout::Parquet)];
    let named = layouts.into_iter().filter(|(word, _)| node.get(word).is_some()).collect::<Vec<_>>();
    let documents = match named[..] {
        [] => fields
            .required("lines", "such as `{lines: 50}`, or `{parquet: text}`", small(1..=1_000_000))
            .map(Documents::Lines),
        [(word, layout)] => {
            fields.required(word, "the field that contains the text", text).map(|text| Documents::Rows { layout, text })
        }
        _ => {
            log.add(node.mark, "'documents' has two formats", Some("remove one of them".into()));
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
