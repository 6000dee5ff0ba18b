//! Folders in the runs folder that are no longer needed.

use std::path::{Path, PathBuf};

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
    id: String,
    job: String,
    home: String,
    token: Option<String>,
    attempt: Option<String>,
}

impl Store {
    /// The interrupted, lost and failed attempts at jobs that are done, which nothing will resume.
    pub async fn superseded_attempts(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<GarbageRow> = sqlx::query_as(
            "SELECT job.id AS id, kind || ' ' || label AS job, job.folder AS home, token, attempt.folder AS attempt
             FROM job JOIN attempt ON attempt.job = job.id
             WHERE job.result IS NOT NULL AND attempt.id <> job.result AND attempt.folder IS NOT NULL
                 AND attempt.folder <> (SELECT folder FROM attempt AS best WHERE best.id = job.result)
                 AND (SELECT state FROM attempt AS last WHERE last.id = job.current) = 'done'
             ORDER BY kind, label, attempt.id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.garbage(row)).collect()
    }

    /// The folders of jobs that are not part of the current plan of any experiment.
    pub async fn unplanned_jobs(&self) -> Result<Vec<Garbage>, StoreError> {
        let rows: Vec<GarbageRow> = sqlx::query_as(
            "SELECT id, kind || ' ' || label AS job, folder AS home, NULL AS token, NULL AS attempt FROM job
             WHERE NOT EXISTS (SELECT 1 FROM experiment_job WHERE experiment_job.job = job.id)
             ORDER BY kind, label, id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.garbage(row)).collect()
    }

    /// # Errors
    /// Folders outside the folder of runs, and folders that are not named after the job and the attempt: deleting them
    /// would delete something else.
    fn garbage(&self, row: GarbageRow) -> Result<Garbage, StoreError> {
        let GarbageRow { id, job, home, token, attempt } = row;
        let digits = id.get(..16).unwrap_or(&id);
        let is_home = |folder: &Path| name_of(folder).ends_with(&format!("-{digits}"));
        let is_attempt = |folder: &Path| {
            folder.parent().is_some_and(is_home)
                && token.as_ref().is_some_and(|token| name_of(folder).starts_with(&format!("{token}-")))
        };
        let checked = |stored: &str, is_right: &dyn Fn(&Path) -> bool| -> Result<PathBuf, StoreError> {
            let path = self.absolute(stored)?;
            if is_right(&path) { Ok(path) } else { Err(StoreError::ForeignFolder { path, job: id.clone() }) }
        };
        let home = checked(&home, &is_home)?;
        let attempt = attempt.map(|attempt| checked(&attempt, &is_attempt)).transpose()?;
        Ok(Garbage { job, home, attempt })
    }
}

/// The last component of a path.
fn name_of(folder: &Path) -> &str {
    folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
