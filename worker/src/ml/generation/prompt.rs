//! Prompts and replies.

/// A text to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The ids of its tokens.
    pub ids: Vec<u32>,
    /// The seed of its reply.
    pub seed: u64,
}

/// The new tokens after a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledReply {
    /// Their ids, without the stop token.
    pub ids: Vec<u32>,
    /// The stop token that ended the reply; `None` if it has as many tokens as are allowed.
    pub stop: Option<u32>,
}

/// Why a prompt cannot be continued; the message continues a sentence that names the prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsamplable {
    /// There is nothing to continue.
    #[error("it has no tokens")]
    Empty,
    /// There are more tokens than position embeddings. The last new token needs none.
    #[error("its {prompt} tokens and {new} new ones do not fit into the model's context of {limit} positions")]
    TooLong {
        /// The number of tokens of the prompt.
        prompt: usize,
        /// The most new tokens.
        new: u32,
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
