//! The result files of the official BabyLM pipelines, as their collation and their leaderboards read them.
//!
//! They are made from recorded outcomes and scores; nothing is scored again. The pipeline also writes analyses beside
//! them (correlations and regressions of reading times with every variable), which are left out because nothing reads
//! them.

pub(super) mod predictions;
pub(super) mod report;
pub(super) mod result_file;
mod sizes;
mod submission;
#[cfg(test)]
mod tests;
mod track;

use serde_json::Value;

use crate::domain::{Edition, ItemOutcome, Score, ScoringBackend, Size, Suite};

use super::definition::{Official, OfficialReport};
use super::item::Item;
use super::{definition, official_of};

pub use super::aoa::{checkpoints, surprisals};
pub use super::glue::official::{files as glue_files, predictions as glue_predictions, problems as glue_problems};
pub use result_file::ResultFile;
pub use sizes::{is_accepted, problems};
pub use submission::Submission;
pub use track::Track;

/// Whether the official pipeline files the results of a suite by suite. It files those of `glue` by task, and has none of
/// a suite that it does not run.
pub fn has_files(suite: Suite) -> bool {
    definition(suite).official.is_some()
}

/// The files of the zero-shot evaluation of a suite on one of the official data sets: predictions and report.
///
/// # Panics
/// Unless [`has_files`].
pub fn files(
    edition: Edition,
    suite: Suite,
    size: Size,
    backend: ScoringBackend,
    items: &[Item],
    outcomes: &[ItemOutcome],
    scores: &[&Score],
) -> Vec<ResultFile> {
    let official = official_of(suite);
    let folder = folder(official, suite, size, backend);
    let file = |name: &str, text: String| ResultFile { path: format!("{folder}/{name}"), text };
    let mut files = vec![file(official.predictions_file, (official.predictions)(items, outcomes))];
    if let Some(OfficialReport { file: name, since, write }) = official.report
        && edition >= since
    {
        files.push(file(name, write(suite, items, outcomes, scores)));
    }
    files
}

/// The folder of the files of a suite.
fn folder(official: &Official, suite: Suite, size: Size, backend: ScoringBackend) -> String {
    let task = official.folder;
    match official.folder_per_set {
        true => {
            let data = suite.official_data().map_or("", |data| data.folder(size));
            format!("zero_shot/{backend}/{task}/{}", data.rsplit('/').next().unwrap_or_default())
        }
        false => format!("zero_shot/{backend}/{task}"),
    }
}

/// The text of the file of predictions of a suite.
///
/// # Panics
/// Unless [`has_files`].
pub fn predictions(suite: Suite, items: &[Item], outcomes: &[ItemOutcome]) -> String {
    (official_of(suite).predictions)(items, outcomes)
}

/// The correlation of the suite `aoa`, from -1 to 1.
pub fn correlation(scores: &[&Score]) -> Value {
    report::fraction(report::aggregate(Suite::Aoa, scores))
}

/// The entry of the collated file for the fast evaluation of one checkpoint: the fraction of correct answers in each
/// subtask, a correlation, or the two scores of reading as fractions.
///
/// # Panics
/// Unless [`has_files`].
pub fn fast_result(suite: Suite, scores: &[&Score]) -> Value {
    (official_of(suite).fast_result)(suite, scores)
}
