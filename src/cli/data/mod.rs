//! `grid data`.

mod build;
mod fetch;
mod list;
mod lock;
mod tokens;
mod verify;

use clap::Subcommand;

use super::global::Global;
use super::spec_args::SpecArgs;
use crate::session::{Exit, Failure};

/// Update to do with the data of a spec.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Print the data that a spec names, where they come from, and whether they are on this machine.
    List(list::ListArgs),
    /// Fetch missing data into a cache that all experiments share (GRID_CACHE, or ~/.cache/grid).
    Fetch(SpecArgs),
    /// Read every fetched file again, and compare it with what was fetched and with the lock file.
    Verify(verify::VerifyArgs),
    /// Make the datasets that have a `build:` key by asking a model about text. Answers are kept and not requested
    /// again.
    Build(SpecArgs),
    /// Ask the servers for their current versions, fetch these, and write the lock file beside the spec.
    Lock(SpecArgs),
    /// Print the ids and tokens into which a tokenizer turns texts.
    Tokens(tokens::TokensArgs),
}

/// `grid data`.
pub fn data(global: &Global, verb: &DataVerb) -> Result<Exit, Failure> {
    match verb {
        DataVerb::List(args) => list::list(args),
        DataVerb::Fetch(args) => fetch::fetch(global, args),
        DataVerb::Verify(args) => verify::verify(args),
        DataVerb::Build(args) => build::build(global, args),
        DataVerb::Lock(args) => lock::lock(global, args),
        DataVerb::Tokens(args) => tokens::tokens(args),
    }
}
