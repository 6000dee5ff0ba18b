//! `grid data fetch`.

use crate::cli::fetch::fetch_data;
use crate::cli::global::Global;
use crate::cli::spec_args::SpecArgs;
use crate::session::{Exit, Failure};

/// `grid data fetch`.
pub(super) fn fetch(global: &Global, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.read()?;
    let fetched = fetch_data(global, &spec, &grid)?;
    if fetched.files == 0 && !global.quiet {
        eprintln!("{}: nothing to fetch", grid.name);
    }
    Ok(Exit::Done)
}
