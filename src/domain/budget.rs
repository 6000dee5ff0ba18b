//! How much text a model may be trained on.

use std::fmt;

use serde::Serialize;

use super::plural::grouped;

/// The most text that a model may be trained on, from its random weights to its last stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Distinct words, including the held-out part.
    pub words: u64,
    /// How many times it may see that many words.
    pub epochs: u32,
}

impl Budget {
    /// The tracks of the BabyLM challenge, by their names in specs.
    pub const TRACKS: [(&str, Budget); 2] = [
        ("strict", Budget { words: 100_000_000, epochs: 10 }),
        ("strict-small", Budget { words: 10_000_000, epochs: 10 }),
    ];

    /// Words that may be seen, counting repetitions.
    pub fn seen(self) -> u64 {
        self.words.saturating_mul(u64::from(self.epochs))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Budget::TRACKS.iter().find(|(_, track)| track == self) {
            write!(f, "track {name}, ")?;
        }
        write!(f, "{} words × {} epochs", grouped(self.words), self.epochs)
    }
}
