//! JSON lines, with errors that name file, line and field.

use serde_json::{Map, Value};

use super::error::SuiteError;

/// One line of a JSON lines file.
pub(super) struct Row<'a> {
    file: &'a str,
    line: usize,
    fields: Map<String, Value>,
}

impl<'a> Row<'a> {
    /// All rows of a file; lines of white space alone are skipped.
    pub(super) fn all(file: &'a str, bytes: &'a [u8]) -> impl Iterator<Item = Result<Row<'a>, SuiteError>> {
        bytes
            .split(|&byte| byte == b'\n')
            .enumerate()
            .filter(|(_, text)| !text.iter().all(u8::is_ascii_whitespace))
            .map(move |(index, text)| {
                let line = index + 1;
                let reason = match serde_json::from_slice(text) {
                    Ok(Value::Object(fields)) => return Ok(Row { file, line, fields }),
                    Ok(_) => "expected a JSON object".to_owned(),
                    Err(error) => {
                        let message = error.to_string();
                        let message = message.split(" at line ").next().unwrap_or_default();
                        format!("not valid JSON: {message} at column {}", error.column())
                    }
                };
                Err(SuiteError::Row { file: file.to_owned(), line, reason })
            })
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
        value.as_str().ok_or_else(|| self.wrong(field, "a string", value))
    }

    /// A field that holds a string; `None` where it is missing or holds something else.
    pub(super) fn optional(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A field that holds a list of strings.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<&str>, SuiteError> {
        let value = self.field(field)?;
        let texts: Option<Vec<&str>> = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.wrong(field, "a list of strings", value))
    }

    /// A field that holds a natural number.
    pub(super) fn natural(&self, field: &str) -> Result<u64, SuiteError> {
        let value = self.field(field)?;
        value.as_u64().ok_or_else(|| self.wrong(field, "a natural number", value))
    }

    /// A field that holds a share, a number in 0..=1.
    pub(super) fn share(&self, field: &str) -> Result<f64, SuiteError> {
        let value = self.field(field)?;
        let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| self.wrong(field, "a number in 0..=1", value))
    }

    fn field(&self, field: &str) -> Result<&Value, SuiteError> {
        self.fields.get(field).ok_or_else(|| {
            let present = self.fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            self.error(format!("field `{field}` is missing; the row has {present}"))
        })
    }

    fn wrong(&self, field: &str, expected: &str, value: &Value) -> SuiteError {
        let kind = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "another list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.error(format!("field `{field}` should be {expected}, not {kind}"))
    }
}
