//! What a model can score.

use std::ops::Range;

/// A sequence, and the positions whose log-probabilities are requested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScoringRequest {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Positions in `ids`. The first position cannot be scored, because nothing precedes it.
    pub scored: Range<usize>,
    /// For each scored position, the end of the positions that are masked together with it; empty if each is masked alone.
    pub masked_to: Vec<usize>,
}

impl ScoringRequest {
    /// A request in which each scored position is masked alone, if it is masked.
    pub fn new(ids: Vec<u32>, scored: Range<usize>) -> Self {
        Self { ids, scored, masked_to: vec![] }
    }
}
