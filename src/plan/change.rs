//! How a job differs from the job that had its label in the last run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The number of differences that are listed.
const MAX_LISTED: usize = 3;

/// The differences between the canonical forms of two jobs with the same label: the job's own fields with both values,
/// then its data, or else the jobs that it depends on. `None` if there are none.
pub fn change(before: &str, after: &str) -> Option<String> {
    let Change { own, ancestors } = Change::between(before, after)?;
    list(if own.is_empty() { ancestors.into_iter().collect() } else { own })
}

/// The differences between two jobs with the same label.
pub(super) struct Change {
    /// Differences of the jobs themselves: fields with both values, then data.
    pub own: Vec<String>,
    /// The dependencies that differ.
    pub ancestors: BTreeSet<String>,
}

impl Change {
    /// Compares two canonical forms; `None` if one of them cannot be parsed.
    pub(super) fn between(before: &str, after: &str) -> Option<Self> {
        let [before, after] = [before, after].map(|text| serde_json::from_str(text).ok().map(|value| leaves(&value)));
        let (before, after) = (before?, after?);
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differ = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
        let (mut fields, mut data, mut ancestors) = (vec![], vec![], BTreeSet::new());
        for path in differ {
            let (old, new) = (before.get(path), after.get(path));
            let name = match path.split('.').next().unwrap_or(path) {
                "then" => "later parts",
                "further_validation" => "validation data",
                "distillation" => "teachers",
                name => name,
            };
            match old.or(new) {
                _ if path.ends_with("digest") => data = vec!["its data".to_owned()],
                Some(value) if is_id(value) => {
                    ancestors.insert(format!("its {name}"));
                }
                _ if name.ends_with("version") => fields.push("the version of grid's rules".to_owned()),
                _ => fields.push(format!("{path} {} -> {}", display(old), display(new))),
            }
        }
        Some(Self { own: [fields, data].concat(), ancestors })
    }
}

/// The first few differences as one text; `None` if there are none.
pub(super) fn list(differences: Vec<String>) -> Option<String> {
    let more = differences.len().saturating_sub(MAX_LISTED);
    let mut text = differences.into_iter().take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    (!text.is_empty()).then_some(text)
}

/// Scalars and lists of scalars by their paths, without the prefix `job.`.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn visit(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let nested = |value: &Value| value.is_array() || value.is_object();
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    visit(&below(key), value, leaves);
                }
            }
            Value::Array(values) if values.iter().any(nested) => {
                for (index, value) in values.iter().enumerate() {
                    visit(&below(&index.to_string()), value, leaves);
                }
            }
            _ => {
                leaves.insert(path.strip_prefix("job.").unwrap_or(path).to_owned(), value.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    visit("", value, &mut found);
    found
}

/// Whether a value is the id of another job, or a list of ids.
fn is_id(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Value::Array(values) => !values.is_empty() && values.iter().all(is_id),
        _ => false,
    }
}

fn display(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNE: &str = r#"{"version":1,"job":{"kind":"tune","parent":"dba691e762a6a6106826d5a4495833cc",
        "datasets":["4dd032e16d0f182935777aa5f0f69c06"],"max_length":128,"loss":"reply",
        "training":{"length":{"epochs":2},"betas":[0.9,0.999],"clip_norm":1.0}}}"#;
    const PREPARE: &str = r#"{"version":1,"job":{"kind":"prepare","tokenizer":"c48f852b69b80e1e23941252257d5790",
        "data":{"corpus":[{"from":"content","digest":"3c26"},{"min_words":3}]}}}"#;

    fn changed(before: &str, changes: &[(&str, &str)]) -> Option<String> {
        let after = changes.iter().fold(before.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        });
        change(before, &after)
    }

    #[test]
    fn fields_are_named_with_both_values() {
        assert_eq!(changed(TUNE, &[]), None);
        assert_eq!(changed(TUNE, &[("\"epochs\":2", "\"epochs\":3")]).unwrap(), "training.length.epochs 2 -> 3");
        assert_eq!(
            changed(TUNE, &[("\"epochs\":2", "\"steps\":9"), ("1.0", "null")]).unwrap(),
            "training.clip_norm 1.0 -> none, training.length.epochs 2 -> none, training.length.steps none -> 9"
        );
        assert_eq!(
            changed(TUNE, &[("128", "64"), ("reply", "all"), ("1.0", "2.0"), ("0.9,", "0.8,")]).unwrap(),
            "loss reply -> all, max_length 128 -> 64, training.betas [0.9,0.999] -> [0.8,0.999], and 1 more"
        );
        assert_eq!(changed(TUNE, &[("\"version\":1", "\"version\":2")]).unwrap(), "the version of grid's rules");
    }

    #[test]
    fn later_parts_of_one_schedule_are_named() {
        let after = r#"{"epochs":2},"betas":[0.9,0.999],"clip_norm":1.0},"then":[{
            "datasets":["c48f852b69b80e1e23941252257d5790"],"length":{"epochs":1}}]"#;
        let whole = TUNE.replace(r#"{"epochs":2},"betas":[0.9,0.999],"clip_norm":1.0}"#, after);
        let data = [("c48f", "c48e")];
        insta::assert_snapshot!(changed(&whole, &data).unwrap(), @"its later parts");
        let length = [("\"epochs\":1", "\"epochs\":3")];
        insta::assert_snapshot!(changed(&whole, &length).unwrap(), @"then.0.length.epochs 1 -> 3");
        insta::assert_snapshot!(change(TUNE, &whole).unwrap(), @"then.0.length.epochs none -> 1");
    }

    #[test]
    fn further_validation_data_is_named() {
        let further = r#""further_validation":["c48f852b69b80e1e23941252257d5790"],"max_length""#;
        assert_eq!(change(TUNE, &TUNE.replace(r#""max_length""#, further)).unwrap(), "its validation data");
    }

    #[test]
    fn dependencies_are_named_if_nothing_else_differs() {
        assert_eq!(changed(TUNE, &[("dba6", "dba7"), ("4dd0", "4dd1")]).unwrap(), "its datasets, its parent");
        assert_eq!(changed(PREPARE, &[("3c26", "3c27"), ("c48f", "c48e")]).unwrap(), "its data");
        assert_eq!(changed(TUNE, &[("dba6", "dba7"), ("128", "64")]).unwrap(), "max_length 128 -> 64");
    }
}
