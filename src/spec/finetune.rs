//! The section `finetune:`.

use crate::domain::{
    BodyDropout, FinetuneRecipe, FinetuneSeeds, Finetuning, GlueTask, Hyperparameters, Mode, Pooling, Precision,
    Selection, Source, Suite,
};

use super::fields::{self, Fault, Fields, Scalar};
use super::problem::{Log, Mark};
use super::scalars::{self, Within, choice, flag, real, small};
use super::tree::{Key, Node, Value};

/// The keys that may be set for a single task.
const TASK_KEYS: [&str; 4] = ["learning_rate", "batch_size", "epochs", "search"];

/// Decodes `finetune:`, which says how the suite `glue` is fine-tuned. Every key has a default.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `tasks:` | a list, or a mapping of tasks to keys of their own (`rte: {epochs: 5}`) | all tasks of the data |
/// | `seeds:` | seeds of classifier, data order and dropout, with a job for each: a number of seeds to derive from the cell's seed (1 → 101, 102, 103; see [`FinetuneSeeds`]), or a list of seeds for every model | 3; official `[42]` |
/// | `mode:` | `fixed`; `compat-2025` (or `compat`) or `compat-2026` for the official recipe of that year | that of `evaluate` |
/// | `pooling:` | classify the `last` or `first` token of the input; `last_left` is `last` with inputs that are padded on the left to the longest of their batch, as in the official pipeline of 2026, which moves the positions of GPT-2 and BERT | `last`; 2025 `first`, 2026 `last_left` |
/// | `dropout:` | dropout inside the model: that of its `config.json` (`model`), `none`, or a share in place of every probability there; the classifier has its own of 0.1 | `none`; official `model` |
/// | `selection:` | select the epoch on the other, `held_out` half of the rows, on the `test` rows themselves, or take the `last_epoch` | `held_out`; official `test` |
/// | `learning_rate:` | peak learning rate; also for a task | 3e-5 |
/// | `batch_size:` | rows; also for a task | 32; boolq and multirc 16 |
/// | `epochs:` | also for a task | 10; wsc 30 |
/// | `search:` | lists of values of the three keys above, of which every combination is tried; also for a task; needs `selection: held_out` | none |
/// | `max_length:` | tokens of the longest input | 512 |
/// | `accumulation:` | parts of a batch whose mean losses are summed (2025) or averaged | 1 |
/// | `accumulated:` | `mean` or `sum` over these parts | `mean`; 2025 `sum` |
/// | `precision:` | `f32`, or `bf16` with 32-bit weights | `f32` |
/// | `keep:` | whether to keep the scored weights, in `classifier/` of the results, or in `classifier-even-rows/` and `classifier-odd-rows/` if two halves are scored | false |
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
    let mode = fields.get("mode", mode.of(Suite::Glue), choice(Mode::NAMES));
    let compat_2026 = mode == Mode::COMPAT_2026;
    let compat = mode == Mode::COMPAT || compat_2026;
    let seeds = fields.take("seeds").and_then(|node| seeds(node, log));
    let seeds = seeds.unwrap_or(if compat { FinetuneSeeds::Listed(vec![42]) } else { FinetuneSeeds::Derived(3) });
    let pooling = choice([("last", Pooling::Last), ("first", Pooling::First), ("last_left", Pooling::LastLeft)]);
    let usual = match mode {
        Mode::COMPAT => Pooling::First,
        Mode::COMPAT_2026 => Pooling::LastLeft,
        _ => Pooling::Last,
    };
    let pooling = fields.get("pooling", usual, pooling);
    let rules = choice([
        ("held_out", SelectionRule::HeldOut),
        ("test", SelectionRule::Test),
        ("last_epoch", SelectionRule::LastEpoch),
    ]);
    let rule = fields.get("selection", if compat { SelectionRule::Test } else { SelectionRule::HeldOut }, rules);
    let max_length = fields.get("max_length", 512, small(1..=1_000_000));
    let parts = fields.get("accumulation", 1, small(1..=65_536));
    let gradient_scale =
        match fields.get("accumulated", compat && !compat_2026, choice([("mean", false), ("sum", true)])) {
            true => parts,
            false => 1,
        };
    let precision = choice([("f32", Precision::F32), ("bf16", Precision::Bf16)]);
    let precision = fields.get("precision", Precision::F32, precision);
    let dropout = fields.get("dropout", if compat { BodyDropout::Model } else { BodyDropout::None }, dropout);
    let keep = fields.get("keep", false, flag);
    for key in TASK_KEYS {
        fields.take(key);
    }
    let tasks = fields.take("tasks");
    fields.finish();
    let common = task_keys(node);
    let Some(base) = Candidates::decode(&common, rule, log) else { return vec![] };
    let finetuning = |task: GlueTask, own: Candidates| Finetuning {
        task,
        mode,
        recipe: FinetuneRecipe {
            pooling,
            selection: own.selection(task, rule),
            max_length,
            gradient_scale,
            precision,
            dropout,
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
                for key in TASK_KEYS {
                    fields.take(key);
                }
                fields.finish();
                Some(finetuning(task, Candidates::decode(&common.overlaid(&task_keys(node)), rule, log)?))
            }
        })
        .collect()
}

/// A number is that many seeds for every model, derived from its own; a list is these seeds for every model.
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

/// Dropout inside the model. A share of 0 is the same as none.
fn dropout(value: &Value) -> Scalar<BodyDropout> {
    match value {
        Value::Text(_) => choice([("model", BodyDropout::Model), ("none", BodyDropout::None)])(value),
        _ => match real(Within::ProperFraction)(value) {
            Ok(0.0) => Ok(BodyDropout::None),
            Ok(share) => Ok(BodyDropout::Share(share)),
            Err(_) => {
                let fault = Fault::expected("'model', 'none', or a share from 0 to below 1".to_owned());
                Err(fault.or_hint("such as 0.1 for a tenth"))
            }
        },
    }
}

/// Reports a section that has no effect.
pub(super) fn reject(node: Option<&Node>, log: &Log) {
    if let Some(node) = node {
        let reason = "'finetune' has no effect, because 'evaluate' does not have the suite glue";
        log.add(node.mark, reason, Some("add glue to the suites of 'evaluate', or remove this section".into()));
    }
}

/// The requested tasks, each with its own keys if it has any.
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

/// The part of a [`Selection`] that all tasks share.
#[derive(Clone, Copy, PartialEq)]
enum SelectionRule {
    HeldOut,
    Test,
    LastEpoch,
}

/// The entries of a mapping that may be set for a single task.
fn task_keys(node: &Node) -> Node {
    let entries = node.entries().iter().filter(|(key, _)| TASK_KEYS.contains(&key.text.as_str())).cloned().collect();
    Node { mark: node.mark, value: Value::Map(entries) }
}

/// One or several values of each hyperparameter; empty where the task's official value applies.
#[derive(Clone)]
struct Candidates {
    learning_rates: Vec<f64>,
    batch_sizes: Vec<u32>,
    epochs: Vec<u32>,
}

impl Candidates {
    fn decode(node: &Node, rule: SelectionRule, log: &Log) -> Option<Candidates> {
        let mut fields = Fields::of(node, "'finetune'", log)?;
        let (rate, whole) = (|| real(Within::Positive), || small(1..=1_000_000));
        let mut own = Candidates {
            learning_rates: single(&mut fields, "learning_rate", rate()),
            batch_sizes: single(&mut fields, "batch_size", whole()),
            epochs: single(&mut fields, "epochs", whole()),
        };
        let Some(search) = fields.take("search") else { return Some(own) };
        if rule != SelectionRule::HeldOut {
            let hint = "write `selection: held_out`, or remove 'search'";
            log.add(search.mark, "'search' needs rows that are not scored, to select by", Some(hint.into()));
        }
        let mut lists = Fields::of(search, "'search'", log)?;
        own.learning_rates = lists.list("learning_rate", rate()).unwrap_or(own.learning_rates);
        own.batch_sizes = lists.list("batch_size", whole()).unwrap_or(own.batch_sizes);
        own.epochs = lists.list("epochs", whole()).unwrap_or(own.epochs);
        lists.finish();
        Some(own)
    }

    fn selection(self, task: GlueTask, rule: SelectionRule) -> Selection {
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
            (SelectionRule::Test, [first, ..]) => Selection::Test(*first),
            (SelectionRule::LastEpoch, [first, ..]) => Selection::LastEpoch(*first),
            _ => Selection::HeldOut(candidates),
        }
    }
}

/// The value of a key, as a list of at most one.
fn single<'a, T>(fields: &mut Fields<'a>, key: &'a str, decode: impl Fn(&Value) -> Scalar<T>) -> Vec<T> {
    fields.get(key, vec![], |value| decode(value).map(|value| vec![value]))
}
