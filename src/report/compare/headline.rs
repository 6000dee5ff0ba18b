//! The overall difference of a comparison, and the sentence that states it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::compared::{Compared, ComparedRow, Equivalence, Overall, SeedDifference};
use super::super::measure::ACCURACY;
use super::super::statistics::mean;
use super::super::statistics::paired::{LEVEL, equivalence, paired_t, seeds_needed, smallest_effect};
use crate::domain::counted;

/// The labels of the pair of conditions that a row belongs to.
fn pair(row: &ComparedRow) -> Vec<(&str, &str)> {
    row.labels.iter().map(|label| (label.first.as_str(), label.second.as_str())).collect()
}

/// The rows of one pair of conditions.
type OfPair<'a> = Vec<&'a ComparedRow>;

/// Averages the differences of all rows seed by seed: over the tasks that every pair has for every seed, each once, and
/// then over the pairs. Only accuracies are included, as they have the same unit.
///
/// The seeds are those that all pairs share, if there are at least two. Otherwise they are those of the largest group of
/// pairs with the same seeds, and the other pairs are left out. `None` if there is no accuracy, or if no task is left.
pub(super) fn overall(rows: &[ComparedRow], margin: Option<f64>) -> Option<Overall> {
    let mut pairs: BTreeMap<Vec<(&str, &str)>, OfPair> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.metric == ACCURACY) {
        let of_pair = pairs.entry(pair(row)).or_default();
        // A task that was scored in two modes counts once, in the first mode.
        if !of_pair.iter().any(|known| is_same_task(known, row)) {
            of_pair.push(row);
        }
    }
    let seeds_of = |of_pair: &OfPair| -> BTreeSet<u64> {
        of_pair.iter().flat_map(|row| &row.seeds).map(|seed| seed.seed).collect()
    };
    let (seeds, chosen) = shared(pairs.values().map(|of_pair| (seeds_of(of_pair), of_pair)).collect())?;
    let has_all = |row: &&&ComparedRow| seeds.iter().all(|seed| row.seeds.iter().any(|known| known.seed == *seed));
    let has = |of_pair: &OfPair, task: &ComparedRow| of_pair.iter().filter(has_all).any(|row| is_same_task(row, task));
    let tasks: Vec<&ComparedRow> =
        (chosen.first()?.iter().copied()).filter(|task| chosen.iter().all(|of_pair| has(of_pair, task))).collect();
    let enters = |row: &&&ComparedRow| tasks.iter().any(|task| is_same_task(row, task));
    let entering: Vec<&ComparedRow> =
        chosen.iter().flat_map(|of_pair| of_pair.iter().filter(enters).copied()).collect();
    let at = |seed: u64| -> Option<SeedDifference> {
        let of_rows = |number: fn(&SeedDifference) -> f64| {
            let values = entering.iter().flat_map(|row| &row.seeds).filter(|known| known.seed == seed).map(number);
            mean(&values.collect::<Vec<f64>>())
        };
        // All pairs have the same tasks, so the mean over all rows equals the mean over pairs of the means over tasks.
        let (first, second) = (of_rows(|seed| seed.first)?, of_rows(|seed| seed.second)?);
        Some(SeedDifference { seed, first, second, difference: second - first })
    };
    let of_seeds: Vec<SeedDifference> = seeds.iter().map(|seed| at(*seed)).collect::<Option<_>>()?;
    let differences: Vec<f64> = of_seeds.iter().map(|seed| seed.difference).collect();
    let estimate = paired_t(&differences);
    let smallest = estimate.and_then(|estimate| Some(estimate.sd * smallest_effect(estimate.df + 1)?));
    Some(Overall {
        tasks: tasks.into_iter().map(|row| row.task.clone()).collect(),
        pairs: chosen.len(),
        pairs_left_out: pairs.len() - chosen.len(),
        difference: mean(&differences)?,
        test: estimate.map(Into::into),
        smallest_difference: smallest,
        seeds_for_one_point: estimate.and_then(|estimate| seeds_needed(1.0 / estimate.sd)),
        equivalence: margin.map(|margin| Equivalence { margin, p: equivalence(&differences, margin) }),
        seeds: of_seeds,
    })
}

/// Whether two rows are about the same task, in any mode.
fn is_same_task(one: &ComparedRow, other: &ComparedRow) -> bool {
    (one.suite, &one.task) == (other.suite, &other.task)
}

/// Chooses the seeds, and the pairs that have them.
fn shared<'a, 'b>(pairs: Vec<(BTreeSet<u64>, &'b OfPair<'a>)>) -> Option<(BTreeSet<u64>, Vec<&'b OfPair<'a>>)> {
    let common = pairs.iter().map(|(seeds, _)| seeds.clone()).reduce(|one, other| &one & &other)?;
    let all_alike = pairs.iter().all(|(seeds, _)| *seeds == common);
    if common.len() >= 2 || all_alike {
        return Some((common, pairs.into_iter().map(|(_, of_pair)| of_pair).collect()));
    }
    let groups: BTreeSet<&BTreeSet<u64>> = pairs.iter().map(|(seeds, _)| seeds).collect();
    let count = |wanted: &BTreeSet<u64>| pairs.iter().filter(|(seeds, _)| seeds == wanted).count();
    let largest = groups.into_iter().max_by_key(|seeds| (count(seeds), seeds.len()))?.clone();
    let of_group = pairs.iter().filter(|(seeds, _)| *seeds == largest).map(|(_, of_pair)| *of_pair).collect();
    Some((largest, of_group))
}

/// A p-value in a sentence.
fn p_text(p: f64) -> String {
    match p {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p if p < 0.1 => format!("p = {p:.3}"),
        p => format!("p = {p:.2}"),
    }
}

/// The overall difference as a sentence for a paper. It claims a difference only if the test finds one.
pub(super) fn sentence(compared: &Compared, overall: &Overall) -> String {
    let Compared { first, second, about, .. } = compared;
    let Overall { tasks, pairs, difference, test, .. } = overall;
    let over = format!(
        "{second} - {first}: {difference:+.1} points over {} and {}",
        counted_noun(tasks.len(), about),
        counted(*pairs as u64, "pair")
    );
    let seeds = overall.seeds.len() as u64;
    let Some(test) = test else {
        return match seeds {
            1 => format!(
                "{over}, from 1 seed. A single seed shows no spread, so there is no interval and no p-value, and nothing \
                 can be said about other training runs of these recipes; run at least 3 seeds."
            ),
            seeds => {
                format!("{over}, the same for each of {seeds} seeds, so there is no spread to test it against.")
            }
        };
    };
    let (low, high) = test.interval;
    let mut text = format!(
        "{over}, 95% interval {low:+.1} to {high:+.1}, {} (paired t test over {}).",
        p_text(test.p),
        counted(seeds, "seed")
    );
    let better = if *difference > 0.0 { "higher" } else { "lower" };
    let shown = match test.p < LEVEL {
        true => format!(" {second} scores {better}; with this spread"),
        false => " The difference is not significant; with this spread".to_owned(),
    };
    text.push_str(&shown);
    if let Some(smallest) = overall.smallest_difference {
        let found = format!(", {} detect {smallest:.1} points or more in 8 of 10 experiments", counted(seeds, "seed"));
        text.push_str(&found);
    }
    match overall.seeds_for_one_point {
        Some(needed) if needed > seeds => text.push_str(&format!("; detecting 1 point needs {needed} seeds.")),
        Some(_) => text.push('.'),
        None => text.push_str("; detecting 1 point needs more than 10000 seeds."),
    }
    if let Some(Equivalence { margin, p: Some(p) }) = overall.equivalence {
        let points = points(margin);
        text.push_str(&match p < LEVEL {
            true => format!(" A difference of {points} or more is ruled out ({}, two one-sided t tests).", p_text(p)),
            false => format!(" It is not shown that the difference is below {points} ({}).", p_text(p)),
        });
    }
    text
}

/// A count with its noun: `1 task`, `3 subtasks`, `13 phenomena`.
fn counted_noun(count: usize, noun: &str) -> String {
    match (count, noun) {
        (2.., "phenomenon") => format!("{count} phenomena"),
        _ => counted(count as u64, noun),
    }
}

/// A margin in points: `1 point`, `0.5 points`.
pub(super) fn points(margin: f64) -> String {
    format!("{margin} {}", if margin == 1.0 { "point" } else { "points" })
}
