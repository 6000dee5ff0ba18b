//! Prepared data: token files that training maps into memory, with a ledger of what is in them.
//!
//! A folder holds, for `train` and `validation`: `<split>.bin`, the token ids as little-endian integers of the width
//! that the ledger states, nothing else; for datasets also `<split>.index`, per record two little-endian `u64`: where
//! its ids end, and how many of them are the prompt. `ledger.json` describes both.

mod ledger;
mod read;
mod write;

pub use ledger::{Ledger, Share, Split, Width};
pub use read::{Corpus, Instructions};
pub use write::{HeldOut, prepare_corpus, prepare_dataset};

#[cfg(test)]
mod tests;
