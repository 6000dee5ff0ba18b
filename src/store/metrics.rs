//! The numbers that jobs measured while they ran.

use serde::Serialize;

use super::error::StoreError;
use super::open::Store;
use crate::domain::JobId;

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricPoint {
    /// The optimizer step, or 0.
    pub step: u64,
    /// The value; NaN where it was not a number.
    pub value: f64,
}

impl Store {
    /// The names of the metrics of a job, sorted.
    pub async fn metric_names(&self, job: JobId) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT DISTINCT name FROM metric WHERE job = ?1 ORDER BY name")
            .bind(job.to_string())
            .fetch_all(&self.pool)
            .await?)
    }

    /// The values of a metric of a job, by step.
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
}
