//! The composition of a stage of a curriculum.

use serde::{Deserialize, Serialize};

/// The curriculum of cells with a single dataset, for which `merged`, `sequential` and `sequential-whole` are the same.
pub const SINGLE: &str = "single";

/// The tokens of an instruction record that receive loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossMask {
    /// The reply and the end-of-text token after it.
    Reply,
    /// The record's own text, prompt and reply, and what the template writes after a reply, but no other text of the
    /// template (Instruction Modelling, arXiv 2405.14394).
    Instruction,
    /// Every token: the prompt, the reply, the template and the end-of-text token.
    All,
}

/// Demonstrations before each record (in-context tuning, Chen et al. 2022, arXiv 2110.07814): other records with their
/// replies, drawn anew in every epoch. The dataset that they are drawn from is a name, a dataset or a prepare job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shots<Pool> {
    /// The number of demonstrations. There are fewer if the dataset has fewer, or if they would exceed the maximum length.
    pub k: u32,
    /// The text after each demonstration.
    pub delimiter: String,
    /// Whether a demonstration may have the reply of the record that it precedes.
    pub label_overlap: bool,
    /// The dataset whose training records they are; `None` for the dataset of the record that they precede.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

impl<Pool> Shots<Pool> {
    /// The same demonstrations out of this dataset.
    pub fn with_pool<T>(&self, pool: Option<T>) -> Shots<T> {
        let Shots { k, ref delimiter, label_overlap, .. } = *self;
        Shots { k, delimiter: delimiter.clone(), label_overlap, pool }
    }
}

/// The order of the records of several datasets within an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOrder {
    /// The records of all datasets are shuffled together.
    #[default]
    Shuffled,
    /// The datasets alternate: each is spread evenly over the epoch.
    Interleaved,
    /// One dataset after another, under one schedule.
    InTurn,
}

impl RecordOrder {
    /// Whether the order in which the datasets are listed makes no difference.
    pub fn is_shuffled(&self) -> bool {
        *self == RecordOrder::Shuffled
    }
}

/// The optimizer state that a stage starts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerStart {
    /// A new state.
    #[default]
    Fresh,
    /// The moments and step count at the end of the previous stage.
    Carried,
}

impl OptimizerStart {
    /// Whether the state is new.
    pub fn is_fresh(&self) -> bool {
        *self == OptimizerStart::Fresh
    }
}

/// The share of replayed pretraining text among the tokens of an epoch that receive loss, between 0 and 1 exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Replay(f64);

impl Replay {
    /// `None` if the share is not between 0 and 1 exclusive.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share < 1.0).then_some(Self(share))
    }

    /// The number of rows of text, each with `row_tokens` tokens that receive loss, that make up this share beside
    /// `trained` such tokens of records; rounded to whole rows.
    pub fn rows(self, trained: f64, row_tokens: u32) -> u64 {
        (trained * self.0 / (1.0 - self.0) / f64::from(row_tokens.max(1))).round() as u64
    }
}

impl TryFrom<f64> for Replay {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        Replay::new(share).ok_or("the share of replayed text must lie between 0 and 1")
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
    fn the_share_refers_to_all_tokens_that_receive_loss() {
        assert_eq!(Replay::new(0.1).map(|replay| replay.rows(900.0, 1)), Some(100));
        assert_eq!(Replay::new(0.5).map(|replay| replay.rows(900.0, 64)), Some(14), "14.06 rows");
        assert_eq!([0.0, -0.1, 1.0, f64::NAN].map(Replay::new), [None; 4]);
    }
}
