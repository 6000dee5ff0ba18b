//! Least-squares fit of a sigmoid.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::storage::Owned;
use nalgebra::{DVector, Dyn, OMatrix, U4, Vector4};

/// `amplitude / (1 + exp(-slope (x - middle))) + base`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sigmoid {
    pub(super) amplitude: f64,
    pub(super) slope: f64,
    pub(super) middle: f64,
    pub(super) base: f64,
}

/// Lower and upper bounds of the parameters of a [`Sigmoid`], in order.
pub(super) type Bounds = [(f64, f64); 4];

/// The relative change of the sum of squares, and of the parameters, below which a fit has converged: the default of
/// `scipy.optimize.curve_fit`.
const TOLERANCE: f64 = 1.49012e-8;

impl Sigmoid {
    fn of(numbers: Vector4<f64>) -> Sigmoid {
        let [amplitude, slope, middle, base] = numbers.into();
        Sigmoid { amplitude, slope, middle, base }
    }

    fn numbers(self) -> Vector4<f64> {
        Vector4::new(self.amplitude, self.slope, self.middle, self.base)
    }

    fn at(self, x: f64) -> f64 {
        self.amplitude * logistic(self.slope * (x - self.middle)) + self.base
    }

    /// The derivatives at `x` with respect to each parameter.
    fn gradient(self, x: f64) -> [f64; 4] {
        let share = logistic(self.slope * (x - self.middle));
        let bend = self.amplitude * share * (1.0 - share);
        [share, bend * (x - self.middle), -bend * self.slope, 1.0]
    }

    /// The x at which the sigmoid has this height, if there is one.
    pub(super) fn crossing(self, height: f64) -> Option<f64> {
        let between = height > self.base && height < self.base + self.amplitude;
        between.then(|| self.middle - (self.amplitude / (height - self.base) - 1.0).ln() / self.slope)
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The least-squares problem. Without bounds, its variables are the parameters of the sigmoid. With bounds, they are angles:
/// the parameter `low + (high - low) (1 + sin(angle)) / 2` is within its bounds for every angle, and the best sigmoid is the
/// same.
struct Problem<'a> {
    points: &'a [(f64, f64)],
    bounds: Option<Bounds>,
    numbers: Vector4<f64>,
}

impl Problem<'_> {
    fn sigmoid(&self) -> Sigmoid {
        Sigmoid::of(match self.bounds {
            None => self.numbers,
            Some(bounds) => Vector4::from_fn(|row, _| {
                let (low, high) = bounds[row];
                low + (high - low) * (1.0 + self.numbers[row].sin()) / 2.0
            }),
        })
    }

    /// The derivative of a parameter of the sigmoid with respect to its variable.
    fn derivative(&self, row: usize) -> f64 {
        self.bounds.map_or(1.0, |bounds| (bounds[row].1 - bounds[row].0) * self.numbers[row].cos() / 2.0)
    }
}

impl LeastSquaresProblem<f64, Dyn, U4> for Problem<'_> {
    type ParameterStorage = Owned<f64, U4>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, U4>;

    fn set_params(&mut self, numbers: &Vector4<f64>) {
        self.numbers = *numbers;
    }

    fn params(&self) -> Vector4<f64> {
        self.numbers
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let sigmoid = self.sigmoid();
        Some(DVector::from_iterator(self.points.len(), self.points.iter().map(|(x, y)| sigmoid.at(*x) - y)))
    }

    fn jacobian(&self) -> Option<OMatrix<f64, Dyn, U4>> {
        let sigmoid = self.sigmoid();
        let gradients: Vec<[f64; 4]> = self.points.iter().map(|(x, _)| sigmoid.gradient(*x)).collect();
        let derivatives: [f64; 4] = std::array::from_fn(|row| self.derivative(row));
        Some(OMatrix::<f64, Dyn, U4>::from_fn(self.points.len(), |row, column| {
            gradients[row][column] * derivatives[column]
        }))
    }
}

/// The sigmoid with the least squares through `(x, y)` points, starting from a guess; `None` if the search does not converge
/// within this number of evaluations, or if there are fewer points than parameters.
pub(super) fn fit(
    points: &[(f64, f64)],
    guess: Sigmoid,
    bounds: Option<Bounds>,
    evaluations: usize,
) -> Option<Sigmoid> {
    if points.len() < 4 {
        return None;
    }
    let angle =
        |number: f64, (low, high): (f64, f64)| (2.0 * (number - low) / (high - low) - 1.0).clamp(-1.0, 1.0).asin();
    let numbers = guess.numbers();
    let numbers = match bounds {
        None => numbers,
        Some(bounds) => Vector4::from_fn(|row, _| angle(numbers[row], bounds[row])),
    };
    let search = LevenbergMarquardt::new()
        .with_ftol(TOLERANCE)
        .with_xtol(TOLERANCE)
        .with_gtol(TOLERANCE)
        .with_patience(evaluations / 5); // the library multiplies this by the number of parameters plus one
    let (problem, report) = search.minimize(Problem { points, bounds, numbers });
    let sigmoid = problem.sigmoid();
    (report.termination.was_successful() && sigmoid.numbers().iter().all(|number| number.is_finite()))
        .then_some(sigmoid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Sigmoid = Sigmoid { amplitude: 0.9, slope: 0.4, middle: 22.0, base: 0.05 };

    fn points() -> Vec<(f64, f64)> {
        (10..36).map(f64::from).map(|x| (x, SHAPE.at(x))).collect()
    }

    #[test]
    fn a_sigmoid_is_found_with_and_without_bounds() {
        let guess = Sigmoid { amplitude: 1.0, slope: 0.1, middle: 20.0, base: 0.0 };
        for bounds in [None, Some([(0.0, 2.0), (0.0, 1.0), (10.0, 35.0), (-0.5, 0.5)])] {
            let found = fit(&points(), guess, bounds, 5_000).expect("a fit");
            assert!((found.numbers() - SHAPE.numbers()).abs().max() < 1e-5, "{found:?}");
        }
        let tight = fit(&points(), guess, Some([(0.0, 0.5), (0.0, 1.0), (10.0, 35.0), (-0.5, 0.5)]), 5_000);
        assert!(tight.is_none_or(|tight| tight.amplitude <= 0.5));
        assert_eq!(fit(&points()[..3], guess, None, 5_000), None, "too few points");
        assert_eq!(fit(&points(), guess, None, 5), None, "too few evaluations");
    }

    #[test]
    fn a_height_is_crossed_within_the_sigmoid_only() {
        let crossing = SHAPE.crossing(0.5).expect("between base and top");
        assert!((SHAPE.at(crossing) - 0.5).abs() < 1e-12);
        assert_eq!([0.05, 0.96, 2.0, -1.0].map(|height| SHAPE.crossing(height)), [None; 4]);
    }

    #[test]
    fn the_gradient_is_that_of_the_sigmoid() {
        for (row, derivative) in SHAPE.gradient(20.0).into_iter().enumerate() {
            let moved =
                |by: f64| Sigmoid::of(SHAPE.numbers() + Vector4::from_fn(|at, _| if at == row { by } else { 0.0 }));
            let slope = (moved(1e-6).at(20.0) - moved(-1e-6).at(20.0)) / 2e-6;
            assert!((slope - derivative).abs() < 1e-6, "{row}: {slope} {derivative}");
        }
    }
}
