//! The part of ordinary least squares that a partial R2 needs.

/// A column whose norm shrinks below this fraction after projection depends linearly on the columns before it.
const DEPENDENT: f64 = 1e-10;

/// The gain of a predictor over a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    /// Number of rows used.
    pub(super) rows: usize,
    /// Number of linearly independent columns of the baseline, including the intercept.
    pub(super) rank: usize,
    /// Fraction of the baseline's residual variance that the predictor explains, from 0 to 1:
    /// `(R2 with - R2 without) / (1 - R2 without)`.
    pub(super) partial: f64,
}

/// Regresses `y` on the predictors, their pairwise products and an intercept, without and with `x`; rows are
/// `(predictors, x, y)`.
///
/// By the Frisch-Waugh-Lovell theorem the partial R2 is the squared correlation of the residuals of `x` and `y` on the
/// baseline, so one orthogonal basis of the baseline serves both. An `x` that depends linearly on the baseline gains
/// nothing.
pub(super) fn gain<const N: usize>(rows: impl Iterator<Item = ([f64; N], f64, f64)>) -> Gain {
    let mut baseline = vec![Vec::new(); 1 + N + N * N.saturating_sub(1) / 2];
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (predictors, new, response) in rows {
        for (column, number) in baseline.iter_mut().zip(terms(predictors)) {
            column.push(number);
        }
        x.push(new);
        y.push(response);
    }
    let basis = basis(baseline);
    let (residual_x, residual_y) = (residual(&basis, &x), residual(&basis, &y));
    let determined = norm(&residual_x) <= DEPENDENT * norm(&x) || norm(&residual_y) <= DEPENDENT * norm(&y);
    let partial = match determined {
        true => 0.0,
        false => (dot(&residual_x, &residual_y).powi(2)
            / (dot(&residual_x, &residual_x) * dot(&residual_y, &residual_y)))
        .clamp(0.0, 1.0),
    };
    Gain { rows: y.len(), rank: basis.len(), partial }
}

/// The intercept, the predictors and their pairwise products.
pub(super) fn terms<const N: usize>(predictors: [f64; N]) -> impl Iterator<Item = f64> {
    let products = (0..N).flat_map(move |left| (left + 1..N).map(move |right| predictors[left] * predictors[right]));
    std::iter::once(1.0).chain(predictors).chain(products)
}

/// The Q of a QR decomposition: an orthonormal basis of the span of the columns.
fn basis(columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut rest = residual(&basis, &column);
        let length = norm(&rest);
        if length > DEPENDENT * norm(&column) {
            rest.iter_mut().for_each(|number| *number /= length);
            basis.push(rest);
        }
    }
    basis
}

/// The residual of a column after projection onto an orthonormal basis. Projecting twice makes Gram-Schmidt as accurate
/// as Householder QR (Giraud et al., 2005).
fn residual(basis: &[Vec<f64>], column: &[f64]) -> Vec<f64> {
    let mut rest = column.to_vec();
    for direction in basis.iter().chain(basis) {
        let along = dot(direction, &rest);
        rest.iter_mut().zip(direction).for_each(|(number, unit)| *number -= along * unit);
    }
    rest
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn norm(column: &[f64]) -> f64 {
    dot(column, column).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_correlation_by_hand() {
        // No baseline but the intercept: the squared correlation of (1, 2, 3, 4) and (1, 3, 2, 4), which is 0.8^2.
        let rows = [([], 1.0, 1.0), ([], 2.0, 3.0), ([], 3.0, 2.0), ([], 4.0, 4.0)];
        let gain = gain(rows.into_iter());
        assert_eq!((gain.rows, gain.rank), (4, 1));
        assert!((gain.partial - 0.64).abs() < 1e-12);
    }

    #[test]
    fn terms_are_intercept_predictors_and_products() {
        assert_eq!(terms([2.0, 3.0, 5.0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 5.0, 6.0, 10.0, 15.0]);
    }

    #[test]
    fn nothing_comes_from_no_rows_or_from_what_the_baseline_knows() {
        let none: [([f64; 3], f64, f64); 0] = [];
        assert_eq!((gain(none.into_iter()).partial, gain(none.into_iter()).rows), (0.0, 0));
        let rows = (0..30).map(f64::from).map(|i| ([i, i * i % 7.0], 3.0 * i + 2.0, (i * 1.7).sin()));
        assert_eq!(gain(rows).partial, 0.0);
        let constant = (0..30).map(f64::from).map(|i| ([i], 4.0, (i * 1.7).sin()));
        assert_eq!(gain(constant).partial, 0.0);
        let twice = (0..30).map(f64::from).map(|i| ([i, 2.0 * i], i.cos(), (i * 1.7).sin()));
        assert_eq!(gain(twice).rank, 3, "intercept, i and i^2");
    }

    proptest! {
        #[test]
        fn the_gain_is_bounded_and_blind_to_the_scale_of_x(
            rows in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64, -5.0..5.0f64, -5.0..5.0f64), 8..40)
        ) {
            let plain = gain(rows.iter().map(|row| ([row.0, row.1], row.2, row.3)));
            let scaled = gain(rows.iter().map(|row| ([row.0, row.1], 7.0 - 3.0 * row.2, row.3)));
            prop_assert!((0.0..=1.0).contains(&plain.partial));
            prop_assert!((plain.partial - scaled.partial).abs() < 1e-6);
        }
    }
}
