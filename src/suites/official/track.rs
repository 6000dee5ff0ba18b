//! The checkpoints at which a model of the challenge is evaluated.

use crate::domain::Milestone;

/// A track of the challenge. It limits how much text a model may read, and so determines its checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// 10 million words, ten epochs: 19 checkpoints.
    StrictSmall,
    /// 100 million words, ten epochs, as in all other tracks: 28 checkpoints.
    Strict,
}

impl Track {
    /// The milestones at which the track requires a checkpoint.
    pub fn checkpoints(self) -> Vec<Milestone> {
        Milestone::babylm(match self {
            Track::StrictSmall => 100_000_000,
            Track::Strict => 1_000_000_000,
        })
    }
}
