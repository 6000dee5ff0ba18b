//! What the file of a suite states about it.

use serde_json::Value;

use crate::domain::{Edition, ItemOutcome, Mode, Score, Size, Stderr, Suite};

use super::error::SuiteError;
use super::item::{Item, Likelihood};

/// Turns the files of a suite, `(path, contents)`, into items.
type ReadItems = fn(Suite, Mode, &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError>;

/// Turns the likelihoods of every item's candidates into scores, and an outcome for each item.
type ScoreItems = fn(Suite, Mode, &[Item], &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>);

/// Gives recorded outcomes the clusters of their items and recomputes the standard errors that depend on them; `None`
/// if an outcome belongs to none of the items.
type Recluster = fn(Suite, &[Item], &mut [ItemOutcome]) -> Option<Vec<Stderr>>;

/// Everything that distinguishes one suite from the others, apart from its names and folders, which [`Suite`] has.
///
/// Each suite has a file of its own that fills in this record. No field has a default: a suite that lacks one does not
/// compile.
pub(super) struct Definition {
    pub(super) read: ReadItems,
    /// `None` for a suite that cannot be scored from the likelihoods of one model alone.
    pub(super) score: Option<ScoreItems>,
    pub(super) recluster: Recluster,
    /// `None` for a suite whose official results are not filed by suite, or which the official pipeline does not run.
    pub(super) official: Option<Official>,
}

/// How the official pipeline files the results of a suite.
pub(super) struct Official {
    /// The folder of the results, below `zero_shot/causal`.
    pub(super) folder: &'static str,
    /// Whether that folder has a folder for each data set.
    pub(super) folder_per_set: bool,
    pub(super) sizes: Sizes,
    /// The name of the file of predictions.
    pub(super) predictions_file: &'static str,
    /// The text of the file of predictions.
    pub(super) predictions: fn(&[Item], &[ItemOutcome]) -> String,
    /// The report, if there is one.
    pub(super) report: Option<OfficialReport>,
    /// The entry of the collated file for the fast evaluation of one checkpoint.
    pub(super) fast_result: fn(Suite, &[&Score]) -> Value,
}

/// How many items an official data set has.
pub(super) enum Sizes {
    /// The name of each subtask, and the number of its items.
    OfSubtasks(fn(Edition, Size) -> Vec<(&'static str, u32)>),
    /// The number of items at each checkpoint, for a suite whose subtasks are the checkpoints.
    OfEachCheckpoint(u32),
}

/// A report of the official pipeline.
pub(super) struct OfficialReport {
    /// The name of its file.
    pub(super) file: &'static str,
    /// The first edition that writes it.
    pub(super) since: Edition,
    /// Its text.
    pub(super) write: fn(Suite, &[Item], &[ItemOutcome], &[&Score]) -> String,
}
