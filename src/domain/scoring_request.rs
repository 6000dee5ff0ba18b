//! What a model can score.

use std::ops::Range;

/// A sequence, and the positions whose log-probabilities are requested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScoringRequest {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Positions in `ids`. The first position cannot be scored, because nothing precedes it.
    pub scored: Range<usize>,
}
