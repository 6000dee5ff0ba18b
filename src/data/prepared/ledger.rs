//! The ledger of a prepared folder.

use serde::{Deserialize, Serialize};

use crate::domain::Replies;

/// The training part or the held-out part of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The part for training.
    Train,
    /// The part for validation.
    Validation,
}

impl Split {
    /// Both splits.
    pub const ALL: [Split; 2] = [Split::Train, Split::Validation];

    /// The name of the files of the split, without extension.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
        }
    }
}

/// The units of a prepared folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Units {
    Documents,
    Records,
}

/// Bytes per token id in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenWidth {
    /// `u16`, for vocabularies below 65,536.
    Two,
    /// `u32`.
    Four,
}

impl TokenWidth {
    pub(super) fn of(vocab_size: u32) -> Self {
        if vocab_size < 1 << 16 { TokenWidth::Two } else { TokenWidth::Four }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            TokenWidth::Two => 2,
            TokenWidth::Four => 4,
        }
    }
}

/// The contents of one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSize {
    /// Documents, records, or pairs of records; a document that was divided for validation counts in both splits.
    pub units: u64,
    /// Whitespace-separated words; for records, those of prompts and replies.
    pub words: u64,
    /// Tokens, including end-of-text tokens.
    pub tokens: u64,
    /// The tokens that are trained on under the loss mask `reply`; 0 for documents, all of whose tokens are.
    #[serde(default)]
    pub trained: u64,
    /// The records that have a token with a part of what is trained on and a part of what is not.
    #[serde(default)]
    pub across: u64,
}

/// A bit of the byte that the mask of records has for each token.
#[derive(Debug, Clone, Copy)]
pub(super) enum MaskBit {
    /// The token is trained on.
    Trained = 1,
    /// The token stands for a part of the record's own text, and not only of the template.
    Own = 2,
    /// The reply of the record is bad; the same for all of its tokens.
    Rejected = 4,
}

/// What a prepared folder has for each record of a dataset beside its ids and what is trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// Whether the mask marks the tokens of the records' own text, as opposed to the text of the template.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_text: bool,
    /// Whether each record has an uncertainty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertainty: bool,
    /// Whether the texts of each record are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub texts: bool,
    /// The replies of the dataset that it has. The records of a pair follow each other, the chosen one first.
    #[serde(default, skip_serializing_if = "Replies::is_good")]
    pub replies: Replies,
}

/// The ledger of a prepared folder: what its files contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub(super) units: Units,
    /// Width of a token id in the files.
    pub width: TokenWidth,
    /// The vocabulary size of the tokenizer.
    pub vocab_size: u32,
    /// What is known of the records of a dataset.
    #[serde(flatten)]
    pub records: RecordFacts,
    /// The training part.
    pub train: SplitSize,
    /// The held-out part.
    pub validation: SplitSize,
}

impl Ledger {
    pub(super) const FILE: &str = "ledger.json";

    /// The contents of this split.
    pub fn share(&self, split: Split) -> SplitSize {
        match split {
            Split::Train => self.train,
            Split::Validation => self.validation,
        }
    }
}
