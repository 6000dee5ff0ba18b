//! Test sets of the user's own, as entries of `evaluate.suites`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::{Mode, PairShots, PairsFormat, ScoredStreams, ScoredText, Source, TestItems, TestSet};

use super::data::{cleaned_text, layout_of, licence, streams, test_files, test_source};
use super::fields::{Fault, Fields, scalar};
use super::own_test::{OwnTest, own_name};
use super::problem::Log;
use super::scalars::{choice, path, small, text};
use super::task_file;
use super::training::DELIMITER;
use super::tree::{Node, Value};

/// The keys by which a file is recognized as a task of lm-evaluation-harness.
const TASK_KEYS: [&str; 6] = ["task", "output_type", "doc_to_text", "dataset_path", "include", "group"];

/// Decodes an entry of `suites:` that is not the name of a suite: a mapping, or the path of a YAML file with one.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `name:` | the name in tables | required; for a task that of the task |
/// | `format:` | `pairs`: options, one of which is right; `perplexity`: bits per byte of a text; `in-context`: the regret on streams in random languages | `pairs` |
/// | `task:` | instead of `format`: the path of a multiple-choice task of lm-evaluation-harness ([`task_file`]) | |
/// | `files:`, `hf:`, `osf:`, `url:`, `licence:` | as for a corpus; in a file of its own relative to that file | required; for a task what it names |
/// | `world:`, `items:`, `world_seed:` | instead of files: `preferences`, `habits`, `dialogue-pairs` or `maxims` of the toy world, the number of items, and its seed (`pairs`) | |
/// | `layout:` | `json`, `csv`, `tsv` or `parquet` (`pairs`) | by the extension of the files |
/// | `fields:` | other names of the fields `good`, `bad`, `options`, `gold`, `prefix`, `group` and `cluster` (`pairs`) | these |
/// | `separator:` | the text between the prefix and an option (`pairs`) | `" "` |
/// | `shots:` | demonstrations before each item, a number or `{k: 2, draws: 5, delimiter: "\n\n"}`: prefixes of other items with their right options; each draw is a subtask (`pairs`) | 0 |
/// | `length:` | the normalization of log-probabilities, `sum`, `token` or `byte` (`pairs`) | that of `mode` |
/// | `documents:`, `remove:`, `min_words:` | as for a corpus (`perplexity`) | |
/// | `stride:` | tokens that each window after the first one scores (`perplexity`) | half of the positions of the model |
/// | `world:`, `streams:`, `world_seed:` | the random languages ([`metalang`](super::metalang::metalang)), the number of streams, and the seed (`in-context`) | required; seed 1 |
/// | `after:` | the first position that counts for the score (`in-context`) | required |
/// | `num_fewshot:` | the number of examples (`task`) | that of the task |
pub(super) fn own_test(node: &Node, root: &Path, log: &Log) -> Option<OwnTest> {
    match &node.value {
        Value::Text(file) => {
            let file = root.join(file);
            let definition = task_file::read(&file, node.mark, log)?;
            let folder = file.parent().unwrap_or(Path::new(""));
            match TASK_KEYS.iter().any(|key| definition.get(key).is_some()) && definition.get("format").is_none() {
                true => task_file::task(&definition, &file, &task_file::Changes::default(), log),
                false => defined(&definition, folder, log),
            }
        }
        _ => defined(node, root, log),
    }
}

fn defined(node: &Node, root: &Path, log: &Log) -> Option<OwnTest> {
    let mut fields = Fields::of(node, "a test set", log)?;
    if let Some(task) = fields.take("task") {
        let file = root.join(scalar("'task'", task, log, path)?);
        let changes = task_file::Changes {
            name: fields.take("name").and_then(|node| own_name(node, log)),
            source: has_files(node).then(|| test_files(&mut fields, root)).flatten(),
            count: fields.get("num_fewshot", None, |value| small(0..=1_000)(value).map(Some)),
            licence: licence(&mut fields),
        };
        fields.finish();
        let definition = task_file::read(&file, task.mark, log)?;
        return task_file::task(&definition, &file, &changes, log);
    }
    let name = fields.required_node("name", "the name in tables, such as `name: my-pairs`");
    let name = name.and_then(|node| own_name(node, log));
    let formats = [("pairs", Format::Pairs), ("perplexity", Format::Perplexity), ("in-context", Format::InContext)];
    let format = fields.get("format", Format::Pairs, |value| {
        choice(formats)(value)
            .map_err(|fault| fault.or_hint("a task of lm-evaluation-harness is named by `task: FILE`"))
    });
    let source = match format {
        Format::Pairs | Format::Perplexity => test_source(&mut fields, root),
        Format::InContext => streams_only(&mut fields),
    };
    let licence = licence(&mut fields);
    let mut length = None;
    let items = match format {
        Format::Perplexity => {
            fields.forbid("world", "has no meaning for the format perplexity");
            let text = cleaned_text(&mut fields);
            let stride = fields.get("stride", None, |value| small(1..=1_000_000)(value).map(Some));
            TestItems::Perplexity(ScoredText { text, stride })
        }
        Format::InContext => {
            let after = fields.required(
                "after",
                "the first position that counts for the score, such as `after: 256`",
                small(1..=65_535),
            );
            TestItems::InContext(ScoredStreams { after: after? })
        }
        Format::Pairs => {
            let layouts = super::dataset_format::LAYOUTS;
            let layout = source.as_ref().map(layout_of).unwrap_or_default();
            let layout = fields.get("layout", layout, choice(layouts));
            let renamed = fields.take("fields").map(|node| renamed(node, log)).unwrap_or_default();
            let separator = fields.get("separator", PairsFormat::SEPARATOR.to_owned(), text);
            length = fields.get("length", None, |value| choice(LENGTHS.map(|word| (word, Some(word))))(value));
            let shots = fields.take("shots").and_then(|node| shots(node, log));
            TestItems::Pairs(PairsFormat { layout, fields: renamed, separator, shots })
        }
    };
    fields.finish();
    let set = TestSet { name: name?, items };
    Some(OwnTest { set, source: source?, examples: None, length, licence, place: log.place(node.mark) })
}

/// The key `shots:` of `pairs`: the number of demonstrations, or `{k: 2, draws: 5, delimiter: "\n\n"}`; 0 for none.
fn shots(node: &Node, log: &Log) -> Option<PairShots> {
    let number = small(0..=64);
    let Value::Map(_) = node.value else {
        let k = scalar("'shots'", node, log, number)?;
        return (k > 0).then_some(PairShots { k, delimiter: DELIMITER.to_owned(), draws: 1 });
    };
    let mut own = Fields::of(node, "'shots'", log)?;
    let k = own.required("k", "the number of demonstrations, such as `k: 2`", number);
    let draws = own.get("draws", 1, small(1..=100));
    let delimiter = own.get("delimiter", DELIMITER.to_owned(), text);
    own.finish();
    k.filter(|k| *k > 0).map(|k| PairShots { k, delimiter, draws })
}

/// What the items of a test set are.
#[derive(Clone, Copy)]
enum Format {
    Pairs,
    Perplexity,
    InContext,
}

/// The source of streams, which can only be the toy world: it alone knows their entropies.
fn streams_only<'a>(fields: &mut Fields<'a>) -> Option<Source> {
    for key in ["files", "hf", "osf", "url"] {
        fields.forbid(key, "has no meaning for the format in-context, whose streams need the entropy of each symbol");
    }
    let world = fields.required_node("world", "such as `world: {metalang: {version: 2}}`");
    streams(fields, world?)
}

/// The settings of the rule `length`.
const LENGTHS: [&str; 3] = ["sum", "token", "byte"];

/// The rules of a test set: those of the experiment, with its own normalization.
pub(super) fn mode_of(test: &OwnTest, mode: Mode) -> Mode {
    let own = test.length.and_then(|length| mode.with("length", length)).unwrap_or(mode);
    own.of(test.set.items.suite())
}

/// Whether a mapping names files.
fn has_files(node: &Node) -> bool {
    ["files", "hf", "osf", "url"].iter().any(|key| node.get(key).is_some())
}

fn renamed(node: &Node, log: &Log) -> BTreeMap<String, String> {
    let Some(mut fields) = Fields::of(node, "'fields'", log) else { return BTreeMap::new() };
    let mut names = BTreeMap::new();
    for field in PairsFormat::FIELDS {
        if let Some(name) = fields.get(field, None, |value| text(value).map(Some)) {
            names.insert(field.to_owned(), name);
        }
    }
    fields.finish();
    names
}

/// Whether an entry of `suites:` is a path, and not the name of a suite.
pub(super) fn is_path(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.ends_with(".yaml") || text.ends_with(".yml"))
}

/// The fault of a value that is neither the name of a suite nor a test set.
pub(super) fn neither(value: &Value, known: &[&'static str]) -> Fault {
    match value {
        Value::Text(word) => Fault::unknown("suite", word, known.iter().copied()),
        _ => Fault::expected("the name of a suite, or a test set such as {name: my-pairs, files: pairs.jsonl}"),
    }
}
