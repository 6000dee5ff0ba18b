//! Means, intervals and tests: what may be said of a difference. Pure functions.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;
/// The same differences give the same interval in every report.
const SEED: u64 = 20_25;

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (n - 1); `None` of fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// How many population standard deviations each value lies from the mean of all. `None` for what is missing, and for
/// all where there are fewer than two values, or where they are equal.
pub fn z_scores(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let centre = mean(&known).filter(|_| known.len() > 1);
    let spread = centre.and_then(|centre| {
        let squares: Vec<f64> = known.iter().map(|value| (value - centre).powi(2)).collect();
        mean(&squares).map(f64::sqrt).filter(|spread| *spread > 1e-12 * centre.abs())
    });
    values.iter().map(|value| Some((value.as_ref()? - centre?) / spread?)).collect()
}

/// What a box plot draws of some values: quartiles, and whiskers to the furthest values within 1.5 times the distance
/// between the quartiles (matplotlib's defaults; Tukey 1977).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxPlot {
    /// End of the lower whisker.
    pub low: f64,
    /// First quartile.
    pub first: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub third: f64,
    /// End of the upper whisker.
    pub high: f64,
}

impl BoxPlot {
    /// The box of these values; `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return None;
        }
        let [first, median, third] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
        let reach = 1.5 * (third - first);
        let low = sorted.iter().copied().find(|value| *value >= first - reach);
        let high = sorted.iter().copied().rev().find(|value| *value <= third + reach);
        // Interpolated quartiles may lie beyond all values that are near: there is no whisker then.
        let (low, high) = (low.map_or(first, |low| low.min(first)), high.map_or(third, |high| high.max(third)));
        Some(Self { low, first, median, third, high })
    }

    /// Whether a value lies beyond the whiskers.
    pub fn is_outlier(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }
}

/// The 95% interval of the mean of these differences by Student's t; `None` of fewer than two.
pub fn t_interval(differences: &[f64]) -> Option<(f64, f64)> {
    let (mean, deviation) = (mean(differences)?, deviation(differences)?);
    let student = StudentsT::new(0.0, 1.0, (differences.len() - 1) as f64).ok()?;
    let half = student.inverse_cdf(0.975) * deviation / (differences.len() as f64).sqrt();
    Some((mean - half, mean + half))
}

/// Two-sided exact McNemar test: the probability, if both were equally good, of a split of the discordant items at
/// least as uneven as this one.
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let n = only_first + only_second;
    match Binomial::new(0.5, n) {
        Ok(binomial) if n > 0 => (2.0 * binomial.cdf(only_first.min(only_second))).min(1.0),
        _ => 1.0,
    }
}

/// Holm's step-down correction: each p-value made comparable with an overall level.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p_values[index] * (p_values.len() - rank) as f64).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

/// Paired differences of one seed: those of each subtask's items.
pub type SeedDifferences = Vec<Vec<f64>>;

/// The mean over seeds of the mean over subtasks of the mean difference.
pub fn nested_mean(seeds: &[SeedDifferences]) -> Option<f64> {
    let per_seed: Option<Vec<f64>> = seeds
        .iter()
        .map(|subtasks| mean(&subtasks.iter().map(|items| mean(items)).collect::<Option<Vec<f64>>>()?))
        .collect();
    mean(&per_seed?)
}

/// The 95% interval of [`nested_mean`] by bootstrap over seeds and items: both are drawn with replacement, crossed, as
/// every seed answers the same items (percentile method; Owen 2007, "The pigeonhole bootstrap"). `None` where there is
/// nothing, or where the seeds did not answer the same items.
pub fn crossed_bootstrap(seeds: &[SeedDifferences]) -> Option<(f64, f64)> {
    nested_mean(seeds)?;
    let shape = |seed: &SeedDifferences| seed.iter().map(Vec::len).collect::<Vec<_>>();
    if seeds.iter().any(|seed| shape(seed) != shape(&seeds[0])) {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut below = |n: usize| ((u64::from(random.next_u32()) * n as u64) >> 32) as usize;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut drawn: Vec<usize> = seeds.iter().map(|_| below(seeds.len())).collect();
            drawn.sort_unstable();
            let subtasks = seeds[0].iter().enumerate().map(|(subtask, items)| {
                let mut sum = 0.0;
                for _ in items {
                    let item = below(items.len());
                    sum += drawn.iter().map(|&seed| seeds[seed][subtask][item]).sum::<f64>();
                }
                sum / (items.len() * drawn.len()) as f64
            });
            subtasks.sum::<f64>() / seeds[0].len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some((quantile(&means, 0.025), quantile(&means, 0.975)))
}

/// Linear interpolation between order statistics (NumPy's default); the values are sorted and not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn z_scores_of_known_values() {
        // Mean 5, population deviation 2.
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(Some);
        let expected = [-1.5, -0.5, -0.5, -0.5, 0.0, 0.0, 1.0, 2.0].map(Some);
        assert_eq!(z_scores(&values), expected);
        assert_eq!(z_scores(&[Some(1.0), None, Some(3.0)]), [Some(-1.0), None, Some(1.0)]);
        for undefined in [&[Some(1.0)][..], &[Some(0.1), Some(0.1), None], &[None, None], &[]] {
            assert!(z_scores(undefined).iter().all(Option::is_none), "{undefined:?}");
        }
    }

    /// Against `matplotlib.cbook.boxplot_stats`.
    #[test]
    fn boxes_of_known_values() {
        let plot = |values: &[f64]| {
            let BoxPlot { low, first, median, third, high } = BoxPlot::of(values).unwrap();
            [low, first, median, third, high]
        };
        assert_eq!(plot(&[4.0, 1.0, 3.0, 2.0]), [1.0, 1.75, 2.5, 3.25, 4.0]);
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 20.0, -9.0];
        assert_eq!(plot(&values), [1.0, 2.0, 4.0, 6.0, 7.0]);
        let outliers: Vec<f64> =
            values.into_iter().filter(|value| BoxPlot::of(&values).unwrap().is_outlier(*value)).collect();
        assert_eq!(outliers, [20.0, -9.0]);
        assert_eq!(plot(&[3.0]), [3.0; 5]);
        // The upper quartile is interpolated beyond every value that is near: no upper whisker.
        assert_eq!(plot(&[1.0, 1.0, 1.0, 10.0]), [1.0, 1.0, 1.0, 3.25, 3.25]);
        assert_eq!(BoxPlot::of(&[]), None);
    }

    #[test]
    fn known_values() {
        assert_eq!(mean(&[]), None);
        assert_eq!(deviation(&[1.0]), None);
        assert!((deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap() - 2.138_089_935).abs() < 1e-9);
        // scipy.stats.binomtest(2, 12).pvalue
        assert!((mcnemar(2, 10) - 0.038_574_218_75).abs() < 1e-12);
        assert_eq!((mcnemar(0, 0), mcnemar(5, 5)), (1.0, 1.0));
        // R: p.adjust(c(0.01, 0.04, 0.03), "holm")
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        // R: t.test(c(1, 2, 4))$conf.int
        let (low, high) = t_interval(&[1.0, 2.0, 4.0]).unwrap();
        assert!((low + 1.461_249_7).abs() < 1e-6 && (high - 6.127_916_4).abs() < 1e-6, "{low} {high}");
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), 1.75);
    }

    /// By listing every outcome of the coin.
    #[test]
    fn mcnemar_equals_enumeration() {
        for n in 1u32..=10 {
            for first in 0..=n {
                let extreme = first.min(n - first);
                let as_uneven = |tosses: u32| {
                    let heads = tosses.count_ones();
                    heads.min(n - heads) <= extreme
                };
                let share = (0..1u32 << n).filter(|&tosses| as_uneven(tosses)).count() as f64 / f64::from(1u32 << n);
                assert!((mcnemar(u64::from(first), u64::from(n - first)) - share).abs() < 1e-12, "{first} of {n}");
            }
        }
    }

    /// With many items and one seed, the bootstrap's interval is that of the normal distribution.
    #[test]
    fn the_bootstrap_covers_what_theory_says() {
        let items: Vec<f64> = (0..2_000).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect();
        let (low, high) = crossed_bootstrap(&[vec![items]]).unwrap();
        let half = 1.96 * (0.25f64 * 0.75 / 2_000.0).sqrt();
        assert!((low - (0.25 - half)).abs() < 0.002 && (high - (0.25 + half)).abs() < 0.002, "{low} {high}");
    }

    #[test]
    fn the_spread_between_seeds_enters_the_interval() {
        let constant = |value: f64| vec![vec![value; 50]];
        let (low, high) = crossed_bootstrap(&[constant(0.0), constant(1.0)]).unwrap();
        assert_eq!((low, high), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn holm_never_lowers_and_keeps_the_order(values in prop::collection::vec(0.0f64..=1.0, 1..12)) {
            let corrected = holm(&values);
            for i in 0..values.len() {
                prop_assert!(corrected[i] >= values[i] && corrected[i] <= 1.0);
                for j in 0..values.len() {
                    prop_assert!(values[i] >= values[j] || corrected[i] <= corrected[j]);
                }
            }
        }

        #[test]
        fn intervals_turn_round_with_the_difference(
            items in prop::collection::vec(prop::collection::vec(-1i8..=1, 3..20), 1..4)
        ) {
            let seed = |sign: f64| -> SeedDifferences {
                items.iter().map(|items| items.iter().map(|item| sign * f64::from(*item)).collect()).collect()
            };
            let (low, high) = crossed_bootstrap(&[seed(1.0)]).unwrap();
            let (other_low, other_high) = crossed_bootstrap(&[seed(-1.0)]).unwrap();
            prop_assert!(low <= high && (-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
            prop_assert!((low + other_high).abs() < 1e-9 && (high + other_low).abs() < 1e-9);
        }
    }
}
