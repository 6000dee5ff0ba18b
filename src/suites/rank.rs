//! Tasks in which the model's preference between two nonce forms is ranked against people's: WUG.

use std::collections::HashMap;

use crate::domain::{ItemOutcome, Mode, Nan, Preference, Score, Suite};

use super::choice;
use super::item::{Item, Likelihood, Truth};

/// Spearman's rho x 100 between the preference for the first form and the share of people who gave it.
///
/// Also the share of items whose first form is preferred, as metric `accuracy` of the subtask: the metric of the
/// pipeline before August 2025, never comparable with the correlation, and the official one of
/// [`Preference::Accuracy`]. A constant preference has no rank correlation, and the official pipeline stops there; it
/// scores 0 here.
pub(super) fn score(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
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
        metric: "spearman".to_owned(),
        value: 100.0 * rho,
        // Bonett and Wright (2000): Fisher's z of rho has variance (1 + rho^2 / 2) / (n - 3).
        stderr: (n > 3.0).then(|| 100.0 * (1.0 - rho * rho) * ((1.0 + rho * rho / 2.0) / (n - 3.0)).sqrt()),
        chance: Some(0.0),
        floor: (suite == Suite::WugAdj).then(|| 100.0 * suffix_oracle(items, &shares)),
        ..accuracy.clone()
    };
    let official = Score { subtask: None, ..of_subtask.clone() };
    (vec![accuracy, of_subtask, official], outcomes)
}

/// The share of people who gave the first form.
fn share(item: &Item) -> f64 {
    match item.truth {
        Truth::Share(share) => share,
        _ => unreachable!("every item of a correlation suite is read with a share"),
    }
}

/// How much the first of two candidates is preferred.
fn preference(mode: Mode, scores: &[f64]) -> f64 {
    let known = |score: f64| match mode.nan {
        Nan::Loses if score.is_nan() => f64::NEG_INFINITY,
        Nan::Loses | Nan::Wins => score,
    };
    let (first, second) = (known(scores[0]), known(scores[1]));
    // Two impossible forms: no preference. Officially that has no number either.
    let impossible = mode.nan == Nan::Loses && first == f64::NEG_INFINITY && second == f64::NEG_INFINITY;
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

/// The rho of a guess that knows the last three letters of the adjective and people's mean share for each such ending.
fn suffix_oracle(items: &[Item], shares: &[f64]) -> f64 {
    let endings: Vec<String> = items.iter().map(ending).collect();
    let mut means: HashMap<&str, (f64, f64)> = HashMap::new();
    for (ending, share) in endings.iter().zip(shares) {
        let (sum, count) = means.entry(ending).or_default();
        *sum += share;
        *count += 1.0;
    }
    let guess: Vec<f64> = endings.iter().map(|ending| means[ending.as_str()]).map(|(sum, count)| sum / count).collect();
    spearman(&guess, shares).unwrap_or(0.0)
}

/// The last three letters of the adjective: the last word but one, as in `...: wuggable. wuggability`.
fn ending(item: &Item) -> String {
    let adjective = item.candidates[0].text.split_whitespace().rev().nth(1).unwrap_or_default();
    let letters: Vec<char> = adjective.chars().filter(|letter| letter.is_alphabetic()).collect();
    letters[letters.len().saturating_sub(3)..].iter().collect()
}

/// Spearman's rank correlation: Pearson's correlation of the ranks, ties sharing their mean rank.
///
/// `None` when either side is constant or holds a NaN.
pub(super) fn spearman(left: &[f64], right: &[f64]) -> Option<f64> {
    if left.iter().chain(right).any(|number| number.is_nan()) {
        return None;
    }
    pearson(&ranks(left), &ranks(right))
}

/// Ranks from 1; equal numbers share the mean of their ranks.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&left, &right| numbers[left].total_cmp(&numbers[right]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&left, &right| numbers[left] == numbers[right]) {
        let shared = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &index in equal {
            ranks[index] = shared;
        }
        before += equal.len();
    }
    ranks
}

/// Pearson's correlation; `None` when either side is constant.
pub(super) fn pearson(left: &[f64], right: &[f64]) -> Option<f64> {
    let centred = |numbers: &[f64]| -> Vec<f64> {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        numbers.iter().map(|number| number - mean).collect()
    };
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>();
    let (left, right) = (centred(left), centred(right));
    let correlation = dot(&left, &right) / (dot(&left, &left) * dot(&right, &right)).sqrt();
    correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{read, score_sums as score_suite};
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
    fn ranks_share_their_mean_and_zeros_are_equal() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
        // By hand: d = (-1, 1, 0), rho = 1 - 6 * 2 / (3 * 8).
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[20.0, 10.0, 30.0]), Some(0.5));
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]), None);
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
    fn a_nan_is_no_preference_in_fixed_and_undoes_compat() {
        let rows = items(&[("wugable", 0.2), ("blickable", 0.4), ("daxish", 0.9)]);
        let sums = [vec![f64::NAN, -1.0], vec![f64::NAN, f64::NAN], vec![-1.0, -2.0]];
        let last = |mode| score_suite(Suite::WugAdj, mode, &rows, &sums).0.pop().expect("an aggregate");
        assert_eq!((last(Mode::COMPAT).value, last(Mode::COMPAT).nans), (0.0, 2));
        assert_eq!((last(Mode::FIXED).value, last(Mode::FIXED).nans), (100.0, 2));
    }

    #[test]
    fn the_old_metric_is_the_share_of_first_forms() {
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

    proptest! {
        #[test]
        fn rho_is_bounded_symmetric_and_blind_to_monotone_maps(
            pairs in prop::collection::vec((-5i8..5, -5.0..5.0f64), 2..30)
        ) {
            let left: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
            let right: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
            let rho = spearman(&left, &right);
            prop_assert!(rho.is_none_or(|rho| (-1.0..=1.0).contains(&rho)));
            let cubed: Vec<f64> = left.iter().map(|number| number.powi(3) + 7.0).collect();
            prop_assert_eq!(rho, spearman(&cubed, &right));
            let mirrored = spearman(&right, &left);
            prop_assert!((rho.unwrap_or(0.0) - mirrored.unwrap_or(0.0)).abs() < 1e-12);
        }
    }
}
