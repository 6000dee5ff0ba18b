//! `grid data fetch` and `grid data lock`.

use crate::cli::global::Global;
use crate::cli::progress::{print_locked, show_transfer, transfers};
use crate::cli::spec_args::SpecArgs;
use crate::session::{Exit, Failure, Fetched, fetch_missing, update_lock};

/// `grid data fetch`.
pub fn fetch(global: &Global, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.read()?;
    let mut transfers = transfers(global);
    let fetched = fetch_missing(&spec, &grid, global.offline, &mut |coming| show_transfer(&mut transfers, coming))?;
    print_locked(global, &fetched);
    if fetched.files == 0 && !global.quiet {
        eprintln!("{}: nothing to fetch", grid.name);
    }
    Ok(Exit::Done)
}

/// `grid data lock`.
pub fn lock(global: &Global, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.read()?;
    let mut transfers = transfers(global);
    let locked = update_lock(&spec, &grid, global.offline, &mut |coming| show_transfer(&mut transfers, coming))?;
    if locked.is_none() {
        eprintln!("{}: nothing to lock, no data come from other machines", grid.name);
    }
    print_locked(global, &Fetched { files: 0, locked });
    Ok(Exit::Done)
}
