//! Regressions of each reading measure on the surprisal, with the statistics that the official pipeline reports.

use nalgebra::{DMatrix, DVector};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::super::correlation::pearson;
use super::super::item::{Item, Likelihood, Measurements};
use super::regression::terms;
use super::word::{EYE_TRACKING, POTENTIALS, SELF_PACED, Word};

/// The regressions of one reading measure without and with the surprisal.
#[derive(Debug, Clone, PartialEq)]
pub struct Power {
    /// The measure: a column of the table.
    pub measure: &'static str,
    /// Number of rows without a missing value.
    pub rows: usize,
    /// Coefficient of the surprisal, in units of the measure per nat.
    pub coefficient: f64,
    /// The coefficient divided by its standard error.
    pub t: f64,
    /// The two-sided p-value of `t`.
    pub p: f64,
    /// Fraction of the variance that is explained without the surprisal, from 0 to 1.
    pub r2_base: f64,
    /// Fraction of the variance that is explained with the surprisal.
    pub r2: f64,
    /// Akaike's information criterion without the surprisal.
    pub aic_base: f64,
    /// Akaike's information criterion with the surprisal.
    pub aic: f64,
    /// Pearson's correlation of the surprisal alone with the measure; `None` if one of them is constant.
    pub correlation: Option<f64>,
}

/// Regresses each of the eleven measures, in order of their columns; a measure with too few rows or without variation is
/// left out.
///
/// The baseline is that of the eye-tracking score (frequency, length, length of the context) or, with `spillover`, that
/// of the self-paced score (also the length and the surprisal of the word before), each with all pairwise products.
///
/// # Panics
/// If the items are not of the reading suite.
pub fn predictive_power(items: &[Item], measured: &[Vec<Likelihood>], spillover: bool) -> Vec<Power> {
    let words = Word::all(items, measured);
    let names = EYE_TRACKING.1.into_iter().chain([SELF_PACED.1]).chain(POTENTIALS);
    names.enumerate().filter_map(|(place, measure)| power(&words, measure, place, spillover)).collect()
}

/// The value of the measure at this position among the eleven.
fn response(measured: &Measurements, place: usize) -> Option<f64> {
    match place {
        0..4 => measured.eye_tracking[place],
        4 => measured.self_paced,
        _ => measured.potentials[place - 5],
    }
}

fn power(words: &[Word], measure: &'static str, place: usize, spillover: bool) -> Option<Power> {
    let (mut baseline, mut surprisals, mut responses) = (vec![], vec![], vec![]);
    for word in words {
        let Measurements { frequency, length, context_length, previous_length, .. } = *word.measured;
        let row = || -> Option<(Vec<f64>, f64, f64)> {
            let predictors = [frequency?, length?, context_length?];
            let all: Vec<f64> = match spillover {
                false => terms(predictors).collect(),
                true => {
                    let [frequency, length, context_length] = predictors;
                    let before = (previous_length?, word.previous_surprisal?);
                    terms([frequency, length, context_length, before.0, before.1]).collect()
                }
            };
            Some((all, word.surprisal?, response(word.measured, place)?))
        };
        if let Some((predictors, surprisal, response)) = row() {
            baseline.push(predictors);
            surprisals.push(surprisal);
            responses.push(response);
        }
    }
    let width = baseline.first()?.len();
    let y = DVector::from_vec(responses);
    let without = DMatrix::from_fn(baseline.len(), width, |row, column| baseline[row][column]);
    let mut with = without.clone().insert_column(width, 0.0);
    with.set_column(width, &DVector::from_vec(surprisals));
    let (without, with) = (Fit::of(without, &y)?, Fit::of(with, &y)?);
    let t = with.coefficient / with.error;
    let student = StudentsT::new(0.0, 1.0, with.freedom).ok()?;
    let alone = words.iter().filter_map(|word| Some((word.surprisal?, response(word.measured, place)?)));
    let (left, right): (Vec<f64>, Vec<f64>) = alone.unzip();
    Some(Power {
        measure,
        rows: baseline.len(),
        coefficient: with.coefficient,
        t,
        p: 2.0 * student.cdf(-t.abs()),
        r2_base: without.r2,
        r2: with.r2,
        aic_base: without.aic,
        aic: with.aic,
        correlation: pearson(&left, &right),
    })
}

/// Ordinary least squares by QR decomposition.
struct Fit {
    /// Coefficient of the last column.
    coefficient: f64,
    /// Its standard error.
    error: f64,
    r2: f64,
    aic: f64,
    /// Degrees of freedom: rows minus columns.
    freedom: f64,
}

impl Fit {
    /// `None` unless there are more rows than columns, the columns are linearly independent, and `y` varies.
    fn of(columns: DMatrix<f64>, y: &DVector<f64>) -> Option<Fit> {
        let (rows, width) = columns.shape();
        if rows <= width {
            return None;
        }
        let qr = columns.clone().qr();
        let mut along = y.clone();
        qr.q_tr_mul(&mut along);
        let r = qr.r();
        let coefficients = r.solve_upper_triangular(&along.rows(0, width).into_owned())?;
        let squares = |numbers: &DVector<f64>| numbers.norm_squared();
        let left = squares(&(y - columns * &coefficients));
        let all = squares(&y.add_scalar(-y.mean()));
        let freedom = (rows - width) as f64;
        // The last row of the inverse of R has a single nonzero entry.
        let error = (left / freedom).sqrt() / r[(width - 1, width - 1)].abs();
        let n = rows as f64;
        let aic = n * (std::f64::consts::TAU * left / n).ln() + n + 2.0 * width as f64;
        let fit = Fit { coefficient: coefficients[width - 1], error, r2: 1.0 - left / all, aic, freedom };
        [fit.coefficient, fit.error, fit.r2, fit.aic].iter().all(|number| number.is_finite()).then_some(fit)
    }
}
