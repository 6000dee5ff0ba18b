//! The sections `axes:`, `include:` and `exclude:`.

use std::collections::BTreeMap;

use crate::domain::{SINGLE, did_you_mean};

use super::document::SECTIONS;
use super::fields::{self, Fault, Fields, scalar};
use super::names::{BUILT_IN_CURRICULA, Names};
use super::problem::{Log, Mark};
use super::scalars::{self, reference, text};
use super::tree::{Key, Node, Value};

/// The axes that vary cells and not fields of the spec.
const BUILT_IN_AXES: [&str; 4] = ["model", "dataset", "curriculum", "seed"];

/// The axes, and the cells that are added to and removed from their product.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `model:` | names | all models |
/// | `dataset:` | names, or lists of names for `merged`, `sequential` and `sequential-whole` | no axis |
/// | `curriculum:` | `pretrained`, `merged`, `sequential`, `sequential-whole` (one schedule over all stages), and names of `curricula:` | `[pretrained]`; with `dataset:` `[pretrained, sequential]` |
/// | `seed:` | whole numbers | `[1]` |
/// | `section.key:` | values of any field | |
/// | `a-name:` | `{field: section.key, values: [...]}` | |
pub(super) struct Axes {
    pub models: Vec<String>,
    /// `[None]` if there is no such axis.
    pub datasets: Vec<Option<Vec<String>>>,
    pub curricula: Vec<String>,
    pub seeds: Vec<u64>,
    pub fields: Vec<FieldAxis>,
    pub include: Vec<CellPattern>,
    pub exclude: Vec<CellPattern>,
    /// The place of `axes:`.
    pub mark: Mark,
}

/// An axis that varies a field of the spec.
pub(super) struct FieldAxis {
    pub name: String,
    /// The dotted path of the field.
    pub field: String,
    /// The place of the axis.
    pub mark: Mark,
    /// The values, each with its label in tables.
    pub values: Vec<(String, Node)>,
}

/// An entry of `include:` or `exclude:`; an axis that it leaves out takes every value.
pub(super) struct CellPattern {
    pub mark: Mark,
    pub model: Option<String>,
    pub dataset: Option<Vec<String>>,
    pub curriculum: Option<String>,
    pub seed: Option<u64>,
    /// The labels of field axes, by the name of the axis.
    pub extra: BTreeMap<String, String>,
}

impl Axes {
    /// Decodes the three sections of the spec.
    pub(super) fn decode(top: &mut Fields, names: &Names, log: &Log) -> Option<Axes> {
        let [axes, include, exclude] = ["axes", "include", "exclude"].map(|section| top.take(section));
        let nothing = Node { mark: top.mark, value: Value::Map(vec![]) };
        let node = axes.unwrap_or(&nothing);
        let mut fields = Fields::of(node, "'axes'", log)?;
        let curricula_known = curricula(names);
        let models = fields.list("model", reference("model", &names.models));
        let dataset = fields.take("dataset");
        let datasets = dataset.and_then(|node| {
            fields::distinct("dataset", node, log, |item| self::dataset(item, &names.datasets, log).map(Some))
        });
        let curricula = fields.take("curriculum").map(|node| {
            fields::distinct("curriculum", node, log, |item| {
                let name = scalar("an item of 'curriculum'", item, log, curriculum(&curricula_known))?;
                if dataset.is_none() && needs_dataset(&name) {
                    let hint = "add the axis, such as `dataset: [a, [a, b]]`";
                    log.add(item.mark, format!("curriculum '{name}' needs the axis 'dataset'"), Some(hint.into()));
                }
                Some(name)
            })
        });
        let curricula = curricula.unwrap_or_else(|| {
            let names: &[&str] = if dataset.is_some() { &["pretrained", "sequential"] } else { &["pretrained"] };
            Some(names.iter().map(|name| (*name).to_owned()).collect())
        });
        let seeds = fields.list("seed", scalars::seed).unwrap_or_else(|| vec![1]);
        let field_axes = node.entries().iter().filter(|(key, _)| !BUILT_IN_AXES.contains(&key.text.as_str()));
        let field_axes: Vec<(&Key, Option<FieldAxis>)> =
            field_axes.map(|(key, node)| (key, FieldAxis::decode(key, node, log))).collect();
        let models = models.unwrap_or_else(|| names.models.clone());
        let datasets = datasets.unwrap_or_else(|| vec![None]);
        let pattern =
            |node: &Node, section, known: &AllowedNames| CellPattern::decode(node, section, known, &field_axes, log);
        let used = datasets.iter().flatten().flatten().cloned().collect();
        let used = AllowedNames {
            models: models.clone(),
            datasets: if dataset.is_some() && datasets == [None] { names.datasets.clone() } else { used },
            curricula: curricula.clone().unwrap_or_else(|| curricula_known.clone()),
            values: Some(AxisValues { datasets: datasets.iter().flatten().cloned().collect(), seeds: seeds.clone() }),
        };
        let any = AllowedNames {
            models: names.models.clone(),
            datasets: names.datasets.clone(),
            curricula: curricula_known,
            values: None,
        };
        let included = decode_patterns("include", include, log, |node| {
            let pattern = pattern(node, "include", &any)?;
            let bare = pattern.dataset.is_none() && dataset.is_none();
            if let Some(name) = pattern.curriculum.as_ref().filter(|name| bare && needs_dataset(name)) {
                let hint = "add `dataset: [a, b]` to the entry";
                log.add(node.mark, format!("curriculum '{name}' needs a dataset"), Some(hint.into()));
            }
            Some(pattern)
        });
        let excluded = decode_patterns("exclude", exclude, log, |node| pattern(node, "exclude", &used));
        Some(Axes {
            models,
            datasets,
            curricula: curricula?,
            seeds,
            fields: field_axes.into_iter().map(|(_, axis)| axis).collect::<Option<_>>()?,
            include: included?,
            exclude: excluded?,
            mark: node.mark,
        })
    }

    /// Whether any cell is tuned.
    pub(super) fn tunes(&self) -> bool {
        let included = self.include.iter().filter_map(|pattern| pattern.curriculum.as_ref());
        self.curricula.iter().chain(included).any(|name| name != "pretrained")
    }
}

impl FieldAxis {
    /// Whether it varies the seed of tuning, of all models or of one.
    pub(super) fn varies_tune_seed(&self) -> bool {
        self.field == "tune.seed" || (self.field.starts_with("models.") && self.field.ends_with(".tune.seed"))
    }

    /// Whether it varies the pretraining of the models that the spec trains, which has no effect on other models.
    pub(super) fn varies_pretraining(&self) -> bool {
        ["pretrain.", "tokenizer."].iter().any(|section| self.field.starts_with(section))
    }

    /// Decodes `section.key: [...]` or `name: {field: section.key, values: [...]}`.
    fn decode(key: &Key, node: &Node, log: &Log) -> Option<FieldAxis> {
        let (field, place, values) = if let Value::Map(_) = node.value {
            let mut fields = Fields::of(node, "the axis", log)?;
            let place = fields.take("field").map_or(key.mark, |node| node.mark);
            let field = fields.required("field", "the field to vary, such as `field: tune.learning_rate`", text);
            let values = fields.required_node("values", "such as `values: [1e-5, 2e-5]`");
            fields.finish();
            let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
            scalar("an axis", &name, log, scalars::name)?;
            (field?, place, values?)
        } else {
            (key.text.clone(), key.mark, node)
        };
        let (section, dotted) = field.split_once('.').map_or((&field[..], false), |(section, _)| (section, true));
        let known = SECTIONS[1..].contains(&section) && (dotted || section == "held_out");
        if !known || field.split('.').any(str::is_empty) {
            let names: Vec<&str> =
                if dotted { SECTIONS[1..].to_vec() } else { [&BUILT_IN_AXES[..], &["held_out"]].concat() };
            let hint = did_you_mean(section, names.iter().copied()).unwrap_or_else(|| {
                format!("the axes are {}, and fields such as tune.learning_rate", BUILT_IN_AXES.join(", "))
            });
            log.add(place, format!("unknown axis '{}'", field.escape_debug()), Some(hint));
            return None;
        }
        let values = fields::distinct(&key.text, values, log, |value| match value.label() {
            Some(label) => {
                Some(LabelledValue { number: scalars::whole_number(&value.value), label, node: value.clone() })
            }
            None => {
                Fault::expected("a number, a word, a list or a mapping with keys")
                    .or_hint("such as {dpo: {beta: 0.5}}")
                    .report(&format!("an item of '{}'", key.text), value, log);
                None
            }
        });
        let values = values?.into_iter().map(|LabelledValue { label, node, .. }| (label, node)).collect();
        Some(FieldAxis { name: key.text.clone(), field, mark: place, values })
    }
}

/// A value of a field axis. Values with the same label are equal, and so are `1000` and `1k`.
struct LabelledValue {
    label: String,
    number: Option<i128>,
    node: Node,
}

impl PartialEq for LabelledValue {
    fn eq(&self, other: &LabelledValue) -> bool {
        self.label == other.label || (self.number.is_some() && self.number == other.number)
    }
}

/// The names and values that an entry of `include:` or `exclude:` may use.
struct AllowedNames {
    models: Vec<String>,
    datasets: Vec<String>,
    curricula: Vec<String>,
    /// The values of the axes, if an entry may use no others.
    values: Option<AxisValues>,
}

/// The values of the axes `dataset` and `seed`.
struct AxisValues {
    datasets: Vec<Vec<String>>,
    seeds: Vec<u64>,
}

impl AxisValues {
    /// Reports a dataset or a seed that no combination has, unless the axis itself is wrong.
    fn check(&self, dataset: Option<(&Node, &Vec<String>)>, seed: Option<(&Node, u64)>, log: &Log) {
        let absent = |axis: &str, node: &Node, values: Vec<String>| {
            let reason = format!("axis '{axis}' has no value {}", fields::describe(node));
            log.add(node.mark, reason, Some(format!("its values are: {}", values.join(", "))));
        };
        let listed = |names: &Vec<String>| match &names[..] {
            [one] => one.clone(),
            names => format!("[{}]", names.join(", ")),
        };
        if let Some((node, dataset)) = dataset
            && !self.datasets.is_empty()
            && !self.datasets.contains(dataset)
        {
            absent("dataset", node, self.datasets.iter().map(listed).collect());
        }
        if let Some((node, seed)) = seed
            && !self.seeds.contains(&seed)
        {
            absent("seed", node, self.seeds.iter().map(u64::to_string).collect());
        }
    }
}

impl CellPattern {
    /// Decodes one entry. An axis that is wrong itself accepts any value. `None` if anything is wrong with the entry,
    /// because the rest of it would mean something else.
    fn decode(
        node: &Node,
        section: &str,
        known: &AllowedNames,
        field_axes: &[(&Key, Option<FieldAxis>)],
        log: &Log,
    ) -> Option<CellPattern> {
        let before = log.count();
        let mut fields = Fields::of(node, &format!("an entry of '{section}'"), log)?;
        if node.entries().is_empty() {
            log.add(node.mark, format!("an entry of '{section}' is empty"), Some("such as `{model: tiny}`".into()));
        }
        let model = fields.get("model", None, |value| reference("model", &known.models)(value).map(Some));
        let dataset_node = fields.take("dataset");
        let dataset = match dataset_node {
            Some(node) if known.values.is_some() && known.datasets.is_empty() => {
                let hint = "remove the key from the entry, or add the axis";
                log.add(node.mark, "there is no axis 'dataset'", Some(hint.into()));
                None
            }
            node => node.and_then(|node| dataset(node, &known.datasets, log)),
        };
        let curriculum = fields.get("curriculum", None, |value| curriculum(&known.curricula)(value).map(Some));
        let seed = fields.get("seed", None, |value| scalars::seed(value).map(Some));
        if let Some(values) = &known.values {
            values.check(dataset_node.zip(dataset.as_ref()), fields.take("seed").zip(seed), log);
        }
        let mut extra = BTreeMap::new();
        for (key, axis) in field_axes {
            let (Some(value), Some(axis)) = (fields.take(&key.text), axis) else { continue };
            match value.label().filter(|label| axis.values.iter().any(|(known, _)| known == label)) {
                Some(label) => drop(extra.insert(axis.name.clone(), label)),
                None => {
                    let values: Vec<&str> = axis.values.iter().map(|(label, _)| label.as_str()).collect();
                    let reason = format!("axis '{}' has no value {}", axis.name, fields::describe(value));
                    log.add(value.mark, reason, Some(format!("its values are: {}", values.join(", "))));
                }
            }
        }
        fields.finish();
        let pattern = CellPattern { mark: node.mark, model, dataset, curriculum, seed, extra };
        (log.count() == before).then_some(pattern)
    }
}

fn decode_patterns(
    section: &str,
    node: Option<&Node>,
    log: &Log,
    decode: impl Fn(&Node) -> Option<CellPattern>,
) -> Option<Vec<CellPattern>> {
    let Some(node) = node else { return Some(vec![]) };
    let decoded: Vec<Option<CellPattern>> = fields::items(section, node, log)?.iter().map(decode).collect();
    decoded.into_iter().collect()
}

/// A dataset, or a list of distinct datasets.
fn dataset(node: &Node, known: &[String], log: &Log) -> Option<Vec<String>> {
    match node.value {
        Value::List(_) => fields::list("dataset", node, log, reference("dataset", known)),
        _ => scalar("a dataset", node, log, reference("dataset", known)).map(|name| vec![name]),
    }
}

/// The name of a curriculum. `single` is not one, although tables show it for one dataset under `merged` or `sequential`.
fn curriculum(known: &[String]) -> impl Fn(&Value) -> fields::Scalar<String> + '_ {
    move |value| match value {
        Value::Text(word) if word == SINGLE && !known.contains(word) => {
            let hint = "write `curriculum: [merged]`, and the name of the dataset on the axis 'dataset'";
            Err(Fault::plain(
                "'single' is not a curriculum; tables show it for 'merged' or 'sequential' over one dataset",
                hint,
            ))
        }
        value => reference("curriculum", known)(value),
    }
}

fn curricula(names: &Names) -> Vec<String> {
    BUILT_IN_CURRICULA.map(str::to_owned).into_iter().chain(names.curricula.iter().cloned()).collect()
}

fn needs_dataset(curriculum: &str) -> bool {
    BUILT_IN_CURRICULA.contains(&curriculum) && curriculum != "pretrained"
}
