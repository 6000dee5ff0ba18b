//! How a model gives a text its probability.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// How the log-probability of a token of a text is computed. That of a text is the sum over its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, VariantArray, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ScoringBackend {
    /// Given the tokens in front of it.
    Causal,
    /// Given all other tokens: it alone is masked, and predicted at its own position (Salazar et al. 2020).
    Mlm,
    /// Given all other tokens: it alone is masked, and predicted at the position in front of it (masked next-token
    /// prediction, BehnamGhader et al. 2024).
    Mntp,
}

impl ScoringBackend {
    /// The name, which is that of the official pipeline.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the scored token is replaced by the mask token.
    pub fn masks(self) -> bool {
        self != ScoringBackend::Causal
    }

    /// The first token of a text that can be scored: without a token in front of it, only a masked one can be predicted at
    /// its own position.
    pub fn first_scored(self) -> usize {
        usize::from(self != ScoringBackend::Mlm)
    }
}

impl fmt::Display for ScoringBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
