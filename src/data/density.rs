//! Which texts lie where a data set has few points: principal components and a kernel density estimate.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SymmetricEigen};

use crate::domain::{Bandwidth, DensityLimit, PieceSelection};

/// What a selection found.
#[derive(Debug, Clone, PartialEq)]
pub struct Lacking {
    /// The places of the pieces whose density is below the limit, ascending.
    pub places: Vec<usize>,
    /// The limit.
    pub limit: f64,
    /// The density at each piece.
    pub densities: Vec<f64>,
    /// The share of the variance of all embeddings that the principal components have.
    pub explained: f64,
}

/// The pieces that lie where the records are sparse; see [`PieceSelection`]. Both are embeddings of the same width.
///
/// # Errors
/// Too few embeddings, or ones without the variance that the estimate needs; numbers that are not finite.
pub fn find_lacking(pieces: &[Vec<f64>], records: &[Vec<f64>], selection: &PieceSelection) -> Result<Lacking, String> {
    let all: Vec<&[f64]> = pieces.iter().chain(records).map(Vec::as_slice).collect();
    let (projected, explained) = principal_components(&all, selection.dims as usize)?;
    let (pieces, records) = projected.split_at(pieces.len());
    let estimate = DensityEstimate::new(records.to_vec(), selection.bandwidth)?;
    let limit = match selection.below {
        DensityLimit::Density(limit) => limit,
        DensityLimit::Quantile(share) => quantile(estimate.at_own_points()?, share),
    };
    let densities: Vec<f64> = pieces.iter().map(|piece| estimate.at(piece)).collect();
    let below = |place: &usize| densities[*place] < limit;
    Ok(Lacking { places: (0..pieces.len()).filter(below).collect(), limit, densities, explained })
}

/// The first principal components of points, in descending order of their variance, and their share of the whole
/// variance. The sign of a component is that with which the greatest weight is positive, the first of equal ones.
///
/// # Errors
/// Fewer dimensions or points than components; points that are all equal or not finite.
fn principal_components(points: &[&[f64]], dims: usize) -> Result<(Vec<DVector<f64>>, f64), String> {
    let (count, width) = (points.len(), points.first().map_or(0, |point| point.len()));
    if dims > width {
        return Err(format!("{dims} principal components need embeddings of at least as many numbers, not {width}"));
    }
    if count <= dims {
        return Err(format!("{dims} principal components need more than {dims} texts, but there are {count}"));
    }
    if points.iter().any(|point| point.iter().any(|value| !value.is_finite())) {
        return Err("an embedding is not finite: are the weights of the model finite?".to_owned());
    }
    let mut centred = DMatrix::from_fn(count, width, |row, column| points[row][column]); // [text, width]
    for mut column in centred.column_iter_mut() {
        let mean = column.sum() / count as f64;
        column.add_scalar_mut(-mean);
    }
    let covariance = centred.tr_mul(&centred) / (count - 1) as f64; // [width, width]
    let total = covariance.trace();
    if total <= 0.0 {
        return Err("all embeddings are equal".to_owned());
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(covariance);
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|one, other| eigenvalues[*other].total_cmp(&eigenvalues[*one]).then(one.cmp(other)));
    let axes = order[..dims].iter().map(|place| {
        let axis = eigenvectors.column(*place);
        let sign = if axis[axis.iamax()] < 0.0 { -1.0 } else { 1.0 };
        axis * sign
    });
    let projected = centred * DMatrix::from_columns(&axes.collect::<Vec<_>>()); // [text, dims]
    let explained = order[..dims].iter().map(|place| eigenvalues[*place]).sum::<f64>() / total;
    Ok((projected.row_iter().map(|row| row.transpose()).collect(), explained))
}

/// A Gaussian kernel density estimate, that of `scipy.stats.gaussian_kde` with Scott's rule.
struct DensityEstimate {
    /// The points, multiplied by the inverse of `root`.
    points: Vec<DVector<f64>>,
    /// The Cholesky factor of the covariance of a kernel.
    root: Cholesky<f64, Dyn>,
    /// The density of a kernel at its centre.
    peak: f64,
}

impl DensityEstimate {
    fn new(points: Vec<DVector<f64>>, bandwidth: Bandwidth) -> Result<Self, String> {
        let (count, dims) = (points.len(), points.first().map_or(0, DVector::len));
        let covariance = match bandwidth {
            Bandwidth::Width(width) => DMatrix::identity(dims, dims) * (width * width),
            Bandwidth::Scott if count < 2 => {
                return Err(format!("the bandwidth needs at least two records, but there are {count}"));
            }
            Bandwidth::Scott => {
                let factor = (count as f64).powf(-1.0 / (dims as f64 + 4.0));
                covariance(&points) * (factor * factor)
            }
        };
        if count == 0 {
            return Err("there are no records".to_owned());
        }
        let flat = || {
            format!(
                "the {count} records have no variance in some of {dims} principal components: use fewer `dims`, or \
                 give the `bandwidth`"
            )
        };
        let root = Cholesky::new(covariance).ok_or_else(flat)?;
        let pivots = root.l_dirty().diagonal();
        if pivots.min() < 1e-8 * pivots.max() {
            return Err(flat()); // what is left of a direction without variance after rounding
        }
        let spread: f64 = pivots.iter().product();
        let peak = 1.0 / ((2.0 * std::f64::consts::PI).powf(dims as f64 / 2.0) * spread);
        if !peak.is_finite() {
            return Err(flat());
        }
        let points = points.iter().map(|point| whiten(&root, point)).collect();
        Ok(Self { points, root, peak })
    }

    /// The sum of the kernels at a point, of which the density is the mean.
    fn sum_at(&self, whitened: &DVector<f64>) -> f64 {
        self.points.iter().map(|centre| (-0.5 * (whitened - centre).norm_squared()).exp()).sum::<f64>() * self.peak
    }

    /// The density at a point.
    fn at(&self, point: &DVector<f64>) -> f64 {
        self.sum_at(&whiten(&self.root, point)) / self.points.len() as f64
    }

    /// The density at each of its own points, estimated from the others.
    fn at_own_points(&self) -> Result<Vec<f64>, String> {
        let others = self.points.len() - 1;
        if others == 0 {
            return Err("a quantile needs at least two records, but there is one".to_owned());
        }
        Ok(self.points.iter().map(|point| (self.sum_at(point) - self.peak).max(0.0) / others as f64).collect())
    }
}

/// A point times the inverse of the lower Cholesky factor of a covariance.
fn whiten(root: &Cholesky<f64, Dyn>, point: &DVector<f64>) -> DVector<f64> {
    let mut whitened = point.clone();
    root.l_dirty().solve_lower_triangular_mut(&mut whitened);
    whitened
}

/// The covariance of at least two points, with the divisor n - 1.
fn covariance(points: &[DVector<f64>]) -> DMatrix<f64> {
    let dims = points[0].len();
    let mean = points.iter().fold(DVector::zeros(dims), |sum, point| sum + point) / points.len() as f64;
    let outer = points.iter().fold(DMatrix::zeros(dims, dims), |sum, point| {
        let centred = point - &mean;
        sum + &centred * centred.transpose()
    });
    outer / (points.len() - 1) as f64
}

/// The quantile of at least one number, interpolated between the two nearest ones.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use crate::domain::PieceUnit;

    use super::*;

    fn selection(dims: u32, bandwidth: Bandwidth, below: DensityLimit) -> PieceSelection {
        let unit = PieceUnit::Document;
        PieceSelection { unit, min_words: 0, max_words: 100, dims, bandwidth, below, most: None }
    }

    fn points(values: &[&[f64]]) -> Vec<Vec<f64>> {
        values.iter().map(|value| value.to_vec()).collect()
    }

    fn vectors(values: &[&[f64]]) -> Vec<DVector<f64>> {
        values.iter().map(|value| DVector::from_row_slice(value)).collect()
    }

    /// Instruction data at 0 and kernels of width 1: the density at 0 is 1 / sqrt(2 pi), and at 5 it is that times
    /// e^-12.5.
    #[test]
    fn only_what_is_far_from_the_records_is_selected() {
        let (pieces, records) = (points(&[&[0.0], &[5.0]]), points(&[&[0.0]]));
        let select = |limit| {
            let selection = selection(1, Bandwidth::Width(1.0), DensityLimit::Density(limit));
            find_lacking(&pieces, &records, &selection).unwrap()
        };
        let found = select(0.01);
        assert_eq!(found.places, [1]);
        assert!((found.densities[0] - 0.398_942_280_401_432_7).abs() < 1e-15, "{found:?}");
        assert!((found.densities[1] - 1.486_719_514_734_297_7e-6).abs() < 1e-20, "{found:?}");
        assert!((found.explained - 1.0).abs() < 1e-12);
        assert_eq!(select(1e-7).places, [0usize; 0]);
        assert_eq!(select(0.5).places, [0, 1]);
        assert_eq!(select(found.densities[0]).places, [1], "the limit itself is not below it");
    }

    /// Three points on a line, 5 apart; and a cross whose axes have the variances 8/3 and 2/3.
    #[test]
    fn principal_components_of_a_known_matrix() {
        let all: [&[f64]; 3] = [&[1.0, 2.0], &[4.0, 6.0], &[7.0, 10.0]];
        let (projected, explained) = principal_components(&all, 1).unwrap();
        let projected: Vec<f64> = projected.iter().map(|point| point[0]).collect();
        assert!(
            projected.iter().zip([-5.0, 0.0, 5.0]).all(|(one, known)| (one - known).abs() < 1e-12),
            "{projected:?}"
        );
        assert!((explained - 1.0).abs() < 1e-12);
        // The greater variance comes first.
        let cross: [&[f64]; 4] = [&[0.0, 2.0], &[0.0, -2.0], &[1.0, 0.0], &[-1.0, 0.0]];
        let (projected, explained) = principal_components(&cross, 2).unwrap();
        let near = |point: &DVector<f64>, known: [f64; 2]| {
            point.iter().zip(known).all(|(one, known)| (one - known).abs() < 1e-12)
        };
        assert!(near(&projected[0], [2.0, 0.0]) && near(&projected[2], [0.0, 1.0]), "{projected:?}");
        assert!((explained - 1.0).abs() < 1e-12);
        assert!((principal_components(&cross, 1).unwrap().1 - 0.8).abs() < 1e-12);
    }

    /// Three points with the variance 1 and a factor of 3^(-1/5); in the plane, a covariance of diag(2/3, 8/3) and
    /// 4^(-1/6). The densities are those of scipy.stats.gaussian_kde.
    #[test]
    fn densities_equal_hand_computed_values() {
        let line = DensityEstimate::new(vectors(&[&[-1.0], &[0.0], &[1.0]]), Bandwidth::Scott).unwrap();
        let factor = 3f64.powf(-0.2);
        let kernel =
            |distance: f64| (-0.5 * (distance / factor).powi(2)).exp() / (factor * (2.0 * std::f64::consts::PI).sqrt());
        let at = |place: f64| line.at(&DVector::from_row_slice(&[place]));
        let by_hand = |place: f64| (kernel(place + 1.0) + kernel(place) + kernel(place - 1.0)) / 3.0;
        for place in [0.0, 0.5, 3.0, -7.0] {
            assert!((at(place) - by_hand(place)).abs() < 1e-15, "{place}: {} {}", at(place), by_hand(place));
        }
        let near = |found: f64, of_scipy: f64| (found - of_scipy).abs() < 1e-14 * of_scipy;
        assert!(near(at(0.0), 0.318_156_220_926_401_5) && near(at(-7.0), 1.224_581_473_140_818_8e-13));
        let own = line.at_own_points().unwrap();
        assert!((own[1] - kernel(1.0)).abs() < 1e-15, "the other two are at the same distance");
        assert!((own[0] - (kernel(1.0) + kernel(2.0)) / 2.0).abs() < 1e-15);

        let cross = vectors(&[&[1.0, 0.0], &[-1.0, 0.0], &[0.0, 2.0], &[0.0, -2.0]]);
        let plane = DensityEstimate::new(cross, Bandwidth::Scott).unwrap();
        let square = 4f64.powf(-1.0 / 3.0);
        let (first, second) = (2.0 / 3.0 * square, 8.0 / 3.0 * square);
        let kernels = 2.0 * (-0.5 / first).exp() + 2.0 * (-0.5 * 4.0 / second).exp();
        let by_hand = kernels / 4.0 / (2.0 * std::f64::consts::PI * (first * second).sqrt());
        assert!((plane.at(&DVector::zeros(2)) - by_hand).abs() < 1e-15);
        assert!(near(by_hand, 0.057_612_725_465_319_76));
        assert!(near(plane.at(&DVector::from_row_slice(&[0.3, -1.2])), 0.058_541_392_595_869_18));
    }

    #[test]
    fn quantiles_are_interpolated() {
        let values = vec![4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(values.clone(), share)), [1.0, 2.5, 4.0]);
        assert!((quantile(values, 0.1) - 1.3).abs() < 1e-12);
        // Of records that are alike but for one, this one has the lowest density.
        let records = points(&[&[0.0], &[0.1], &[0.2], &[0.3], &[9.0]]);
        let selection = selection(1, Bandwidth::Width(0.2), DensityLimit::Quantile(0.25));
        let found = find_lacking(&points(&[&[0.15], &[5.0]]), &records, &selection).unwrap();
        assert_eq!(found.places, [1], "{found:?}");
    }

    #[test]
    fn what_cannot_be_estimated_is_refused() {
        let problem = |pieces: &[&[f64]], records: &[&[f64]], dims, bandwidth| {
            let selection = selection(dims, bandwidth, DensityLimit::Quantile(0.05));
            find_lacking(&points(pieces), &points(records), &selection).unwrap_err()
        };
        let two: [&[f64]; 2] = [&[0.0, 1.0], &[1.0, 0.0]];
        assert!(problem(&two, &two, 3, Bandwidth::Scott).contains("embeddings of at least as many numbers, not 2"));
        assert!(problem(&two[..1], &two[..1], 2, Bandwidth::Scott).contains("more than 2 texts, but there are 2"));
        assert!(problem(&two, &two[..1], 1, Bandwidth::Scott).contains("at least two records, but there are 1"));
        assert!(problem(&two, &[], 1, Bandwidth::Width(1.0)).contains("no records"));
        assert!(problem(&two, &two[..1], 1, Bandwidth::Width(1.0)).contains("a quantile needs at least two records"));
        assert!(problem(&[&[f64::NAN]], &[&[0.0], &[1.0]], 1, Bandwidth::Scott).contains("not finite"));
        assert!(problem(&[&[1.0]], &[&[1.0], &[1.0]], 1, Bandwidth::Scott).contains("all embeddings are equal"));
        assert!(problem(&two, &[&[0.0, 1.0], &[0.0, 1.0]], 1, Bandwidth::Scott).contains("no variance"));
    }
}
