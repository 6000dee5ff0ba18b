//! The exponent of a power law.

/// The slope of a straight line through the points on logarithmic axes, by least squares: the exponent b of `y = a x^b`.
///
/// `None` if a coordinate is not a positive finite number, because it has no logarithm, or if there are no two different x.
pub(super) fn log_log_slope(points: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    let log = |number: f64| (number > 0.0 && number.is_finite()).then(|| number.ln());
    let points: Vec<(f64, f64)> = points.into_iter().map(|(x, y)| log(x).zip(log(y))).collect::<Option<_>>()?;
    let count = points.len() as f64;
    let center = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    // The mean of y falls out, because the distances from the mean of x have the sum 0.
    let products: f64 = points.iter().map(|(x, y)| (x - center) * y).sum();
    let squares: f64 = points.iter().map(|(x, _)| (x - center).powi(2)).sum();
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn points_of_a_power_law_have_its_exponent() {
        let points = |ends: [u32; 2]| (ends[0]..ends[1]).map(|n| (f64::from(n), 3.5 * f64::from(n).powf(-0.8)));
        for ends in [[1, 65], [2, 4], [100, 2_000]] {
            let slope = log_log_slope(points(ends)).unwrap();
            assert!((slope + 0.8).abs() < 1e-6, "{ends:?}: {slope}");
        }
    }

    /// `numpy.polyfit(numpy.log([1, 2, 4, 8]), numpy.log([3, 2, 1, 0.9]), 1)[0]`, which by hand is
    /// (1.5 ln(0.9 / 3) + 0.5 ln(1 / 2)) / (5 ln 2).
    #[test]
    fn other_points_have_the_slope_of_least_squares() {
        let slope = log_log_slope([(1.0, 3.0), (2.0, 2.0), (4.0, 1.0), (8.0, 0.9)]).unwrap();
        let by_hand = (1.5 * 0.3f64.ln() + 0.5 * 0.5f64.ln()) / (5.0 * 2f64.ln());
        assert!((slope - by_hand).abs() < 1e-12 && (slope + 0.62109).abs() < 1e-4, "{slope} {by_hand}");
    }

    #[test]
    fn without_logarithms_or_different_places_there_is_no_slope() {
        assert_eq!(log_log_slope([]), None);
        assert_eq!(log_log_slope([(2.0, 1.0)]), None);
        assert_eq!(log_log_slope([(2.0, 1.0), (2.0, 3.0)]), None);
        for wrong in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(log_log_slope([(1.0, 1.0), (2.0, wrong), (4.0, 0.5)]), None, "{wrong}");
            assert_eq!(log_log_slope([(wrong, 1.0), (2.0, 0.7), (4.0, 0.5)]), None, "{wrong}");
        }
    }

    proptest! {
        /// A unit of either axis does not matter.
        #[test]
        fn the_slope_does_not_depend_on_units(ys in prop::collection::vec(0.01..10.0f64, 3..9), x in 0.1..9.0f64, y in 0.1..9.0f64) {
            let points = |x: f64, y: f64| ys.iter().zip(1..).map(move |(value, n)| (x * f64::from(n), y * value));
            let (one, other) = (log_log_slope(points(1.0, 1.0)).unwrap(), log_log_slope(points(x, y)).unwrap());
            prop_assert!((one - other).abs() < 1e-9, "{} {}", one, other);
        }
    }
}
