//! JSON Lines files: rows whose errors name file, line and field, and the items that rows become.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::domain::{Cluster, JsonProblem, Suite, json_lines, refuse_carriage_returns, special_number};

use super::error::SuiteError;
use super::files;
use super::item::{Candidate, Item, ReportLabel, Truth};

const EXTENSION: &str = ".jsonl";

/// What a suite reads from one row; [`read`] numbers the rows of each subtask.
pub(super) struct ParsedRow {
    pub(super) subtask: String,
    pub(super) group: String,
    pub(super) report_labels: Vec<ReportLabel>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) truth: Truth,
    /// The rule of the mode because of which the row does not become an item. Such a row is numbered all the same.
    pub(super) left_out_by: Option<&'static str>,
    pub(super) cluster: Cluster,
}

/// Reads every row of every JSON Lines file with `parse`, which is also given the name of the file without its
/// extension.
pub(super) fn read(
    suite: Suite,
    files: &[(String, Vec<u8>)],
    parse: impl Fn(&str, &JsonRow) -> Result<ParsedRow, SuiteError>,
) -> Result<Vec<Item>, SuiteError> {
    let mut items = Vec::new();
    let mut next_index: HashMap<String, u32> = HashMap::new();
    let mut left_out: Option<(&str, usize)> = None;
    for (name, bytes) in files::with_extension(files, EXTENSION)? {
        // Only the extension is removed: further dots belong to the UID.
        let stem = name.strip_suffix(EXTENSION).unwrap_or(name);
        let rows = JsonRow::all(name, bytes)?;
        for row in files::require_rows(name, rows)? {
            let ParsedRow { subtask, group, report_labels, candidates, truth, left_out_by, cluster } =
                parse(stem, &row)?;
            let next = next_index.entry(subtask.clone()).or_default();
            let index = *next;
            *next += 1;
            if let Some(rule) = left_out_by {
                left_out = Some((rule, left_out.map_or(0, |(_, rows)| rows) + 1));
                continue;
            }
            let task = suite.name().to_owned();
            items.push(Item { task, subtask, group, report_labels, index, candidates, truth, cluster });
        }
    }
    match left_out {
        Some((rule, rows)) if items.is_empty() => {
            Err(SuiteError::AllLeftOut { suite: suite.name(), rows, rule: rule.to_owned() })
        }
        _ => files::require_items(items, suite, files, EXTENSION),
    }
}

/// One line of a JSON Lines file: an object.
pub(super) struct JsonRow<'a> {
    file: &'a str,
    line: usize,
    fields: Map<String, Value>,
}

impl<'a> JsonRow<'a> {
    /// All rows of a file; blank lines are skipped.
    pub(super) fn all(file: &'a str, bytes: &[u8]) -> Result<Vec<JsonRow<'a>>, SuiteError> {
        let text = files::text(file, bytes)?;
        let not_text = |problem| SuiteError::NotText { file: file.to_owned(), problem };
        refuse_carriage_returns(text).map_err(not_text)?;
        let row = |(line, value): (usize, Result<Value, JsonProblem>)| {
            let reason = match value {
                Ok(Value::Object(fields)) => return Ok(JsonRow { file, line, fields }),
                Ok(Value::Array(_)) => {
                    "expected a JSON object, not a list; write one object on each line: `jq -c '.[]' FILE > NEW`"
                        .to_owned()
                }
                Ok(_) => "expected a JSON object".to_owned(),
                Err(problem) => problem.to_string(),
            };
            Err(SuiteError::Row { file: file.to_owned(), line, reason })
        };
        json_lines(text).map(row).collect()
    }

    /// An error about this row.
    pub(super) fn error(&self, reason: String) -> SuiteError {
        SuiteError::Row { file: self.file.to_owned(), line: self.line, reason }
    }

    /// Whether the row has a field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// A field that holds a string.
    pub(super) fn text(&self, field: &str) -> Result<&str, SuiteError> {
        let value = self.field(field)?;
        value.as_str().ok_or_else(|| self.mismatch(field, "a string", value))
    }

    /// A field that holds a string; `None` where it is missing or holds something else.
    pub(super) fn optional(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A field that holds a list of strings.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<&str>, SuiteError> {
        let value = self.field(field)?;
        let texts: Option<Vec<&str>> = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.mismatch(field, "a list of strings", value))
    }

    /// A field that holds a non-negative integer.
    pub(super) fn integer(&self, field: &str) -> Result<u64, SuiteError> {
        let value = self.field(field)?;
        value.as_u64().ok_or_else(|| self.mismatch(field, "a non-negative integer", value))
    }

    /// A field that holds a fraction, a number from 0 to 1.
    pub(super) fn fraction(&self, field: &str) -> Result<f64, SuiteError> {
        let value = self.field(field)?;
        let fraction = value.as_f64().filter(|fraction| (0.0..=1.0).contains(fraction));
        fraction.ok_or_else(|| self.mismatch(field, "a number from 0 to 1", value))
    }

    fn field(&self, field: &str) -> Result<&Value, SuiteError> {
        self.fields.get(field).ok_or_else(|| {
            let present = self.fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            self.error(format!("field `{field}` is missing; the row has {present}"))
        })
    }

    fn mismatch(&self, field: &str, expected: &str, value: &Value) -> SuiteError {
        let actual = match value {
            Value::Object(_) if special_number(value).is_some() => special_number(value).unwrap_or_default().to_owned(),
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "another list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.error(format!("field `{field}` should be {expected}, not {actual}"))
    }
}
