//! Fetching data with progress on standard error.

use super::global::Global;
use super::progress::mode;
use super::stream::StandardError;
use crate::data::download::FetchProgress;
use crate::domain::Grid;
use crate::report::progress::Transfers;
use crate::session::{Failure, Fetched, SpecText, fetch_missing};

/// Fetches the missing data of a spec.
pub(super) fn fetch_data(global: &Global, spec: &SpecText, grid: &Grid) -> Result<Fetched, Failure> {
    let mut transfers = transfers(global);
    let fetched = fetch_missing(spec, grid, global.offline, &mut |coming| show(&mut transfers, coming))?;
    print_locked(global, &fetched);
    Ok(fetched)
}

/// The progress of transfers.
pub(super) fn transfers(global: &Global) -> Transfers {
    Transfers::new(mode(global), Box::new(StandardError))
}

/// Shows a step of a download.
pub(super) fn show(transfers: &mut Transfers, coming: FetchProgress<'_>) {
    match coming {
        FetchProgress::Waiting(place) => transfers.line(&format!("waiting for another grid that is fetching {place}")),
        FetchProgress::Bytes(place, path, done, total) => transfers.bytes(&format!("{place} {path}"), done, total),
        FetchProgress::Whole(place, path, bytes) => transfers.complete(&format!("{place} {path}"), bytes),
        FetchProgress::Unpacking(place, archive) => transfers.line(&format!("unpacking {place} {archive}")),
    }
}

/// Prints the name of the lock file, if it was written.
pub(super) fn print_locked(global: &Global, fetched: &Fetched) {
    if let (Some(path), false) = (&fetched.locked, global.quiet) {
        eprintln!("locked in {}", path.display());
    }
}
