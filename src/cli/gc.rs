//! `grid gc`.

use std::io;
use std::path::Path;

use super::args::{Cli, GcArgs};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::run::run_failure;
use crate::report::human;
use crate::runner::{self, Lock};
use crate::store::Garbage;

/// `grid gc`: lists what is of no further use in the runs folder, and removes it where that is asked for.
pub async fn gc(cli: &Cli, args: &GcArgs) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    // Nothing may begin to use what is being removed.
    let _lock = if args.yes { Some(Lock::acquire(&cli.runs_dir).map_err(run_failure)?) } else { None };
    let mut garbage = store.superseded_attempts().await.map_err(store_failure)?;
    if args.unplanned {
        garbage.extend(store.unplanned_jobs().await.map_err(store_failure)?);
    }
    store.close().await;
    garbage.retain(|one| place(one).is_dir() && !runner::at_work(&one.home));
    let mut total = 0;
    for one in &garbage {
        let unusable =
            |error: io::Error| Failure::text(Exit::Environment, format!("grid: {}: {error}", place(one).display()));
        let bytes = size(place(one)).map_err(unusable)?;
        let why = if one.attempt.is_some() { "an attempt that gave nothing" } else { "in no plan of today" };
        println!("{:>9}  {}: {why}  {}", human::bytes(bytes), one.job, place(one).display());
        if args.yes {
            std::fs::remove_dir_all(place(one)).map_err(unusable)?;
        }
        total += bytes;
    }
    match (garbage.len(), args.yes) {
        (0, _) => eprintln!("nothing to remove"),
        (_, true) => eprintln!("{} removed", human::bytes(total)),
        (_, false) => eprintln!("{} could be removed: `grid gc --yes` does it", human::bytes(total)),
    }
    Ok(Exit::Done)
}

fn place(garbage: &Garbage) -> &Path {
    garbage.attempt.as_deref().unwrap_or(&garbage.home)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
