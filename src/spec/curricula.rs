//! The section `curricula:`.

use std::path::Path;

use crate::domain::{RecordOrder, Round, SINGLE};

use super::fields::{self, Fault, Fields, Scalar};
use super::names::{BUILT_IN_CURRICULA, Names};
use super::problem::Log;
use super::sampling::{Sampling, SamplingPlace};
use super::scalars::{Within, choice, real, reference, small};
use super::training::{SHARED_TUNE_KEYS, Tune};
use super::tree::{Key, Node, Value};

/// A curriculum: its stages, and whether they share a schedule.
#[derive(Debug, Clone)]
pub(super) struct Curriculum {
    pub stages: Vec<StageKeys>,
    pub schedule: StageSchedule,
}

impl Curriculum {
    /// Stages that are separate trainings, one after the other.
    pub(super) fn each(stages: Vec<StageKeys>) -> Self {
        Self { stages, schedule: StageSchedule::Each }
    }

    /// Stages that together are one training.
    pub(super) fn whole(stages: Vec<StageKeys>) -> Self {
        Self { stages, schedule: StageSchedule::Whole }
    }
}

/// The key `schedule:` of a curriculum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StageSchedule {
    /// Every stage has its own warm-up and decay.
    Each,
    /// All stages in order are one training, with one warm-up, one decay and one optimizer state.
    Whole,
}

/// The keys of a stage that `tune:` does not have.
pub(super) const STAGE_KEYS: [&str; 2] = ["datasets", "order"];

/// The name of the data of a round in tables and labels.
pub(super) const REPLIES: &str = "replies";

/// The round of a stage, and how its data are sampled.
#[derive(Debug, Clone)]
pub(super) struct RoundKeys {
    pub round: Round,
    /// The number of rounds.
    pub rounds: u32,
    pub sampling: Sampling,
}

/// A stage as the spec defines it.
#[derive(Debug, Clone)]
pub(super) struct StageKeys {
    /// What only a stage of a curriculum with rounds has; its only dataset are the replies of the round.
    pub round: Option<RoundKeys>,
    /// The names of the datasets.
    pub datasets: Vec<String>,
    /// The weights of the datasets; empty if an epoch has all records of each.
    pub shares: Vec<f64>,
    pub order: RecordOrder,
    /// The mapping of the stage, whose keys override those of `tune:`.
    pub own: Option<Node>,
}

impl StageKeys {
    /// A stage over the shuffled union of these datasets.
    pub(super) fn union(datasets: Vec<String>) -> Self {
        Self { round: None, datasets, shares: vec![], order: RecordOrder::Shuffled, own: None }
    }
}

/// Decodes one entry of `curricula:`, a list of stages or `{stages: [...], schedule: each}`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `stages:` | the list | required |
/// | `schedule:` | `each` stage is a separate training, or the `whole` list is one, with one warm-up, one decay and one optimizer state | `each` |
///
/// A stage is a dataset, a list of datasets that are shuffled together, or a mapping:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `datasets:` | a name, a list, or `{name: weight}`, with which an epoch has rows of each dataset in proportion to its weight | required |
/// | `order:` | `shuffled`, `interleaved` (rows of the datasets alternate) or `in_turn` (one dataset after the other under one schedule) | `shuffled` |
/// | keys of `tune:` | such as `epochs:`, `loss:`, `pretrain_mix:`, `optimizer:`; under `schedule: whole` only `epochs:` or `steps:`, and `pretrain_mix:` | those of `tune:` |
///
/// In place of `stages:`, a curriculum can have `rounds:`. In each round, the current model replies to prompts that no other
/// round uses, a teacher corrects or scores the replies, and the stages of `then:` train on the result.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `rounds:` | the number of rounds | required |
/// | `sample:`, `teacher:`, `pairs:` | the prompts, the sampling, and who corrects or scores the replies ([`Sampling`]) | `sample:` is required |
/// | `then:` | the stages of each round, a list of mappings with keys of `tune:` | one stage with those of `tune:` |
pub(super) fn curriculum(
    key: &Key,
    node: &Node,
    names: &Names,
    held_out: f64,
    root: &Path,
    log: &Log,
) -> Option<(String, Curriculum)> {
    let name = &key.text;
    if BUILT_IN_CURRICULA.contains(&name.as_str()) || name == SINGLE {
        let hint = format!("choose another name; {} and {SINGLE} are reserved", BUILT_IN_CURRICULA.join(", "));
        log.add(key.mark, format!("the name of curriculum '{name}' is reserved"), Some(hint));
    }
    let (list, schedule) = match node.value {
        Value::Map(_) => {
            let mut fields = Fields::of(node, &format!("curriculum '{name}'"), log)?;
            if fields.take("rounds").is_some() {
                return rounds(name, fields, names, held_out, root).map(|curriculum| (name.clone(), curriculum));
            }
            let list = fields.required_node("stages", "such as `{stages: [a, b], schedule: whole}`");
            let schedules = choice([("each", StageSchedule::Each), ("whole", StageSchedule::Whole)]);
            let schedule = fields.get("schedule", StageSchedule::Each, schedules);
            fields.finish();
            (list?, schedule)
        }
        _ => (node, StageSchedule::Each),
    };
    let dataset = |value: &Value| dataset(name, value, names);
    let stages = fields::items(name, list, log)?.iter().map(|stage| match stage.value {
        Value::Map(_) => stage_mapping(name, stage, schedule, names, held_out, log),
        Value::List(_) => fields::list(name, stage, log, dataset).map(StageKeys::union),
        _ => fields::scalar(&format!("a stage of '{name}'"), stage, log, dataset)
            .map(|dataset| StageKeys::union(vec![dataset])),
    });
    let stages: Vec<Option<StageKeys>> = stages.collect();
    Some((name.clone(), Curriculum { stages: stages.into_iter().collect::<Option<_>>()?, schedule }))
}

/// Decodes a curriculum with rounds.
fn rounds(name: &str, mut fields: Fields, names: &Names, held_out: f64, root: &Path) -> Option<Curriculum> {
    let log = fields.log;
    let rounds = fields.required("rounds", "the number of rounds", small(1..=1_000));
    for key in ["stages", "schedule"] {
        fields.forbid(key, "has no meaning beside 'rounds'; the stages of a round are the list 'then'");
    }
    let hint = "what the model replies to, such as `sample: {corpus: speech}` or `sample: {dataset: questions}`";
    let sampling = fields
        .required_node("sample", hint)
        .and_then(|node| Sampling::decode(SamplingPlace::Round, node, &mut fields, names, root, log));
    let then = fields.take("then");
    fields.finish();
    let own: Vec<Option<Node>> = match then {
        None => vec![None],
        Some(then) => fields::items("then", then, log)?.iter().map(|stage| Some(stage.clone())).collect(),
    };
    for stage in own.iter().flatten() {
        Fields::of(stage, &format!("a stage of '{name}'"), log)?;
        if let Some((key, _)) = stage.entries().iter().find(|(key, _)| STAGE_KEYS.contains(&key.text.as_str())) {
            let hint = "remove it: the stages of a round train on its replies";
            log.add(key.mark, format!("a stage of '{name}' cannot have '{}'", key.text), Some(hint.into()));
        }
        check_stage_keys(name, stage, names, held_out, log);
    }
    let (rounds, sampling) = (rounds?, sampling?);
    let stages = u32::try_from(own.len()).ok()?;
    let of_round = |number: u32| {
        let sampling = &sampling;
        own.iter().zip(0..).map(move |(own, stage)| StageKeys {
            round: Some(RoundKeys { round: Round { number, stage, stages }, rounds, sampling: sampling.clone() }),
            own: own.clone(),
            ..StageKeys::union(vec![REPLIES.to_owned()])
        })
    };
    Some(Curriculum::each((0..rounds).flat_map(of_round).collect()))
}

/// Decodes a stage over minimal defaults, so that its keys are checked even if no cell uses it.
fn check_stage_keys(curriculum: &str, node: &Node, names: &Names, held_out: f64, log: &Log) {
    if let Some((key, _)) = node.entries().iter().find(|(key, _)| key.text == "seed") {
        let hint = "set it for all stages with `tune: {seed: 2}`, or vary it with `axes: {tune.seed: [1, 2, 3]}`";
        log.add(key.mark, format!("a stage of '{curriculum}' cannot have a seed of its own"), Some(hint.into()));
    }
    let mark = node.mark;
    let one = Node { mark, value: Value::Whole(1) };
    let least = Value::Map(vec![(Key { mark, text: "epochs".to_owned() }, one)]);
    Tune::decode(&Node { mark, value: least }.overlaid(node), &STAGE_KEYS, names, held_out, log);
}

/// The name of a dataset in a stage of a curriculum.
fn dataset(curriculum: &str, value: &Value, names: &Names) -> Scalar<String> {
    let known = names.datasets.join(", ");
    match value {
        Value::Text(word) if names.datasets.contains(word) => Ok(word.clone()),
        Value::Text(word) if word == curriculum => Err(Fault::plain(
            format!("curriculum '{curriculum}' refers to itself"),
            format!("a stage lists datasets; there are: {known}"),
        )),
        Value::Text(word) if names.curricula.contains(word) || BUILT_IN_CURRICULA.contains(&word.as_str()) => {
            let hint = format!("copy its stages; a stage lists datasets, and there are: {known}");
            Err(Fault::plain(format!("curriculum '{curriculum}' refers to the curriculum '{word}'"), hint))
        }
        value => reference("dataset", &names.datasets)(value),
    }
}

fn stage_mapping(
    curriculum: &str,
    node: &Node,
    schedule: StageSchedule,
    names: &Names,
    held_out: f64,
    log: &Log,
) -> Option<StageKeys> {
    let subject = format!("a stage of '{curriculum}'");
    let mut fields = Fields::of(node, &subject, log)?;
    let named = fields.required_node("datasets", "such as `datasets: [a, b]`, or `datasets: {a: 2, b: 1}`");
    let orders = [
        ("shuffled", RecordOrder::Shuffled),
        ("interleaved", RecordOrder::Interleaved),
        ("in_turn", RecordOrder::InTurn),
    ];
    let order = fields.get("order", RecordOrder::Shuffled, choice(orders));
    let dataset = |value: &Value| dataset(curriculum, value, names);
    let common = |key: &&Key| schedule == StageSchedule::Whole && SHARED_TUNE_KEYS.contains(&key.text.as_str());
    for key in node.entries().iter().map(|(key, _)| key).filter(common) {
        let reason =
            format!("'{}' must be the same for all stages of '{curriculum}', which are one training", key.text);
        let hint = "set it in `tune:`, or make every stage a separate training with `schedule: each`";
        log.add(key.mark, reason, Some(hint.into()));
    }
    check_stage_keys(curriculum, node, names, held_out, log);
    let own = Some(node.clone());
    let (datasets, shares) = match named.map(|node| (&node.value, node)) {
        Some((Value::Map(_), node)) => weights(curriculum, node, names, log)?,
        Some((Value::List(_), node)) => (fields::list("datasets", node, log, dataset)?, vec![]),
        Some((_, node)) => (vec![fields::scalar("'datasets'", node, log, dataset)?], vec![]),
        None => return None,
    };
    Some(StageKeys { round: None, datasets, shares, order, own })
}

/// Datasets with weights: `{a: 2, b: 1}`.
fn weights(curriculum: &str, node: &Node, names: &Names, log: &Log) -> Option<(Vec<String>, Vec<f64>)> {
    if node.entries().is_empty() {
        log.add(node.mark, "'datasets' is empty", Some("such as `{a: 2, b: 1}`".into()));
    }
    let decoded = node.entries().iter().map(|(key, weight)| {
        let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
        let name = fields::scalar("a dataset", &name, log, |value| dataset(curriculum, value, names));
        let weight = fields::scalar(&format!("the weight of '{}'", key.text), weight, log, real(Within::Positive));
        name.zip(weight)
    });
    let decoded: Vec<Option<(String, f64)>> = decoded.collect();
    let (datasets, shares): (Vec<String>, Vec<f64>) =
        decoded.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
    (!datasets.is_empty()).then_some((datasets, shares))
}
