//! Multiple-choice tasks of lm-evaluation-harness: the part of their YAML files that is supported.
//!
//! | key | meaning |
//! |---|---|
//! | `task` | the name |
//! | `include` | a file whose keys this one overrides |
//! | `output_type` | `multiple_choice` |
//! | `dataset_path`, `dataset_name`, `dataset_kwargs` | `json`, `csv` or `parquet` with `data_files`; or a dataset of the Hugging Face Hub |
//! | `test_split`, `validation_split`, `training_split`, `fewshot_split` | the rows to score are those of the first one that is given; examples come from the last, or else from training, validation, test |
//! | `doc_to_text`, `doc_to_target`, `doc_to_choice`, `description` | the name of a field, or a Jinja template |
//! | `target_delimiter`, `fewshot_delimiter` | texts before the answer and after an example |
//! | `num_fewshot`, `fewshot_config` | the number of examples; `sampler` (`default`, `first_n`), `samples`, `split`, `doc_to_*`, delimiters |
//! | `metric_list` | `acc`, `acc_norm`, `acc_bytes`, with `aggregation: mean` |
//!
//! Keys that cannot change a score are ignored: `tag`, `task_alias`, `metadata`, `should_decontaminate`,
//! `doc_to_decontamination_query`, `generation_kwargs`. All others are refused by name.

use std::path::Path;

use crate::domain::{
    ChoiceMetric, ChoiceRule, ExamplePool, ExampleSampler, Examples, FileSelection, HubKind, Layout, MultipleChoice,
    Remote, RemoteLocation, RowRule, Source, TestItems, TestSet, remote,
};

use super::data::layout_of;
use super::fields::{Fault, Fields, Scalar, items, scalar};
use super::nearest::nearest;
use super::own_test::{OwnTest, check_name};
use super::problem::{Log, Mark};
use super::scalars::{choice, line, name, small, text};
use super::tree::{Node, Value};

/// The seed with which the harness draws examples, unless its command line says otherwise.
const SEED: u32 = 1234;

/// How many files may include one another.
const DEEPEST_INCLUDE: usize = 8;

/// Keys that cannot change a score.
const IGNORED: [&str; 7] = [
    "tag",
    "task_alias",
    "metadata",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "generation_kwargs",
    "unsafe_code",
];

/// Keys that would change the scores and are not supported.
const UNSUPPORTED: [(&str, &str); 10] = [
    ("process_docs", "write the processed rows into a file, and name that"),
    ("process_results", "the metrics acc, acc_norm and acc_bytes are supported"),
    ("use_prompt", "write the prompt as `doc_to_text`"),
    ("filter_list", "remove it: it has no effect on multiple choice"),
    ("gen_prefix", "append it to `doc_to_text`"),
    ("custom_dataset", "write its rows into a file, and name that"),
    ("doc_to_image", "only text is supported"),
    ("doc_to_audio", "only text is supported"),
    ("group", "list the tasks of the group under `suites`, each as an entry of its own"),
    ("aggregate_metric_list", "list the tasks of the group under `suites`, each as an entry of its own"),
];

/// What a spec changes of a task.
#[derive(Default)]
pub(super) struct Changes {
    pub name: Option<String>,
    pub source: Option<Source>,
    pub count: Option<u32>,
    pub licence: Option<String>,
}

/// Reads a YAML file that defines a test set, with what it includes. `mark` is the place that names it.
pub(super) fn read(file: &Path, mark: Mark, log: &Log) -> Option<Node> {
    read_including(file, mark, 0, log)
}

fn read_including(file: &Path, mark: Mark, depth: usize, log: &Log) -> Option<Node> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let reason = format!("the file {} cannot be read: {error}", file.display());
            log.add(mark, reason, nearest(file));
            return None;
        }
    };
    let source = log.file(file.display().to_string(), &text);
    let shift = |mark: Mark| Mark { source, ..mark };
    let functions: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| {
            line.split(" #").next().is_some_and(|line| line.contains("!function") && !line.trim().starts_with('#'))
        })
        .collect();
    for (index, line) in &functions {
        let key = line.split(':').next().unwrap_or_default().trim().trim_start_matches("- ");
        let place = shift(Mark { line: *index as u32 + 1, ..Mark::START });
        let hint = "write the processed rows into a file, or a Jinja template in place of the function";
        log.add(place, format!("'{key}' is a Python function, which is not supported"), Some(hint.into()));
    }
    if !functions.is_empty() {
        return None;
    }
    let node = Node::read(&text, shift, log)?;
    let Some(base) = node.get("include") else { return Some(node) };
    if depth == DEEPEST_INCLUDE {
        log.add(base.mark, "'include' is nested too deeply", Some("does a file include itself?".into()));
        return None;
    }
    let path = scalar("'include'", base, log, line)?;
    let below = file.parent().unwrap_or(Path::new("")).join(path);
    Some(read_including(&below, base.mark, depth + 1, log)?.overlaid(&node))
}

/// Decodes the definition of a task that was read from `file`.
pub(super) fn task(node: &Node, file: &Path, changes: &Changes, log: &Log) -> Option<OwnTest> {
    let before = log.count();
    let mut fields = Fields::of(node, "a task", log)?;
    fields.take("include");
    for key in IGNORED {
        fields.take(key);
    }
    for (key, hint) in UNSUPPORTED {
        if let Some(node) = fields.take(key).filter(|node| !matches!(node.value, Value::Null)) {
            log.add(node.mark, format!("'{key}' is not supported"), Some(hint.to_owned()));
        }
    }
    let kinds = [("multiple_choice", ())];
    fields.required("output_type", "`output_type: multiple_choice`", |value| {
        choice(kinds)(value).map_err(|fault| fault.or_hint("of the harness's tasks only multiple choice is supported"))
    });
    fields.get("repeats", (), |value| small(1..=1)(value).map(|_| ()));
    let own_name = fields.take("task").and_then(|node| Some((scalar("'task'", node, log, name)?, node.mark)));
    let name = match (&changes.name, own_name) {
        (Some(name), _) => Some(name.clone()),
        (None, Some((name, mark))) => check_name(&name, mark, log).then_some(name),
        (None, None) => {
            log.missing(node.mark, "task", "the name in tables, such as `task: my-questions`");
            None
        }
    };
    let doc_to_text = fields.required("doc_to_text", "the question, as a field or a template", row_rule);
    let doc_to_target = fields.required("doc_to_target", "the right answer: its index or text", row_rule);
    let doc_to_choice =
        fields.required_node("doc_to_choice", "the answers").and_then(|node| choice_rule("doc_to_choice", node, log));
    let description = fields.get("description", String::new(), text);
    let target_delimiter = fields.get("target_delimiter", " ".to_owned(), text);
    let delimiter = fields.get("fewshot_delimiter", "\n\n".to_owned(), text);
    let metrics = fields
        .take("metric_list")
        .map_or(Some(vec![ChoiceMetric::Acc, ChoiceMetric::AccNorm]), |node| metrics(node, log));
    let count = fields.get("num_fewshot", 0, small(0..=1_000));
    let count = changes.count.unwrap_or(count);
    let config = fields.take("fewshot_config").filter(|node| !matches!(node.value, Value::Null));
    let mut splits = Splits::decode(&mut fields);
    let data = Data::decode(&mut fields, file, log);
    let scored_split = splits.scored(&fields);
    fields.finish();

    let rules = (doc_to_text.clone(), doc_to_target.clone());
    let shown = ExampleKeys { target_delimiter: &target_delimiter, delimiter: &delimiter };
    let examples = example_rules(config, rules, shown, &mut splits, log);
    let source = match (&changes.source, data.as_ref().zip(scored_split.as_ref())) {
        (Some(source), _) => Some(source.clone()),
        (None, Some((data, split))) => data.source(split, node.mark, log),
        (None, None) => None,
    };
    let pool_split = splits.pool();
    let (examples, others) = match examples {
        Some(mut examples) if count > 0 => {
            examples.count = count;
            examples.without_scored_row = splits.fewshot == splits.test;
            let mut others = None;
            if !matches!(examples.pool, ExamplePool::Listed(_)) && pool_split != scored_split {
                others = data.as_ref().zip(pool_split).and_then(|(data, split)| data.source(&split, node.mark, log));
                examples.pool = ExamplePool::OtherRows(others.as_ref().map(layout_of).unwrap_or_default());
            }
            (Some(examples), others)
        }
        _ => (None, None),
    };
    let source = source?;
    let items = MultipleChoice {
        layout: data.map_or_else(|| layout_of(&source), |data| data.layout(&source)),
        doc_to_text: doc_to_text?,
        doc_to_target: doc_to_target?,
        doc_to_choice: doc_to_choice?,
        description,
        target_delimiter,
        examples,
        metrics: metrics?,
    };
    let set = TestSet { name: name?, items: TestItems::MultipleChoice(Box::new(items)) };
    let place = log.place(node.mark);
    let licence = changes.licence.clone();
    (log.count() == before).then_some(OwnTest { set, source, examples: others, length: None, licence, place })
}

/// The names of the splits.
struct Splits {
    training: Option<String>,
    validation: Option<String>,
    test: Option<String>,
    fewshot: Option<String>,
}

impl Splits {
    fn decode(fields: &mut Fields) -> Self {
        let mut split = |key| {
            fields.get(key, None, |value| match value {
                Value::Null => Ok(None),
                value => line(value).map(Some),
            })
        };
        Self {
            training: split("training_split"),
            validation: split("validation_split"),
            test: split("test_split"),
            fewshot: split("fewshot_split"),
        }
    }

    /// The split whose rows are scored.
    fn scored(&self, fields: &Fields) -> Option<String> {
        let split = self.test.clone().or_else(|| self.validation.clone());
        if split.is_none() {
            fields.log.missing(fields.mark, "test_split", "the rows to score, such as `test_split: test`");
        }
        split
    }

    /// The split that examples come from.
    fn pool(&self) -> Option<String> {
        [&self.fewshot, &self.training, &self.validation, &self.test].into_iter().flatten().next().cloned()
    }
}

/// Where the rows are.
enum Data {
    /// A builder of the library `datasets`, with a pattern of files for each split.
    Files { layout: Layout, splits: Vec<(String, Source)> },
    /// A dataset of the Hugging Face Hub.
    Hub { repository: String, revision: String, folder: String },
}

impl Data {
    fn decode(fields: &mut Fields, file: &Path, log: &Log) -> Option<Data> {
        let path = fields.required("dataset_path", "`json`, `csv`, `parquet`, or a dataset of the Hub", line);
        let folder = fields.get("dataset_name", None, |value| match value {
            Value::Null => Ok(None),
            value => line(value).map(Some),
        });
        let options = fields.take("dataset_kwargs").filter(|node| !matches!(node.value, Value::Null));
        let mut options = options.and_then(|node| Fields::of(node, "'dataset_kwargs'", log));
        let files = options.as_mut().and_then(|options| options.take("data_files"));
        let mut revision = remote::MAIN.to_owned();
        if let Some(mut options) = options {
            options.take("trust_remote_code");
            revision = options.get("revision", revision, super::remote::revision);
            options.finish();
        }
        let path = path?;
        let layout = match path.as_str() {
            "json" => Layout::Json,
            "csv" => Layout::Csv,
            "parquet" => Layout::Parquet,
            _ if files.is_none() && remote::is_repository(&path) => {
                return Some(Data::Hub {
                    repository: path,
                    revision,
                    folder: folder.unwrap_or_else(|| "data".to_owned()),
                });
            }
            other => {
                let hint = "write `dataset_path: json` and `dataset_kwargs: {data_files: {test: FILE}}`, or the id of a \
                            dataset of the Hub; `files` in the spec replaces both";
                log.add(fields.mark, format!("'dataset_path' is '{other}', which is not supported"), Some(hint.into()));
                return None;
            }
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let pattern = |node: &Node| scalar("'data_files'", node, log, super::data::pattern_of_files);
        let splits = match files {
            None => vec![],
            Some(Node { value: Value::Map(entries), .. }) => {
                let split = |(key, node): &(super::tree::Key, Node)| {
                    Some((key.text.clone(), Source::Files(folder.join(pattern(node)?))))
                };
                entries.iter().map(split).collect::<Option<_>>()?
            }
            // The library calls the only split so.
            Some(node) => vec![("train".to_owned(), Source::Files(folder.join(pattern(node)?)))],
        };
        Some(Data::Files { layout, splits })
    }

    /// The files of a split.
    fn source(&self, split: &str, mark: Mark, log: &Log) -> Option<Source> {
        match self {
            Data::Hub { repository, revision, folder } => Some(Source::Remote(Remote {
                place: RemoteLocation::Hub {
                    kind: HubKind::Datasets,
                    repository: repository.clone(),
                    revision: revision.clone(),
                },
                archive: None,
                pick: FileSelection::Files(format!("{folder}/{split}-*.parquet")),
            })),
            Data::Files { splits, .. } => {
                let found = splits.iter().find(|(name, _)| name == split).map(|(_, source)| source.clone());
                if found.is_none() {
                    let names: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
                    let hint = match names.is_empty() {
                        true => "add `dataset_kwargs: {data_files: {test: FILE}}`".to_owned(),
                        false => format!("there are: {}; files without a split are 'train'", names.join(", ")),
                    };
                    log.add(mark, format!("'data_files' has no split '{split}'"), Some(hint));
                }
                found
            }
        }
    }

    fn layout(&self, source: &Source) -> Layout {
        match self {
            Data::Files { layout, .. } if !matches!(source, Source::Remote(_)) => *layout,
            _ => layout_of(source),
        }
    }
}

/// The texts around examples that a task gives for its questions.
struct ExampleKeys<'a> {
    target_delimiter: &'a str,
    delimiter: &'a str,
}

/// Decodes `fewshot_config`; what it does not give is that of the task. The pool is the scored rows unless rows are listed.
fn example_rules(
    node: Option<&Node>,
    (doc_to_text, doc_to_target): (Option<RowRule>, Option<RowRule>),
    keys: ExampleKeys,
    splits: &mut Splits,
    log: &Log,
) -> Option<Examples> {
    let mut examples = Examples {
        count: 0,
        pool: ExamplePool::ScoredRows,
        sampler: ExampleSampler::Random { seed: SEED },
        without_scored_row: false,
        doc_to_text: doc_to_text?,
        doc_to_target: doc_to_target?,
        doc_to_choice: None,
        target_delimiter: keys.target_delimiter.to_owned(),
        delimiter: keys.delimiter.to_owned(),
    };
    let Some(node) = node else { return Some(examples) };
    let mut fields = Fields::of(node, "'fewshot_config'", log)?;
    let samplers = [("default", ExampleSampler::Random { seed: SEED }), ("first_n", ExampleSampler::First)];
    examples.sampler = fields.get("sampler", examples.sampler, choice(samplers));
    if let Some(split) = fields.get("split", None, |value| line(value).map(Some)) {
        splits.fewshot = Some(split);
    }
    examples.doc_to_text = fields.get("doc_to_text", examples.doc_to_text, row_rule);
    examples.doc_to_target = fields.get("doc_to_target", examples.doc_to_target, row_rule);
    let choices = fields.take("doc_to_choice");
    examples.doc_to_choice = choices.and_then(|node| choice_rule("doc_to_choice", node, log));
    examples.target_delimiter = fields.get("target_delimiter", examples.target_delimiter, text);
    examples.delimiter = fields.get("fewshot_delimiter", examples.delimiter, text);
    if let Some(rows) = fields.take("samples").and_then(|node| items("samples", node, log))
        && splits.fewshot.is_none()
    {
        examples.pool = ExamplePool::Listed(rows.iter().map(json).collect());
    }
    fields.finish();
    Some(examples)
}

fn row_rule(value: &Value) -> Scalar<RowRule> {
    match value {
        Value::Whole(index) => match u32::try_from(*index) {
            Ok(index) => Ok(RowRule::Index(index)),
            Err(_) => Err(Fault::expected("the name of a field, a template, or an index from 0")),
        },
        value => text(value).map(RowRule::FieldOrTemplate),
    }
}

fn choice_rule(key: &str, node: &Node, log: &Log) -> Option<ChoiceRule> {
    let all_texts = |list: &[Node]| {
        let text = |item: &Node| match &item.value {
            Value::Text(text) => Some(text.clone()),
            Value::Whole(number) => Some(number.to_string()),
            _ => None,
        };
        list.iter().map(text).collect::<Option<Vec<String>>>()
    };
    let values: Vec<Node>;
    let list = match &node.value {
        Value::List(list) => list,
        Value::Map(entries) => {
            values = entries.iter().map(|(_, value)| value.clone()).collect();
            &values
        }
        _ => return scalar(&format!("'{key}'"), node, log, text).map(ChoiceRule::FieldOrTemplate),
    };
    let same = all_texts(list).map(ChoiceRule::Same);
    if same.is_none() {
        Fault::expected("a list of texts, the name of a field, or a template").report(&format!("'{key}'"), node, log);
    }
    same
}

fn metrics(node: &Node, log: &Log) -> Option<Vec<ChoiceMetric>> {
    let known = ChoiceMetric::ALL.map(|metric| (metric.name(), metric));
    let mut metrics = vec![];
    for item in items("metric_list", node, log)? {
        let mut fields = Fields::of(item, "a metric", log)?;
        let metric = fields.required("metric", "such as `metric: acc`", choice(known));
        fields.get("aggregation", (), choice([("mean", ())]));
        fields.take("higher_is_better");
        fields.finish();
        metrics.extend(metric);
    }
    Some(metrics)
}

/// A YAML value as a row of a file.
fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Flag(flag) => Json::from(*flag),
        Value::Whole(number) => i64::try_from(*number).map_or(Json::Null, Json::from),
        Value::Real(number) => Json::from(*number),
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(list) => Json::Array(list.iter().map(json).collect()),
        Value::Map(entries) => Json::Object(entries.iter().map(|(key, node)| (key.text.clone(), json(node))).collect()),
    }
}
