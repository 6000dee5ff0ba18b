//! `grid data build`.

use std::sync::Mutex;

use crate::cli::fetch::{fetch_data, transfers};
use crate::cli::global::Global;
use crate::cli::spec_args::SpecArgs;
use crate::data::Generated;
use crate::domain::{Generation, counted};
use crate::session::{Exit, Failure, build_dataset, check_build};

/// `grid data build`.
pub(super) fn build(global: &Global, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.read()?;
    check_build(&grid, global.offline)?;
    fetch_data(global, &spec, &grid)?;
    let mut exit = Exit::Done;
    for generation in &grid.generations {
        let shown = Mutex::new(transfers(global));
        let show = |done: usize, of: usize| {
            if let Ok(mut shown) = shown.lock() {
                shown.steps(&generation.dataset, done as u64, of as u64);
            }
        };
        let generated = build_dataset(&spec, generation, &show)?;
        drop(shown);
        if generated.left > 0 {
            exit = Exit::Interrupted;
        } else if generated.records == 0 {
            return Err(Failure::text(Exit::Environment, format!("grid: {}", summary(generation, &generated))));
        }
        if !global.quiet {
            eprintln!("{}", summary(generation, &generated));
        }
    }
    Ok(exit)
}

/// The result of a build, in a line or two.
fn summary(generation: &Generation, generated: &Generated) -> String {
    let Generated { documents, requests, left, unusable, records } = generated;
    let name = &generation.dataset;
    if *left > 0 {
        return format!(
            "{name}: {} of {documents} documents answered after {requests} requests, the limit that `requests` sets\n  \
             help: `grid data build` continues from there",
            documents - left
        );
    }
    let (documents, requests) = (counted(*documents as u64, "document"), counted(*requests, "request"));
    if *records == 0 {
        return format!("{name} has no records: none of {documents} got a usable answer ({requests})");
    }
    let unusable = match unusable {
        0 => String::new(),
        &n => format!("; {} without a usable answer", counted(n as u64, "document")),
    };
    format!(
        "{name}: {} from {documents}, {requests}{unusable}, written to {}",
        counted(*records as u64, "record"),
        generation.to.display()
    )
}
