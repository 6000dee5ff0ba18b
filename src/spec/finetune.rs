//! The section `finetune:`.

use crate::domain::{
    FinetuneRecipe, FinetuneSeeds, Finetuning, GlueTask, Hyperparameters, Mode, Pooling, Precision, Selection, Source,
    Suite,
};

use super::fields::{self, Fault, Fields, Scalar};
use super::problem::{Log, Mark};
use super::scalars::{self, Within, choice, flag, real, small};
use super::tree::{Key, Node, Value};

/// The keys that a task may have of its own.
const OWN: [&str; 4] = ["learning_rate", "batch_size", "epochs", "search"];

/// Decodes `finetune:`, how the suite `glue` is fine-tuned; every key has a default.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `tasks:` | a list, or a mapping of tasks to keys of their own (`rte: {epochs: 5}`) | all that the data has |
/// | `seeds:` | of classifier, data order and dropout, a job for each: how many, derived from the cell's seed (1 → 101, 102, 103; see [`FinetuneSeeds`]), or a list of exactly these for every model | 3; compat `[42]` |
/// | `mode:` | `fixed`, or `compat` for the official recipe | that of `evaluate` |
/// | `pooling:` | `last` or `first` token of the input | `last`; compat `first` |
/// | `selection:` | epoch by `held_out` half, by the `test` rows themselves, or the `last_epoch` | `held_out`; compat `test` |
/// | `learning_rate:` | peak; also of a task | 3e-5 |
/// | `batch_size:` | rows; also of a task | 32; boolq and multirc 16 |
/// | `epochs:` | also of a task | 10; wsc 30 |
/// | `search:` | lists of the three keys above, every combination tried; also of a task; needs `held_out` | none |
/// | `max_length:` | tokens of the longest input | 512 |
/// | `accumulation:` | parts of a batch whose mean losses are added up (compat) or averaged | 1 |
/// | `accumulated:` | `mean` or `sum` over these parts | `mean`; compat `sum` |
/// | `precision:` | `f32`, or `bf16` with 32-bit weights | `f32` |
/// | `keep:` | the weights that are scored stay, in `classifier/` of the results; `classifier-even-rows/` and `-odd-rows/` where two halves are scored | false |
pub(super) fn finetunings(
    node: Option<&Node>,
    mode: Mode,
    known: &[GlueTask],
    file: impl Fn(String) -> Source,
    log: &Log,
) -> Vec<Finetuning> {
    let nothing = Node { mark: Mark::START, value: Value::Map(vec![]) };
    let node = node.unwrap_or(&nothing);
    let Some(mut fields) = Fields::of(node, "'finetune'", log) else { return vec![] };
    let mode = fields.get("mode", mode.of(Suite::Glue), choice(Mode::BASES));
    let compat = mode == Mode::COMPAT;
    let seeds = fields.take("seeds").and_then(|node| seeds(node, log));
    let seeds = seeds.unwrap_or(if compat { FinetuneSeeds::Listed(vec![42]) } else { FinetuneSeeds::Derived(3) });
    let pooling = choice([("last", Pooling::Last), ("first", Pooling::First)]);
    let pooling = fields.get("pooling", if compat { Pooling::First } else { Pooling::Last }, pooling);
    let rules = choice([("held_out", Rule::HeldOut), ("test", Rule::Test), ("last_epoch", Rule::LastEpoch)]);
    let rule = fields.get("selection", if compat { Rule::Test } else { Rule::HeldOut }, rules);
    let max_length = fields.get("max_length", 512, small(1..=1_000_000));
    let parts = fields.get("accumulation", 1, small(1..=65_536));
    let gradient_scale = match fields.get("accumulated", compat, choice([("mean", false), ("sum", true)])) {
        true => parts,
        false => 1,
    };
    let precision = choice([("f32", Precision::F32), ("bf16", Precision::Bf16)]);
    let precision = fields.get("precision", Precision::F32, precision);
    let keep = fields.get("keep", false, flag);
    for key in OWN {
        fields.take(key);
    }
    let tasks = fields.take("tasks");
    fields.finish();
    let common = own(node);
    let Some(base) = Own::decode(&common, rule, log) else { return vec![] };
    let finetuning = |task: GlueTask, own: Own| Finetuning {
        task,
        mode,
        recipe: FinetuneRecipe {
            pooling,
            selection: own.selection(task, rule),
            max_length,
            gradient_scale,
            precision,
            keep,
        },
        train: file(task.train_file()),
        valid: file(task.valid_file()),
        seeds: seeds.clone(),
    };
    chosen(tasks, known, log)
        .into_iter()
        .filter_map(|(task, node)| match node.filter(|node| !matches!(node.value, Value::Null)) {
            None => Some(finetuning(task, base.clone())),
            Some(node) => {
                let mut fields = Fields::of(node, &format!("task '{task}'"), log)?;
                for key in OWN {
                    fields.take(key);
                }
                fields.finish();
                Some(finetuning(task, Own::decode(&common.overlaid(&own(node)), rule, log)?))
            }
        })
        .collect()
}

/// `5` is five seeds for every model, derived from its own; `[1, 2]` is exactly these for every model.
fn seeds(node: &Node, log: &Log) -> Option<FinetuneSeeds> {
    if let Value::List(_) = node.value {
        return fields::list("seeds", node, log, scalars::seed).map(FinetuneSeeds::Listed);
    }
    let most = FinetuneSeeds::MOST;
    fields::scalar("'seeds'", node, log, |value| {
        let fault = || Fault::expected(format!("a number of seeds from 1 to {most}, or a list of seeds"));
        small(1..=most)(value).map(FinetuneSeeds::Derived).map_err(|_| fault().or_hint("such as 5, or [1, 2]"))
    })
}

/// Reports a section that nothing asks for.
pub(super) fn refuse(node: Option<&Node>, log: &Log) {
    if let Some(node) = node {
        let reason = "'finetune' says how the suite glue is fine-tuned, but 'evaluate' does not ask for glue";
        log.add(node.mark, reason, Some("add glue to the suites of 'evaluate', or remove this section".into()));
    }
}

/// The tasks that are asked for, each with its own keys where it has some.
fn chosen<'a>(node: Option<&'a Node>, known: &[GlueTask], log: &Log) -> Vec<(GlueTask, Option<&'a Node>)> {
    let word = choice(known.iter().map(|task| (task.name(), *task)));
    let Some(node) = node else { return known.iter().map(|task| (*task, None)).collect() };
    let Value::Map(entries) = &node.value else {
        return fields::list("tasks", node, log, word)
            .unwrap_or_default()
            .into_iter()
            .map(|task| (task, None))
            .collect();
    };
    let task = |(key, value): &'a (Key, Node)| {
        let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
        Some((fields::scalar("a key of 'tasks'", &name, log, &word)?, Some(value)))
    };
    entries.iter().filter_map(task).collect()
}

/// See [`Selection`], of which this is the half that all tasks share.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    HeldOut,
    Test,
    LastEpoch,
}

/// The entries of a mapping that a task may have of its own.
fn own(node: &Node) -> Node {
    let entries = node.entries().iter().filter(|(key, _)| OWN.contains(&key.text.as_str())).cloned().collect();
    Node { mark: node.mark, value: Value::Map(entries) }
}

/// What is said of the hyperparameters, one or several values of each; none where the task's own official value holds.
#[derive(Clone)]
struct Own {
    learning_rates: Vec<f64>,
    batch_sizes: Vec<u32>,
    epochs: Vec<u32>,
}

impl Own {
    fn decode(node: &Node, rule: Rule, log: &Log) -> Option<Own> {
        let mut fields = Fields::of(node, "'finetune'", log)?;
        let (rate, whole) = (|| real(Within::Positive), || small(1..=1_000_000));
        let mut own = Own {
            learning_rates: one(&mut fields, "learning_rate", rate()),
            batch_sizes: one(&mut fields, "batch_size", whole()),
            epochs: one(&mut fields, "epochs", whole()),
        };
        let Some(search) = fields.take("search") else { return Some(own) };
        if rule != Rule::HeldOut {
            let hint = "write `selection: held_out`, or remove 'search'";
            log.add(search.mark, "'search' may only choose by rows that are not scored", Some(hint.into()));
        }
        let mut lists = Fields::of(search, "'search'", log)?;
        own.learning_rates = lists.list("learning_rate", rate()).unwrap_or(own.learning_rates);
        own.batch_sizes = lists.list("batch_size", whole()).unwrap_or(own.batch_sizes);
        own.epochs = lists.list("epochs", whole()).unwrap_or(own.epochs);
        lists.finish();
        Some(own)
    }

    fn selection(self, task: GlueTask, rule: Rule) -> Selection {
        fn or<T>(values: Vec<T>, official: T) -> Vec<T> {
            if values.is_empty() { vec![official] } else { values }
        }
        let official = task.official();
        let (rates, sizes) =
            (or(self.learning_rates, official.learning_rate), or(self.batch_sizes, official.batch_size));
        let epochs = or(self.epochs, official.epochs);
        let mut candidates = vec![];
        for learning_rate in rates {
            for batch_size in &sizes {
                let with = |epochs: &u32| Hyperparameters { learning_rate, batch_size: *batch_size, epochs: *epochs };
                candidates.extend(epochs.iter().map(with));
            }
        }
        match (rule, &candidates[..]) {
            (Rule::Test, [first, ..]) => Selection::Test(*first),
            (Rule::LastEpoch, [first, ..]) => Selection::LastEpoch(*first),
            _ => Selection::HeldOut(candidates),
        }
    }
}

/// The value of a key, or nothing.
fn one<'a, T>(fields: &mut Fields<'a>, key: &'a str, decode: impl Fn(&Value) -> Scalar<T>) -> Vec<T> {
    fields.get(key, vec![], |value| decode(value).map(|value| vec![value]))
}
