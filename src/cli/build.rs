//! `grid data build`: datasets that a model makes of text.

use std::path::Path;
use std::sync::Mutex;

use super::args::{Cli, SpecArgs};
use super::data::obtain;
use super::failure::{Exit, Failure};
use super::run::progress_mode;
use super::workspace::SpecText;
use crate::data::{Generated, Survey, generate, generation_retry_policy};
use crate::domain::{Generation, counted};
use crate::report::progress::Transfers;

/// `grid data build`.
pub fn build(cli: &Cli, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    if grid.generations.is_empty() {
        let message = format!("grid: no dataset of {} has a `build:`, which says how it is made", grid.name);
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    if cli.offline {
        return Err(Failure::text(Exit::Environment, "grid: a build asks a service, and grid is offline"));
    }
    obtain(cli, &spec, &grid)?;
    let shelf = spec.shelf()?;
    let environment = |error| Failure::new(Exit::Environment, error);
    let mut exit = Exit::Done;
    for generation in &grid.generations {
        let mut survey = Survey::open(Path::new("")).with_cache(shelf.clone());
        let located = survey.locate(&generation.corpus.source).map_err(environment)?;
        let transfers = Mutex::new(Transfers::new(progress_mode(cli), Box::new(std::io::stderr())));
        let show = |done: usize, of: usize| {
            if let Ok(mut transfers) = transfers.lock() {
                transfers.steps(&generation.dataset, done as u64, of as u64);
            }
        };
        let generated =
            generate(generation, &located, &shelf, generation_retry_policy(), &show).map_err(environment)?;
        drop(transfers);
        if generated.left > 0 {
            exit = Exit::Interrupted;
        } else if generated.records == 0 {
            return Err(Failure::text(Exit::Environment, format!("grid: {}", told(generation, &generated))));
        }
        if !cli.quiet {
            eprintln!("{}", told(generation, &generated));
        }
    }
    Ok(exit)
}

/// What a build has come to, in a line or two.
fn told(generation: &Generation, generated: &Generated) -> String {
    let Generated { documents, requests, left, unusable, records } = generated;
    let name = &generation.dataset;
    if *left > 0 {
        return format!(
            "{name}: {} of {documents} documents answered after {requests} requests, which is all that `requests` \
             allows\n  help: `grid data build` goes on from there",
            documents - left
        );
    }
    let (documents, requests) = (counted(*documents as u64, "document"), counted(*requests, "request"));
    if *records == 0 {
        return format!("{name} has no records: of {documents} none got a usable answer ({requests})");
    }
    let given_up = match unusable {
        0 => String::new(),
        &n => format!("; {} gave no usable answer", counted(n as u64, "document")),
    };
    format!(
        "{name}: {} of {documents}, {requests}{given_up}, in {}",
        counted(*records as u64, "record"),
        generation.to.display()
    )
}
