//! `grid export items`.

use std::path::Path;

use super::args::Cli;
use super::clusters::fill_clusters;
use super::database;
use super::failure::{Exit, Failure, store_failure};
use crate::data::{Content, DataError, TableFile, Value};
use crate::domain::score::FINAL;
use crate::domain::{ItemOutcome, Suite, grouped};
use crate::store::{ItemGroup, StoreError};

/// The columns. `correct` is 0 or 1; `cluster` is unique within a task.
const COLUMNS: [(&str, Content); 17] = [
    ("experiment", Content::Text),
    ("model", Content::Text),
    ("dataset", Content::Text),
    ("curriculum", Content::Text),
    ("extra", Content::Text),
    ("seed", Content::Integer),
    ("checkpoint", Content::Text),
    ("finetune_seed", Content::Integer),
    ("suite", Content::Text),
    ("task", Content::Text),
    ("subtask", Content::Text),
    ("mode", Content::Text),
    ("item", Content::Integer),
    ("cluster", Content::Text),
    ("credit", Content::Real),
    ("correct", Content::Integer),
    ("job", Content::Text),
];

/// Why a table could not be written.
enum Trouble {
    Store(StoreError),
    Data(DataError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Store(error)
    }
}

impl From<DataError> for Trouble {
    fn from(error: DataError) -> Self {
        Trouble::Data(error)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => store_failure(error),
            Trouble::Data(error @ (DataError::NoTable { .. } | DataError::Exists { .. })) => {
                Failure::new(Exit::Usage, error)
            }
            Trouble::Data(error) => Failure::new(Exit::Environment, error),
        }
    }
}

/// Writes the items of the scores that stand to a new file.
pub async fn export(cli: &Cli, experiment: &str, file: &Path, milestones: bool) -> Result<Exit, Failure> {
    let mut table = TableFile::create(file, &COLUMNS).map_err(Trouble::from)?;
    let store = database::existing(cli).await?;
    store.experiment(Some(experiment)).await.map_err(store_failure)?;
    for note in fill_clusters(cli, &store, experiment).await? {
        eprintln!("note: {note}");
    }
    let write = |group: &ItemGroup, items: &[ItemOutcome]| -> Result<(), Trouble> {
        if is_answered(group.suite) && (milestones || group.checkpoint == FINAL) {
            for item in items {
                table.write(&row(experiment, group, item, item.cluster.name(&item.subtask, item.item).as_deref()))?;
            }
        }
        Ok(())
    };
    store.visit_items(experiment, write).await?;
    store.close().await;
    if table.rows() == 0 {
        let message = format!("grid: {experiment} has no items that were answered right or wrong; see `grid status`");
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    let rows = table.finish().map_err(Trouble::from)?;
    if !cli.quiet {
        eprintln!("{} rows written to {}", grouped(rows), file.display());
    }
    Ok(Exit::Done)
}

/// Whether the items of a suite are answered right or wrong. Reading times and ages of acquisition have no answer.
fn is_answered(suite: Suite) -> bool {
    !matches!(suite, Suite::Reading | Suite::Aoa)
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
