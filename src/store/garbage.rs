//! What lies in the runs folder and is of no further use.

use std::path::PathBuf;

use super::error::StoreError;
use super::open::Store;

/// A folder that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// The job, `pretrain tiny/seed1`.
    pub job: String,
    /// Its folder, in which a worker at it holds a lock.
    pub home: PathBuf,
    /// The folder of an attempt that gave nothing to a job that is done; all of `home` where it is `None`.
    pub attempt: Option<PathBuf>,
}

impl Store {
    /// The attempts that gave nothing, of jobs that are done: nobody goes on from them.
    pub async fn vain_attempts(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT kind || ' ' || label, job.folder, attempt.folder
             FROM job JOIN attempt ON attempt.job = job.id
             WHERE job.result IS NOT NULL AND attempt.id <> job.result AND attempt.folder IS NOT NULL
                 AND attempt.folder <> (SELECT folder FROM attempt AS best WHERE best.id = job.result)
                 AND (SELECT state FROM attempt AS last WHERE last.id = job.current) = 'done'
             ORDER BY kind, label, attempt.id",
        )
        .fetch_all(&self.pool)
        .await?;
        let garbage = |(job, home, attempt): (String, String, String)| Garbage {
            job,
            home: self.resolved(&home),
            attempt: Some(self.resolved(&attempt)),
        };
        Ok(rows.into_iter().map(garbage).collect())
    }

    /// The folders of jobs that stand in no plan of today.
    pub async fn unplanned_jobs(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT kind || ' ' || label, folder FROM job
             WHERE NOT EXISTS (SELECT 1 FROM experiment_job WHERE experiment_job.job = job.id)
             ORDER BY kind, label, id",
        )
        .fetch_all(&self.pool)
        .await?;
        let garbage = |(job, home): (String, String)| Garbage { job, home: self.resolved(&home), attempt: None };
        Ok(rows.into_iter().map(garbage).collect())
    }
}
