//! Recording a plan and the invocation that executes it.

use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;

use super::error::StoreError;
use super::open::{Store, utf8};
use crate::domain::{CellKey, Job, JobId};

/// An experiment as its spec defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// The name in the spec.
    pub name: String,
    /// The path of the spec.
    pub spec_path: PathBuf,
    /// The content of the spec.
    pub spec_text: String,
    /// The `path=value` overrides of the command line.
    pub overrides: Vec<String>,
}

/// A cell of a plan, to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRecord {
    /// The coordinates of the cell on the axes of the experiment.
    pub key: CellKey,
    /// The jobs of the cell, each once.
    pub jobs: Vec<CellJob>,
}

/// A job of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellJob {
    /// The job.
    pub job: JobId,
    /// What the job is to the cell: `model`, `eval` or `ancestor`.
    pub role: String,
}

/// A job of a plan, to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct JobRecord<'a> {
    /// The id of `job`.
    pub id: JobId,
    /// The full description of the work.
    pub job: &'a Job,
    /// The name shown to people, without the kind.
    pub label: &'a str,
    /// The absolute path of the folder that holds the attempts.
    pub folder: &'a Path,
    /// The jobs of the same plan whose results this job reads.
    pub parents: &'a [JobId],
}

/// One execution of `grid run` or `grid resume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The start, in milliseconds since 1970 UTC.
    pub started: i64,
    /// The command line.
    pub command: String,
    /// The host name.
    pub host: String,
    /// The version of grid.
    pub version: String,
    /// The commit that grid was built from, if known.
    pub git_commit: Option<String>,
}

/// The row id of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvocationId(pub(super) i64);

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationOutcome {
    /// All jobs are done.
    Done,
    /// Some jobs failed.
    Failed,
    /// It was asked to stop.
    Interrupted,
}

impl InvocationOutcome {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            InvocationOutcome::Done => "done",
            InvocationOutcome::Failed => "failed",
            InvocationOutcome::Interrupted => "interrupted",
        }
    }
}

impl Store {
    /// Records an experiment with its cells and jobs, and the invocation that is about to execute it.
    ///
    /// The plan replaces an earlier plan of the same name: cells and jobs that are no longer part of it are removed from
    /// the experiment, but the results of these jobs are kept. Parents must precede their children in `jobs`;
    /// [`Store::job_rows`] returns jobs in this order.
    pub async fn begin(
        &self,
        experiment: &Experiment,
        cells: &[CellRecord],
        jobs: &[JobRecord<'_>],
        invocation: &Invocation,
    ) -> Result<InvocationId, StoreError> {
        let mut transaction = self.write().await?;
        write_experiment(&mut transaction, experiment, invocation.started).await?;
        self.write_jobs(&mut transaction, &experiment.name, jobs, invocation.started).await?;
        write_cells(&mut transaction, &experiment.name, cells).await?;
        let id = write_invocation(&mut transaction, experiment, invocation).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Records how an invocation ended; `at` is in milliseconds since 1970 UTC.
    pub async fn finish(
        &self,
        invocation: InvocationId,
        outcome: InvocationOutcome,
        at: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE invocation SET outcome = ?2, ended = ?3 WHERE id = ?1")
            .bind(invocation.0)
            .bind(outcome.name())
            .bind(at)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Makes these jobs the plan of the experiment.
    async fn write_jobs(
        &self,
        connection: &mut SqliteConnection,
        experiment: &str,
        jobs: &[JobRecord<'_>],
        at: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM experiment_job WHERE experiment = ?1")
            .bind(experiment)
            .execute(&mut *connection)
            .await?;
        for (position, job) in jobs.iter().enumerate() {
            let id = job.id.to_string();
            // A job that was submitted before keeps its folder, which holds its attempts.
            sqlx::query(
                "INSERT INTO job (id, kind, canonical, label, folder, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE
                 SET label = excluded.label, folder = iif(current IS NULL, excluded.folder, folder)",
            )
            .bind(&id)
            .bind(job.job.kind().name())
            .bind(job.job.canonical())
            .bind(job.label)
            .bind(self.relative(job.folder)?)
            .bind(at)
            .execute(&mut *connection)
            .await?;
            sqlx::query("INSERT INTO experiment_job (experiment, position, job) VALUES (?1, ?2, ?3)")
                .bind(experiment)
                .bind(position as i64)
                .bind(&id)
                .execute(&mut *connection)
                .await?;
            for parent in job.parents {
                sqlx::query("INSERT INTO job_parent (job, parent) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                    .bind(&id)
                    .bind(parent.to_string())
                    .execute(&mut *connection)
                    .await?;
            }
        }
        Ok(())
    }
}

async fn write_experiment(
    connection: &mut SqliteConnection,
    experiment: &Experiment,
    at: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO experiment (name, spec_path, spec_text, overrides, created) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE
         SET spec_path = excluded.spec_path, spec_text = excluded.spec_text, overrides = excluded.overrides",
    )
    .bind(&experiment.name)
    .bind(utf8(&experiment.spec_path)?)
    .bind(&experiment.spec_text)
    .bind(serde_json::json!(experiment.overrides).to_string())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes these cells the cells of the experiment; a cell that stays keeps its row id.
async fn write_cells(
    connection: &mut SqliteConnection,
    experiment: &str,
    cells: &[CellRecord],
) -> Result<(), StoreError> {
    let labels: Vec<String> = cells.iter().map(|cell| cell.key.label()).collect();
    sqlx::query("DELETE FROM cell WHERE experiment = ?1 AND label NOT IN (SELECT value FROM json_each(?2))")
        .bind(experiment)
        .bind(serde_json::json!(labels).to_string())
        .execute(&mut *connection)
        .await?;
    for (position, (CellRecord { key, jobs }, label)) in cells.iter().zip(&labels).enumerate() {
        let extra: Vec<String> = key.extra.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        let cell: i64 = sqlx::query_scalar(
            "INSERT INTO cell (experiment, position, label, model, dataset, curriculum, seed, extra)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (experiment, label) DO UPDATE SET position = excluded.position, model = excluded.model,
                 dataset = excluded.dataset, curriculum = excluded.curriculum, extra = excluded.extra
             RETURNING id",
        )
        .bind(experiment)
        .bind(position as i64)
        .bind(label)
        .bind(&key.model)
        .bind(&key.dataset)
        .bind(&key.curriculum)
        // SQLite has no unsigned integers: the same 64 bits, which `columns::unsigned` casts back.
        .bind(key.seed as i64)
        .bind(extra.join(", "))
        .fetch_one(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM cell_job WHERE cell = ?1").bind(cell).execute(&mut *connection).await?;
        for CellJob { job, role } in jobs {
            sqlx::query("INSERT INTO cell_job (cell, job, role) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
                .bind(cell)
                .bind(job.to_string())
                .bind(role)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

async fn write_invocation(
    connection: &mut SqliteConnection,
    experiment: &Experiment,
    invocation: &Invocation,
) -> Result<InvocationId, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO invocation (experiment, command, host, version, git_commit, started, spec_path, spec_text, overrides)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
    )
    .bind(&experiment.name)
    .bind(&invocation.command)
    .bind(&invocation.host)
    .bind(&invocation.version)
    .bind(&invocation.git_commit)
    .bind(invocation.started)
    .bind(utf8(&experiment.spec_path)?)
    .bind(&experiment.spec_text)
    .bind(serde_json::json!(experiment.overrides).to_string())
    .fetch_one(connection)
    .await?;
    Ok(InvocationId(id))
}
