//! The layout of the database: its versions, and the tables, views and columns of the newest one.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, FromRow};

use super::error::StoreError;

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The version of the newest layout.
pub(super) fn newest() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Applies all migrations that a database lacks.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    MIGRATOR.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        other => StoreError::Database(sqlx::Error::Migrate(Box::new(other))),
    })
}

/// An empty database in memory with the newest layout.
pub(super) async fn in_memory() -> Result<SqliteConnection, StoreError> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    migrate(&mut connection).await?;
    Ok(connection)
}

/// A column of a table or a view.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct Column {
    pub relation: String,
    pub is_view: bool,
    pub name: String,
    /// The SQL type; meaningless for the column of a view.
    pub sql_type: String,
    pub not_null: bool,
    /// The default value as an SQL expression.
    pub default_value: Option<String>,
}

/// Every column of every table and view, by relation and in the order of its definition.
pub(super) async fn columns(connection: &mut SqliteConnection) -> Result<Vec<Column>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT s.name AS relation, s.type = 'view' AS is_view, c.name AS name, c.type AS sql_type,
             c.\"notnull\" AS not_null, c.dflt_value AS default_value
         FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
         WHERE s.type IN ('table', 'view') AND s.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY s.name, c.cid",
    )
    .fetch_all(connection)
    .await?)
}
