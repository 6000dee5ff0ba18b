//! The items of an experiment, one group after the other.

use sqlx::Row;

use super::error::StoreError;
use super::open::Store;
use super::read::{group_items, word};
use crate::domain::score::FINAL;
use crate::domain::{CellRow, ItemOutcome, Suite};

/// What the items of one subtask have in common, as one job answered them for one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemGroup {
    /// The cell.
    pub cell: CellRow,
    /// Checkpoint scored: [`FINAL`], or the name of a [`Milestone`](crate::domain::Milestone).
    pub checkpoint: String,
    /// Seed of the fine-tuning; `None` for items that need none.
    pub finetune_seed: Option<u64>,
    /// The suite.
    pub suite: Suite,
    /// Rules, as the database names them.
    pub mode: String,
    /// Full id of the eval or finetune job.
    pub job: String,
}

impl Store {
    /// Visits the items of the scores of an experiment that stand, a subtask at a time, so that they need not be in
    /// memory together: in the order of the cells, then of jobs and the journal. All are of one moment, whoever writes
    /// meanwhile. A job that several cells share is visited for each.
    ///
    /// # Errors
    /// Those of the database and of `visit`, which ends with the first.
    pub async fn visit_items<E: From<StoreError>>(
        &self,
        experiment: &str,
        mut visit: impl FnMut(&ItemGroup, &[ItemOutcome]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: sqlx::Error| E::from(StoreError::from(error));
        let mut snapshot = self.pool.begin().await.map_err(failed)?;
        let groups = sqlx::query(
            "SELECT cell.model, cell.dataset, cell.curriculum, cell.seed, cell.extra,
                 coalesce(job.canonical ->> '$.job.milestone.words' || '-words',
                          job.canonical ->> '$.job.milestone.tokens' || '-tokens', ?2) AS checkpoint,
                 CASE job.kind WHEN 'finetune' THEN CAST(job.canonical ->> '$.job.seed' AS INTEGER) END
                     AS finetune_seed,
                 item_group.suite, item_group.mode, item_group.job, item_group.id, item_group.task, item_group.subtask
             FROM cell
             JOIN cell_job ON cell_job.cell = cell.id
             JOIN job ON job.id = cell_job.job
             JOIN item_group ON item_group.job = job.id
             LEFT JOIN experiment_job AS planned
                 ON planned.experiment = cell.experiment AND planned.job = job.id
             WHERE cell.experiment = ?1
             ORDER BY cell.position, planned.position, job.id, item_group.id",
        )
        .bind(experiment)
        .bind(FINAL)
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed)?;
        for row in groups {
            let group = || -> Result<(ItemGroup, i64, String, String), StoreError> {
                let cell = CellRow {
                    model: row.try_get("model")?,
                    dataset: row.try_get("dataset")?,
                    curriculum: row.try_get("curriculum")?,
                    seed: row.try_get::<i64, _>("seed")? as u64,
                    extra: row.try_get("extra")?,
                };
                let group = ItemGroup {
                    cell,
                    checkpoint: row.try_get("checkpoint")?,
                    finetune_seed: row.try_get::<Option<i64>, _>("finetune_seed")?.map(|seed| seed as u64),
                    suite: word("item_group.suite", row.try_get("suite")?)?,
                    mode: row.try_get("mode")?,
                    job: row.try_get("job")?,
                };
                Ok((group, row.try_get("id")?, row.try_get("task")?, row.try_get("subtask")?))
            };
            let (group, id, task, subtask) = group()?;
            visit(&group, &group_items(&mut snapshot, id, &task, &subtask).await?)?;
        }
        Ok(())
    }
}
