//! Files with rows of named fields: JSON, CSV, TSV, Parquet.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::domain::{
    JsonProblem, Layout, LocatedSource, Origin, SourceFile, WorldPart, counted, json_lines, parse_json,
    refuse_carriage_returns, special_number,
};

use super::error::DataError;
use super::files::read_text;
use super::record::Record;
use super::world::{self, ReplyPair};

mod columns;
mod fault;
mod parquet_file;

pub(super) use columns::Columns;
pub(super) use fault::Fault;

/// Visits all rows in order, with the texts of these fields in the given order. Of a field that is a list of texts, the
/// first one is used; an empty list, a null and an empty cell are the empty text, and a number is its decimal notation.
///
/// # Errors
/// Files that cannot be read; rows that do not follow the layout or lack a field.
pub(super) fn each_row(
    file: &SourceFile,
    layout: Layout,
    fields: &[&str],
    mut visit: impl FnMut(Vec<String>),
) -> Result<(), DataError> {
    let kind = if layout == Layout::Parquet { "column" } else { "field" };
    let read = |row: &Value| {
        let text = |name: &&str| {
            let value = field(row, name).ok_or("is missing");
            value.and_then(text_of).map_err(|problem| format!("{kind} '{name}' {problem}"))
        };
        visit(fields.iter().map(text).collect::<Result<_, _>>()?);
        Ok(())
    };
    each_value(file, layout, Columns::All(fields), read)?
        .map_err(|fault| fault.expecting(&file.path, expected(layout, fields)))
}

/// Visits all rows of a test set in order, as JSON objects with every field. The visit of a row can fail with what is
/// wrong with it.
///
/// # Errors
/// Missing, changed or unreadable files; rows that do not follow the layout, or whose visit failed, with file and line.
pub fn each_row_of(
    located: &LocatedSource,
    layout: Layout,
    mut visit: impl FnMut(&Value) -> Result<(), String>,
) -> Result<(), DataError> {
    match &located.origin {
        Origin::Content { .. } | Origin::Output { .. } => {}
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
        Origin::World { part, seed, size } => {
            return world_pairs(*part, *seed, *size)?.iter().try_for_each(|row| {
                visit(row).map_err(|problem| {
                    Fault { line: 1, problem }.expecting(Path::new("the toy world"), "rows with prefix, good and bad")
                })
            });
        }
    }
    for file in &located.files {
        let expected = format!("rows of a test set ({})", layout.name());
        each_value(file, layout, Columns::Every, &mut visit)?.map_err(|fault| fault.expecting(&file.path, expected))?;
    }
    Ok(())
}

/// The pairs of a part of the toy world as rows of a test set.
fn world_pairs(part: WorldPart, seed: u64, count: u64) -> Result<Vec<Value>, DataError> {
    match part {
        WorldPart::Preferences | WorldPart::Habits => Ok(opinions(part, seed, count)),
        WorldPart::DialoguePairs | WorldPart::Maxims => {
            let row = |ReplyPair { prefix, good, bad, group, twins }| json!({"prefix": prefix, "good": good, "bad": bad, "group": group, "cluster": twins});
            Ok(world::reply_pairs(part, seed, count).into_iter().map(row).collect())
        }
        _ => {
            let choices = "preferences, habits, dialogue-pairs, maxims";
            Err(DataError::WrongPart { part, wanted: "a test set of pairs", choices })
        }
    }
}

/// The pairs of opinions: the prompt is the prefix.
fn opinions(part: WorldPart, seed: u64, count: u64) -> Vec<Value> {
    let row = |pair: [Record; 2]| {
        let [(prompt, good), (_, bad)] = pair.map(|record| match record {
            Record::Pair { prompt, reply } => (prompt, reply),
            _ => unreachable!("the toy world has pairs of prompt and reply"),
        });
        json!({"prefix": prompt, "good": good, "bad": bad})
    };
    world::pairs(part, seed, count).into_iter().map(row).collect()
}

/// Visits all rows in order, as JSON objects. A row of JSON has all of its fields; of the other layouts, those that
/// `columns` selects. The visit of a row can fail with the problem of the row.
///
/// # Errors
/// Outer: files that cannot be read. Inner: rows that do not follow the layout, or whose visit failed.
pub(super) fn each_value(
    file: &SourceFile,
    layout: Layout,
    columns: Columns<'_>,
    visit: impl FnMut(&Value) -> Result<(), String>,
) -> Result<Result<(), Fault>, DataError> {
    Ok(match layout {
        Layout::Json => each_object(&read_text(file)?, visit),
        Layout::Csv => separated(&read_text(file)?, b',', columns, visit),
        Layout::Tsv => separated(&read_text(file)?, b'\t', columns, visit),
        Layout::Parquet => parquet_file::parquet_rows(file, columns, visit)?,
    })
}

/// The field of this name, or, for a name such as `data.prompt`, the field within fields.
pub(super) fn field<'v>(row: &'v Value, name: &str) -> Option<&'v Value> {
    row.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        field(row.get(outer)?, inner)
    })
}

fn expected(layout: Layout, fields: &[&str]) -> String {
    let named = |what: &str| format!("{what} '{}'", fields.join("', '"));
    match layout {
        Layout::Json => named("a JSON object on every line, or one array of them, with the text fields"),
        Layout::Csv => named("comma-separated values with a header line that contains"),
        Layout::Tsv => named("tab-separated values with a header line that contains"),
        Layout::Parquet => named("text columns"),
    }
}

/// Reads every non-blank line as a JSON object, the whole text as an array of objects, or the list in the only field of
/// the object that the whole text is.
pub(super) fn each_object(text: &str, mut read: impl FnMut(&Value) -> Result<(), String>) -> Result<(), Fault> {
    if text.trim_start().starts_with('[') {
        let fault = |problem: JsonProblem| Fault { line: problem.line, problem: problem.to_string() };
        // A text that begins with [ is an array or no JSON.
        let Value::Array(list) = parse_json(text).map_err(fault)? else { return Ok(()) };
        return each_element(&list, read);
    }
    refuse_carriage_returns(text).map_err(|problem| Fault { line: 1, problem: problem.to_string() })?;
    for (position, (line, value)) in json_lines(text).enumerate() {
        let value = match value {
            Ok(value) => value,
            Err(_)
                if position == 0
                    && let Ok(whole) = parse_json(text) =>
            {
                let list =
                    whole.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.values().next());
                return match list.and_then(Value::as_array) {
                    Some(list) => each_element(list, read),
                    None => read(&whole).map_err(|problem| Fault { line: 1, problem }),
                };
            }
            Err(problem) => return Err(Fault { line, problem: problem.to_string() }),
        };
        read(&value).map_err(|problem| Fault { line, problem })?;
    }
    Ok(())
}

fn each_element(list: &[Value], mut read: impl FnMut(&Value) -> Result<(), String>) -> Result<(), Fault> {
    let numbered = |(index, value)| {
        read(value)
            .map_err(|problem| Fault { line: 1, problem: format!("element {} of the array: {problem}", index + 1) })
    };
    list.iter().enumerate().try_for_each(numbered)
}

/// The text of a value; see [`each_row`].
pub(super) fn text_of(value: &Value) -> Result<String, &'static str> {
    if special_number(value).is_some() {
        return Err("is not a finite number (NaN, Infinity, or beyond 1e308), which has no text");
    }
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number)
            if number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= 2f64.powi(63)) =>
        {
            Err("is too large a number to be read exactly; write it as a text, in quotes")
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(_) => Err("is true or false, not a text"),
        Value::Object(_) => Err("is an object, not a text; name a field in it, as in 'outer.inner'"),
        Value::Array(texts) => match texts.first() {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err("is a list whose first value is not a text"),
        },
    }
}

fn separated(
    text: &str,
    delimiter: u8,
    columns: Columns<'_>,
    mut visit: impl FnMut(&Value) -> Result<(), String>,
) -> Result<(), Fault> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let fault = |error: csv::Error| Fault {
        line: error.position().map_or(1, |position| position.line() as usize),
        problem: match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("the row has {}, but the header line has {expected_len}", counted(*len, "value"))
            }
            _ => error.to_string(),
        },
    };
    let names = reader.headers().map_err(fault)?.clone();
    if let Some(missing) = columns.missing(names.iter()) {
        return Err(Fault { line: 1, problem: format!("no field {missing}") });
    }
    let is_repeated =
        |(place, name): &(usize, &str)| columns.wants(name) && names.iter().take(*place).any(|n| n == *name);
    if let Some((_, name)) = names.iter().enumerate().find(is_repeated) {
        return Err(Fault { line: 1, problem: format!("the header line has the field '{name}' twice; rename one") });
    }
    for row in reader.records() {
        let row = row.map_err(fault)?;
        let line = row.position().map_or(1, |position| position.line() as usize);
        let cells = names.iter().zip(row.iter()).filter(|(name, _)| columns.wants(name));
        let object: Map<String, Value> = cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect();
        visit(&Value::Object(object)).map_err(|problem| Fault { line, problem })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
