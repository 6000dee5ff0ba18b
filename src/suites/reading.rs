//! Reading times: how much of the variance of reading times a model's surprisal explains beyond a baseline.
//!
//! The words of one sentence form a cluster.

mod official;
mod power;
mod regression;
mod table;
mod word;

use crate::domain::{Edition, ItemOutcome, Mode, Score, Suite};

use super::clusters;
use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::files;
use super::item::{Item, Likelihood, Measurements, finite_sums};
use regression::{Gain, gain};
use word::{EYE_TRACKING, SELF_PACED, Word};

pub use power::{Power, predictive_power};

pub(super) const DEFINITION: Definition = Definition {
    read,
    score: Some(score),
    recluster: clusters::assign_only,
    official: Some(Official {
        folder: "reading",
        folder_per_set: false,
        sizes: Sizes::OfSubtasks(|_, _| vec![("reading", 1_726)]),
        predictions_file: "predictions.json",
        predictions: official::surprisals,
        report: Some(OfficialReport { file: "report.txt", since: Edition::Of2025, write: official::write_report }),
        fast_result: official::fast_result,
    }),
};

const EXTENSION: &str = ".csv";

/// Reads every row of every table.
fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    let mut items = Vec::new();
    for (name, bytes) in files::with_extension(files, EXTENSION)? {
        let rows = table::read(mode, name, bytes, items.len() as u32)?;
        items.extend(files::require_rows(name, rows)?);
    }
    files::require_items(items, suite, files, EXTENSION)
}

/// Partial R2 in percent: the fraction of the variance unexplained by the baseline that the surprisal explains.
///
/// A surprisal that is not finite is missing, like an empty cell of the table; the official pipeline fails there.
fn score(suite: Suite, mode: Mode, items: &[Item], measured: &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    let words = Word::all(items, measured);
    let nans = measured.iter().filter(|measured| measured.iter().any(|one| one.sum.is_nan())).count() as u64;
    let row = |task: &str, subtask: &str, gain: Gain| Score {
        suite,
        task: task.to_owned(),
        subtask: Some(subtask.to_owned()),
        metric: "partial-r2".to_owned(),
        value: 100.0 * gain.partial,
        n: gain.rows as u64,
        // The standard error of a correlation r over n rows is (1 - r^2) / sqrt n; that of r^2 is 2 |r| times as large.
        stderr: (gain.rows > 0).then(|| 200.0 * gain.partial.sqrt() * (1.0 - gain.partial) / (gain.rows as f64).sqrt()),
        // A random predictor explains one of the remaining degrees of freedom.
        chance: (gain.rows > gain.rank).then(|| 100.0 / (gain.rows - gain.rank) as f64),
        floor: None,
        ties: 0,
        near_ties: 0,
        nans,
        unscored: 0,
        classes: None,
        mode,
    };

    let (task, measures) = EYE_TRACKING;
    let mut scores: Vec<Score> =
        measures.iter().enumerate().map(|(index, measure)| row(task, measure, eye_tracking(&words, index))).collect();
    let eye_tracking = mean(&scores);
    scores.push(eye_tracking);
    let (task, measure) = SELF_PACED;
    let self_paced = row(task, measure, self_paced(&words));
    let official = Score { subtask: None, ..self_paced.clone() };
    scores.extend([self_paced, official]);

    let outcome = |(item, measured): (&Item, &Vec<Likelihood>)| ItemOutcome {
        task: item.task.clone(),
        subtask: item.subtask.clone(),
        item: item.index,
        chosen: 0,
        correct: false,
        credit: 0.0,
        scores: finite_sums(measured),
        cluster: item.cluster.clone(),
    };
    (scores, items.iter().zip(measured).map(outcome).collect())
}

/// The gain of the surprisal over frequency, length, length of the context and their three products.
fn eye_tracking(words: &[Word], measure: usize) -> Gain {
    gain(words.iter().filter_map(|word| {
        let Measurements { frequency, length, context_length, .. } = *word.measured;
        Some(([frequency?, length?, context_length?], word.surprisal?, word.measured.eye_tracking[measure]?))
    }))
}

/// The gain of the surprisal over these, the length and the surprisal of the word before, and all ten products.
fn self_paced(words: &[Word]) -> Gain {
    gain(words.iter().filter_map(|word| {
        let Measurements { frequency, length, context_length, previous_length, self_paced, .. } = *word.measured;
        let predictors = [frequency?, length?, context_length?, previous_length?, word.previous_surprisal?];
        Some((predictors, word.surprisal?, self_paced?))
    }))
}

/// The mean over measures. All are taken on the same words, so the mean of their errors bounds its error.
fn mean(scores: &[Score]) -> Score {
    let count = scores.len() as f64;
    let first = &scores[0];
    Score {
        subtask: None,
        value: scores.iter().map(|score| score.value).sum::<f64>() / count,
        n: scores.iter().map(|score| score.n).max().unwrap_or(0),
        stderr: scores.iter().map(|score| score.stderr).sum::<Option<f64>>().map(|sum| sum / count),
        chance: scores.iter().map(|score| score.chance).sum::<Option<f64>>().map(|sum| sum / count),
        ..first.clone()
    }
}

#[cfg(test)]
mod tests;
