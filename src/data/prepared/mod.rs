//! Prepared data: token files that training reads window by window, with a ledger.
//!
//! A folder contains, for the splits `train` and `validation`, `<split>.bin`: the token ids as little-endian integers of
//! the width given in the ledger. For datasets it also contains `<split>.index` with a little-endian `u64` for each
//! record, the position where its ids end, and `<split>.mask` with a byte for each id: 1 if it is trained on, plus 2 if it
//! stands for the record's own text, plus 4 if the reply of the record is bad; and, if replies
//! have an uncertainty, `<split>.uncertainty` with a little-endian `f64` for each record; and, if texts are
//! kept, `<split>.texts` with a line of JSON for each record. `ledger.json` describes both
//! splits.

mod ledger;
mod read;
mod split;
mod write;

pub use ledger::{Ledger, Split, SplitSize, TokenWidth};
pub use read::{PreparedCorpus, PreparedDataset, PreparedRecord};
pub use split::HeldOut;
pub use write::{prepare_corpus, prepare_dataset};

#[cfg(test)]
mod tests;
