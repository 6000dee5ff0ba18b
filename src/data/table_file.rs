//! Large tables in CSV or Parquet files, written row by row.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::domain::no_formula;

use super::atomic::{publish_file, temporary};
use super::error::DataError;

/// Rows per row group of a Parquet file, which is also the most that are held in memory.
const GROUP_ROWS: usize = 1 << 16;

/// The type of a column; all columns are nullable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 64-bit integers.
    Integer,
    /// 64-bit floating-point numbers.
    Real,
}

/// A value of a row, which must have the [`ColumnType`] of its column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// An integer.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// Missing: an empty field in CSV, a null in Parquet.
    Missing,
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Missing, Value::Text)
    }
}

/// A table that is being written to a temporary file; [`TableFile::finish`] publishes it, and dropping it removes it.
pub struct TableFile {
    to: PathBuf,
    temporary: PathBuf,
    columns: Vec<(&'static str, ColumnType)>,
    rows: u64,
    writer: Option<Writer>,
}

enum Writer {
    Csv(csv::Writer<BufWriter<File>>),
    Parquet { file: SerializedFileWriter<BufWriter<File>>, group: Vec<Buffer> },
}

/// The values of one column of a row group. `present` has 1 for each value and 0 for each missing one.
struct Buffer {
    present: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Real(Vec<f64>),
}

impl TableFile {
    /// Starts a table. The extension, `.csv` or `.parquet`, decides the format.
    ///
    /// # Errors
    /// Another extension; a file that exists or cannot be written.
    pub fn create(to: &Path, columns: &[(&'static str, ColumnType)]) -> Result<Self, DataError> {
        let extension =
            to.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !matches!(&*extension, "csv" | "parquet") {
            return Err(DataError::NoTable { path: to.to_owned() });
        }
        if to.exists() {
            return Err(DataError::Exists { path: to.to_owned() });
        }
        let temporary = temporary(to);
        let file = BufWriter::new(File::create(&temporary).map_err(DataError::io("write", to))?);
        let mut table = Self { to: to.to_owned(), temporary, columns: columns.to_vec(), rows: 0, writer: None };
        let writer = if extension == "csv" {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(columns.iter().map(|(name, _)| name)).map_err(|error| table.csv_error(error))?;
            Writer::Csv(writer)
        } else {
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let file = schema(columns)
                .and_then(|schema| SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)))
                .map_err(|error| table.parquet_error(error))?;
            Writer::Parquet { file, group: buffers(columns) }
        };
        table.writer = Some(writer);
        Ok(table)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A file that cannot be written.
    ///
    /// # Panics
    /// If the values do not match the columns.
    pub fn write(&mut self, row: &[Value]) -> Result<(), DataError> {
        assert_eq!(row.len(), self.columns.len(), "there must be a value for each column");
        for (value, (name, content)) in row.iter().zip(&self.columns) {
            let fits = match value {
                Value::Text(_) => *content == ColumnType::Text,
                Value::Integer(_) => *content == ColumnType::Integer,
                Value::Real(_) => *content == ColumnType::Real,
                Value::Missing => true,
            };
            assert!(fits, "column {name} holds {content:?}, not {value:?}");
        }
        self.rows += 1;
        match self.writer.as_mut().expect("only `finish` takes the writer") {
            Writer::Csv(writer) => writer.write_record(row.iter().map(field)).map_err(|error| self.csv_error(error)),
            Writer::Parquet { file, group } => {
                group.iter_mut().zip(row).for_each(|(buffer, value)| buffer.push(value));
                if group[0].present.len() < GROUP_ROWS {
                    return Ok(());
                }
                let full = std::mem::replace(group, buffers(&self.columns));
                write_group(file, full).map_err(|error| self.parquet_error(error))
            }
        }
    }

    /// The number of rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Publishes the table and returns its number of rows.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(mut self) -> Result<u64, DataError> {
        match self.writer.take().expect("only `finish` takes the writer") {
            Writer::Csv(mut writer) => writer.flush().map_err(DataError::io("write", &self.to))?,
            Writer::Parquet { mut file, group } => {
                let rest = if group[0].present.is_empty() { Ok(()) } else { write_group(&mut file, group) };
                rest.and_then(|()| file.close()).map_err(|error| self.parquet_error(error))?;
            }
        }
        publish_file(&self.temporary, &self.to).map_err(DataError::io("write", &self.to))?;
        Ok(self.rows)
    }

    fn csv_error(&self, error: csv::Error) -> DataError {
        DataError::io("write", &self.to)(error.into())
    }

    fn parquet_error(&self, error: ParquetError) -> DataError {
        DataError::io("write", &self.to)(io::Error::other(error))
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        // Fails if the table was published, which is fine.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Buffer {
    fn push(&mut self, value: &Value) {
        self.present.push(i16::from(*value != Value::Missing));
        match (&mut self.values, value) {
            (Values::Text(values), Value::Text(text)) => values.push(ByteArray::from(*text)),
            (Values::Integer(values), Value::Integer(number)) => values.push(*number),
            (Values::Real(values), Value::Real(number)) => values.push(*number),
            (_, Value::Missing) => {}
            _ => unreachable!("`write` has checked the contents"),
        }
    }
}

/// A value in CSV. Numbers have the fewest digits that identify them, and texts are no formulas.
fn field(value: &Value) -> String {
    match value {
        Value::Text(text) => no_formula(text).into_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Missing => String::new(),
    }
}

fn schema(columns: &[(&'static str, ColumnType)]) -> Result<Type, ParquetError> {
    let column = |&(name, content): &(&str, ColumnType)| {
        let (physical, logical) = match content {
            ColumnType::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnType::Integer => (PhysicalType::INT64, None),
            ColumnType::Real => (PhysicalType::DOUBLE, None),
        };
        let column = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        column.with_repetition(Repetition::OPTIONAL).build().map(Arc::new)
    };
    let fields = columns.iter().map(column).collect::<Result<_, _>>()?;
    Type::group_type_builder("schema").with_fields(fields).build()
}

fn buffers(columns: &[(&'static str, ColumnType)]) -> Vec<Buffer> {
    let values = |content| match content {
        ColumnType::Text => Values::Text(vec![]),
        ColumnType::Integer => Values::Integer(vec![]),
        ColumnType::Real => Values::Real(vec![]),
    };
    columns.iter().map(|&(_, content)| Buffer { present: vec![], values: values(content) }).collect()
}

fn write_group(file: &mut SerializedFileWriter<BufWriter<File>>, buffers: Vec<Buffer>) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for Buffer { present, values } in buffers {
        fn put<T: DataType>(
            column: &mut parquet::file::writer::SerializedColumnWriter,
            values: &[T::T],
            present: &[i16],
        ) -> Result<(), ParquetError> {
            column.typed::<T>().write_batch(values, Some(present), None).map(drop)
        }
        let mut column =
            group.next_column()?.ok_or_else(|| ParquetError::General("there are too many columns".to_owned()))?;
        match values {
            Values::Text(values) => put::<ByteArrayType>(&mut column, &values, &present)?,
            Values::Integer(values) => put::<Int64Type>(&mut column, &values, &present)?,
            Values::Real(values) => put::<DoubleType>(&mut column, &values, &present)?,
        }
        column.close()?;
    }
    group.close().map(drop)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    const COLUMNS: [(&str, ColumnType); 3] =
        [("name", ColumnType::Text), ("count", ColumnType::Integer), ("share", ColumnType::Real)];

    fn write(to: &Path, rows: &[[Value; 3]]) -> u64 {
        let mut table = TableFile::create(to, &COLUMNS).unwrap();
        rows.iter().for_each(|row| table.write(row).unwrap());
        table.finish().unwrap()
    }

    const ROWS: [[Value; 3]; 3] = [
        [Value::Text("so, \"é\""), Value::Integer(-3), Value::Real(1.0 / 3.0)],
        [Value::Missing, Value::Missing, Value::Missing],
        [Value::Text("=1+1"), Value::Integer(7), Value::Real(1.0)],
    ];

    #[test]
    fn csv_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("t.csv");
        assert_eq!(write(&to, &ROWS), 3);
        insta::assert_snapshot!(fs::read_to_string(&to).unwrap(), @r#"
        name,count,share
        "so, ""é""",-3,0.3333333333333333
        ,,
        '=1+1,7,1
        "#);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn parquet_round_trips_across_row_groups() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("t.parquet");
        let rows: Vec<[Value; 3]> = ROWS.into_iter().cycle().take(GROUP_ROWS + 2).collect();
        assert_eq!(write(&to, &rows), rows.len() as u64);
        let reader = SerializedFileReader::new(File::open(&to).unwrap()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        let read: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(read.len(), rows.len());
        insta::assert_snapshot!(read[read.len() - 3..].join("\n"), @r#"
        {name: "so, "é"", count: -3, share: 0.3333333333333333}
        {name: null, count: null, share: null}
        {name: "=1+1", count: 7, share: 1.0}
        "#);
    }

    #[test]
    fn unknown_extensions_and_existing_files_are_rejected_and_unfinished_tables_removed() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str| match TableFile::create(&folder.path().join(name), &COLUMNS) {
            Ok(_) => panic!("{name} was taken"),
            Err(error) => error.to_string().replace(&folder.path().display().to_string(), "out"),
        };
        fs::write(folder.path().join("old.csv"), "kept").unwrap();
        insta::assert_snapshot!([refused("t.xlsx"), refused("t"), refused("old.csv")].join("\n"), @r"
        write out/t.xlsx: unknown table format; use the extension .csv or .parquet
        write out/t: unknown table format; use the extension .csv or .parquet
        write out/old.csv: the file exists already; name a new file, or remove it
        ");
        let mut table = TableFile::create(&folder.path().join("t.csv"), &COLUMNS).unwrap();
        table.write(&ROWS[0]).unwrap();
        drop(table);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(folder.path().join("old.csv")).unwrap(), "kept");
    }
}
