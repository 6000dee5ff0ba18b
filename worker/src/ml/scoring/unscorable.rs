//! Why a sequence cannot be scored.

use std::ops::Range;

/// Why a sequence cannot be scored; the message continues a sentence that names the sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unscorable {
    /// The first token has no context.
    #[error("its first token cannot be scored, because nothing precedes it")]
    NothingBefore,
    /// The positions are outside of the sequence.
    #[error("positions {scored:?} of {ids} tokens cannot be scored")]
    Range {
        /// The requested positions.
        scored: Range<usize>,
        /// The number of tokens.
        ids: usize,
    },
    /// There are more tokens than position embeddings.
    #[error("it has {ids} tokens, but the model has a context of {limit} positions")]
    TooLong {
        /// The number of tokens up to the last scored one.
        ids: usize,
        /// The number of positions.
        limit: u32,
    },
    /// An id has no embedding.
    #[error("id {id} is not in the model's vocabulary of {vocab_size}")]
    NotInVocabulary {
        /// The id.
        id: u32,
        /// The number of embeddings.
        vocab_size: u32,
    },
}
