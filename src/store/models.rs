//! The models that jobs left: which, from what, and how good.

use sqlx::Row;

use super::error::StoreError;
use super::open::Store;
use super::read::{parsed, score, word};
use super::rows::{LineageJob, ModelJob};
use crate::domain::{Job, JobId, Score, layout};

impl Store {
    /// The training and import jobs that this text may mean: the beginning of an id or of `kind-id`, a job's label, or
    /// the label of a cell, with its experiment before it or not, for the cell's own model.
    pub async fn model_jobs(&self, text: &str) -> Result<Vec<ModelJob>, StoreError> {
        if text.is_empty() {
            return Ok(vec![]);
        }
        let rows = sqlx::query(
            "WITH found AS (
                 SELECT job.id AS id, kind, label, attempt.folder AS folder,
                     (SELECT min(position) FROM experiment_job WHERE experiment_job.job = job.id) AS place
                 FROM job LEFT JOIN attempt ON attempt.id = job.result
                 WHERE kind IN ('pretrain', 'import', 'tune') AND (
                     substr(job.id, 1, length(?1)) = lower(?1)
                     OR (instr(?1, '-') > 0 AND substr(kind || '-' || job.id, 1, length(?1)) = ?1)
                     OR ?1 IN (label, kind || '/' || label)
                     OR job.id IN (SELECT cell_job.job FROM cell JOIN cell_job ON cell_job.cell = cell.id
                                   WHERE role = 'model' AND (cell.label = ?1 OR experiment || '/' || cell.label = ?1))))
             SELECT * FROM found
             WHERE place IS NOT NULL OR NOT EXISTS (SELECT 1 FROM found WHERE place IS NOT NULL)
             ORDER BY place, id",
        )
        .bind(text)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let folder: Option<String> = row.try_get("folder")?;
                Ok(ModelJob {
                    id: parsed("job.id", row.try_get("id")?)?,
                    kind: word("job.kind", row.try_get("kind")?)?,
                    label: row.try_get("label")?,
                    output: folder.map(|folder| self.resolved(&folder).join(layout::OUTPUT)),
                })
            })
            .collect()
    }

    /// A job and its label; `None` for one that was never planned.
    pub async fn job(&self, id: JobId) -> Result<Option<(Job, String)>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Canonical {
            job: Job,
        }
        let row: Option<(String, String)> = sqlx::query_as("SELECT canonical, label FROM job WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some((canonical, label)) = row else { return Ok(None) };
        match serde_json::from_str::<Canonical>(&canonical) {
            Ok(canonical) => Ok(Some((canonical.job, label))),
            Err(_) => Err(StoreError::Unreadable { column: "job.canonical", value: canonical }),
        }
    }

    /// A job and all it came from, parents first.
    pub async fn lineage(&self, job: JobId) -> Result<Vec<LineageJob>, StoreError> {
        let rows = sqlx::query(
            "WITH RECURSIVE ancestor (id, depth) AS (
                 SELECT ?1, 0
                 UNION SELECT parent, depth + 1 FROM job_parent JOIN ancestor ON job_parent.job = ancestor.id
             )
             SELECT job.id AS id, kind, label, canonical,
                 (SELECT value FROM metric WHERE metric.job = job.id AND name = 'words' ORDER BY step DESC LIMIT 1)
                     AS words,
                 (SELECT value FROM metric WHERE metric.job = job.id AND name = 'tokens' ORDER BY step DESC LIMIT 1)
                     AS tokens
             FROM job JOIN (SELECT id, max(depth) AS depth FROM ancestor GROUP BY id) AS place ON place.id = job.id
             ORDER BY depth DESC, label",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await?;
        let count = |value: Option<f64>| value.map(|value| value as u64);
        rows.iter()
            .map(|row| {
                Ok(LineageJob {
                    id: parsed("job.id", row.try_get("id")?)?,
                    kind: word("job.kind", row.try_get("kind")?)?,
                    label: row.try_get("label")?,
                    canonical: row.try_get("canonical")?,
                    words: count(row.try_get("words")?),
                    tokens: count(row.try_get("tokens")?),
                })
            })
            .collect()
    }

    /// The labels of the cells of an experiment, in the order of its axes.
    pub async fn cell_labels(&self, experiment: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT label FROM cell WHERE experiment = ?1 ORDER BY position")
            .bind(experiment)
            .fetch_all(&self.pool)
            .await?)
    }

    /// The cells whose model a job left, as (experiment, label), the experiment that ran last first.
    pub async fn cells_of_model(&self, job: JobId) -> Result<Vec<(String, String)>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT experiment, label FROM cell JOIN cell_job ON cell_job.cell = cell.id
             WHERE job = ?1 AND role = 'model'
             ORDER BY (SELECT max(id) FROM invocation WHERE invocation.experiment = cell.experiment) DESC, label",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await?)
    }

    /// The scores that stand of the model that a job left, whichever experiments asked for them; the aggregate of a
    /// task before its subtasks.
    pub async fn scores_of_model(&self, job: JobId) -> Result<Vec<Score>, StoreError> {
        let rows = sqlx::query(
            "SELECT score.* FROM score
             JOIN job ON job.id = score.job AND job.result = score.attempt
             JOIN job_parent ON job_parent.job = job.id
             WHERE job_parent.parent = ?1 AND job.canonical ->> '$.job.milestone' IS NULL
             ORDER BY suite, mode, task, subtask NULLS FIRST, metric, job.id",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(score).collect()
    }
}
