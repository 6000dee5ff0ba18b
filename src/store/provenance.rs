//! Which command made a result.

use std::path::PathBuf;

use sqlx::Row;

use super::error::StoreError;
use super::open::Store;
use crate::domain::JobId;

/// The invocation that made the result of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The experiment that it executed.
    pub experiment: String,
    /// The command line.
    pub command: String,
    /// The path of the spec.
    pub spec_path: PathBuf,
    /// The `path=value` overrides of the command line.
    pub overrides: Vec<String>,
    /// The host of the coordinator.
    pub host: String,
    /// The version of grid.
    pub version: String,
    /// The start in UTC, such as `2026-01-31T12:00:00Z`.
    pub started: String,
}

impl Store {
    /// The invocation that made the result of a job; `None` for a job without a result, or if the invocation is not known.
    pub async fn provenance(&self, job: JobId) -> Result<Option<Provenance>, StoreError> {
        let row = sqlx::query(
            "SELECT experiment, command, spec_path, overrides, host, version, started FROM v_provenance
             WHERE job = ?1 AND invocation IS NOT NULL",
        )
        .bind(job.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let overrides: String = row.try_get("overrides")?;
        let overrides = serde_json::from_str(&overrides)
            .map_err(|_| StoreError::Unreadable { column: "invocation.overrides", value: overrides })?;
        Ok(Some(Provenance {
            experiment: row.try_get("experiment")?,
            command: row.try_get("command")?,
            spec_path: PathBuf::from(row.try_get::<String, _>("spec_path")?),
            overrides,
            host: row.try_get("host")?,
            version: row.try_get("version")?,
            started: row.try_get("started")?,
        }))
    }
}
