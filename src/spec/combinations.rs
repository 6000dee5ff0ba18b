//! The combinations of axis values that become cells.

use std::collections::BTreeMap;

use super::axes::{Axes, CellPattern};
use super::document::Document;
use super::problem::Log;
use super::tree::Node;

/// The most combinations; more are certainly a mistake.
const MAX_COMBINATIONS: usize = 100_000;
/// The most settings of field axes; each one is decoded like a spec of its own.
const MAX_SETTINGS: usize = 1_000;

/// Whether the axes have more combinations than can be meant, which is reported.
pub(super) fn has_too_many(axes: &Axes, log: &Log) -> bool {
    let product = |sizes: &[usize]| sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
    let settings = product(&axes.fields.iter().map(|axis| axis.values.len()).collect::<Vec<_>>());
    let sizes = [axes.models.len(), axes.datasets.len(), axes.curricula.len(), axes.seeds.len()];
    let all = settings.zip(product(&sizes)).and_then(|(a, b)| product(&[a, b, 1 + axes.include.len()]));
    let has_too_many = settings.is_none_or(|n| n > MAX_SETTINGS) || all.is_none_or(|n| n > MAX_COMBINATIONS);
    if has_too_many {
        let reason = format!(
            "the axes have more than {MAX_COMBINATIONS} combinations, or more than {MAX_SETTINGS} of axes over fields"
        );
        log.add(axes.mark, reason, Some("split the experiment into several specs".into()));
    }
    has_too_many
}

/// The label of the value of each field axis.
pub(super) type Setting = BTreeMap<String, String>;

/// All combinations of the values of the field axes.
pub(super) fn settings(axes: &Axes) -> Vec<Setting> {
    axes.fields.iter().fold(vec![Setting::new()], |settings, axis| {
        let with = |setting: &Setting, label: &String| {
            let mut setting = setting.clone();
            setting.insert(axis.name.clone(), label.clone());
            setting
        };
        settings.iter().flat_map(|setting| axis.values.iter().map(move |(label, _)| with(setting, label))).collect()
    })
}

/// The spec with the values of a setting put into their fields.
pub(super) fn with_setting(root: &Node, axes: &Axes, setting: &Setting, log: &Log) -> Node {
    let mut root = root.clone();
    for axis in &axes.fields {
        let chosen = axis.values.iter().filter(|(label, _)| setting.get(&axis.name) == Some(label));
        for (_, value) in chosen {
            if let Err(blocked) = root.set(&axis.field, axis.mark, value.clone()) {
                log.add(
                    axis.mark,
                    format!("'{blocked}' is not a mapping, so no key in it can be varied"),
                    Some("make it a mapping, or vary another field".into()),
                );
            }
        }
    }
    root
}

/// One combination of axis values.
pub(super) struct Combination {
    pub model: String,
    /// The index of the setting of the field axes.
    pub setting: usize,
    pub dataset: Option<Vec<String>>,
    pub curriculum: String,
    pub seed: u64,
}

impl CellPattern {
    fn matches(&self, combination: &Combination, setting: &Setting) -> bool {
        self.model.as_ref().is_none_or(|model| *model == combination.model)
            && self.dataset.as_ref().is_none_or(|dataset| Some(dataset) == combination.dataset.as_ref())
            && self.curriculum.as_ref().is_none_or(|curriculum| *curriculum == combination.curriculum)
            && self.seed.is_none_or(|seed| seed == combination.seed)
            && self.extra.iter().all(|(axis, label)| setting.get(axis) == Some(label))
    }
}

/// The product of the axes without excluded combinations, followed by included ones. The order of the axes is model, field
/// axes, dataset, curriculum, seed, so that tables list one setting after the other and keep the seeds of a condition
/// together.
pub(super) fn combinations(axes: &Axes, settings: &[(Setting, Document)], log: &Log) -> Vec<Combination> {
    let everything = CellPattern {
        mark: axes.mark,
        model: None,
        dataset: None,
        curriculum: None,
        seed: None,
        extra: BTreeMap::new(),
    };
    let mut combinations = product(axes, settings, &everything);
    let before = combinations.len();
    let mut useful = vec![false; axes.exclude.len()];
    combinations.retain(|combination| {
        let mut kept = true;
        for (pattern, useful) in axes.exclude.iter().zip(&mut useful) {
            if pattern.matches(combination, &settings[combination.setting].0) {
                *useful = true;
                kept = false;
            }
        }
        kept
    });
    for (pattern, _) in axes.exclude.iter().zip(useful).filter(|(_, useful)| !useful && before > 0) {
        let hint = "each of its values is on an axis, but no combination has all of them";
        log.add(pattern.mark, "this entry excludes nothing", Some(hint.into()));
    }
    combinations.extend(axes.include.iter().flat_map(|pattern| product(axes, settings, pattern)));
    if combinations.is_empty() && before > 0 {
        log.add(axes.mark, "every combination is excluded", Some("remove an entry of `exclude`".into()));
    }
    combinations
}

/// The product of the axes, restricted to the combinations that match `pattern`.
fn product(axes: &Axes, settings: &[(Setting, Document)], pattern: &CellPattern) -> Vec<Combination> {
    fn values_of<T: Clone>(value: &Option<T>, axis: &[T]) -> Vec<T> {
        value.clone().map_or_else(|| axis.to_vec(), |value| vec![value])
    }
    let datasets = values_of(&pattern.dataset.clone().map(Some), &axes.datasets);
    let mut result = vec![];
    for model in values_of(&pattern.model, &axes.models) {
        for (setting, (labels, _)) in settings.iter().enumerate() {
            if pattern.extra.iter().any(|(axis, label)| labels.get(axis) != Some(label)) {
                continue;
            }
            for dataset in &datasets {
                for curriculum in values_of(&pattern.curriculum, &axes.curricula) {
                    for seed in values_of(&pattern.seed, &axes.seeds) {
                        let (model, dataset) = (model.clone(), dataset.clone());
                        result.push(Combination { model, setting, dataset, curriculum: curriculum.clone(), seed });
                    }
                }
            }
        }
    }
    result
}
