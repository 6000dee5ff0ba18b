//! Scores, item outcomes, and the database rows that reports are made from.

use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::mode::Mode;
use super::suite::Suite;

/// A score of one model: the official aggregate of a task, or the score of a subtask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The suite.
    pub suite: Suite,
    /// The task within the suite.
    pub task: String,
    /// The subtask (`UID`); `None` for the official aggregate of the task.
    pub subtask: Option<String>,
    /// `accuracy`, `spearman`, `pearson`, `partial-r2`, `f1` or `mcc`.
    pub metric: String,
    /// The value, in percent: accuracies, F1, shares of variance, and correlations times 100.
    pub value: f64,
    /// The number of items scored.
    pub n: u64,
    /// The standard error over items, in the unit of the value; for an accuracy it is clustered by [`Cluster`].
    pub stderr: Option<f64>,
    /// The score of guessing, in the unit of the value; for classification, that of the most frequent class.
    pub chance: Option<f64>,
    /// The score of a trivial strategy (such as choosing the shorter sentence), in the unit of the value.
    pub floor: Option<f64>,
    /// Items whose best candidates have equal scores.
    pub ties: u64,
    /// Items whose two best candidates differ by at most 1e-4 nats, including ties.
    pub near_ties: u64,
    /// Items with a candidate whose score is NaN.
    pub nans: u64,
    /// Items with a candidate of which no token is scored, whose log-probability is therefore 0: a text of one token whose
    /// first token is not scored, or an empty text.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unscored: u64,
    /// The number of distinct predicted classes, if items have classes; 1 means that the model ignores the input.
    pub classes: Option<u64>,
    /// The scoring rules.
    pub mode: Mode,
}

impl Score {
    /// The name of the suite or of the test set, by which tables group subtasks.
    pub fn test_name(&self) -> &str {
        if self.suite.official_data().is_some() { self.suite.name() } else { &self.task }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The outcome of a model on one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemOutcome {
    /// The task.
    pub task: String,
    /// The subtask (`UID`).
    pub subtask: String,
    /// The position within the subtask, from 0, as in the official predictions: rows that the mode leaves out count too.
    pub item: u32,
    /// The index of the chosen candidate (the lowest in a tie).
    pub chosen: u32,
    /// Whether the choice is correct under the mode; in `fixed` mode a tie is not.
    pub correct: bool,
    /// The credit in 0..=1, which differs from `correct` for ties in `fixed` mode.
    pub credit: f64,
    /// The summed log-probability of each candidate or class in nats; `None` if it is not finite.
    pub scores: Vec<Option<f64>>,
    /// The items that share material with it; unknown for items that were recorded before clusters were.
    #[serde(default)]
    pub cluster: Cluster,
}

/// A cell of an experiment, as stored in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// The value of the model axis.
    pub model: String,
    /// The value of the dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// The value of the curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// The seed of the cell.
    pub seed: u64,
    /// The values of further axes: `name=value` joined by `, `; empty if there are none.
    pub extra: String,
}

/// The value of [`ScoreRow::checkpoint`] for the final model of a training job.
pub const FINAL: &str = "final";

/// A score with its cell: a row of the view `v_scores`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The name of the experiment.
    pub experiment: String,
    /// The label of the cell.
    pub cell: String,
    /// The value of the model axis.
    pub model: String,
    /// The value of the dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// The value of the curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// The seed of the cell.
    pub seed: u64,
    /// The values of further axes: `name=value` joined by `, `; empty if there are none.
    pub extra: String,
    /// The score.
    pub score: Score,
    /// The scored checkpoint: [`FINAL`], or the name of a [`Milestone`](super::Milestone).
    pub checkpoint: String,
    /// The seed of the fine-tuning; `None` for zero-shot scores.
    pub finetune_seed: Option<u64>,
    /// The full id of the eval or finetune job.
    pub job: String,
    /// The [`Origin`](super::Origin) of the scored items, as JSON.
    pub data: String,
}

impl ScoreRow {
    /// Whether the score is that of the final model, not of a milestone.
    pub fn is_final(&self) -> bool {
        self.checkpoint == FINAL
    }
}

/// An item outcome with its eval or finetune job.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRow {
    /// The full id of the eval or finetune job.
    pub job: String,
    /// The suite.
    pub suite: Suite,
    /// The outcome.
    pub outcome: ItemOutcome,
}
