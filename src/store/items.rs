//! The outcomes of single items: reading them by job, and visiting those of an experiment group by group.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};

use super::columns::{json_list, optional_unsigned, parse_word};
use super::error::StoreError;
use super::experiments::cell_row;
use super::open::Store;
use crate::domain::score::FINAL;
use crate::domain::{CellRow, ItemOutcome, Suite};

/// What the items of one subtask have in common, as one job answered them for one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemGroup {
    /// The cell.
    pub cell: CellRow,
    /// The checkpoint scored: [`FINAL`], or the name of a [`Milestone`](crate::domain::Milestone).
    pub checkpoint: String,
    /// The seed of the fine-tuning; `None` for suites without fine-tuning.
    pub finetune_seed: Option<u64>,
    /// The suite.
    pub suite: Suite,
    /// The scoring mode, as the database names it.
    pub mode: String,
    /// The full id of the eval or finetune job.
    pub job: String,
}

/// A row of `item_group` without the columns that readers do not need.
#[derive(FromRow)]
struct GroupRow {
    id: i64,
    job: String,
    task: String,
    subtask: String,
}

#[derive(FromRow)]
struct ItemRow {
    item: u32,
    chosen: u32,
    correct: bool,
    credit: f64,
    scores: String,
    cluster: Option<String>,
}

impl Store {
    /// The items of these eval and finetune jobs by job, each in the order of the journal; jobs without items are left
    /// out.
    pub async fn items(&self, jobs: &[String]) -> Result<BTreeMap<String, Vec<ItemOutcome>>, StoreError> {
        let groups: Vec<GroupRow> = sqlx::query_as(
            "SELECT id, job, task, subtask FROM item_group
             WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY id",
        )
        .bind(json_list(jobs))
        .fetch_all(&self.pool)
        .await?;
        let mut items: BTreeMap<String, Vec<ItemOutcome>> = BTreeMap::new();
        for group in groups {
            let outcomes = load_group(&mut *self.pool.acquire().await?, &group).await?;
            items.entry(group.job).or_default().extend(outcomes);
        }
        Ok(items)
    }

    /// Calls `visit` with the items behind the current scores of an experiment, one subtask at a time, so that they need
    /// not all be in memory: in the order of the cells, then of the jobs and of the journal.
    ///
    /// All items are read from one snapshot of the database. A job that several cells share is visited once for each.
    ///
    /// # Errors
    /// Those of the database and of `visit`; the first error ends the visit.
    pub async fn visit_items<E: From<StoreError>>(
        &self,
        experiment: &str,
        mut visit: impl FnMut(&ItemGroup, &[ItemOutcome]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: sqlx::Error| E::from(StoreError::from(error));
        let mut snapshot = self.pool.begin().await.map_err(failed)?;
        let rows = sqlx::query(
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
        for row in rows {
            let group = item_group(&row)?;
            let items = load_group(&mut snapshot, &GroupRow::from_row(&row).map_err(failed)?).await?;
            visit(&group, &items)?;
        }
        Ok(())
    }
}

fn item_group(row: &SqliteRow) -> Result<ItemGroup, StoreError> {
    Ok(ItemGroup {
        cell: cell_row(row)?,
        checkpoint: row.try_get("checkpoint")?,
        finetune_seed: optional_unsigned(row, "finetune_seed")?,
        suite: parse_word("item_group.suite", row.try_get("suite")?)?,
        mode: row.try_get("mode")?,
        job: row.try_get("job")?,
    })
}

/// The items of a group in the order of their file.
async fn load_group(connection: &mut SqliteConnection, group: &GroupRow) -> Result<Vec<ItemOutcome>, StoreError> {
    let rows: Vec<ItemRow> = sqlx::query_as(
        "SELECT item, chosen, correct, credit, scores, cluster FROM item WHERE item_group = ?1 ORDER BY item",
    )
    .bind(group.id)
    .fetch_all(connection)
    .await?;
    let outcome = |row: ItemRow| {
        let ItemRow { item, chosen, correct, credit, scores, cluster } = row;
        let scores = serde_json::from_str(&scores)
            .map_err(|_| StoreError::Unreadable { column: "item.scores", value: scores })?;
        let (task, subtask, cluster) = (group.task.clone(), group.subtask.clone(), cluster.into());
        Ok(ItemOutcome { task, subtask, item, chosen, correct, credit, scores, cluster })
    };
    rows.into_iter().map(outcome).collect()
}
