//! Files with rows of named fields: JSON, CSV, TSV, Parquet.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value, json};

use crate::domain::{
    JsonProblem, Layout, LocatedSource, Origin, SourceFile, WorldPart, counted, json_lines, parse_json,
    refuse_carriage_returns, special_number,
};

use super::error::DataError;
use super::files::read_text;
use super::record::Record;
use super::source_file::OpenedFile;
use super::world::{self, ReplyPair};

/// An error in a row, before the file and the expected format are added.
pub(super) struct Fault {
    /// The line, or the row of a Parquet file, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

impl Fault {
    /// Adds the file and the expected format.
    pub(super) fn expecting(self, path: &Path, expected: impl Into<String>) -> DataError {
        DataError::Malformed {
            path: path.to_owned(),
            line: self.line,
            problem: self.problem,
            expected: expected.into(),
        }
    }
}

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
        Origin::Content { .. } => {}
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

/// Which fields of a file with columns are read.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    /// These, all of which must exist.
    All(&'a [&'a str]),
    /// Those of these that exist.
    Existing(&'a [&'a str]),
    /// Every one.
    Every,
}

impl Columns<'_> {
    /// Whether a column of this name is read. `data.prompt` reads the column `data`.
    fn wants(self, name: &str) -> bool {
        match self {
            Columns::Every => true,
            Columns::All(fields) | Columns::Existing(fields) => fields
                .iter()
                .any(|field| *field == name || field.split_once('.').is_some_and(|(column, _)| column == name)),
        }
    }

    /// The first field that must exist and is not among these names.
    fn missing<'n>(self, mut names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
        let Columns::All(fields) = self else { return None };
        let found = |field: &&&str| {
            let column = field.split_once('.').map_or(**field, |(column, _)| column);
            names.clone().any(|name| name == **field || name == column)
        };
        let missing = fields.iter().find(|field| !found(field))?;
        let known = listed(names.by_ref());
        Some(format!("'{missing}'; there are {known}"))
    }
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
        Layout::Parquet => parquet_rows(file, columns, visit)?,
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

fn parquet_rows(
    file: &SourceFile,
    columns: Columns<'_>,
    mut visit: impl FnMut(&Value) -> Result<(), String>,
) -> Result<Result<(), Fault>, DataError> {
    let opened = OpenedFile::open(file)?;
    let handle = opened.handle()?;
    let broken =
        |row: usize| move |error: parquet::errors::ParquetError| Fault { line: row, problem: error.to_string() };
    let read = || -> Result<(), Fault> {
        let reader = SerializedFileReader::new(handle).map_err(broken(1))?;
        let schema = reader.metadata().file_metadata().schema();
        if let Some(missing) = columns.missing(schema.get_fields().iter().map(|field| field.name())) {
            return Err(Fault { line: 1, problem: format!("no column {missing}") });
        }
        let wanted = schema.get_fields().iter().filter(|field| columns.wants(field.name())).cloned().collect();
        let projection = Type::group_type_builder(schema.name()).with_fields(wanted).build().map_err(broken(1))?;
        for (index, row) in reader.get_row_iter(Some(projection)).map_err(broken(1))?.enumerate() {
            let row = row.map_err(broken(index + 1))?;
            visit(&object_of(&row)).map_err(|problem| Fault { line: index + 1, problem })?;
        }
        Ok(())
    };
    let rows = read();
    opened.finish()?;
    Ok(rows)
}

fn object_of(row: &Row) -> Value {
    Value::Object(row.get_column_iter().map(|(name, value)| (name.clone(), value_of(value))).collect())
}

/// The JSON value of a Parquet field. Dates, decimals and bytes become texts.
fn value_of(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::from(*flag),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float(number) => Value::from(*number),
        Field::Double(number) => Value::from(*number),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Group(row) => object_of(row),
        Field::ListInternal(list) => list.elements().iter().map(value_of).collect(),
        other => Value::from(other.to_string()),
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

    use super::super::source_file::tests::planned;
    use super::*;

    fn rows(name: &str, bytes: &[u8], layout: Layout, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut rows = vec![];
        let read = each_row(&planned(&path), layout, fields, |row| rows.push(row));
        read.map(|()| rows).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "data"))
    }

    /// Two text columns, compressed as Hugging Face does.
    fn parquet(rows: &[(&str, &str)]) -> Vec<u8> {
        parquet_with(rows, Compression::SNAPPY)
    }

    /// Two text columns and one of numbers, in row groups of two rows.
    fn parquet_with(rows: &[(&str, &str)], compression: Compression) -> Vec<u8> {
        let schema = "message schema { required binary q (UTF8); required int64 id; required binary a (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder().set_compression(compression).build();
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
    fn parquet_is_read_whatever_its_compression() {
        let text = "so it goes ".repeat(50);
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::ZSTD(Default::default()),
            Compression::LZ4_RAW,
            Compression::LZ4,
        ];
        for codec in codecs {
            let bytes = parquet_with(&[("why", &text), ("who", "me"), ("when", "")], codec);
            let read = rows("a.parquet", &bytes, Layout::Parquet, &["a", "id"]);
            let expected = [[text.as_str(), "0"], ["me", "1"], ["", "0"]].map(|row| row.map(str::to_owned).to_vec());
            assert_eq!(read, Ok(expected.to_vec()), "{codec:?}");
        }
    }

    #[test]
    fn lists_of_structures_are_read_from_parquet() {
        let schema = "message schema { required group messages (LIST) { repeated group list { required group element {
            required binary role (UTF8); optional binary content (UTF8); } } } }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut bytes = vec![];
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (texts, defined) in [(vec!["user", "assistant", "user"], [1, 1, 1]), (vec!["q", "a"], [2, 2, 1])] {
            let mut column = group.next_column().unwrap().unwrap();
            let texts: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
            column.typed::<ByteArrayType>().write_batch(&texts, Some(&defined), Some(&[0, 1, 0])).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        let mut found = vec![];
        let visit = |row: &Value| {
            found.push(row.to_string());
            Ok(())
        };
        assert!(
            each_value(&planned(&path), Layout::Parquet, Columns::Existing(&["messages", "id"]), visit)
                .unwrap()
                .is_ok()
        );
        assert_eq!(
            found,
            [
                r#"{"messages":[{"content":"q","role":"user"},{"content":"a","role":"assistant"}]}"#,
                r#"{"messages":[{"content":null,"role":"user"}]}"#,
            ]
        );
    }

    #[test]
    fn fields_within_fields_numbers_and_wrapped_rows_are_read() {
        let nested = r#"{"data": {"prompt": "q"}, "reply": 42}
            {"data": {"prompt": null}, "reply": 0.5}"#;
        let expected = |rows: &[[&str; 2]]| Ok(rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect());
        let fields = ["data.prompt", "reply"];
        assert_eq!(rows("a.jsonl", nested.as_bytes(), Layout::Json, &fields), expected(&[["q", "42"], ["", "0.5"]]));
        let whole = "{\n \"data\": [\n {\"q\": \"a\", \"a\": \"b\"},\n {\"q\": \"c\", \"a\": \"d\"}\n]}";
        assert_eq!(rows("a.json", whole.as_bytes(), Layout::Json, &["q", "a"]), expected(&[["a", "b"], ["c", "d"]]));
        let single = "{\n \"q\": \"a\",\n \"a\": \"b\"\n}";
        assert_eq!(rows("a.json", single.as_bytes(), Layout::Json, &["q", "a"]), expected(&[["a", "b"]]));
    }

    #[test]
    fn errors_name_the_position_and_the_expected_format() {
        let parquet = parquet(&[("why", "so")]);
        let faults = [
            rows("a.json", br#"[{"q": "x"}, {"q": {"a": 1}}]"#, Layout::Json, &["q"]),
            rows("a.csv", b"q,a\nwhy,so\nwho\n", Layout::Csv, &["q"]),
            rows("a.tsv", b"q,a\n", Layout::Tsv, &["q"]),
            rows("a.csv", b"q,a,q\nx,y,z\n", Layout::Csv, &["q"]),
            rows("a.csv", b"", Layout::Csv, &["q"]),
            rows("a.parquet", &parquet, Layout::Parquet, &["q", "answer"]),
            rows("a.parquet", &parquet[..parquet.len() - 3], Layout::Parquet, &["q"]),
        ];
        let faults: Vec<String> = faults.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        read data/a.json: line 1: element 2 of the array: field 'q' is an object, not a text; name a field in it, as in 'outer.inner'; expected a JSON object on every line, or one array of them, with the text fields 'q'
        read data/a.csv: line 3: the row has 1 value, but the header line has 2; expected comma-separated values with a header line that contains 'q'
        read data/a.tsv: line 1: no field 'q'; there are 'q,a'; expected tab-separated values with a header line that contains 'q'
        read data/a.csv: line 1: the header line has the field 'q' twice; rename one; expected comma-separated values with a header line that contains 'q'
        read data/a.csv: it is empty, as after an interrupted download; replace it, or remove it
        read data/a.parquet: line 1: no column 'answer'; there are 'q', 'id', 'a'; expected text columns 'q', 'answer'
        read data/a.parquet: line 1: Parquet error: Invalid Parquet file. Corrupt footer; expected text columns 'q'
        ");
    }
}
