//! Opening runs.db where the command line says it is.

use super::args::Cli;
use super::failure::{Failure, store_failure};
use crate::store::{Store, StoreError};

/// The database, made where it is missing.
pub async fn open(cli: &Cli) -> Result<Store, Failure> {
    Store::open(&cli.runs_dir, cli.database_dir.as_deref()).await.map_err(store_failure)
}

/// The database, for a verb that needs something to have run before.
pub async fn existing(cli: &Cli) -> Result<Store, Failure> {
    Store::open_existing(&cli.runs_dir, cli.database_dir.as_deref()).await.map_err(store_failure)
}

/// The database, if anything ran before.
pub async fn if_any(cli: &Cli) -> Result<Option<Store>, Failure> {
    match Store::open_existing(&cli.runs_dir, cli.database_dir.as_deref()).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Absent { .. }) => Ok(None),
        Err(error) => Err(store_failure(error)),
    }
}
