//! The models that jobs produced, and what they were made from.

use std::path::PathBuf;

use sqlx::{FromRow, Row};

use super::columns::{parse_id, parse_word, unsigned};
use super::error::StoreError;
use super::jobs::parse_canonical;
use super::open::Store;
use crate::domain::layout::OUTPUT;
use crate::domain::{Job, JobId, JobKind, Milestone};

/// A job that produces a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelJob {
    /// The id of the job.
    pub id: JobId,
    /// Pretrain, import or tune.
    pub kind: JobKind,
    /// The name shown to people, without the kind.
    pub label: String,
    /// The absolute path of the folder of the model; `None` before the job is done.
    pub output: Option<PathBuf>,
}

/// A job that a model was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct LineageJob {
    /// The id of the job, as it was recorded.
    pub id: JobId,
    /// The name shown to people, without the kind.
    pub label: String,
    /// The full description of the work.
    pub job: Job,
    /// The words of a prepared text, or the words trained on; `None` for other kinds.
    pub words: Option<u64>,
    /// The same in tokens.
    pub tokens: Option<u64>,
}

/// A copy of a model that a training kept for a milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptMilestone {
    /// The milestone.
    pub milestone: Milestone,
    /// Words seen when it was reached, counting repetitions.
    pub words: u64,
    /// Tokens trained on when it was reached.
    pub tokens: u64,
}

/// A cell of some experiment.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CellName {
    /// The name of the experiment.
    pub experiment: String,
    /// The label of the cell.
    pub label: String,
}

impl Store {
    /// The training and import jobs that `text` may name: a prefix of an id or of `kind-id`, the label of a job, or the
    /// label of a cell, optionally as `experiment/label`, for the cell's own model.
    ///
    /// If any of the matches belongs to a current plan, matches that belong to no current plan are left out.
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
                    id: parse_id("job.id", row.try_get("id")?)?,
                    kind: parse_word("job.kind", row.try_get("kind")?)?,
                    label: row.try_get("label")?,
                    output: folder
                        .map(|folder| Ok::<_, StoreError>(self.absolute(&folder)?.join(OUTPUT)))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// A job and everything its result was made from, parents first.
    pub async fn lineage(&self, job: JobId) -> Result<Vec<LineageJob>, StoreError> {
        let rows = sqlx::query(
            "WITH RECURSIVE ancestor (id, depth) AS (
                 SELECT ?1, 0
                 UNION SELECT parent, depth + 1 FROM job_parent JOIN ancestor ON job_parent.job = ancestor.id
             )
             SELECT job.id AS id, label, canonical,
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
                    id: parse_id("job.id", row.try_get("id")?)?,
                    label: row.try_get("label")?,
                    job: parse_canonical(row.try_get("canonical")?)?,
                    words: count(row.try_get("words")?),
                    tokens: count(row.try_get("tokens")?),
                })
            })
            .collect()
    }

    /// The milestones for which a job kept copies of its model, in ascending order.
    pub async fn kept_milestones(&self, job: JobId) -> Result<Vec<KeptMilestone>, StoreError> {
        let rows = sqlx::query(
            "SELECT milestone, max(words) AS words, max(tokens) AS tokens FROM checkpoint
             WHERE job = ?1 AND milestone IS NOT NULL GROUP BY milestone",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await?;
        let kept = rows.iter().map(|row| {
            Ok(KeptMilestone {
                milestone: parse_id("checkpoint.milestone", row.try_get("milestone")?)?,
                words: unsigned(row, "words")?,
                tokens: unsigned(row, "tokens")?,
            })
        });
        let mut kept: Vec<KeptMilestone> = kept.collect::<Result<_, StoreError>>()?;
        kept.sort_by_key(|kept| kept.milestone);
        Ok(kept)
    }

    /// The cells whose own model a job produced, those of the most recently run experiment first.
    pub async fn cells_of_model(&self, job: JobId) -> Result<Vec<CellName>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT experiment, label FROM cell JOIN cell_job ON cell_job.cell = cell.id
             WHERE job = ?1 AND role = 'model'
             ORDER BY (SELECT max(id) FROM invocation WHERE invocation.experiment = cell.experiment) DESC, label",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await?)
    }
}
