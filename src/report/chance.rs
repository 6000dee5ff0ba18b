//! Tests of whether a score is above a fixed value such as chance. Pure functions.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::statistics::{deviation, mean};

/// The significance level of the tests in this file.
pub(super) const LEVEL: f64 = 0.05;

/// The one-sided p-value of Student's t test for a mean above 0, with n - 1 degrees of freedom; `None` for fewer than two
/// differences. For equal differences it is 0 or 1.
pub(super) fn p_over_seeds(differences: &[f64]) -> Option<f64> {
    let (mean, deviation) = (mean(differences)?, deviation(differences)?);
    let student = StudentsT::new(0.0, 1.0, (differences.len() - 1) as f64).ok()?;
    let stderr = deviation / (differences.len() as f64).sqrt();
    Some(one_sided(mean, stderr, |t| student.sf(t)))
}

/// The one-sided p-value of the z test for a difference above 0, given its standard error over items.
pub(super) fn p_over_items(difference: f64, stderr: f64) -> f64 {
    one_sided(difference, stderr, |z| Normal::standard().sf(z))
}

fn one_sided(difference: f64, stderr: f64, upper: impl Fn(f64) -> f64) -> f64 {
    match difference / stderr {
        ratio if ratio.is_finite() => upper(ratio),
        // Without spread there is nothing to estimate: the number is above 0 or not.
        _ if difference > 0.0 => 0.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let near = |value: f64, known: f64| assert!((value - known).abs() < 1e-9, "{value} {known}");
        // scipy.stats.ttest_1samp([1, 3], 0, alternative="greater").pvalue: t = 2, Cauchy: 1/2 - atan(2)/pi
        near(p_over_seeds(&[1.0, 3.0]).unwrap(), 0.147_583_617_650_433_3);
        // scipy.stats.ttest_1samp([1, 2, 3], 0, alternative="greater").pvalue: t = 2 sqrt 3, 1/2 - t/(2 sqrt(2 + t^2))
        near(p_over_seeds(&[1.0, 2.0, 3.0]).unwrap(), 0.037_089_950_113_724_3);
        near(p_over_seeds(&[-1.0, -2.0, -3.0]).unwrap(), 1.0 - 0.037_089_950_113_724_3);
        assert_eq!(p_over_seeds(&[1.0]), None);
        // scipy.stats.norm.sf(1.5)
        near(p_over_items(3.0, 2.0), 0.066_807_201_268_858_07);
        near(p_over_items(0.0, 2.0), 0.5);
    }

    #[test]
    fn without_spread_p_is_0_or_1() {
        assert_eq!([p_over_items(1.0, 0.0), p_over_items(0.0, 0.0), p_over_items(-1.0, 0.0)], [0.0, 1.0, 1.0]);
        assert_eq!([p_over_seeds(&[2.0, 2.0]), p_over_seeds(&[0.0, 0.0])], [Some(0.0), Some(1.0)]);
    }
}
