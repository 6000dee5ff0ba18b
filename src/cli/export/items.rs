//! `grid export items`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::global::Global;
use crate::data::{ColumnType, DataError, TableFile, Value};
use crate::domain::score::FINAL;
use crate::domain::{ItemOutcome, Suite, grouped};
use crate::session::{Exit, Failure, fill_clusters};
use crate::store::{ItemGroup, StoreError};

/// Arguments of `export items`.
#[derive(Debug, Args)]
pub(crate) struct ItemsArgs {
    /// The experiment.
    pub experiment: String,
    /// The file to create: .parquet or .csv.
    pub file: PathBuf,
    /// Include the milestones of each model, which the column `checkpoint` tells apart.
    #[arg(long)]
    pub milestones: bool,
}

/// The columns. `correct` is 0 or 1; `cluster` is unique within a task.
const COLUMNS: [(&str, ColumnType); 17] = [
    ("experiment", ColumnType::Text),
    ("model", ColumnType::Text),
    ("dataset", ColumnType::Text),
    ("curriculum", ColumnType::Text),
    ("extra", ColumnType::Text),
    ("seed", ColumnType::Integer),
    ("checkpoint", ColumnType::Text),
    ("finetune_seed", ColumnType::Integer),
    ("suite", ColumnType::Text),
    ("task", ColumnType::Text),
    ("subtask", ColumnType::Text),
    ("mode", ColumnType::Text),
    ("item", ColumnType::Integer),
    ("cluster", ColumnType::Text),
    ("credit", ColumnType::Real),
    ("correct", ColumnType::Integer),
    ("job", ColumnType::Text),
];

/// Why the table could not be written.
enum ItemsError {
    Store(StoreError),
    Data(DataError),
}

impl From<StoreError> for ItemsError {
    fn from(error: StoreError) -> Self {
        ItemsError::Store(error)
    }
}

impl From<DataError> for ItemsError {
    fn from(error: DataError) -> Self {
        ItemsError::Data(error)
    }
}

impl From<ItemsError> for Failure {
    fn from(error: ItemsError) -> Self {
        match error {
            ItemsError::Store(error) => error.into(),
            ItemsError::Data(error @ (DataError::NoTable { .. } | DataError::Exists { .. })) => {
                Failure::new(Exit::Usage, error)
            }
            ItemsError::Data(error) => error.into(),
        }
    }
}

/// `grid export items`: writes the items of the current scores to a new file.
pub(super) async fn export(global: &Global, args: &ItemsArgs) -> Result<Exit, Failure> {
    let ItemsArgs { experiment, file, milestones } = args;
    let runs = global.runs();
    let mut table = TableFile::create(file, &COLUMNS).map_err(ItemsError::from)?;
    let store = runs.open_existing().await?;
    store.experiment(Some(experiment)).await?;
    for note in fill_clusters(&runs, &store, experiment).await? {
        eprintln!("note: {note}");
    }
    let write = |group: &ItemGroup, items: &[ItemOutcome]| -> Result<(), ItemsError> {
        if has_right_answers(group.suite) && (*milestones || group.checkpoint == FINAL) {
            for item in items {
                table.write(&row(experiment, group, item, item.cluster.name(&item.subtask, item.item).as_deref()))?;
            }
        }
        Ok(())
    };
    store.visit_items(experiment, write).await?;
    store.close().await;
    if table.rows() == 0 {
        let message = format!("grid: {experiment} has no items that have a right answer; see `grid status`");
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    let rows = table.finish().map_err(ItemsError::from)?;
    if !global.quiet {
        eprintln!("wrote {} rows to {}", grouped(rows), file.display());
    }
    Ok(Exit::Done)
}

/// Whether the items of a suite have a right answer; reading times, ages of acquisition whole texts and streams have none.
fn has_right_answers(suite: Suite) -> bool {
    !matches!(suite, Suite::Reading | Suite::Aoa | Suite::Perplexity | Suite::InContext)
}

fn row<'a>(
    experiment: &'a str,
    group: &'a ItemGroup,
    item: &'a ItemOutcome,
    cluster: Option<&'a str>,
) -> [Value<'a>; COLUMNS.len()] {
    let ItemGroup { cell, checkpoint, finetune_seed, suite, mode, job } = group;
    [
        Value::Text(experiment),
        Value::Text(&cell.model),
        cell.dataset.as_deref().into(),
        Value::Text(&cell.curriculum),
        Value::Text(&cell.extra),
        Value::Integer(cell.seed as i64),
        Value::Text(checkpoint),
        finetune_seed.map_or(Value::Missing, |seed| Value::Integer(seed as i64)),
        Value::Text(suite.name()),
        Value::Text(&item.task),
        Value::Text(&item.subtask),
        Value::Text(mode),
        Value::Integer(i64::from(item.item)),
        cluster.into(),
        Value::Real(item.credit),
        Value::Integer(i64::from(item.correct)),
        Value::Text(job),
    ]
}
