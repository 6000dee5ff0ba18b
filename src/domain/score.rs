//! Scores, item outcomes, and the rows that the report reads.

use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::mode::Mode;
use super::suite::Suite;

/// One number about one model: a task's official aggregate, or one of its subtasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The suite.
    pub suite: Suite,
    /// The task within it.
    pub task: String,
    /// The subtask (`UID`), or `None` for the task's official aggregate.
    pub subtask: Option<String>,
    /// `accuracy`, `spearman`, `pearson`, `partial-r2`, `f1` or `mcc`.
    pub metric: String,
    /// The value, in percent: accuracies, F1, shares of variance, and correlations times 100.
    pub value: f64,
    /// Items it rests on.
    pub n: u64,
    /// Standard error over items, in the value's unit; that of an accuracy takes items of one [`Cluster`] together.
    pub stderr: Option<f64>,
    /// What guessing gives, in the value's unit; of classes, guessing the most frequent one.
    pub chance: Option<f64>,
    /// What a trivial strategy gives (such as the shorter sentence, or the first word alone), in the value's unit.
    pub floor: Option<f64>,
    /// Items whose best candidates had exactly equal scores.
    pub ties: u64,
    /// Items whose two best candidates lie within 1e-4 nats, exact ties included.
    pub near_ties: u64,
    /// Items with a candidate whose score is not a number.
    pub nans: u64,
    /// Different classes among the predictions, where items have classes: 1 says that the input decides nothing.
    pub classes: Option<u64>,
    /// Rules.
    pub mode: Mode,
}

/// What a model did on one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemOutcome {
    /// The task.
    pub task: String,
    /// The subtask (`UID`).
    pub subtask: String,
    /// Position within the subtask, from 0, as the official predictions count; rows that the mode drops included.
    pub item: u32,
    /// Index of the chosen candidate (the lowest of a tie).
    pub chosen: u32,
    /// Whether the choice counts as right under the mode; in `fixed` mode a tie does not.
    pub correct: bool,
    /// Credit in 0..=1; differs from `correct` on ties in `fixed` mode.
    pub credit: f64,
    /// Log-probability (sum) of each candidate or class, in nats; one that is not finite is `null`.
    pub scores: Vec<Option<f64>>,
    /// The items that it shares material with; not known of items that were recorded before there were clusters.
    #[serde(default)]
    pub cluster: Cluster,
}

/// A cell of an experiment, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// Model axis.
    pub model: String,
    /// Dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// Curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// Seed axis.
    pub seed: u64,
    /// Values of further axes: `name=value` joined by `, `; empty when there are none.
    pub extra: String,
}

/// The checkpoint of a score that is about the result of a training.
pub const FINAL: &str = "final";

/// A score with the cell it belongs to, as `v_scores` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The experiment.
    pub experiment: String,
    /// The cell's label.
    pub cell: String,
    /// Model axis.
    pub model: String,
    /// Dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// Curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// Seed axis.
    pub seed: u64,
    /// Values of further axes: `name=value` joined by `, `; empty when there are none.
    pub extra: String,
    /// The number.
    pub score: Score,
    /// Checkpoint scored: [`FINAL`], or the name of a [`Milestone`](super::Milestone).
    pub checkpoint: String,
    /// Seed of the fine-tuning; `None` for a score that needs none.
    pub finetune_seed: Option<u64>,
    /// Full id of the eval or finetune job.
    pub job: String,
    /// The items that it scored: their [`Origin`](super::Origin) as JSON.
    pub data: String,
}

impl ScoreRow {
    /// Whether it is about the cell's model, not about one on the way there.
    pub fn is_final(&self) -> bool {
        self.checkpoint == FINAL
    }
}

/// An item outcome with the eval or finetune job it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRow {
    /// Full id of the eval or finetune job.
    pub job: String,
    /// The suite.
    pub suite: Suite,
    /// What happened.
    pub outcome: ItemOutcome,
}
