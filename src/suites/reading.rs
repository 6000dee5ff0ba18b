//! Reading times: how much a model's surprisal adds to the explanation of how long people read a word.

mod power;
mod regression;
mod table;

use crate::domain::{ItemOutcome, Mode, Score, Suite};

use super::item::{Item, Likelihood, Measurements, Truth};
use regression::{Gain, gain};

pub use power::{Power, predictive_power};
pub(super) use table::table;

/// The task of eye-tracked reading: the mean over four measures.
const EYE_TRACKING: (&str, [&str; 4]) = ("eye-tracking", ["RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"]);
/// The task of self-paced reading.
const SELF_PACED: (&str, &str) = ("self-paced", "self_paced_reading_time");

/// One row as the regressions see it; what is missing is `None`.
struct Word<'a> {
    measured: &'a Measurements,
    surprisal: Option<f64>,
    previous_surprisal: Option<f64>,
}

/// Partial R2 in percent: the share of the baseline's unexplained variance that the surprisal explains.
///
/// Surprisals are minus the sums. One that is not finite is missing, like an empty cell of the table; the official
/// pipeline stops there.
pub(super) fn score(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let words: Vec<Word> = items.iter().zip(measured).map(|(item, measured)| word(item, measured)).collect();
    let nans = measured.iter().filter(|measured| measured.iter().any(|one| one.sum.is_nan())).count() as u64;
    let row = |task: &str, subtask: &str, gain: Gain| Score {
        suite,
        task: task.to_owned(),
        subtask: Some(subtask.to_owned()),
        metric: "partial-r2".to_owned(),
        value: 100.0 * gain.partial,
        n: gain.rows as u64,
        // A correlation r of n rows has standard error (1 - r^2) / sqrt n, hence its square 2 |r| times that.
        stderr: (gain.rows > 0).then(|| 200.0 * gain.partial.sqrt() * (1.0 - gain.partial) / (gain.rows as f64).sqrt()),
        // Any random number explains one of the remaining degrees of freedom.
        chance: (gain.rows > gain.rank).then(|| 100.0 / (gain.rows - gain.rank) as f64),
        floor: None,
        ties: 0,
        near_ties: 0,
        nans,
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
        scores: super::choice::kept(measured),
        cluster: item.cluster.clone(),
    };
    (scores, items.iter().zip(measured).map(outcome).collect())
}

fn word<'a>(item: &'a Item, likelihoods: &[Likelihood]) -> Word<'a> {
    let Truth::Measured(measured) = &item.truth else {
        unreachable!("every item of the reading suite is read with measurements")
    };
    let surprisal = |place: usize| likelihoods.get(place).map(|one| -one.sum).filter(|surprisal| surprisal.is_finite());
    Word { measured, surprisal: surprisal(0), previous_surprisal: surprisal(1) }
}

/// Gain of the surprisal over frequency, length, length of the context and their three products.
fn eye_tracking(words: &[Word], measure: usize) -> Gain {
    gain(words.iter().filter_map(|word| {
        let Measurements { frequency, length, context_length, .. } = *word.measured;
        Some(([frequency?, length?, context_length?], word.surprisal?, word.measured.eye_tracking[measure]?))
    }))
}

/// Gain of the surprisal over those, the length and surprisal of the word before, and all ten products.
fn self_paced(words: &[Word]) -> Gain {
    gain(words.iter().filter_map(|word| {
        let Measurements { frequency, length, context_length, previous_length, self_paced, .. } = *word.measured;
        let predictors = [frequency?, length?, context_length?, previous_length?, word.previous_surprisal?];
        Some((predictors, word.surprisal?, self_paced?))
    }))
}

/// The mean over measures. They are taken on the same words, so its error is bounded by the mean of theirs.
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
