//! The attempts at a job.

use std::path::PathBuf;

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::columns::{optional_unsigned, parse_word};
use super::error::StoreError;
use super::jobs::JobState;
use super::open::Store;
use crate::domain::{FailureKind, JobId};

/// An attempt at a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    /// The token of the submission.
    pub token: String,
    /// The absolute path of the folder; `None` before a worker has written to it.
    pub folder: Option<PathBuf>,
    /// The state, never waiting.
    pub state: JobState,
    /// The device and the number of the slot it was submitted to, such as `cpu/0`.
    pub slot: Option<String>,
    /// The host name of the worker.
    pub host: Option<String>,
    /// The process id of the worker.
    pub pid: Option<u32>,
    /// The device of the worker, such as `cuda:0`.
    pub device: Option<String>,
    /// The number of threads of the worker.
    pub threads: Option<u32>,
    /// The number of rows per forward pass; `None` for the whole batch.
    pub micro_batch: Option<u32>,
    /// The versions of grid and libtorch.
    pub version: Option<String>,
    /// The time of the submission, in milliseconds since 1970 UTC.
    pub submitted: Option<i64>,
    /// The start, in milliseconds since 1970 UTC.
    pub started: Option<i64>,
    /// The end, in milliseconds since 1970 UTC; for a lost attempt, the time of its last sign of life.
    pub ended: Option<i64>,
    /// The optimizer step of the checkpoint it resumed from.
    pub resumed_step: Option<u64>,
    /// The kind of failure, if it failed.
    pub failure: Option<FailureKind>,
    /// Why it failed or was lost.
    pub message: Option<String>,
    /// The warnings of its journal.
    pub warnings: Vec<String>,
}

impl Store {
    /// The attempts at a job in the order of submission.
    pub async fn attempts(&self, job: JobId) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempt WHERE job = ?1 ORDER BY id")
            .bind(job.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| self.attempt_row(row)).collect()
    }

    fn attempt_row(&self, row: &SqliteRow) -> Result<AttemptRow, StoreError> {
        let folder: Option<String> = row.try_get("folder")?;
        let failure: Option<String> = row.try_get("failure")?;
        let warnings: Option<String> = row.try_get("warnings")?;
        Ok(AttemptRow {
            token: row.try_get("token")?,
            folder: folder.map(|folder| self.absolute(&folder)).transpose()?,
            state: parse_word("attempt.state", row.try_get("state")?)?,
            slot: row.try_get("slot")?,
            host: row.try_get("host")?,
            pid: row.try_get("pid")?,
            device: row.try_get("device")?,
            threads: row.try_get("threads")?,
            micro_batch: row.try_get("micro_batch")?,
            version: row.try_get("version")?,
            submitted: row.try_get("submitted")?,
            started: row.try_get("started")?,
            ended: row.try_get("ended")?,
            resumed_step: optional_unsigned(row, "resumed_step")?,
            failure: failure.map(|text| parse_word("attempt.failure", &text)).transpose()?,
            message: row.try_get("message")?,
            warnings: warnings.iter().flat_map(|text| text.lines()).map(str::to_owned).collect(),
        })
    }
}
