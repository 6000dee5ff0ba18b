//! The scores of models.
//!
//! A score is current once its attempt is the result of the job; only current scores are read.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::columns::{optional_unsigned, parse_word, unsigned};
use super::error::StoreError;
use super::open::Store;
use crate::domain::{JobId, Milestone, Score, ScoreRow};

impl Store {
    /// The current scores of an experiment in the order of its cells, then of jobs, tasks and subtasks; the aggregate of
    /// a task precedes its subtasks.
    pub async fn scores(&self, experiment: &str) -> Result<Vec<ScoreRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT v_scores.*, coalesce(job.canonical -> '$.job.data', job.canonical -> '$.job.valid') AS data
             FROM v_scores
             JOIN job ON job.id = v_scores.job
             JOIN cell ON cell.experiment = v_scores.experiment AND cell.label = v_scores.cell
             LEFT JOIN experiment_job AS planned
                 ON planned.experiment = v_scores.experiment AND planned.job = v_scores.job
             WHERE v_scores.experiment = ?1
             ORDER BY cell.position, planned.position, v_scores.job, task, subtask NULLS FIRST, metric",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(score_row).collect()
    }

    /// The current scores of the model that a job produced, or of the one that it kept for a milestone, whichever
    /// experiments asked for them; the aggregate of a task precedes its subtasks.
    pub async fn scores_of_model(&self, job: JobId, milestone: Option<Milestone>) -> Result<Vec<Score>, StoreError> {
        let rows = sqlx::query(
            "SELECT score.* FROM score
             JOIN job ON job.id = score.job AND job.result = score.attempt
             JOIN job_parent ON job_parent.job = job.id
             WHERE job_parent.parent = ?1
                 AND coalesce(job.canonical ->> '$.job.milestone.words' || '-words',
                              job.canonical ->> '$.job.milestone.tokens' || '-tokens') IS ?2
             ORDER BY suite, mode, task, subtask NULLS FIRST, metric, job.id",
        )
        .bind(job.to_string())
        .bind(milestone.map(|milestone| milestone.to_string()))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(score).collect()
    }
}

/// Reads a row that has the columns of `score`.
fn score(row: &SqliteRow) -> Result<Score, StoreError> {
    Ok(Score {
        suite: parse_word("score.suite", row.try_get("suite")?)?,
        task: row.try_get("task")?,
        subtask: row.try_get("subtask")?,
        metric: row.try_get("metric")?,
        value: row.try_get::<Option<f64>, _>("value")?.unwrap_or(f64::NAN),
        n: unsigned(row, "n")?,
        stderr: row.try_get("stderr")?,
        chance: row.try_get("chance")?,
        floor: row.try_get("floor")?,
        ties: unsigned(row, "ties")?,
        near_ties: unsigned(row, "near_ties")?,
        nans: unsigned(row, "nans")?,
        unscored: unsigned(row, "unscored")?,
        classes: optional_unsigned(row, "classes")?,
        mode: parse_word("score.mode", row.try_get("mode")?)?,
    })
}

/// Reads a row that has the columns of `v_scores`, and `data`.
fn score_row(row: &SqliteRow) -> Result<ScoreRow, StoreError> {
    Ok(ScoreRow {
        experiment: row.try_get("experiment")?,
        cell: row.try_get("cell")?,
        model: row.try_get("model")?,
        dataset: row.try_get("dataset")?,
        curriculum: row.try_get("curriculum")?,
        seed: unsigned(row, "seed")?,
        extra: row.try_get("extra")?,
        score: score(row)?,
        checkpoint: row.try_get("checkpoint")?,
        finetune_seed: optional_unsigned(row, "finetune_seed")?,
        job: row.try_get("job")?,
        data: row.try_get("data")?,
    })
}
