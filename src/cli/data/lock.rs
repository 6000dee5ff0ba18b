//! `grid data lock`.

use crate::cli::fetch::{print_locked, show, transfers};
use crate::cli::global::Global;
use crate::cli::spec_args::SpecArgs;
use crate::session::{Exit, Failure, Fetched, update_lock};

/// `grid data lock`.
pub(super) fn lock(global: &Global, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.read()?;
    let mut transfers = transfers(global);
    let locked = update_lock(&spec, &grid, global.offline, &mut |coming| show(&mut transfers, coming))?;
    if locked.is_none() {
        eprintln!("{}: nothing to lock, because no data come from other machines", grid.name);
    }
    print_locked(global, &Fetched { files: 0, locked });
    Ok(Exit::Done)
}
