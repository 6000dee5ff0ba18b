//! `grid data`.

mod build;
mod fetch;
mod list;
mod lock;
mod show;
mod tokens;
mod verify;

use clap::Subcommand;
use tokio::task::block_in_place;

use super::global::Global;
use super::spec_args::SpecArgs;
use crate::session::{Exit, Failure};

/// What to do with the data of a spec.
#[derive(Debug, Subcommand)]
pub(super) enum DataVerb {
    /// Print the data that a spec names, where they come from, and whether they are on this machine.
    List(list::ListArgs),
    /// Print records of a dataset, or items of a suite, as token ids, and which of them count.
    Show(show::ShowArgs),
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
pub(super) async fn data(global: &Global, verb: &DataVerb) -> Result<Exit, Failure> {
    match verb {
        DataVerb::List(args) => block_in_place(|| list::list(args)),
        DataVerb::Show(args) => show::show(global, args).await,
        DataVerb::Fetch(args) => block_in_place(|| fetch::fetch(global, args)),
        DataVerb::Verify(args) => block_in_place(|| verify::verify(args)),
        DataVerb::Build(args) => block_in_place(|| build::build(global, args)),
        DataVerb::Lock(args) => block_in_place(|| lock::lock(global, args)),
        DataVerb::Tokens(args) => block_in_place(|| tokens::tokens(args)),
    }
}
