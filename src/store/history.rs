//! What happened to jobs so far, which decides whether they have to run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sqlx::{FromRow, Row, SqliteConnection};

use super::columns::{json_list, parse_id, parse_word};
use super::error::StoreError;
use super::jobs::JobState;
use super::open::Store;
use crate::domain::{Artifact, FailureKind, JobId};

/// How the last attempt at a job ended, or that it has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastAttempt {
    /// The job was never submitted.
    Never,
    /// The job was submitted, and no worker has reported.
    Submitted,
    /// A worker was running the job when it last reported.
    Running,
    /// The job was stopped on request.
    Interrupted,
    /// The worker vanished.
    Lost,
    /// The job failed.
    Failed {
        /// The kind of failure.
        failure: FailureKind,
        /// The error message.
        message: String,
    },
    /// The job is done.
    Done,
}

/// What is recorded about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHistory {
    /// How the last attempt ended.
    pub last: LastAttempt,
    /// The absolute path of the folder that holds the attempts.
    pub folder: PathBuf,
    /// The absolute path of the folder of the last attempt; `None` before a worker has written to it.
    pub attempt: Option<PathBuf>,
    /// The artifacts, sorted by path; empty unless the job is done.
    pub artifacts: Vec<Artifact>,
    /// The token of the last submission.
    pub token: Option<String>,
}

#[derive(FromRow)]
struct ArtifactRow {
    job: String,
    path: String,
    bytes: i64,
    digest: String,
    stamp: Option<String>,
}

impl Store {
    /// The history of each of these jobs; jobs that were never planned are left out.
    pub async fn history(&self, ids: &[JobId]) -> Result<BTreeMap<JobId, JobHistory>, StoreError> {
        let ids = json_list(ids);
        let mut snapshot = self.pool.begin().await?;
        let mut artifacts = artifacts(&mut snapshot, &ids).await?;
        let rows = sqlx::query(
            "SELECT job.id AS id, job.folder AS home, coalesce(state, 'waiting') AS state, failure, message,
                 attempt.folder AS folder, token
             FROM job LEFT JOIN attempt ON attempt.id = job.current
             WHERE job.id IN (SELECT value FROM json_each(?1))",
        )
        .bind(&ids)
        .fetch_all(&mut *snapshot)
        .await?;
        let mut history = BTreeMap::new();
        for row in rows {
            let id: String = row.try_get("id")?;
            let last = match parse_word("attempt.state", row.try_get("state")?)? {
                JobState::Waiting => LastAttempt::Never,
                JobState::Submitted => LastAttempt::Submitted,
                JobState::Running => LastAttempt::Running,
                JobState::Interrupted => LastAttempt::Interrupted,
                JobState::Lost => LastAttempt::Lost,
                JobState::Failed => LastAttempt::Failed {
                    failure: parse_word("attempt.failure", row.try_get("failure")?)?,
                    message: row.try_get::<Option<String>, _>("message")?.unwrap_or_default(),
                },
                JobState::Done => LastAttempt::Done,
            };
            let artifacts = if last == LastAttempt::Done { artifacts.remove(&id).unwrap_or_default() } else { vec![] };
            let attempt: Option<String> = row.try_get("folder")?;
            let entry = JobHistory {
                last,
                folder: self.absolute(row.try_get("home")?)?,
                attempt: attempt.map(|folder| self.absolute(&folder)).transpose()?,
                artifacts,
                token: row.try_get("token")?,
            };
            history.insert(parse_id("job.id", &id)?, entry);
        }
        Ok(history)
    }
}

/// The artifacts by job; `ids` is a JSON list.
async fn artifacts(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<BTreeMap<String, Vec<Artifact>>, StoreError> {
    let rows: Vec<ArtifactRow> = sqlx::query_as(
        "SELECT job, path, bytes, digest, stamp FROM artifact
         WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY job, path",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut artifacts: BTreeMap<String, Vec<Artifact>> = BTreeMap::new();
    for ArtifactRow { job, path, bytes, digest, stamp } in rows {
        let digest = parse_id("artifact.digest", &digest)?;
        let path = path.parse().map_err(|_| StoreError::Unreadable { column: "artifact.path", value: path })?;
        // A stamp only saves reading the file.
        let stamp = stamp.and_then(|stamp| serde_json::from_str(&stamp).ok());
        let artifact = Artifact { path, bytes: bytes as u64, digest, stamp };
        artifacts.entry(job).or_default().push(artifact);
    }
    Ok(artifacts)
}
