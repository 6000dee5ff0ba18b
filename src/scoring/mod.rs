//! From evaluation files to items, and from the candidates of items to token ids.
//!
//! Purpose: the one place that reads what a model is scored on, and the one rule by which a text to score becomes ids, of
//! which some count; the worker scores what this package returns, and `grid data show` prints it.
//!
//! Invariant: the ids of a candidate depend on its text, the tokenizer and the mode alone.
//!
//! Rejected: this rule in `suites`, which would then need a tokenizer, or in the worker, where nobody could look at it.

mod items;
mod losses;
mod requests;

pub use items::{ItemsError, read_items};
pub use losses::loss_warning;
pub use requests::{RequestError, ScoringContext, TextRequests};
