//! Tests of all suites together.

use super::*;

mod read;

/// [`score`] for sums over one token each.
pub(super) fn score_sums(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    sums: &[Vec<f64>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let measured = |sums: &Vec<f64>| sums.iter().map(|&sum| Likelihood { sum, tokens: 1, bytes: 1 }).collect();
    score(&suite.into(), mode, items, &sums.iter().map(measured).collect::<Vec<_>>())
}
