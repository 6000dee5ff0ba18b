//! Conversions from column values to Rust types.

use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::StoreError;

/// Parses a word such as `pretrain` or `failed` into the enum whose serde names it uses.
pub(super) fn parse_word<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    T::deserialize(StrDeserializer::<WordError>::new(text))
        .map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// Parses an id, a digest or a milestone.
pub(super) fn parse_id<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// Reads a column that never holds a negative number. Seeds use all 64 bits: SQLite has no unsigned integers, so they
/// are stored with the same bits and cast back here.
pub(super) fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? as u64)
}

/// [`unsigned`] for a column that may be NULL.
pub(super) fn optional_unsigned(row: &SqliteRow, column: &'static str) -> Result<Option<u64>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(|number| number as u64))
}

/// A JSON list of strings, for `json_each`.
pub(super) fn json_list<T: ToString>(values: &[T]) -> String {
    serde_json::json!(values.iter().map(T::to_string).collect::<Vec<_>>()).to_string()
}
