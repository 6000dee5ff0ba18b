//! Rows of Parquet files.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::Value;

use super::super::error::DataError;
use super::super::source_file::OpenedFile;
use super::columns::Columns;
use super::fault::Fault;
use crate::domain::SourceFile;

/// Visits the rows of a Parquet file as JSON objects with the fields that these columns need.
pub(super) fn parquet_rows(
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
