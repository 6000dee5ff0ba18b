//! What is in a prepared folder.

use serde::{Deserialize, Serialize};

/// The part that trains, and the part held out to measure the loss on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Updates weights.
    Train,
    /// Never does.
    Validation,
}

impl Split {
    /// Both.
    pub const ALL: [Split; 2] = [Split::Train, Split::Validation];

    /// The name of its files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
        }
    }
}

/// What the units of a prepared folder are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Units {
    Documents,
    Records,
}

/// Bytes per token id in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// `u16`, for vocabularies below 65,536.
    Two,
    /// `u32`.
    Four,
}

impl Width {
    pub(super) fn of(vocab_size: u32) -> Self {
        if vocab_size < 1 << 16 { Width::Two } else { Width::Four }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            Width::Two => 2,
            Width::Four => 4,
        }
    }
}

/// What is in one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Documents or records; a document cut for the sake of validation counts in both splits.
    pub units: u64,
    /// Whitespace-separated words, prompts and replies included.
    pub words: u64,
    /// Tokens, end-of-text tokens included.
    pub tokens: u64,
}

/// The word ledger of a prepared folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub(super) units: Units,
    /// Width of a token id in the files.
    pub width: Width,
    /// Entries of the tokenizer.
    pub vocab_size: u32,
    /// What trains.
    pub train: Share,
    /// What is held out.
    pub validation: Share,
}

impl Ledger {
    pub(super) const FILE: &str = "ledger.json";

    /// What is in this split.
    pub fn share(&self, split: Split) -> Share {
        match split {
            Split::Train => self.train,
            Split::Validation => self.validation,
        }
    }
}
