//! How a stage of a curriculum is made up.

use serde::{Deserialize, Serialize};

/// What a cell's curriculum is called where one dataset stands under `merged`, `sequential` or `sequential-whole`.
pub const SINGLE: &str = "single";

/// Which tokens of an instruction record are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossMask {
    /// The reply and the end-of-text token after it.
    Reply,
    /// Prompt, reply and end-of-text token (Instruction Modelling).
    All,
}

/// How the records of several datasets follow each other within an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOrder {
    /// Shuffled together.
    #[default]
    Shuffled,
    /// Each dataset spread evenly over the epoch, so that they alternate.
    Interleaved,
    /// One dataset after the other under one schedule.
    InTurn,
}

impl RecordOrder {
    /// Whether the order of the datasets means nothing.
    pub fn is_shuffled(&self) -> bool {
        *self == RecordOrder::Shuffled
    }
}

/// What the optimiser of a stage starts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerStart {
    /// Nothing.
    #[default]
    Fresh,
    /// The moments and step count of the stage before.
    Carried,
}

impl OptimizerStart {
    /// Whether nothing is carried over.
    pub fn is_fresh(&self) -> bool {
        *self == OptimizerStart::Fresh
    }
}

/// The share of replayed text in the tokens of an epoch that receive loss, above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Replay(f64);

impl Replay {
    /// `None` for no replay, and for shares that are none.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share < 1.0).then_some(Self(share))
    }

    /// How many rows of text, each with `row_tokens` tokens that receive loss, come to this share beside `trained` such
    /// tokens of records; rounded to whole rows.
    pub fn rows(self, trained: f64, row_tokens: u32) -> u64 {
        (trained * self.0 / (1.0 - self.0) / f64::from(row_tokens.max(1))).round() as u64
    }
}

impl TryFrom<f64> for Replay {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        Replay::new(share).ok_or("a share of replayed text lies between 0 and 1")
    }
}

impl From<Replay> for f64 {
    fn from(replay: Replay) -> f64 {
        replay.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_tokens_is_a_ninth_of_those_of_the_records() {
        assert_eq!(Replay::new(0.1).map(|replay| replay.rows(900.0, 1)), Some(100));
        assert_eq!(Replay::new(0.5).map(|replay| replay.rows(900.0, 64)), Some(14), "14.06 rows");
        assert_eq!([0.0, -0.1, 1.0, f64::NAN].map(Replay::new), [None; 4]);
    }
}
