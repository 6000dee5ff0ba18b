//! Test sets of the user's own: rows to items, documents to bits per byte, and streams to regrets.

mod multiple_choice;
mod pairs;
mod power_law;
mod python;
mod random;
mod streams;
mod text;
mod types;

use super::clusters;
use super::definition::Definition;
use super::error::SuiteError;

pub use multiple_choice::TaskReader;
pub use pairs::PairsReader;
pub use streams::stream_items;
pub use text::documents;
pub use types::infer_types;

pub(super) use multiple_choice::score as score_multiple_choice;
pub(super) use streams::score as score_streams;
pub(super) use text::score as score_text;

/// A test set is not read from the folder of a suite, and its outcomes have always been recorded with clusters.
pub(super) const DEFINITION: Definition = Definition {
    read: |suite, _, _| Err(SuiteError::OwnTestSet { suite: suite.name() }),
    score: None,
    recluster: clusters::assign_only,
    official: None,
};
