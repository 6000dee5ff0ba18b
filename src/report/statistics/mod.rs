//! Means, intervals and tests. Pure functions.
//!
//! [`paired`] is about recipes (the unit is the training run), [`clusters`] about two trained models (the unit is a cluster
//! of items), [`families`] about many tests at once. `docs/statistics.md` explains when to use which.

pub mod clusters;
pub mod families;
pub mod paired;

/// The arithmetic mean; `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation (n - 1); `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The distance of each value from the mean of all values, in population standard deviations. `None` for a missing value,
/// and for all values if there are fewer than two or if they are equal.
pub fn z_scores(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let centre = mean(&known).filter(|_| known.len() > 1);
    let spread = centre.and_then(|centre| {
        let squares: Vec<f64> = known.iter().map(|value| (value - centre).powi(2)).collect();
        mean(&squares).map(f64::sqrt).filter(|spread| *spread > 1e-12 * centre.abs())
    });
    values.iter().map(|value| Some((value.as_ref()? - centre?) / spread?)).collect()
}

/// The quartiles and whiskers of a box plot. Whiskers extend to the furthest values within 1.5 times the interquartile
/// range of the box (Tukey 1977; the defaults of matplotlib).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxPlot {
    /// The end of the lower whisker.
    pub low: f64,
    /// The first quartile.
    pub first: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub third: f64,
    /// The end of the upper whisker.
    pub high: f64,
}

impl BoxPlot {
    /// The box plot of these values; `None` for no values.
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
        // An interpolated quartile may lie beyond all values within reach; there is no whisker then.
        let (low, high) = (low.map_or(first, |low| low.min(first)), high.map_or(third, |high| high.max(third)));
        Some(Self { low, first, median, third, high })
    }

    /// Whether a value is beyond the whiskers.
    pub fn is_outlier(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }
}

/// A quantile by linear interpolation between order statistics (the default of NumPy). `sorted` must not be empty.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // The upper quartile is interpolated beyond all values within reach: no upper whisker.
        assert_eq!(plot(&[1.0, 1.0, 1.0, 10.0]), [1.0, 1.0, 1.0, 3.25, 3.25]);
        assert_eq!(BoxPlot::of(&[]), None);
    }

    #[test]
    fn means_and_deviations_of_known_values() {
        assert_eq!(mean(&[]), None);
        assert_eq!(deviation(&[1.0]), None);
        // numpy.std([2, 4, 4, 4, 5, 5, 7, 9], ddof=1)
        assert!((deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap() - 2.138_089_935).abs() < 1e-9);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), 1.75);
    }
}
