//! The experiments of the database, their cells, and which builds of grid ran them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::begin::Experiment;
use super::columns::unsigned;
use super::error::StoreError;
use super::open::Store;
use crate::domain::{CellRow, JobId};

/// An experiment as `grid status` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExperimentRow {
    /// The name.
    pub name: String,
    /// The path of the spec.
    pub spec_path: PathBuf,
    /// The start of the newest invocation, in milliseconds since 1970 UTC.
    pub started: i64,
    /// The number of cells.
    pub cells: u64,
    /// The number of jobs.
    pub jobs: u64,
    /// The number of jobs that are done.
    pub done: u64,
    /// The number of jobs whose last attempt failed.
    pub failed: u64,
}

/// An experiment with everything that is needed to run it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExperiment {
    /// The spec and the overrides of the newest invocation.
    pub experiment: Experiment,
    /// The time of the first invocation, in milliseconds since 1970 UTC.
    pub created: i64,
}

/// A build of grid and how many results it produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCount {
    /// The versions of grid and libtorch.
    pub version: String,
    /// The number of jobs whose result the build produced.
    pub jobs: u64,
}

/// The kind and the label of a job, which together name it within an experiment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct JobName {
    /// The name of the kind.
    pub kind: String,
    /// The label.
    pub label: String,
}

#[derive(FromRow)]
struct NamedCanonical {
    #[sqlx(flatten)]
    name: JobName,
    canonical: String,
}

impl Store {
    /// All experiments, the most recently run first.
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

    /// The experiment of this name, or without a name the one that ran most recently.
    ///
    /// # Errors
    /// [`StoreError::UnknownExperiment`] or [`StoreError::NoExperiment`] if there is none.
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

    /// The experiment whose current plan has this job; if there are several, the one that ran most recently.
    pub async fn experiment_of(&self, job: JobId) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT experiment FROM experiment_job AS planned WHERE job = ?1
             ORDER BY (SELECT max(id) FROM invocation WHERE experiment = planned.experiment) DESC LIMIT 1",
        )
        .bind(job.to_string())
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The canonical form of each job of the current plan of an experiment.
    pub async fn canonical_by_name(&self, experiment: &str) -> Result<BTreeMap<JobName, String>, StoreError> {
        let rows: Vec<NamedCanonical> = sqlx::query_as(
            "SELECT kind, label, canonical FROM experiment_job JOIN job ON job.id = experiment_job.job
             WHERE experiment = ?1",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.name, row.canonical)).collect())
    }

    /// The cells of an experiment in the order of its axes.
    pub async fn cells(&self, experiment: &str) -> Result<Vec<CellRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT model, dataset, curriculum, seed, extra FROM cell WHERE experiment = ?1 ORDER BY position",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(cell_row).collect()
    }

    /// The labels of the cells of an experiment in the order of its axes.
    pub async fn cell_labels(&self, experiment: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT label FROM cell WHERE experiment = ?1 ORDER BY position")
            .bind(experiment)
            .fetch_all(&self.pool)
            .await?)
    }

    /// The cells of an experiment that have a failed job, without which they cannot be completed.
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

    /// The builds of grid that produced the results of an experiment, the one with the most results first.
    pub async fn builds(&self, experiment: &str) -> Result<Vec<BuildCount>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT version, count(*) FROM experiment_job
             JOIN job ON job.id = experiment_job.job JOIN attempt ON attempt.id = job.result
             WHERE experiment = ?1 AND version IS NOT NULL GROUP BY version ORDER BY count(*) DESC, version",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(version, jobs)| BuildCount { version, jobs: jobs as u64 }).collect())
    }
}

/// Reads the coordinates of a cell from a row that has the columns of `cell`.
pub(super) fn cell_row(row: &SqliteRow) -> Result<CellRow, StoreError> {
    Ok(CellRow {
        model: row.try_get("model")?,
        dataset: row.try_get("dataset")?,
        curriculum: row.try_get("curriculum")?,
        seed: unsigned(row, "seed")?,
        extra: row.try_get("extra")?,
    })
}
