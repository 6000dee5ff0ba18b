//! Reading the database.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::error::StoreError;
use super::open::Store;
use super::rows::{
    AttemptRow, Experiment, ExperimentRow, JobHistory, JobRow, Last, MetricPoint, State, StoredExperiment,
};
use crate::domain::{Artifact, BackendKind, CellRow, ItemOutcome, JobId, Score, ScoreRow};

/// The value that a column's word stands for.
pub(super) fn word<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    T::deserialize(StrDeserializer::<WordError>::new(text))
        .map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// The id or digest that a column holds.
pub(super) fn parsed<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// A column that never holds a negative number.
fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? as u64)
}

/// A JSON list for `json_each`.
fn json_list<T: ToString>(values: &[T]) -> String {
    serde_json::json!(values.iter().map(T::to_string).collect::<Vec<_>>()).to_string()
}

impl Store {
    /// What is known about these jobs; a job that was never planned is left out.
    pub async fn history(&self, ids: &[JobId]) -> Result<BTreeMap<JobId, JobHistory>, StoreError> {
        let wanted = json_list(ids);
        let mut snapshot = self.pool.begin().await?;
        let mut artifacts: BTreeMap<String, Vec<Artifact>> = BTreeMap::new();
        let rows: Vec<(String, String, i64, String)> = sqlx::query_as(
            "SELECT job, path, bytes, digest FROM artifact
             WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY job, path",
        )
        .bind(&wanted)
        .fetch_all(&mut *snapshot)
        .await?;
        for (job, path, bytes, digest) in rows {
            let artifact = Artifact {
                path: PathBuf::from(path),
                bytes: bytes as u64,
                digest: parsed("artifact.digest", &digest)?,
            };
            artifacts.entry(job).or_default().push(artifact);
        }
        let rows = sqlx::query(
            "SELECT job.id AS id, job.folder AS home, coalesce(state, 'waiting') AS state, failure, message,
                 attempt.folder AS folder, token
             FROM job LEFT JOIN attempt ON attempt.id = job.current
             WHERE job.id IN (SELECT value FROM json_each(?1))",
        )
        .bind(&wanted)
        .fetch_all(&mut *snapshot)
        .await?;
        let mut history = BTreeMap::new();
        for row in rows {
            let id: String = row.try_get("id")?;
            let last = match word("attempt.state", row.try_get("state")?)? {
                State::Waiting => Last::Never,
                State::Submitted => Last::Submitted,
                State::Running => Last::Running,
                State::Interrupted => Last::Interrupted,
                State::Lost => Last::Lost,
                State::Failed => Last::Failed {
                    failure: word("attempt.failure", row.try_get("failure")?)?,
                    message: row.try_get::<Option<String>, _>("message")?.unwrap_or_default(),
                },
                State::Done => Last::Done,
            };
            let artifacts = if last == Last::Done { artifacts.remove(&id).unwrap_or_default() } else { vec![] };
            let attempt: Option<String> = row.try_get("folder")?;
            let entry = JobHistory {
                last,
                folder: self.resolved(row.try_get("home")?),
                attempt: attempt.map(|folder| self.resolved(&folder)),
                artifacts,
                token: row.try_get("token")?,
            };
            history.insert(parsed("job.id", &id)?, entry);
        }
        Ok(history)
    }

    /// All experiments, the one that ran last first.
    pub async fn experiments(&self) -> Result<Vec<ExperimentRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, spec_path,
                 coalesce((SELECT max(started) FROM invocation WHERE experiment = name), created) AS started,
                 (SELECT count(*) FROM cell WHERE experiment = name) AS cells,
                 (SELECT count(*) FROM experiment_job WHERE experiment = name) AS jobs,
                 coalesce((SELECT sum(done) FROM v_cost WHERE experiment = name), 0) AS done,
                 (SELECT count(*) FROM v_jobs WHERE experiment = name AND state = 'failed') AS failed
             FROM experiment ORDER BY (SELECT max(id) FROM invocation WHERE experiment = name) DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ExperimentRow {
                    name: row.try_get("name")?,
                    spec_path: PathBuf::from(row.try_get::<String, _>("spec_path")?),
                    started: row.try_get("started")?,
                    cells: unsigned(row, "cells")?,
                    jobs: unsigned(row, "jobs")?,
                    done: unsigned(row, "done")?,
                    failed: unsigned(row, "failed")?,
                })
            })
            .collect()
    }

    /// The experiment of this name, or the one that ran last.
    pub async fn experiment(&self, name: Option<&str>) -> Result<StoredExperiment, StoreError> {
        let row = sqlx::query(
            "SELECT name, spec_path, spec_text, overrides, created FROM experiment WHERE name = coalesce(?1, name)
             ORDER BY (SELECT max(id) FROM invocation WHERE experiment = name) DESC LIMIT 1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            let Some(name) = name else { return Err(StoreError::NoExperiment) };
            let known = self.experiments().await?.into_iter().map(|row| row.name).collect();
            return Err(StoreError::UnknownExperiment { name: name.to_owned(), known });
        };
        let overrides: String = row.try_get("overrides")?;
        let overrides = serde_json::from_str(&overrides)
            .map_err(|_| StoreError::Unreadable { column: "experiment.overrides", value: overrides })?;
        Ok(StoredExperiment {
            experiment: Experiment {
                name: row.try_get("name")?,
                spec_path: PathBuf::from(row.try_get::<String, _>("spec_path")?),
                spec_text: row.try_get("spec_text")?,
                overrides,
            },
            created: row.try_get("created")?,
        })
    }

    /// The experiment in whose last plan a job is; of several the one that ran last.
    pub async fn experiment_of(&self, job: JobId) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT experiment FROM experiment_job AS planned WHERE job = ?1
             ORDER BY (SELECT max(id) FROM invocation WHERE experiment = planned.experiment) DESC LIMIT 1",
        )
        .bind(job.to_string())
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The jobs of the last plan of an experiment: kind and label to canonical form.
    pub async fn namesakes(&self, experiment: &str) -> Result<BTreeMap<(String, String), String>, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT kind, label, canonical FROM experiment_job JOIN job ON job.id = experiment_job.job
             WHERE experiment = ?1",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(kind, label, canonical)| ((kind, label), canonical)).collect())
    }

    /// The cells of an experiment, in the order of its axes.
    pub async fn cells(&self, experiment: &str) -> Result<Vec<CellRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT model, dataset, curriculum, seed, extra FROM cell WHERE experiment = ?1 ORDER BY position",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(cell_row).collect()
    }

    /// The cells of an experiment that have a failed job: they get no further before it is tried again.
    pub async fn failed_cells(&self, experiment: &str) -> Result<Vec<CellRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT model, dataset, curriculum, seed, extra FROM cell
             WHERE experiment = ?1 AND EXISTS (
                 SELECT 1 FROM cell_job JOIN job ON job.id = cell_job.job JOIN attempt ON attempt.id = job.current
                 WHERE cell_job.cell = cell.id AND attempt.state = 'failed')
             ORDER BY position",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(cell_row).collect()
    }

    /// The scores of an experiment that stand, in the order of its cells, then jobs, tasks and subtasks; the
    /// aggregate of a task comes before its subtasks.
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

    /// The items of these eval and finetune jobs, by job, each in the order of the journal; a job without items is left out.
    pub async fn items(&self, jobs: &[String]) -> Result<BTreeMap<String, Vec<ItemOutcome>>, StoreError> {
        let groups: Vec<(i64, String, String, String)> = sqlx::query_as(
            "SELECT id, job, task, subtask FROM item_group
             WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY id",
        )
        .bind(json_list(jobs))
        .fetch_all(&self.pool)
        .await?;
        let mut items: BTreeMap<String, Vec<ItemOutcome>> = BTreeMap::new();
        for (group, job, task, subtask) in groups {
            let outcomes = group_items(&mut *self.pool.acquire().await?, group, &task, &subtask).await?;
            items.entry(job).or_default().extend(outcomes);
        }
        Ok(items)
    }

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

    /// The jobs that this text may mean: the beginning of an id or of `kind-id`, a job's label, with its kind before it
    /// or not, or the label of a cell, with its experiment before it or not. Jobs of a plan of today hide those of
    /// plans that were replaced.
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

    /// The builds of grid that gave the results of an experiment, each with how many of them it gave, the most first.
    pub async fn builds(&self, experiment: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT version, count(*) FROM experiment_job
             JOIN job ON job.id = experiment_job.job JOIN attempt ON attempt.id = job.result
             WHERE experiment = ?1 AND version IS NOT NULL GROUP BY version ORDER BY count(*) DESC, version",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(version, jobs)| (version, jobs as u64)).collect())
    }

    /// The attempts at a job, in order of submission.
    pub async fn attempts(&self, job: JobId) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempt WHERE job = ?1 ORDER BY id")
            .bind(job.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| self.attempt_row(row)).collect()
    }

    /// The names of the metrics of a job, sorted.
    pub async fn metric_names(&self, job: JobId) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT DISTINCT name FROM metric WHERE job = ?1 ORDER BY name")
            .bind(job.to_string())
            .fetch_all(&self.pool)
            .await?)
    }

    /// A metric of a job, by step.
    pub async fn metrics(&self, job: JobId, name: &str) -> Result<Vec<MetricPoint>, StoreError> {
        let rows: Vec<(i64, Option<f64>)> =
            sqlx::query_as("SELECT step, value FROM metric WHERE job = ?1 AND name = ?2 ORDER BY step")
                .bind(job.to_string())
                .bind(name)
                .fetch_all(&self.pool)
                .await?;
        let point =
            |(step, value): (i64, Option<f64>)| MetricPoint { step: step as u64, value: value.unwrap_or(f64::NAN) };
        Ok(rows.into_iter().map(point).collect())
    }

    /// What was hashed into a job's id, as JSON; `None` for a job that was never planned.
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
            id: parsed("job.id", row.try_get("job")?)?,
            kind: word("job.kind", row.try_get("kind")?)?,
            label: row.try_get("label")?,
            state: word("attempt.state", row.try_get("state")?)?,
            attempts: unsigned(row, "attempts")?,
            started: row.try_get("started")?,
            ended: row.try_get("ended")?,
            seconds: row.try_get("seconds")?,
            tokens: unsigned(row, "tokens")?,
            device: row.try_get("device")?,
            backend: row.try_get::<Option<String>, _>("slot")?.map(|slot| BackendKind::of_slot(&slot)),
            progress: done.zip(total).map(|(done, total)| (done as u64, total as u64)),
            message: row.try_get("message")?,
            folder: self.resolved(row.try_get("folder")?),
        })
    }

    fn attempt_row(&self, row: &SqliteRow) -> Result<AttemptRow, StoreError> {
        let folder: Option<String> = row.try_get("folder")?;
        let failure: Option<String> = row.try_get("failure")?;
        let warnings: Option<String> = row.try_get("warnings")?;
        Ok(AttemptRow {
            token: row.try_get("token")?,
            folder: folder.map(|folder| self.resolved(&folder)),
            state: word("attempt.state", row.try_get("state")?)?,
            slot: row.try_get("slot")?,
            host: row.try_get("host")?,
            pid: row.try_get("pid")?,
            device: row.try_get("device")?,
            threads: row.try_get("threads")?,
            micro_batch: row.try_get("micro_batch")?,
            version: row.try_get("version")?,
            submitted: row.try_get("submitted")?,
            started: row.try_get("started")?,
            ended: row.try_get("ended")?,
            resumed_step: row.try_get::<Option<i64>, _>("resumed_step")?.map(|step| step as u64),
            failure: failure.map(|text| word("attempt.failure", &text)).transpose()?,
            message: row.try_get("message")?,
            warnings: warnings.iter().flat_map(|text| text.lines()).map(str::to_owned).collect(),
        })
    }
}

fn cell_row(row: &SqliteRow) -> Result<CellRow, StoreError> {
    Ok(CellRow {
        model: row.try_get("model")?,
        dataset: row.try_get("dataset")?,
        curriculum: row.try_get("curriculum")?,
        seed: row.try_get::<i64, _>("seed")? as u64,
        extra: row.try_get("extra")?,
    })
}

/// The items of a group, in order.
pub(super) async fn group_items(
    connection: &mut SqliteConnection,
    group: i64,
    task: &str,
    subtask: &str,
) -> Result<Vec<ItemOutcome>, StoreError> {
    type Row = (u32, u32, bool, f64, String, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT item, chosen, correct, credit, scores, cluster FROM item WHERE item_group = ?1 ORDER BY item",
    )
    .bind(group)
    .fetch_all(connection)
    .await?;
    let outcome = |(item, chosen, correct, credit, scores, cluster): Row| {
        let scores = serde_json::from_str(&scores)
            .map_err(|_| StoreError::Unreadable { column: "item.scores", value: scores })?;
        let (task, subtask, cluster) = (task.to_owned(), subtask.to_owned(), cluster.into());
        Ok(ItemOutcome { task, subtask, item, chosen, correct, credit, scores, cluster })
    };
    rows.into_iter().map(outcome).collect()
}

/// The score in a row that has the columns of `score`.
pub(super) fn score(row: &SqliteRow) -> Result<Score, StoreError> {
    Ok(Score {
        suite: word("score.suite", row.try_get("suite")?)?,
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
        classes: row.try_get::<Option<i64>, _>("classes")?.map(|classes| classes as u64),
        mode: word("score.mode", row.try_get("mode")?)?,
    })
}

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
        finetune_seed: row.try_get::<Option<i64>, _>("finetune_seed")?.map(|seed| seed as u64),
        job: row.try_get("job")?,
        data: row.try_get("data")?,
    })
}
