//! The jobs of experiments and their state.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::columns::{parse_id, parse_word, unsigned};
use super::error::StoreError;
use super::open::Store;
use crate::domain::{BackendKind, Job, JobId, JobKind};

/// The state of a job, or of one of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Never submitted. Attempts are never in this state.
    Waiting,
    /// Handed to a worker that has not started.
    Submitted,
    /// A worker is running it.
    Running,
    /// Stopped on request, with its state saved.
    Interrupted,
    /// The worker vanished.
    Lost,
    /// Ended with an error.
    Failed,
    /// Ended with its artifacts.
    Done,
}

impl JobState {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Submitted => "submitted",
            JobState::Running => "running",
            JobState::Interrupted => "interrupted",
            JobState::Lost => "lost",
            JobState::Failed => "failed",
            JobState::Done => "done",
        }
    }
}

/// A job and its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    /// The id of the job.
    pub id: JobId,
    /// The kind of the job.
    pub kind: JobKind,
    /// The name shown to people, without the kind.
    pub label: String,
    /// The state of the current attempt, or waiting if there is none.
    pub state: JobState,
    /// The number of attempts so far.
    pub attempts: u64,
    /// The start of the first attempt, in milliseconds since 1970 UTC.
    pub started: Option<i64>,
    /// The end of the current attempt, in milliseconds since 1970 UTC.
    pub ended: Option<i64>,
    /// The total duration of all attempts that have ended, in seconds.
    pub seconds: Option<f64>,
    /// The number of tokens trained on; 0 for a job that does not train.
    pub tokens: u64,
    /// The device of the current attempt.
    pub device: Option<String>,
    /// The backend that the current attempt was submitted to.
    #[serde(skip)]
    pub backend: Option<BackendKind>,
    /// The units of work done and the total, as the current attempt last reported them.
    pub progress: Option<(u64, u64)>,
    /// Why the current attempt failed or was lost; otherwise its warnings, one per line.
    pub message: Option<String>,
    /// The absolute path of the folder that holds the attempts.
    pub folder: PathBuf,
}

impl Store {
    /// The jobs of an experiment in the order of its plan.
    pub async fn job_rows(&self, experiment: &str) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.*, attempt.slot FROM experiment_job JOIN v_job_states AS s ON s.job = experiment_job.job
             JOIN job ON job.id = s.job LEFT JOIN attempt ON attempt.id = job.current
             WHERE experiment = ?1 ORDER BY position",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| self.job_row(row)).collect()
    }

    /// The jobs that `text` may name: a prefix of an id or of `kind-id`, the label of a job, optionally as `kind/label`,
    /// or the label of a cell, optionally as `experiment/label`.
    ///
    /// If any of the matches belongs to a current plan, matches that belong to no current plan are left out.
    pub async fn find_jobs(&self, text: &str) -> Result<Vec<JobRow>, StoreError> {
        if text.is_empty() {
            return Ok(vec![]);
        }
        let rows = sqlx::query(
            "WITH found AS (
                 SELECT s.*, (SELECT min(position) FROM experiment_job WHERE experiment_job.job = s.job) AS place,
                     (SELECT slot FROM attempt JOIN job ON job.current = attempt.id WHERE job.id = s.job) AS slot
                 FROM v_job_states AS s
                 WHERE substr(s.job, 1, length(?1)) = lower(?1)
                     OR (instr(?1, '-') > 0 AND substr(s.kind || '-' || s.job, 1, length(?1)) = ?1)
                     OR ?1 IN (s.label, s.kind || '/' || s.label)
                     OR s.job IN (SELECT job FROM cell JOIN cell_job ON cell_job.cell = cell.id
                                  WHERE label = ?1 OR experiment || '/' || label = ?1))
             SELECT * FROM found
             WHERE place IS NOT NULL OR NOT EXISTS (SELECT 1 FROM found WHERE place IS NOT NULL)
             ORDER BY place, job",
        )
        .bind(text)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| self.job_row(row)).collect()
    }

    /// A job and its label; `None` if the job was never planned.
    pub async fn job(&self, id: JobId) -> Result<Option<(Job, String)>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as("SELECT canonical, label FROM job WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(canonical, label)| Ok((parse_canonical(canonical)?, label))).transpose()
    }

    /// The canonical form of a job, the JSON that its id is a hash of; `None` if the job was never planned.
    pub async fn canonical(&self, job: JobId) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT canonical FROM job WHERE id = ?1")
            .bind(job.to_string())
            .fetch_optional(&self.pool)
            .await?)
    }

    fn job_row(&self, row: &SqliteRow) -> Result<JobRow, StoreError> {
        let done: Option<i64> = row.try_get("progress_done")?;
        let total: Option<i64> = row.try_get("progress_total")?;
        Ok(JobRow {
            id: parse_id("job.id", row.try_get("job")?)?,
            kind: parse_word("job.kind", row.try_get("kind")?)?,
            label: row.try_get("label")?,
            state: parse_word("attempt.state", row.try_get("state")?)?,
            attempts: unsigned(row, "attempts")?,
            started: row.try_get("started")?,
            ended: row.try_get("ended")?,
            seconds: row.try_get("seconds")?,
            tokens: unsigned(row, "tokens")?,
            device: row.try_get("device")?,
            backend: row.try_get::<Option<String>, _>("slot")?.map(|slot| BackendKind::of_slot(&slot)),
            progress: done.zip(total).map(|(done, total)| (done as u64, total as u64)),
            message: row.try_get("message")?,
            folder: self.absolute(row.try_get("folder")?)?,
        })
    }
}

/// Reads a job back from its canonical form.
pub(super) fn parse_canonical(canonical: String) -> Result<Job, StoreError> {
    #[derive(Deserialize)]
    struct Canonical {
        job: Job,
    }
    match serde_json::from_str::<Canonical>(&canonical) {
        Ok(canonical) => Ok(canonical.job),
        Err(_) => Err(StoreError::Unreadable { column: "job.canonical", value: canonical }),
    }
}
