//! The prompt/reply record of instruction datasets.

/// An instruction and its reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The text given to the model.
    pub prompt: String,
    /// The expected reply; never blank in the records that [`records`](super::records()) returns.
    pub reply: String,
}

impl Record {
    /// Whether the reply is empty or white space only.
    pub(super) fn is_blank(&self) -> bool {
        self.reply.trim().is_empty()
    }
}
