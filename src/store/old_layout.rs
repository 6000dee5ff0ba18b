//! Reading a database of an earlier layout that cannot be written, and so cannot be upgraded.
//!
//! Temporary views, which SQLite keeps outside the file and prefers to relations of the same name inside it, make the
//! file look as if it had the newest layout. They are derived from the newest layout itself, so that a new migration
//! needs no change here as long as it only adds columns and tables and replaces views.

use std::collections::BTreeSet;

use sqlx::{Connection, SqliteConnection};

use super::error::StoreError;
use super::layout::{self, Column};

/// The statements that make the newest layout visible on a connection to an older database.
pub(super) async fn temporary_views(old: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let mut newest = layout::in_memory().await?;
    let columns = layout::columns(&mut newest).await?;
    let views: Vec<String> =
        sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'view'").fetch_all(&mut newest).await?;
    newest.close().await?;
    let present = layout::columns(old).await?.into_iter().map(|column| (column.relation, column.name)).collect();
    let tables = columns.chunk_by(|one, next| one.relation == next.relation).filter(|table| !table[0].is_view);
    let views = views.iter().filter_map(|view| view.strip_prefix("CREATE VIEW "));
    Ok(tables
        .filter_map(|table| completed_table(table, &present))
        .chain(views.map(|view| format!("CREATE TEMP VIEW {view}")))
        .collect())
}

/// A view of a table with the columns that it lacks, which hold their default; `None` if it lacks none.
fn completed_table(table: &[Column], present: &BTreeSet<(String, String)>) -> Option<String> {
    let name = &table[0].relation;
    let is_present = |column: &Column| present.contains(&(name.clone(), column.name.clone()));
    if table.iter().all(is_present) {
        return None;
    }
    let column = |column: &Column| match is_present(column) {
        true => column.name.clone(),
        false => format!("{} AS {}", column.default_value.as_deref().unwrap_or("NULL"), column.name),
    };
    let columns = table.iter().map(column).collect::<Vec<_>>().join(", ");
    let source = if table.iter().any(is_present) { format!("FROM main.{name}") } else { "WHERE 0".to_owned() };
    Some(format!("CREATE TEMP VIEW {name} AS SELECT {columns} {source}"))
}
