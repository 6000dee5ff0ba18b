//! `grid gc`.

use std::io;
use std::path::Path;

use clap::Args;

use super::global::Global;
use crate::report::human;
use crate::runner::{self, RunsLock};
use crate::session::{Exit, Failure};
use crate::store::Garbage;

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Include the results that no current experiment uses, because its spec was changed.
    #[arg(long)]
    pub unplanned: bool,
    /// Remove the files; without this option they are only listed.
    #[arg(long)]
    pub yes: bool,
}

/// `grid gc`: lists files in the runs folder that are no longer needed, and removes them with `--yes`.
pub(super) async fn gc(global: &Global, args: &GcArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    // No run may start to use what is being removed.
    let _lock = if args.yes { Some(RunsLock::acquire(&global.runs_dir)?) } else { None };
    let mut garbage = store.superseded_attempts().await?;
    if args.unplanned {
        garbage.extend(store.unplanned_jobs().await?);
    }
    store.close().await;
    garbage.retain(|one| folder(one).is_dir() && !runner::has_living_worker(&one.home));
    let mut total = 0;
    for one in &garbage {
        let unusable = |error: io::Error| Failure::path(folder(one), &error);
        let bytes = size(folder(one)).map_err(unusable)?;
        let reason = match one.attempt {
            Some(_) => "an interrupted or failed attempt",
            None => "no current experiment uses it",
        };
        println!("{:>9}  {}: {reason}  {}", human::bytes(bytes), one.job, folder(one).display());
        if args.yes {
            std::fs::remove_dir_all(folder(one)).map_err(unusable)?;
        }
        total += bytes;
    }
    match (garbage.len(), args.yes) {
        (0, _) => eprintln!("nothing to remove"),
        (_, true) => eprintln!("removed {}", human::bytes(total)),
        (_, false) => eprintln!("{} can be removed with `grid gc --yes`", human::bytes(total)),
    }
    Ok(Exit::Done)
}

/// The folder to remove.
fn folder(garbage: &Garbage) -> &Path {
    garbage.attempt.as_deref().unwrap_or(&garbage.home)
}

/// Size of all files below a folder, in bytes.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
