//! Files with rows of named fields: JSON, CSV, TSV, Parquet.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::Value;

use crate::domain::{JsonProblem, Layout, counted, json_lines, parse_json, refuse_carriage_returns, special_number};

use super::error::DataError;
use super::files::read_text;

/// An error in a row, before the file and the expected format are added.
pub(super) struct Fault {
    /// The line, or the row of a Parquet file, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

impl Fault {
    /// Adds the file and the expected format.
    pub fn expecting(self, path: &Path, expected: impl Into<String>) -> DataError {
        DataError::Malformed {
            path: path.to_owned(),
            line: self.line,
            problem: self.problem,
            expected: expected.into(),
        }
    }
}

/// Visits all rows in order, with the texts of these fields in the given order. Of a field that is a list of texts, the
/// first one is used; an empty list, a null and an empty cell are the empty text.
///
/// # Errors
/// Files that cannot be read; rows that do not follow the layout or lack a field.
pub(super) fn each_row(
    path: &Path,
    layout: Layout,
    fields: &[&str],
    mut visit: impl FnMut(Vec<String>),
) -> Result<(), DataError> {
    let expecting = |fault: Fault| fault.expecting(path, expected(layout, fields));
    match layout {
        Layout::Json => {
            let read = |object: &Value| {
                let texts = fields.iter().map(|field| {
                    text_of(object.get(field)).map_err(|problem| match object.get(field).and_then(special_number) {
                        Some(number) => format!("field '{field}' is {number}, which is not a text"),
                        None => format!("field '{field}' {problem}"),
                    })
                });
                visit(texts.collect::<Result<_, _>>()?);
                Ok(())
            };
            each_object(&read_text(path)?, read).map_err(expecting)
        }
        Layout::Csv => separated(&read_text(path)?, b',', fields, visit).map_err(expecting),
        Layout::Tsv => separated(&read_text(path)?, b'\t', fields, visit).map_err(expecting),
        Layout::Parquet => columns(path, fields, visit)?.map_err(expecting),
    }
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

/// Reads every non-blank line as a JSON object, or the whole text as an array of objects.
pub(super) fn each_object(text: &str, mut read: impl FnMut(&Value) -> Result<(), String>) -> Result<(), Fault> {
    if text.trim_start().starts_with('[') {
        let fault = |problem: JsonProblem| Fault { line: problem.line, problem: problem.to_string() };
        // A text that begins with [ is an array or no JSON.
        let Value::Array(list) = parse_json(text).map_err(fault)? else { return Ok(()) };
        let item = |(index, value)| read(value).map_err(|problem| (index, problem));
        return list.iter().enumerate().try_for_each(item).map_err(|(index, problem)| Fault {
            line: 1,
            problem: format!("element {} of the array: {problem}", index + 1),
        });
    }
    refuse_carriage_returns(text).map_err(|problem| Fault { line: 1, problem: problem.to_string() })?;
    for (line, value) in json_lines(text) {
        let value = value.map_err(|problem| problem.to_string());
        value.and_then(|value| read(&value)).map_err(|problem| Fault { line, problem })?;
    }
    Ok(())
}

/// A string, or the first of an array of strings.
fn text_of(value: Option<&Value>) -> Result<String, &'static str> {
    match value {
        None => Err("is missing"),
        Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(texts)) => match texts.first() {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err("is a list whose first value is not a text"),
        },
        Some(_) => Err("is not a text"),
    }
}

fn separated(text: &str, delimiter: u8, fields: &[&str], mut visit: impl FnMut(Vec<String>)) -> Result<(), Fault> {
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
    let places = fields.iter().map(|field| {
        let problem = || format!("no field '{field}'; there are {}", listed(names.iter()));
        names.iter().position(|name| name == *field).ok_or_else(|| Fault { line: 1, problem: problem() })
    });
    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
    for row in reader.records() {
        let row = row.map_err(fault)?;
        visit(places.iter().map(|&place| row.get(place).unwrap_or_default().to_owned()).collect());
    }
    Ok(())
}

fn columns(path: &Path, fields: &[&str], mut visit: impl FnMut(Vec<String>)) -> Result<Result<(), Fault>, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    let broken =
        |row: usize| move |error: parquet::errors::ParquetError| Fault { line: row, problem: error.to_string() };
    let read = || -> Result<(), Fault> {
        let reader = SerializedFileReader::new(file).map_err(broken(1))?;
        let schema = reader.metadata().file_metadata().schema();
        let known = |name: &str| schema.get_fields().iter().find(|field| field.name() == name).cloned();
        let mut wanted = vec![];
        for name in fields {
            let problem = || {
                let names = schema.get_fields().iter().map(|field| field.name());
                format!("no column '{name}'; there are {}", listed(names))
            };
            let column = known(name).ok_or_else(|| Fault { line: 1, problem: problem() })?;
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
        let projection = Type::group_type_builder(schema.name()).with_fields(wanted).build().map_err(broken(1))?;
        for (index, row) in reader.get_row_iter(Some(projection)).map_err(broken(1))?.enumerate() {
            let row = row.map_err(broken(index + 1))?;
            let texts = fields.iter().map(|name| {
                let value = row.get_column_iter().find(|(column, _)| column == name).map(|(_, value)| value);
                text_in(value)
                    .map_err(|problem| Fault { line: index + 1, problem: format!("column '{name}' {problem}") })
            });
            visit(texts.collect::<Result<_, _>>()?);
        }
        Ok(())
    };
    Ok(read())
}

fn text_in(value: Option<&Field>) -> Result<String, &'static str> {
    match value {
        None => Err("is missing"),
        Some(Field::Null) => Ok(String::new()),
        Some(Field::Str(text)) => Ok(text.clone()),
        Some(Field::ListInternal(list)) => match list.elements().first() {
            None => Ok(String::new()),
            Some(Field::Str(text)) => Ok(text.clone()),
            Some(_) => Err("is a list whose first value is not a text"),
        },
        Some(_) => Err("is not a text"),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn rows(name: &str, bytes: &[u8], layout: Layout, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut rows = vec![];
        let read = each_row(&path, layout, fields, |row| rows.push(row));
        read.map(|()| rows).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "data"))
    }

    /// Two text columns, in row groups of two rows, compressed as Hugging Face does.
    fn parquet(rows: &[(&str, &str)]) -> Vec<u8> {
        let schema = "message schema { required binary q (UTF8); required int64 id; required binary a (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut bytes = vec![];
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        for group in rows.chunks(2) {
            let mut group_writer = writer.next_row_group().unwrap();
            for column in 0..3 {
                let mut column_writer = group_writer.next_column().unwrap().unwrap();
                if column == 1 {
                    let ids: Vec<i64> = (0..group.len() as i64).collect();
                    column_writer.typed::<parquet::data_type::Int64Type>().write_batch(&ids, None, None).unwrap();
                } else {
                    let text = |row: &(&str, &str)| ByteArray::from(if column == 0 { row.0 } else { row.1 });
                    let texts: Vec<ByteArray> = group.iter().map(text).collect();
                    column_writer.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
                }
                column_writer.close().unwrap();
            }
            group_writer.close().unwrap();
        }
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn every_layout_gives_the_same_rows() {
        let expected = vec![
            vec!["so, \"there\"".to_owned(), "why".into()],
            vec!["é\nü".into(), "who".into()],
            vec!["".into(), "x".into()],
        ];
        let json = r#"{"q": "why", "id": 1, "a": ["so, \"there\"", "no"]}
            {"q": "who", "a": "é\nü"}

            {"q": "x", "a": []}"#;
        let list = r#" [{"q": "why", "a": "so, \"there\""}, {"q": "who", "a": "é\nü"}, {"q": "x", "a": null}]"#;
        let csv = "q,id,a\nwhy,1,\"so, \"\"there\"\"\"\nwho,2,\"é\nü\"\nx,3,\n";
        let tsv = "q\tid\ta\nwhy\t1\t\"so, \"\"there\"\"\"\nwho\t2\t\"é\nü\"\nx\t3\t\n";
        let parquet = parquet(&[("why", "so, \"there\""), ("who", "é\nü"), ("x", "")]);
        let fields = ["a", "q"];
        assert_eq!(rows("a.jsonl", json.as_bytes(), Layout::Json, &fields), Ok(expected.clone()));
        assert_eq!(rows("a.json", list.as_bytes(), Layout::Json, &fields), Ok(expected.clone()));
        assert_eq!(rows("a.csv", csv.as_bytes(), Layout::Csv, &fields), Ok(expected.clone()));
        assert_eq!(rows("a.tsv", tsv.as_bytes(), Layout::Tsv, &fields), Ok(expected.clone()));
        assert_eq!(rows("a.parquet", &parquet, Layout::Parquet, &fields), Ok(expected));
    }

    #[test]
    fn errors_name_the_position_and_the_expected_format() {
        let parquet = parquet(&[("why", "so")]);
        let faults = [
            rows("a.json", br#"[{"q": "x"}, {"q": 1}]"#, Layout::Json, &["q"]),
            rows("a.csv", b"q,a\nwhy,so\nwho\n", Layout::Csv, &["q"]),
            rows("a.tsv", b"q,a\n", Layout::Tsv, &["q"]),
            rows("a.csv", b"", Layout::Csv, &["q"]),
            rows("a.parquet", &parquet, Layout::Parquet, &["q", "answer"]),
            rows("a.parquet", &parquet, Layout::Parquet, &["id"]),
            rows("a.parquet", &parquet[..parquet.len() - 3], Layout::Parquet, &["q"]),
        ];
        let faults: Vec<String> = faults.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        read data/a.json: line 1: element 2 of the array: field 'q' is not a text; expected a JSON object on every line, or one array of them, with the text fields 'q'
        read data/a.csv: line 3: the row has 1 value, but the header line has 2; expected comma-separated values with a header line that contains 'q'
        read data/a.tsv: line 1: no field 'q'; there are 'q,a'; expected tab-separated values with a header line that contains 'q'
        read data/a.csv: it is empty, as after an interrupted download; replace it, or remove it
        read data/a.parquet: line 1: no column 'answer'; there are 'q', 'id', 'a'; expected text columns 'q', 'answer'
        read data/a.parquet: line 1: column 'id' is not a text; expected text columns 'id'
        read data/a.parquet: line 1: Parquet error: Invalid Parquet file. Corrupt footer; expected text columns 'q'
        ");
    }
}
