//! Paired differences over clustered items: about two trained models, not about recipes.
//!
//! Items that share a passage, a story or a template are not independent, so the unit is the cluster. The statistic is the
//! difference of the scores: the weighted mean over subtasks of the mean difference over the items of each subtask.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::quantile;

/// The number of resamples of the bootstrap.
const RESAMPLES: usize = 2_000;
/// The number of random sign flips of the test, in addition to the data themselves.
const FLIPS: usize = 9_999;
/// With fewer clusters, neither the bootstrap nor the test is reliable.
const MIN_CLUSTERS: usize = 10;
/// Fixed, so that the same differences give the same interval in every report.
const SEED: u64 = 20_25;

/// The difference of two models on one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemDifference {
    /// The index of the subtask in the weights.
    pub subtask: usize,
    /// The cluster, which may have items of several subtasks.
    pub cluster: usize,
    /// The credit of the second model minus that of the first, in the unit of the score.
    pub difference: f64,
}

/// The estimated difference of two models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemEstimate {
    /// The difference of their scores.
    pub mean: f64,
    /// The 95% interval for these two models on other items of the same kind.
    pub interval: Option<(f64, f64)>,
    /// The two-sided p-value of no difference between these two models.
    pub p: Option<f64>,
    /// The number of clusters.
    pub clusters: usize,
}

/// The items of one cluster in one subtask.
#[derive(Debug, Clone, Copy, Default)]
struct ClusterPart {
    subtask: usize,
    sum: f64,
    count: f64,
}

/// The clusters of subtasks that share clusters, which are resampled together.
type Stratum = Vec<Vec<ClusterPart>>;

/// The sum and the number of the differences of a subtask in a resample.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: f64,
    count: f64,
}

/// Compares two models over the items that both answered.
///
/// `weights` has the weight of each subtask in the score; they add up to 1. The interval is from a percentile bootstrap
/// that draws whole clusters with replacement, within the subtasks that share clusters. Deviations are scaled by
/// sqrt(G / (G - 1)) for G clusters; otherwise the variance would be too small by the factor (G - 1) / G. The test flips
/// the signs of whole clusters, which exchanges the models, and counts how often the statistic is at least as far from
/// zero. `None` if a subtask has no items.
pub fn compare_items(items: &[ItemDifference], weights: &[f64]) -> Option<ItemEstimate> {
    let mut clusters: BTreeMap<usize, Vec<ClusterPart>> = BTreeMap::new();
    let mut counts = vec![0.0; weights.len()];
    for item in items {
        let parts = clusters.entry(item.cluster).or_default();
        let place = parts.iter().position(|part| part.subtask == item.subtask).unwrap_or_else(|| {
            parts.push(ClusterPart { subtask: item.subtask, ..ClusterPart::default() });
            parts.len() - 1
        });
        parts[place].sum += item.difference;
        parts[place].count += 1.0;
        counts[item.subtask] += 1.0;
    }
    if counts.contains(&0.0) {
        return None;
    }
    let clusters: Vec<Vec<ClusterPart>> = clusters.into_values().collect();
    let share = |part: &ClusterPart| weights[part.subtask] * part.sum / counts[part.subtask];
    let shares: Vec<f64> = clusters.iter().map(|parts| parts.iter().map(share).sum()).collect();
    let enough = clusters.len() >= MIN_CLUSTERS;
    Some(ItemEstimate {
        mean: shares.iter().sum(),
        interval: if enough { bootstrap(&strata(&clusters, weights.len()), weights) } else { None },
        p: enough.then(|| sign_flip(&shares)),
        clusters: clusters.len(),
    })
}

/// Groups clusters into strata, such that subtasks that share a cluster are in the same stratum.
fn strata(clusters: &[Vec<ClusterPart>], subtasks: usize) -> Vec<Stratum> {
    let mut stratum_of: Vec<usize> = (0..subtasks).collect();
    for parts in clusters {
        let joined = stratum_of[parts[0].subtask];
        for part in &parts[1..] {
            let other = stratum_of[part.subtask];
            stratum_of.iter_mut().filter(|stratum| **stratum == other).for_each(|stratum| *stratum = joined);
        }
    }
    let mut strata: BTreeMap<usize, Stratum> = BTreeMap::new();
    for parts in clusters {
        strata.entry(stratum_of[parts[0].subtask]).or_default().push(parts.clone());
    }
    strata.into_values().collect()
}

/// The interval of the statistic; `None` if a stratum has a single cluster.
fn bootstrap(strata: &[Stratum], weights: &[f64]) -> Option<(f64, f64)> {
    if strata.iter().any(|stratum| stratum.len() < 2) {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut totals = vec![Total::default(); weights.len()];
    let mut centre = 0.0;
    let mut resampled = vec![0.0; RESAMPLES];
    for stratum in strata {
        let mut subtasks: Vec<usize> = stratum.iter().flatten().map(|part| part.subtask).collect();
        subtasks.sort_unstable();
        subtasks.dedup();
        let mut statistic = |draw: &mut dyn FnMut(usize) -> usize| {
            loop {
                subtasks.iter().for_each(|subtask| totals[*subtask] = Total::default());
                for index in 0..stratum.len() {
                    for part in &stratum[draw(index)] {
                        totals[part.subtask].sum += part.sum;
                        totals[part.subtask].count += part.count;
                    }
                }
                // The statistic is not defined for a draw without items of some subtask: draw again.
                if subtasks.iter().all(|subtask| totals[*subtask].count > 0.0) {
                    let mean = |subtask: &usize| weights[*subtask] * totals[*subtask].sum / totals[*subtask].count;
                    return subtasks.iter().map(mean).sum::<f64>();
                }
            }
        };
        let measured = statistic(&mut |index| index);
        let size = stratum.len() as f64;
        let scale = (size / (size - 1.0)).sqrt();
        let mut below = |_| ((u64::from(random.next_u32()) * stratum.len() as u64) >> 32) as usize;
        for total in &mut resampled {
            *total += scale * (statistic(&mut below) - measured);
        }
        centre += measured;
    }
    resampled.sort_by(f64::total_cmp);
    Some((centre + quantile(&resampled, 0.025), centre + quantile(&resampled, 0.975)))
}

/// The fraction of random signs of the clusters for which the statistic is at least as far from zero as measured. The data
/// themselves count as one draw (Phipson and Smyth 2010).
fn sign_flip(shares: &[f64]) -> f64 {
    let shares: Vec<f64> = shares.iter().copied().filter(|share| *share != 0.0).collect();
    let measured = shares.iter().sum::<f64>().abs();
    let slack = 1e-9 * shares.iter().map(|share| share.abs()).sum::<f64>();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let as_far = (0..FLIPS).filter(|_| {
        let mut sum = 0.0;
        for chunk in shares.chunks(64) {
            let mut signs = random.next_u64();
            for share in chunk {
                sum += if signs & 1 == 1 { *share } else { -share };
                signs >>= 1;
            }
        }
        sum.abs() >= measured - slack
    });
    (as_far.count() + 1) as f64 / (FLIPS + 1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Forty clusters of one to three items in one subtask, the input of the calls below.
    fn known() -> Vec<ItemDifference> {
        let item = |cluster: usize, number: usize| {
            let difference = [1.0, 0.0, 1.0, -1.0, 0.0, 0.0, 1.0][(cluster * 3 + number) % 7];
            ItemDifference { subtask: 0, cluster, difference }
        };
        (0..40).flat_map(|cluster| (0..=cluster % 3).map(move |number| item(cluster, number))).collect()
    }

    /// scipy.stats.bootstrap((sums, counts), lambda s, n: s.sum() / n.sum(), paired=True, vectorized=False,
    /// method='percentile', n_resamples=99_999) (scipy 1.17.1) with deviations scaled by sqrt(40 / 39); tolerance 0.01.
    #[test]
    fn the_cluster_bootstrap_agrees_with_scipy() {
        let found = compare_items(&known(), &[1.0]).unwrap();
        assert!((found.mean - 0.278_481_012_658_227_8).abs() < 1e-12, "{found:?}");
        let (low, high) = found.interval.unwrap();
        assert!((low - 0.126_29).abs() < 0.01 && (high - 0.428_55).abs() < 0.01, "{low} {high}");
        assert_eq!(found.clusters, 40);
    }

    /// scipy.stats.permutation_test((sums,), sum, permutation_type='samples', n_resamples=99_999).pvalue
    /// (scipy 1.17.1), which flips signs; tolerance 0.0015.
    #[test]
    fn the_sign_flip_agrees_with_scipy() {
        let p = compare_items(&known(), &[1.0]).unwrap().p.unwrap();
        assert!((p - 0.002_46).abs() < 0.001_5, "{p}");
    }

    /// Against the enumeration of all sign flips.
    #[test]
    fn the_sign_flip_equals_enumeration() {
        let shares = [0.5, -0.25, 1.0, 1.0, 0.75, -0.5, 0.25, 0.5, 1.5, 0.0, -0.75];
        let sum = |signs: u32| {
            let share = |(place, share): (usize, &f64)| if signs >> place & 1 == 1 { *share } else { -share };
            shares.iter().enumerate().map(share).sum::<f64>()
        };
        let measured = sum(u32::MAX).abs();
        let all = 1u32 << shares.len();
        let exact = (0..all).filter(|signs| sum(*signs).abs() >= measured).count() as f64 / f64::from(all);
        assert!((sign_flip(&shares) - exact).abs() < 0.01, "{exact}");
    }

    /// A cluster of equal items counts once: four copies of each item change neither the interval nor p.
    #[test]
    fn copies_of_an_item_add_no_information() {
        let once: Vec<ItemDifference> = known().into_iter().enumerate().map(alone).collect();
        fn alone((cluster, item): (usize, ItemDifference)) -> ItemDifference {
            ItemDifference { cluster, ..item }
        }
        let copied: Vec<ItemDifference> = once.iter().flat_map(|item| [*item; 4]).collect();
        let (one, four) = (compare_items(&once, &[1.0]).unwrap(), compare_items(&copied, &[1.0]).unwrap());
        assert!((one.mean - four.mean).abs() < 1e-12);
        assert_eq!(one.p, four.p);
        let width = |estimate: ItemEstimate| estimate.interval.map(|(low, high)| high - low).unwrap();
        assert!((width(one) - width(four)).abs() < 1e-9);
    }

    #[test]
    fn too_few_clusters_give_no_interval_and_no_p() {
        let few: Vec<ItemDifference> = known().into_iter().filter(|item| item.cluster < 9).collect();
        let found = compare_items(&few, &[1.0]).unwrap();
        assert_eq!((found.interval, found.p, found.clusters), (None, None, 9));
        assert_eq!(compare_items(&known(), &[0.5, 0.5]), None, "a subtask without items");
    }

    proptest! {
        #[test]
        fn the_interval_is_negated_with_the_difference(
            items in prop::collection::vec((0usize..2, 0usize..30, -1i8..=1), 60..200)
        ) {
            let items = |sign: f64| -> Vec<ItemDifference> {
                let item = |(subtask, cluster, difference): &(usize, usize, i8)| ItemDifference {
                    subtask: *subtask,
                    cluster: *cluster,
                    difference: sign * f64::from(*difference),
                };
                items.iter().map(item).collect()
            };
            let (one, other) = (compare_items(&items(1.0), &[0.5, 0.5]), compare_items(&items(-1.0), &[0.5, 0.5]));
            let (Some(one), Some(other)) = (one, other) else { return Ok(()) };
            prop_assert!((one.mean + other.mean).abs() < 1e-9);
            prop_assert_eq!(one.p, other.p);
            if let (Some((low, high)), Some((other_low, other_high))) = (one.interval, other.interval) {
                prop_assert!(low <= high);
                prop_assert!((low + other_high).abs() < 1e-9 && (high + other_low).abs() < 1e-9);
            }
        }
    }
}
