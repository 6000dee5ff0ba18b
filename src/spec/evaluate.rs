//! The section `evaluate:`.

use std::path::{Path, PathBuf};

use crate::domain::{DataEntry, Edition, Evaluation, Finetuning, GlueTask, Mode, Size, Source, Suite, Test, WorldPart};

use super::fields::{self, Fault, Fields, Scalar};
use super::own_test::OwnTest;
use super::problem::{Log, Mark};
use super::remote::{EvaluationTree, remote_files};
use super::scalars::{self, choice, count};
use super::test_sets::{is_path, mode_of, neither, own_test};
use super::tree::{Node, Value};
use super::{data, finetune};

/// Decodes `evaluate:` and, for the suite `glue`, `finetune:`. Without `evaluate:` nothing is evaluated.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `suites:` | the suites, and test sets of your own ([`own_test`]); `babylm-2025` and `babylm-2026` stand for all suites of an edition of the challenge | required |
/// | `data:` | `world`; the official folder `evaluation_data`, relative to `data_root`; or `{hf: ..., folder: ...}`, `osf:` or `url:` for a folder on another machine ([`remote_files`]), with its `licence:` | required |
/// | `size:` | the official data set, `fast` or `full` | `fast` |
/// | `items:` | items of each subtask, at most 100k (`world`); `glue` is trained on four times as many | 200 |
/// | `world_seed:` | seed of the toy world | 1 |
/// | `mode:` | `fixed`; `compat-2025` (or `compat`) or `compat-2026` for the numbers of the official pipeline of that year, including its defects; or one of them with single rules changed, `{base: fixed, ties: first}` ([`Mode`] has all rules) | `fixed`; that of the edition which `suites:` names |
/// | `backend:` | how a model gives a text its probability: `causal`, `mlm` or `mntp` ([`ScoringBackend`](crate::domain::ScoringBackend)); also a rule of `mode:` | that of its architecture |
/// | `checkpoints:` | `{suites:, size:, items:}`: the same for every milestone of pretraining | milestones are not scored |
pub(super) fn evaluations(node: Option<&Node>, finetune: Option<&Node>, root: &Path, log: &Log) -> Evaluations {
    let Some(mut fields) = node.and_then(|node| Fields::of(node, "'evaluate'", log)) else {
        finetune::reject(finetune, log);
        return Evaluations::default();
    };
    let suites = fields.required_node("suites", "such as `suites: [blimp, blimp-supplement]`");
    let (listed, place) = (suites, suites.map(|node| node.mark));
    let editions = suites.map(editions_of).unwrap_or_default();
    let mode = mode(fields.take("mode"), suites.zip(Some(&editions[..])), log);
    let backends = ["causal", "mlm", "mntp"].into_iter().filter_map(|name| Some((name, mode.with("backend", name)?)));
    let mode = fields.get("backend", mode, choice(backends));
    let chosen = suites.and_then(|node| chosen_suites(node, root, log)).unwrap_or_default();
    let suites: Vec<Suite> = chosen.iter().filter_map(Chosen::official).collect();
    let own: Vec<OwnTest> = chosen.into_iter().filter_map(Chosen::own).collect();
    let data = match place.is_some() && !listed.is_some_and(names_a_suite) {
        true => fields.take("data"),
        false => fields.required_node("data", "such as `data: evaluation_data`, or `data: world`"),
    };
    let data_place = data.map_or(String::new(), |node| log.place(node.mark));
    let data = data.and_then(|node| Data::decode(node, root, log));
    let world = matches!(data, Some(Data::World));
    let kind = data.as_ref().map(|_| world);
    let amount = EvaluationSize::decode(&mut fields, kind, EvaluationSize { size: Size::Fast, items: 200 });
    let mut seed = 1;
    match kind {
        Some(false) => fields.forbid("world_seed", "is only for the toy world"),
        _ => seed = fields.get("world_seed", seed, scalars::seed),
    }
    let checkpoints = fields.take("checkpoints");
    let milestones = checkpoints.and_then(|node| {
        let mut fields = Fields::of(node, "'checkpoints'", log)?;
        // Milestones are not fine-tuned, and `aoa` already covers all of them.
        let zero_shot = || Suite::official().filter(|suite| suite.is_zero_shot());
        let chosen = fields.list("suites", |value| milestone_test(value, zero_shot(), &own));
        let chosen = chosen.unwrap_or_else(|| {
            let official = suites.iter().filter(|suite| suite.is_zero_shot()).map(|suite| Chosen::Official(*suite));
            official.chain(own.iter().cloned().map(|own| Chosen::Own(Box::new(own)))).collect()
        });
        let amount = EvaluationSize::decode(&mut fields, kind, EvaluationSize { size: Size::Fast, ..amount });
        fields.finish();
        Some((chosen, amount))
    });
    fields.finish();
    let asked = milestones.is_some();
    let data = data.unwrap_or(Data::World);
    let in_world = |items: u64| Source::World { part: WorldPart::Evaluation, seed, size: items };
    let (glue, suites): (Vec<Suite>, Vec<Suite>) = suites.into_iter().partition(|suite| *suite == Suite::Glue);
    let finetunings = if glue.is_empty() {
        finetune::reject(finetune, log);
        vec![]
    } else {
        let known = if world { &GlueTask::IN_WORLD[..] } else { &GlueTask::ALL[..] };
        let file = |name: String| {
            let folder = folder_of(Suite::Glue, amount.size);
            match &data {
                Data::World => in_world(amount.items),
                Data::Local(root) => Source::Files(root.join(folder).join(name)),
                Data::Remote(tree, _) => Source::Remote(tree.file(&format!("{folder}/{name}"))),
            }
        };
        finetune::finetunings(finetune, mode, known, file, log)
    };
    let evaluation = |suite: Suite, amount: EvaluationSize| {
        let source = match &data {
            Data::World => in_world(amount.items),
            Data::Local(root) => Source::Folder(root.join(folder_of(suite, amount.size))),
            Data::Remote(tree, _) => Source::Remote(tree.folder(folder_of(suite, amount.size))),
        };
        Evaluation { test: suite.into(), mode: mode.of(suite), source, examples: None }
    };
    let evaluation_of_own = |own: &OwnTest| Evaluation {
        test: Test::Own(Box::new(own.set.clone())),
        mode: mode_of(own, mode),
        source: own.source.clone(),
        examples: own.examples.clone(),
    };
    let evaluation_of = |chosen: &Chosen, amount: EvaluationSize| match chosen {
        Chosen::Official(suite) => evaluation(*suite, amount),
        Chosen::Own(own) => evaluation_of_own(own),
    };
    let (chosen, few) = milestones.unwrap_or((vec![], amount));
    Evaluations {
        of_models: suites
            .iter()
            .map(|suite| evaluation(*suite, amount))
            .chain(own.iter().map(evaluation_of_own))
            .collect(),
        finetunings,
        of_milestones: chosen.iter().map(|chosen| evaluation_of(chosen, few)).collect(),
        checkpoints: checkpoints.filter(|_| asked).map(|node| node.mark),
        suites: place,
        of_edition: !editions.is_empty(),
        data_place,
        own,
        licence: if let Data::Remote(_, licence) = data { licence } else { None },
    }
}

/// An entry of `suites:`.
#[derive(Debug, Clone, PartialEq)]
enum Chosen {
    Official(Suite),
    Own(Box<OwnTest>),
}

impl Chosen {
    fn official(&self) -> Option<Suite> {
        match self {
            Chosen::Official(suite) => Some(*suite),
            Chosen::Own(_) => None,
        }
    }

    fn own(self) -> Option<OwnTest> {
        match self {
            Chosen::Official(_) => None,
            Chosen::Own(own) => Some(*own),
        }
    }
}

/// The folder of an official suite.
fn folder_of(suite: Suite, size: Size) -> &'static str {
    suite.official_data().map_or("", |data| data.folder(size))
}

/// Whether `evaluate.suites` of a spec lists nothing but names of suites.
pub(super) fn names_only_suites(root: &Node) -> bool {
    let suites = root.get("evaluate").and_then(|node| node.get("suites"));
    suites.is_none_or(|node| !entries(node).iter().any(|item| !is_name(item)))
}

/// Whether the list `suites:` has the name of a suite, which needs `data:`.
fn names_a_suite(node: &Node) -> bool {
    !editions_of(node).is_empty() || entries(node).iter().any(is_name)
}

fn entries(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value { items } else { &[] }
}

fn is_name(item: &Node) -> bool {
    matches!(item.value, Value::Text(_)) && !is_path(&item.value)
}

/// The editions that `suites:` names, alone or in its list.
fn editions_of(node: &Node) -> Vec<Edition> {
    let edition = |node: &Node| if let Value::Text(word) = &node.value { Edition::of_set(word) } else { None };
    [node].into_iter().chain(entries(node)).filter_map(edition).collect()
}

/// The list `suites:` with the suites of an edition in place of its name.
fn with_suites_of_editions(node: &Node) -> Node {
    let one = std::slice::from_ref(node);
    let items = if editions_of(node).is_empty() { return node.clone() } else { entries(node) };
    let items = if items.is_empty() { one } else { items };
    let suites = |item: &Node| match editions_of(item).first() {
        None => vec![item.clone()],
        Some(edition) => {
            let suite = |suite: Suite| Node { mark: item.mark, value: Value::Text(suite.name().to_owned()) };
            edition.suites().map(suite).collect()
        }
    };
    Node { mark: node.mark, value: Value::List(items.iter().flat_map(suites).collect()) }
}

/// Decodes `suites:`. Two test sets must have different names.
fn chosen_suites(node: &Node, root: &Path, log: &Log) -> Option<Vec<Chosen>> {
    let node = &with_suites_of_editions(node);
    let sets = Edition::ALL.into_iter().map(Edition::set_name);
    let known: Vec<&'static str> = Suite::official().map(Suite::name).chain(sets).collect();
    let one = |node: &Node| match &node.value {
        Value::Map(_) => own_test(node, root, log).map(|own| Chosen::Own(Box::new(own))),
        value if is_path(value) => own_test(node, root, log).map(|own| Chosen::Own(Box::new(own))),
        _ => {
            let suite = |value: &Value| match value {
                Value::Text(word) => {
                    Suite::official().find(|suite| suite.name() == word).ok_or_else(|| neither(value, &known))
                }
                _ => Err(neither(value, &known)),
            };
            fields::scalar("an item of 'suites'", node, log, suite).map(Chosen::Official)
        }
    };
    let chosen = fields::distinct("suites", node, log, one)?;
    let names: Vec<&str> = chosen
        .iter()
        .filter_map(|one| if let Chosen::Own(own) = one { Some(own.set.name.as_str()) } else { None })
        .collect();
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    if let Some((_, name)) = twice {
        let hint = "give one of them another `name`";
        log.add(node.mark, format!("two test sets are named '{name}'"), Some(hint.into()));
    }
    Some(chosen)
}

/// The name of a suite or test set that milestones are scored on.
fn milestone_test(value: &Value, suites: impl Iterator<Item = Suite> + Clone, own: &[OwnTest]) -> Scalar<Chosen> {
    let Value::Text(word) = value else { return Err(Fault::expected("the name of a suite or test set")) };
    let official = suites.clone().find(|suite| suite.name() == word).map(Chosen::Official);
    let found = official
        .or_else(|| own.iter().find(|own| own.set.name == *word).cloned().map(|own| Chosen::Own(Box::new(own))));
    let names: Vec<&str> =
        suites.map(|suite| -> &str { suite.name() }).chain(own.iter().map(|own| own.set.name.as_str())).collect();
    found.ok_or_else(|| Fault::unknown("suite", word, names))
}

/// The key `data:`.
enum Data {
    World,
    Local(PathBuf),
    Remote(EvaluationTree, Option<String>),
}

impl Data {
    fn decode(node: &Node, root: &Path, log: &Log) -> Option<Data> {
        let Value::Map(_) = node.value else {
            let path = fields::scalar("'data'", node, log, scalars::path)?;
            return Some(if path == Path::new("world") { Data::World } else { Data::Local(root.join(path)) });
        };
        let mut fields = Fields::of(node, "'data'", log)?;
        let there = remote_files(&mut fields);
        if there.is_none() {
            log.missing(
                node.mark,
                "hf",
                "add `hf:`, `osf:` or `url:`; a local folder is written `data: evaluation_data`",
            );
        }
        let tree = there.flatten().map(|there| there.evaluation(&mut fields));
        let licence = data::licence(&mut fields);
        fields.take("folder");
        fields.finish();
        Some(Data::Remote(tree?, licence))
    }
}

/// The decoded section.
#[derive(Default)]
pub(super) struct Evaluations {
    /// The evaluations of every model.
    pub of_models: Vec<Evaluation>,
    /// The fine-tunings of every model, for the suite `glue`.
    pub finetunings: Vec<Finetuning>,
    /// The evaluations of every milestone.
    pub of_milestones: Vec<Evaluation>,
    /// The place of `checkpoints:`.
    pub checkpoints: Option<Mark>,
    /// The place of `suites:`.
    pub suites: Option<Mark>,
    /// Whether `suites:` names an edition; then models without milestones do without `aoa`.
    pub of_edition: bool,
    /// The place of `data:`.
    pub data_place: String,
    /// The test sets of the user's own.
    pub own: Vec<OwnTest>,
    /// The licence of the data.
    pub licence: Option<String>,
}

impl Evaluations {
    /// The data sources of all suites.
    pub(super) fn data(&self) -> Vec<DataEntry> {
        let entry = |name: String, source: &Source| DataEntry {
            name,
            place: self.data_place.clone(),
            source: source.clone(),
            licence: self.licence.clone(),
        };
        let all = self.of_models.iter().chain(&self.of_milestones);
        let official = all.filter(|evaluation| matches!(evaluation.test, Test::Official(_)));
        let mut data: Vec<DataEntry> =
            official.map(|evaluation| entry(format!("evaluate.{}", evaluation.test), &evaluation.source)).collect();
        for OwnTest { set, source, examples, licence, place, .. } in &self.own {
            let own = |name: String, source: &Source| DataEntry {
                name,
                place: place.clone(),
                source: source.clone(),
                licence: licence.clone(),
            };
            data.push(own(format!("evaluate.{}", set.name), source));
            data.extend(examples.iter().map(|source| own(format!("evaluate.{}.examples", set.name), source)));
        }
        for Finetuning { task, train, valid, .. } in &self.finetunings {
            data.push(entry(format!("evaluate.glue.{task}.train"), train));
            data.push(entry(format!("evaluate.glue.{task}.valid"), valid));
        }
        data
    }
}

/// The size of the evaluation data: `size:` of the official data, `items:` of the toy world.
#[derive(Clone, Copy)]
struct EvaluationSize {
    size: Size,
    items: u64,
}

impl EvaluationSize {
    /// Decodes the key that applies to the data; `world` says whether that is the toy world, if it is known.
    fn decode(fields: &mut Fields, world: Option<bool>, default: EvaluationSize) -> EvaluationSize {
        let mut amount = default;
        match world {
            Some(false) => fields.forbid("items", "is only for the toy world"),
            _ => amount.items = fields.get("items", default.items, count(1..=100_000)),
        }
        match world {
            Some(true) => fields.forbid("size", "is only for the official data; the toy world has `items`"),
            _ => amount.size = fields.get("size", default.size, choice([("fast", Size::Fast), ("full", Size::Full)])),
        }
        amount
    }
}

/// Decodes `mode:`, the name of a base or a mapping of `base` and rules. The default is `fixed`, or the rules of the edition
/// that `suites:` names.
fn mode(node: Option<&Node>, suites: Option<(&Node, &[Edition])>, log: &Log) -> Mode {
    let base = || choice(Mode::NAMES);
    let default = match suites {
        Some((_, [edition])) => edition.mode(),
        Some((suites, [one, other, ..])) if node.is_none() && one != other => {
            let reason = format!("'suites' names {one} and {other}, which are scored by different rules");
            log.add(suites.mark, reason, Some("set `mode`, such as `mode: fixed`".into()));
            Mode::FIXED
        }
        _ => Mode::FIXED,
    };
    match node {
        None => default,
        Some(node @ Node { value: Value::Map(_), .. }) => {
            let Some(mut fields) = Fields::of(node, "'mode'", log) else { return Mode::FIXED };
            let mut mode = fields.get("base", default, base());
            for (switch, settings) in Mode::SWITCHES {
                let settings = settings.iter().filter_map(|setting| Some((*setting, mode.with(switch, setting)?)));
                mode = fields.get(switch, mode, choice(settings));
            }
            fields.finish();
            mode
        }
        Some(node) => fields::scalar("'mode'", node, log, base()).unwrap_or(Mode::FIXED),
    }
}
