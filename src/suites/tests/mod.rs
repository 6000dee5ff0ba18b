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
    let measured = |sums: &Vec<f64>| sums.iter().map(|&sum| Likelihood { sum, tokens: 1 }).collect();
    score(suite, mode, items, &sums.iter().map(measured).collect::<Vec<_>>())
}

/// `grid export` writes the official files of every suite; only those of `glue` are filed by task.
#[test]
fn every_suite_but_glue_has_official_files() {
    for suite in Suite::ALL {
        assert_eq!(definition(suite).official.is_none(), suite == Suite::Glue, "{suite}");
    }
}
