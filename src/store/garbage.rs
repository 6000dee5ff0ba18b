//! Folders in the runs folder that are no longer needed.

use std::path::PathBuf;

use sqlx::FromRow;

use super::error::StoreError;
use super::open::Store;

/// A folder that can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// The kind and the label of the job, such as `pretrain tiny/seed1`.
    pub job: String,
    /// The folder of the job. A worker that runs the job holds a lock in it.
    pub home: PathBuf,
    /// The folder of an interrupted, lost or failed attempt at a job that is done; `None` stands for all of `home`.
    pub attempt: Option<PathBuf>,
}

/// [`Garbage`] with the paths as they are stored.
#[derive(FromRow)]
struct GarbageRow {
    job: String,
    home: String,
    attempt: Option<String>,
}

impl Store {
    /// The interrupted, lost and failed attempts at jobs that are done, which nothing will resume.
    pub async fn superseded_attempts(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<GarbageRow> = sqlx::query_as(
            "SELECT kind || ' ' || label AS job, job.folder AS home, attempt.folder AS attempt
             FROM job JOIN attempt ON attempt.job = job.id
             WHERE job.result IS NOT NULL AND attempt.id <> job.result AND attempt.folder IS NOT NULL
                 AND attempt.folder <> (SELECT folder FROM attempt AS best WHERE best.id = job.result)
                 AND (SELECT state FROM attempt AS last WHERE last.id = job.current) = 'done'
             ORDER BY kind, label, attempt.id",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| self.garbage(row)).collect())
    }

    /// The folders of jobs that are not part of the current plan of any experiment.
    pub async fn unplanned_jobs(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<GarbageRow> = sqlx::query_as(
            "SELECT kind || ' ' || label AS job, folder AS home, NULL AS attempt FROM job
             WHERE NOT EXISTS (SELECT 1 FROM experiment_job WHERE experiment_job.job = job.id)
             ORDER BY kind, label, id",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| self.garbage(row)).collect())
    }

    fn garbage(&self, GarbageRow { job, home, attempt }: GarbageRow) -> Garbage {
        Garbage { job, home: self.absolute(&home), attempt: attempt.map(|attempt| self.absolute(&attempt)) }
    }
}
