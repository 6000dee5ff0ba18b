//! WUG: two forms of a nonce word in sentences scored as a whole, and the fraction of people who gave the first form.
//!
//! The model's preference for the first form is correlated with people's. Every item is a cluster of its own.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::domain::{Cluster, Edition, ItemOutcome, Mode, Nan, Preference, Score, Size, Suite};

use super::correlation::spearman;
use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, Likelihood, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::{predictions, report};
use super::{choice, clusters};

/// Nominalization of nonce adjectives: "-ity" or "-ness".
pub(super) const ADJECTIVES: Definition = Definition {
    read,
    score: Some(score_adjectives),
    recluster: clusters::assign_only,
    official: Some(official("wug_adj", |_, _| vec![("wug_adj", 200)])),
};

/// Past tense of nonce verbs.
pub(super) const PAST_TENSE: Definition = Definition {
    read,
    score: Some(score),
    recluster: clusters::assign_only,
    official: Some(official("wug_past", |_, _| vec![("wug_past", 50)])),
};

const fn official(folder: &'static str, sizes: fn(Edition, Size) -> Vec<(&'static str, u32)>) -> Official {
    Official {
        folder,
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(sizes),
        predictions_file: "predictions.json",
        predictions: predictions::chosen_completions,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: write_report }),
        fast_result,
    }
}

fn read(suite: Suite, _: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, |_, row| nonce_forms(suite, row))
}

fn nonce_forms(suite: Suite, row: &JsonRow) -> Result<ParsedRow, SuiteError> {
    let sentences = row.text("sentences")?;
    let (first, second) = match sentences.split_once('\t') {
        Some((first, second)) if !second.contains('\t') => (first, second),
        _ => return Err(row.error("field `sentences` should hold two sentences separated by a tab".to_owned())),
    };
    Ok(ParsedRow {
        subtask: suite.name().replace('-', "_"),
        group: suite.name().to_owned(),
        report_labels: vec![],
        candidates: vec![Candidate::whole(first), Candidate::whole(second)],
        truth: Truth::Share(row.fraction("ratio")?),
        left_out_by: None,
        cluster: Cluster::Itself,
    })
}

/// The report calls the correlation the average of the UIDs.
fn write_report(suite: Suite, _: &[Item], _: &[ItemOutcome], scores: &[&Score]) -> String {
    let correlation = report::aggregate(suite, scores).map_or(f64::NAN, |score| score.value) / 100.0;
    let mut report = report::Report::new("SPEARMAN'S RHO");
    report.block("UID", &[("avg".to_owned(), correlation)]);
    report.finish(correlation)
}

/// The correlation.
fn fast_result(suite: Suite, scores: &[&Score]) -> Value {
    json!({suite.name().replace('-', "_"): report::fraction(report::aggregate(suite, scores))})
}

/// [`score`] with the floor of the adjectives.
fn score_adjectives(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let (mut scores, outcomes) = score(suite, mode, items, measured);
    let floor = 100.0 * suffix_oracle(items);
    for score in scores.iter_mut().filter(|score| score.metric == SPEARMAN) {
        score.floor = Some(floor);
    }
    (scores, outcomes)
}

const SPEARMAN: &str = "spearman";

/// Spearman's rho x 100 between the preference for the first form and the fraction of people who gave it.
///
/// The fraction of items whose first form is preferred is the metric `accuracy` of the subtask. It was the metric of
/// the pipeline before August 2025 and is the official one under [`Preference::Accuracy`]; it cannot be compared with
/// the correlation. A constant preference has no rank correlation: the official pipeline fails, and here it scores 0.
fn score(suite: Suite, mode: Mode, items: &[Item], measured: &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    let (accuracies, outcomes) = choice::score(suite, mode, items, measured);
    let Some(accuracy) = accuracies.into_iter().next() else { return (Vec::new(), outcomes) };
    if mode.wug == Preference::Accuracy {
        let official = Score { subtask: None, ..accuracy.clone() };
        return (vec![accuracy, official], outcomes);
    }
    let preference =
        |(item, measured): (&Item, &Vec<Likelihood>)| preference(mode, &item.scores(mode.length, measured));
    let preferences: Vec<f64> = items.iter().zip(measured).map(preference).collect();
    let shares: Vec<f64> = items.iter().map(share).collect();
    let rho = spearman(&preferences, &shares).unwrap_or(0.0);
    let n = items.len() as f64;
    let of_subtask = Score {
        metric: SPEARMAN.to_owned(),
        value: 100.0 * rho,
        // Bonett and Wright (2000): Fisher's z of rho has variance (1 + rho^2 / 2) / (n - 3).
        stderr: (n > 3.0).then(|| 100.0 * (1.0 - rho * rho) * ((1.0 + rho * rho / 2.0) / (n - 3.0)).sqrt()),
        chance: Some(0.0),
        floor: None,
        ..accuracy.clone()
    };
    let official = Score { subtask: None, ..of_subtask.clone() };
    (vec![accuracy, of_subtask, official], outcomes)
}

/// The fraction of people who gave the first form.
fn share(item: &Item) -> f64 {
    match item.truth {
        Truth::Share(share) => share,
        _ => unreachable!("every item of WUG is read with a fraction of people"),
    }
}

/// How much the first of two candidates is preferred.
fn preference(mode: Mode, scores: &[f64]) -> f64 {
    let comparable = |score: f64| match mode.nan {
        Nan::Loses | Nan::MinusInfinity if score.is_nan() => f64::NEG_INFINITY,
        Nan::Loses | Nan::MinusInfinity | Nan::Wins => score,
    };
    let (first, second) = (comparable(scores[0]), comparable(scores[1]));
    // Two impossible forms: no preference. The official pipeline computes NaN here.
    let impossible = mode.nan != Nan::Wins && first == f64::NEG_INFINITY && second == f64::NEG_INFINITY;
    match mode.wug {
        Preference::Probability => {
            let (first, second) = (first as f32, second as f32);
            if first.is_nan() || second.is_nan() {
                return f64::NAN;
            }
            if impossible {
                return 0.5;
            }
            let greatest = first.max(second);
            let (first, second) = ((first - greatest).exp(), (second - greatest).exp());
            f64::from(first / (first + second))
        }
        Preference::Difference | Preference::Accuracy if impossible => 0.0,
        Preference::Difference | Preference::Accuracy => first - second,
    }
}

/// The rho of a guesser that knows the last three letters of the adjective, and the mean of people's fractions for each
/// such ending.
fn suffix_oracle(items: &[Item]) -> f64 {
    let shares: Vec<f64> = items.iter().map(share).collect();
    let endings: Vec<String> = items.iter().map(ending).collect();
    let mut means: HashMap<&str, (f64, f64)> = HashMap::new();
    for (ending, share) in endings.iter().zip(&shares) {
        let (sum, count) = means.entry(ending).or_default();
        *sum += share;
        *count += 1.0;
    }
    let guess: Vec<f64> = endings.iter().map(|ending| means[ending.as_str()]).map(|(sum, count)| sum / count).collect();
    spearman(&guess, &shares).unwrap_or(0.0)
}

/// The last three letters of the adjective, which is the second-to-last word, as in `...: wuggable. wuggability`.
fn ending(item: &Item) -> String {
    let adjective = item.candidates[0].text.split_whitespace().rev().nth(1).unwrap_or_default();
    let letters: Vec<char> = adjective.chars().filter(|letter| letter.is_alphabetic()).collect();
    letters[letters.len().saturating_sub(3)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{read, tests::score_sums as score_suite};
    use super::*;

    fn items(rows: &[(&str, f64)]) -> Vec<Item> {
        let line = |(adjective, ratio): &(&str, f64)| {
            let form = |suffix: &str| format!("A noun from: {adjective}. {adjective}{suffix}");
            let sentences = format!("{}\t{}", form("ity"), form("ness"));
            serde_json::json!({"sentences": sentences, "ratio": ratio}).to_string() + "\n"
        };
        let file = ("wug.jsonl".to_owned(), rows.iter().map(line).collect::<String>().into_bytes());
        read(Suite::WugAdj, Mode::FIXED, &[file]).expect("rows as the format has them")
    }

    #[test]
    fn compat_saturates_where_fixed_still_ranks() {
        let items = items(&[("wugable", 0.2), ("blickable", 0.4), ("daxish", 0.9)]);
        let sums = [vec![0.0, -20.0], vec![0.0, -30.0], vec![0.0, -40.0]];
        let value = |mode| {
            let (scores, outcomes) = score_suite(Suite::WugAdj, mode, &items, &sums);
            assert!(outcomes.iter().all(|outcome| outcome.chosen == 0));
            scores
        };
        let (compat, fixed) = (value(Mode::COMPAT), value(Mode::FIXED));
        let summary = |scores: &[Score]| {
            let line = |score: &Score| (score.subtask.clone(), score.metric.clone(), score.value);
            scores.iter().map(line).collect::<Vec<_>>()
        };
        let name = || Some("wug_adj".to_owned());
        let rows = |rho| {
            let spearman = || "spearman".to_owned();
            [(name(), "accuracy".to_owned(), 100.0), (name(), spearman(), rho), (None, spearman(), rho)]
        };
        assert_eq!(summary(&compat), rows(0.0), "all three probabilities are 1");
        assert_eq!(summary(&fixed), rows(100.0));
    }

    #[test]
    fn a_nan_means_no_preference_in_fixed_and_no_correlation_in_compat() {
        let rows = items(&[("wugable", 0.2), ("blickable", 0.4), ("daxish", 0.9)]);
        let sums = [vec![f64::NAN, -1.0], vec![f64::NAN, f64::NAN], vec![-1.0, -2.0]];
        let last = |mode| score_suite(Suite::WugAdj, mode, &rows, &sums).0.pop().expect("an aggregate");
        assert_eq!((last(Mode::COMPAT).value, last(Mode::COMPAT).nans), (0.0, 2));
        assert_eq!((last(Mode::FIXED).value, last(Mode::FIXED).nans), (100.0, 2));
    }

    #[test]
    fn the_old_metric_is_the_fraction_of_first_forms() {
        let rows = items(&[("wugable", 0.2), ("blickable", 0.4), ("daxish", 0.9)]);
        let sums = [vec![0.0, -20.0], vec![-2.0, -1.0], vec![-3.0, -4.0]];
        let mode = Mode { wug: Preference::Accuracy, ..Mode::COMPAT };
        let (scores, _) = score_suite(Suite::WugAdj, mode, &rows, &sums);
        let last = scores.last().expect("an aggregate");
        assert_eq!((last.metric.as_str(), last.subtask.as_ref(), scores.len()), ("accuracy", None, 2));
        assert!((last.value - 200.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_floor_knows_only_the_ending() {
        let rows = items(&[("wugable", 0.8), ("blickable", 0.6), ("daxish", 0.1), ("fepish", 0.3)]);
        let (scores, _) = score_suite(Suite::WugAdj, Mode::FIXED, &rows, &vec![vec![0.0, 0.0]; 4]);
        // Ranks (3.5, 3.5, 1.5, 1.5) against (4, 3, 1, 2): covariance 4, variances 4 and 5.
        let floor = scores.last().and_then(|score| score.floor).expect("a floor");
        assert!((floor - 100.0 * 4.0 / 20f64.sqrt()).abs() < 1e-9, "{floor}");
    }
}
