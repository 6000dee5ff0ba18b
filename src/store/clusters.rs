//! Adding clusters to items that were recorded before grid knew clusters.

use super::columns::parse_id;
use super::error::StoreError;
use super::open::Store;
use crate::domain::{ItemOutcome, JobId, Stderr};

impl Store {
    /// The eval and finetune jobs of the current plan of an experiment that have items without a known cluster, in the
    /// order of the plan.
    pub async fn jobs_without_clusters(&self, experiment: &str) -> Result<Vec<JobId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            // Uses the partial index of such items, which is empty once all clusters are known.
            "SELECT job FROM experiment_job WHERE experiment = ?1 AND job IN (
                 SELECT item_group.job FROM item JOIN item_group ON item_group.id = item.item_group
                 WHERE item.cluster IS NULL)
             ORDER BY position",
        )
        .bind(experiment)
        .fetch_all(&self.pool)
        .await?;
        ids.iter().map(|id| parse_id("job.id", id)).collect()
    }

    /// Records the clusters of the items of a job, and the standard errors of its scores that follow from them, in one
    /// transaction. Items and scores that are not (or no longer) recorded are skipped.
    pub async fn record_clusters(
        &self,
        job: JobId,
        items: &[ItemOutcome],
        stderrs: &[Stderr],
    ) -> Result<(), StoreError> {
        let id = job.to_string();
        let mut transaction = self.write().await?;
        for group in items.chunk_by(|a, b| a.task == b.task && a.subtask == b.subtask) {
            let clusters: Vec<_> =
                group.iter().map(|item| serde_json::json!([item.item, item.cluster.key()])).collect();
            sqlx::query(
                // MATERIALIZED: SQLite would otherwise scan all of the JSON for every item.
                "WITH known (item, cluster) AS MATERIALIZED (SELECT value ->> 0, value ->> 1 FROM json_each(?4))
                 UPDATE item SET cluster = known.cluster
                 FROM known, item_group
                 WHERE item_group.job = ?1 AND item_group.task = ?2 AND item_group.subtask = ?3
                     AND item.item_group = item_group.id AND item.item = known.item",
            )
            .bind(&id)
            .bind(&group[0].task)
            .bind(&group[0].subtask)
            .bind(serde_json::Value::from(clusters).to_string())
            .execute(&mut *transaction)
            .await?;
        }
        for Stderr { task, subtask, metric, value } in stderrs {
            sqlx::query(
                "UPDATE score SET stderr = ?5
                 WHERE job = ?1 AND attempt = (SELECT result FROM job WHERE id = ?1)
                     AND task = ?2 AND subtask IS ?3 AND metric = ?4",
            )
            .bind(&id)
            .bind(task)
            .bind(subtask)
            .bind(metric)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }
}
