//! Student's t over paired differences between training runs: about recipes, for which the unit is the training run.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

use super::{deviation, mean};

/// The two-sided significance level of every test and interval.
pub const LEVEL: f64 = 0.05;
/// The probability with which an experiment should detect the difference it is planned for.
pub const POWER: f64 = 0.8;
/// The largest number of seeds that is ever recommended.
const MAX_SEEDS: u64 = 10_000;

/// The mean of some differences with its 95% interval and the p-value of no difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean difference.
    pub mean: f64,
    /// The standard deviation of a difference; for [`paired_t`], that of the given differences.
    pub sd: f64,
    /// The degrees of freedom.
    pub df: u64,
    /// The 95% interval of the mean.
    pub interval: (f64, f64),
    /// The two-sided p-value of a mean of zero.
    pub p: f64,
}

impl Estimate {
    /// The estimate by Student's t from a mean and its standard error; `None` without degrees of freedom.
    fn by_t(mean: f64, sd: f64, standard_error: f64, df: u64) -> Option<Self> {
        let student = student(df)?;
        let half = student.inverse_cdf(1.0 - LEVEL / 2.0) * standard_error;
        let p = 2.0 * student.cdf(-(mean / standard_error).abs());
        Some(Self { mean, sd, df, interval: (mean - half, mean + half), p })
    }
}

/// Student's t distribution with `df` degrees of freedom; `None` for 0.
fn student(df: u64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, df as f64).ok().filter(|_| df > 0)
}

/// The paired t test: `differences` has one number for each seed.
///
/// `None` if t is not defined: for fewer than two differences, if all are equal, and if one is not a number.
pub fn paired_t(differences: &[f64]) -> Option<Estimate> {
    let (mean, sd) = (mean(differences)?, deviation(differences)?);
    // Rounding errors of equal numbers are not spread.
    if sd.is_nan() || sd <= 1e-12 * mean.abs().max(1.0) {
        return None;
    }
    Estimate::by_t(mean, sd, sd / (differences.len() as f64).sqrt(), differences.len() as u64 - 1)
}

/// The difference between two conditions, tested with the residual spread of all conditions.
///
/// `scores[c][s]` is the score of condition c with seed s. The model is score = condition + seed + residual; its residual
/// variance has (C - 1)(S - 1) degrees of freedom and estimates half the variance of a difference. The test is exact if
/// all conditions are equally noisy. `None` for fewer than three conditions (two give the paired t test), for fewer than
/// two seeds, and without spread.
pub fn pooled_t(scores: &[Vec<f64>], first: usize, second: usize) -> Option<Estimate> {
    let Residual { sd, df } = residual_sd(scores).filter(|_| scores.len() > 2)?;
    let difference = mean(scores.get(second)?)? - mean(scores.get(first)?)?;
    Estimate::by_t(difference, sd, sd / (scores[first].len() as f64).sqrt(), df)
}

/// The spread of a difference between two conditions with the same seed, estimated from all conditions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// The standard deviation of a difference.
    pub sd: f64,
    /// The degrees of freedom of the estimate.
    pub df: u64,
}

/// Estimates the spread of a difference from all conditions; `scores` is as for [`pooled_t`].
///
/// `None` for fewer than two conditions or seeds, if conditions have different numbers of seeds, and without spread.
pub fn residual_sd(scores: &[Vec<f64>]) -> Option<Residual> {
    let seeds = scores.first()?.len();
    if scores.len() < 2 || seeds < 2 || scores.iter().any(|row| row.len() != seeds) {
        return None;
    }
    let of_condition: Vec<f64> = scores.iter().filter_map(|row| mean(row)).collect();
    let of_seed: Vec<f64> =
        (0..seeds).filter_map(|seed| mean(&scores.iter().map(|row| row[seed]).collect::<Vec<f64>>())).collect();
    let overall = mean(&of_condition)?;
    let residual = |(condition, seed): (usize, usize)| {
        (scores[condition][seed] - of_condition[condition] - of_seed[seed] + overall).powi(2)
    };
    let places = (0..scores.len()).flat_map(|condition| (0..seeds).map(move |seed| (condition, seed)));
    let df = ((scores.len() - 1) * (seeds - 1)) as u64;
    let sd = (2.0 * places.map(residual).sum::<f64>() / df as f64).sqrt();
    (sd > 1e-12 * overall.abs().max(1.0)).then_some(Residual { sd, df })
}

/// Two one-sided t tests (Schuirmann 1987): the p-value of a mean difference of `margin` or more in either direction. Below
/// 0.05, equivalence within the margin is shown.
///
/// `None` in the same cases as [`paired_t`].
pub fn equivalence(differences: &[f64], margin: f64) -> Option<f64> {
    let Estimate { mean, sd, df, .. } = paired_t(differences)?;
    let standard_error = sd / (differences.len() as f64).sqrt();
    let student = student(df)?;
    let below = student.cdf(-(mean + margin) / standard_error);
    let above = student.cdf((mean - margin) / standard_error);
    Some(below.max(above))
}

/// The power of the two-sided paired t test at the 5% level over `seeds` seeds, for a true difference of `effect` standard
/// deviations of a difference.
///
/// The statistic follows the noncentral t distribution with parameter effect × sqrt(seeds). With Z normal and W the
/// square root of a chi-squared over its degrees of freedom, |(Z + parameter) / W| > t is integrated over W by
/// Simpson's rule.
pub fn power(seeds: u64, effect: f64) -> f64 {
    let (Some(student), Ok(normal)) = (student(seeds.saturating_sub(1)), Normal::new(0.0, 1.0)) else { return 0.0 };
    let df = (seeds - 1) as f64;
    let critical = student.inverse_cdf(1.0 - LEVEL / 2.0);
    let parameter = effect * (seeds as f64).sqrt();
    // The density of W: 2 (df / 2)^(df / 2) / Gamma(df / 2) w^(df - 1) exp(-df w² / 2).
    let constant = std::f64::consts::LN_2 + df / 2.0 * (df / 2.0).ln() - ln_gamma(df / 2.0);
    let density = |w: f64| match df {
        1.0 => (constant - w * w / 2.0).exp(),
        _ if w <= 0.0 => 0.0,
        _ => (constant + (df - 1.0) * w.ln() - df * w * w / 2.0).exp(),
    };
    let integrand =
        |w: f64| density(w) * (normal.cdf(parameter - critical * w) + normal.cdf(-parameter - critical * w));
    // W is close to 1 with a standard deviation of about 1 / sqrt(2 df).
    let reach = 9.0 / (2.0 * df).sqrt();
    let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let panels = 500;
    let width = (high - low) / f64::from(panels);
    let weight = |index: i32| match index {
        0 => 1.0,
        index if index == panels => 1.0,
        index if index % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let sum: f64 = (0..=panels).map(|index| weight(index) * integrand(low + f64::from(index) * width)).sum();
    (sum * width / 3.0).clamp(0.0, 1.0)
}

/// The smallest true difference, in standard deviations of a difference, that `seeds` seeds detect in 8 of 10 experiments;
/// `None` for fewer than two seeds, which cannot detect any.
pub fn smallest_effect(seeds: u64) -> Option<f64> {
    student(seeds.saturating_sub(1))?;
    // The power increases with the effect. The Illinois method (false position that halves the value of the side that
    // stays) finds the crossing in about a dozen steps.
    let excess = |effect: f64| power(seeds, effect) - POWER;
    let (mut low, mut high) = ((0.0, excess(0.0)), (16.0, excess(16.0)));
    let mut stayed = 0;
    while high.0 - low.0 > 1e-9 {
        let middle = high.0 - high.1 * (high.0 - low.0) / (high.1 - low.1);
        let at = excess(middle);
        if at.abs() < 1e-12 {
            return Some(middle);
        }
        if at < 0.0 {
            low = (middle, at);
            high.1 = if stayed == 1 { high.1 / 2.0 } else { high.1 };
            stayed = 1;
        } else {
            high = (middle, at);
            low.1 = if stayed == 2 { low.1 / 2.0 } else { low.1 };
            stayed = 2;
        }
    }
    Some(high.0)
}

/// The number of seeds that detect a true difference of `effect` standard deviations of a difference in 8 of 10
/// experiments; `None` if more than ten thousand are needed.
pub fn seeds_needed(effect: f64) -> Option<u64> {
    // If the standard deviation were known, ((1.960 + 0.842) / effect)² seeds would suffice; t needs a few more.
    let known = (7.849 / (effect * effect)).ceil();
    if known.is_nan() || known >= MAX_SEEDS as f64 {
        return None;
    }
    let mut seeds = (known as u64).max(2);
    while power(seeds, effect) < POWER {
        seeds += 1;
    }
    Some(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFERENCES: [f64; 5] = [1.2, -0.4, 2.1, 0.9, 1.6];

    fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
        let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < tolerance);
        assert!(close, "{found:?} instead of {expected:?}");
    }

    /// r = scipy.stats.ttest_1samp(DIFFERENCES, 0); r.pvalue, r.confidence_interval() (scipy 1.17.1); tolerance 1e-9.
    /// R: t.test(c(1, 2, 4)): -1.461250, 6.127916.
    #[test]
    fn the_paired_t_test_agrees_with_scipy_and_r() {
        let found = paired_t(&DIFFERENCES).unwrap();
        assert_eq!(found.df, 4);
        let expected = [0.062_362_128_677_9, -0.089_407_564_835_4, 2.249_407_564_835_4];
        assert_close(&[found.p, found.interval.0, found.interval.1], &expected, 1e-9);
        let (low, high) = paired_t(&[1.0, 2.0, 4.0]).unwrap().interval;
        assert_close(&[low, high], &[-1.461_249_7, 6.127_916_4], 1e-6);
        // One degree of freedom: scipy.stats.ttest_1samp([1, 2], 0).pvalue = 0.2048327646991335
        assert_close(&[paired_t(&[1.0, 2.0]).unwrap().p], &[0.204_832_764_699_133_5], 1e-9);
    }

    #[test]
    fn without_spread_there_is_no_estimate() {
        assert_eq!(paired_t(&[1.0]), None);
        assert_eq!(paired_t(&[0.0, 0.0, 0.0]), None);
        assert_eq!(paired_t(&[1.0, f64::NAN, 2.0]), None);
        assert_eq!(paired_t(&[20.1 - 20.0, 40.1 - 40.0]), None, "equal except for rounding");
        assert_eq!(equivalence(&[0.2, 0.2], 1.0), None);
    }

    /// statsmodels: DescrStatsW(x).ttost_mean(-1, 1)[0] for x = [0.2, -0.1, 0.4, 0.1], and ttost_mean(-3, 3)[0] for
    /// DIFFERENCES (statsmodels 0.15.0); tolerance 1e-9.
    #[test]
    fn equivalence_agrees_with_statsmodels() {
        let found = [equivalence(&[0.2, -0.1, 0.4, 0.1], 1.0).unwrap(), equivalence(&DIFFERENCES, 3.0).unwrap()];
        assert_close(&found, &[0.001_920_292_373_8, 0.005_175_202_947_0], 1e-9);
    }

    /// scipy: nct.sf(t, df, nc) + nct.cdf(-t, df, nc) with t = scipy.stats.t.ppf(0.975, df), df = S - 1 and
    /// nc = effect * sqrt(S) (scipy 1.17.1); tolerance 1e-8.
    #[test]
    fn power_agrees_with_the_noncentral_t_of_scipy() {
        let cases = [
            (2, 5.0, 0.420_961_409_15),
            (3, 3.3, 0.806_785_787_14),
            (5, 1.7, 0.807_780_640_72),
            (8, 1.2, 0.827_920_060_38),
            (10, 1.0, 0.803_096_856_63),
            (3, 1.0, 0.179_255_393_78),
            (30, 0.5, 0.753_964_715_74),
        ];
        for (seeds, effect, expected) in cases {
            assert_close(&[power(seeds, effect)], &[expected], 1e-8);
        }
        assert_close(&[power(4, 0.0), power(1, 3.0)], &[0.05, 0.0], 1e-8);
    }

    /// scipy.optimize.brentq of the power above minus 0.8; tolerance 1e-6.
    #[test]
    fn the_smallest_effects_are_those_of_the_noncentral_t() {
        let expected = [
            (2, 11.549_888_4),
            (3, 3.264_043_5),
            (5, 1.681_997_0),
            (8, 1.156_034_7),
            (10, 0.996_001_4),
            (20, 0.660_441_7),
            (50, 0.404_183_0),
        ];
        for (seeds, effect) in expected {
            assert_close(&[smallest_effect(seeds).unwrap()], &[effect], 1e-6);
        }
        assert_eq!(smallest_effect(1), None);
        assert_eq!([1.0 / 0.9, 0.5, 1.0, 2.0].map(seeds_needed), [Some(9), Some(34), Some(10), Some(5)]);
        assert_eq!(seeds_needed(1e-4), None);
    }

    /// statsmodels: ols('y ~ C(condition) + C(seed)').fit(), the coefficient of the second condition with its pvalue and
    /// conf_int() (statsmodels 0.15.0); tolerance 1e-9.
    #[test]
    fn pooling_agrees_with_least_squares() {
        let scores = [[60.0, 61.5, 62.1], [60.9, 61.0, 63.5], [59.2, 61.9, 61.0], [61.1, 62.0, 63.9]].map(Vec::from);
        let found = pooled_t(&scores, 0, 1).unwrap();
        assert_eq!(found.df, 6);
        let found = [found.mean, found.p, found.interval.0, found.interval.1];
        assert_close(&found, &[0.6, 0.384_602_303_224_6, -0.965_726_188_734_6, 2.165_726_188_734_6], 1e-9);
        assert_eq!(pooled_t(&scores[..2], 0, 1), None, "two conditions give the paired t test");
    }
}
