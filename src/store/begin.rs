//! Writing a plan down, and the invocations that work on it.

use super::error::StoreError;
use super::open::{Store, text};
use super::rows::{Ending, Experiment, Invocation, InvocationId, PlannedCell, PlannedRow};

impl Store {
    /// Writes down an experiment, its cells and jobs, and the invocation that is about to work on it.
    ///
    /// The plan replaces an earlier one of the same name: cells and jobs that it no longer has leave the experiment;
    /// what the jobs gave stays. `jobs` come in an order in which parents precede their children, which is the order
    /// in which [`Store::job_rows`] returns them.
    pub async fn begin(
        &self,
        experiment: &Experiment,
        cells: &[PlannedCell],
        jobs: &[PlannedRow<'_>],
        invocation: &Invocation,
    ) -> Result<InvocationId, StoreError> {
        let mut transaction = self.write().await?;
        let name = experiment.name.as_str();
        sqlx::query(
            "INSERT INTO experiment (name, spec_path, spec_text, overrides, created) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE
             SET spec_path = excluded.spec_path, spec_text = excluded.spec_text, overrides = excluded.overrides",
        )
        .bind(name)
        .bind(text(&experiment.spec_path)?)
        .bind(&experiment.spec_text)
        .bind(serde_json::json!(experiment.overrides).to_string())
        .bind(invocation.started)
        .execute(&mut *transaction)
        .await?;

        sqlx::query("DELETE FROM experiment_job WHERE experiment = ?1").bind(name).execute(&mut *transaction).await?;
        for (position, job) in jobs.iter().enumerate() {
            let id = job.id.to_string();
            // A job that was submitted before stays where its attempts are.
            sqlx::query(
                "INSERT INTO job (id, kind, canonical, label, folder, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE
                 SET label = excluded.label, folder = iif(current IS NULL, excluded.folder, folder)",
            )
            .bind(&id)
            .bind(job.job.kind().name())
            .bind(job.job.canonical())
            .bind(job.label)
            .bind(self.stored(job.folder)?)
            .bind(invocation.started)
            .execute(&mut *transaction)
            .await?;
            sqlx::query("INSERT INTO experiment_job (experiment, position, job) VALUES (?1, ?2, ?3)")
                .bind(name)
                .bind(position as i64)
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            for parent in job.parents {
                sqlx::query("INSERT INTO job_parent (job, parent) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                    .bind(&id)
                    .bind(parent.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
        }

        let labels: Vec<String> = cells.iter().map(|(key, _)| key.label()).collect();
        sqlx::query("DELETE FROM cell WHERE experiment = ?1 AND label NOT IN (SELECT value FROM json_each(?2))")
            .bind(name)
            .bind(serde_json::json!(labels).to_string())
            .execute(&mut *transaction)
            .await?;
        for (position, ((key, roles), label)) in cells.iter().zip(&labels).enumerate() {
            let extra: Vec<String> = key.extra.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
            let cell: i64 = sqlx::query_scalar(
                "INSERT INTO cell (experiment, position, label, model, dataset, curriculum, seed, extra)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (experiment, label) DO UPDATE SET position = excluded.position, model = excluded.model,
                     dataset = excluded.dataset, curriculum = excluded.curriculum, extra = excluded.extra
                 RETURNING id",
            )
            .bind(name)
            .bind(position as i64)
            .bind(label)
            .bind(&key.model)
            .bind(&key.dataset)
            .bind(&key.curriculum)
            // SQLite has no unsigned integers: the same 64 bits, taken back by the same cast.
            .bind(key.seed as i64)
            .bind(extra.join(", "))
            .fetch_one(&mut *transaction)
            .await?;
            sqlx::query("DELETE FROM cell_job WHERE cell = ?1").bind(cell).execute(&mut *transaction).await?;
            for (job, role) in roles {
                sqlx::query("INSERT INTO cell_job (cell, job, role) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
                    .bind(cell)
                    .bind(job.to_string())
                    .bind(role)
                    .execute(&mut *transaction)
                    .await?;
            }
        }

        let id: i64 = sqlx::query_scalar(
            "INSERT INTO invocation (experiment, command, host, version, git_commit, started)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
        )
        .bind(name)
        .bind(&invocation.command)
        .bind(&invocation.host)
        .bind(&invocation.version)
        .bind(&invocation.git_commit)
        .bind(invocation.started)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(InvocationId(id))
    }

    /// Writes down how an invocation ended; `at` in milliseconds since 1970 UTC.
    pub async fn finish(&self, invocation: InvocationId, ending: Ending, at: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE invocation SET outcome = ?2, ended = ?3 WHERE id = ?1")
            .bind(invocation.0)
            .bind(ending.name())
            .bind(at)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
