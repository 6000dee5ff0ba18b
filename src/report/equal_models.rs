//! How far apart the mean z-scores of equally good models are. Pure functions.
//!
//! z-scores are relative to the spread between the models of a table, so models that differ only by chance have z-scores
//! as large as any. The spread of their means is simulated: every model has an independent normal score in every column,
//! and z and its mean are computed as in the table (population deviation over the models of a column).

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::statistics::{mean, z_scores};

/// The maximum number of simulated tables.
const MAX_TABLES: usize = 10_000;
/// The approximate maximum number of simulated scores. It reduces the number of simulated tables only for tables so large
/// that the means are close to a normal distribution.
const MAX_SCORES: usize = 4_000_000;
/// Fixed, so that the same table has the same bands in every report.
const SEED: u64 = 20_25;

/// The distribution of mean z-scores of equally good models.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EqualModels {
    /// For each model, the half width of the band around 0 that contains its mean z in 95% of the tables; `None` for a
    /// model without scores.
    pub(super) bands: Vec<Option<f64>>,
    /// The range of mean z, largest minus smallest: its mean over all tables.
    pub(super) expected_range: f64,
    /// The range of mean z: the value that it exceeds in 5% of the tables.
    pub(super) high_range: f64,
}

/// Simulates equally good models. `scored` has a row for each model, which says in which columns it has a score. `None` if
/// no column has two models, so that there is no z.
pub(super) fn equal_models(scored: &[Vec<bool>]) -> Option<EqualModels> {
    let columns = scored.first().map_or(0, Vec::len);
    let in_column = |column: usize| scored.iter().filter(|model| model[column]).count();
    let columns: Vec<usize> = (0..columns).filter(|column| in_column(*column) > 1).collect();
    if columns.is_empty() {
        return None;
    }
    let cells: usize = columns.iter().map(|column| in_column(*column)).sum();
    let mut normal = Normal { random: ChaCha8Rng::seed_from_u64(SEED), second: None };
    let mut means: BTreeMap<Vec<bool>, Vec<f64>> = BTreeMap::new();
    let mut ranges = vec![];
    for _ in 0..(MAX_SCORES / cells).clamp(100, MAX_TABLES) {
        let mut zs: Vec<Vec<f64>> = vec![vec![]; scored.len()];
        for column in &columns {
            let scores: Vec<Option<f64>> = scored.iter().map(|model| model[*column].then(|| normal.draw())).collect();
            for (model, z) in zs.iter_mut().zip(z_scores(&scores)) {
                model.extend(z);
            }
        }
        let of_models: Vec<Option<f64>> = zs.iter().map(|model| mean(model)).collect();
        // Models with the same columns are exchangeable, so they have the same band.
        for (model, mean) in scored.iter().zip(&of_models) {
            if let Some(mean) = mean {
                means.entry(model.clone()).or_default().push(mean.abs());
            }
        }
        let known = || of_models.iter().flatten().copied();
        ranges.push(known().fold(f64::NEG_INFINITY, f64::max) - known().fold(f64::INFINITY, f64::min));
    }
    let bands: BTreeMap<Vec<bool>, f64> =
        means.into_iter().map(|(columns, means)| (columns, upper_5_percent(means))).collect();
    Some(EqualModels {
        bands: scored.iter().map(|model| bands.get(model).copied()).collect(),
        expected_range: mean(&ranges)?,
        high_range: upper_5_percent(ranges),
    })
}

/// The value that 5% of these values exceed.
fn upper_5_percent(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 19 / 20).min(values.len() - 1)]
}

/// A source of standard normal numbers (Box and Muller 1958).
struct Normal {
    random: ChaCha8Rng,
    second: Option<f64>,
}

impl Normal {
    fn draw(&mut self) -> f64 {
        if let Some(second) = self.second.take() {
            return second;
        }
        // Never 0, which has no logarithm.
        let mut uniform = || (f64::from(self.random.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        self.second = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An independent simulation (12,000 tables, CPython's `random.gauss`) gives 1.294 and 1.81. Without the limit on
    /// z of 12 models, the mean of 7 would be normal with variance 1/7: a band of 1.96 / sqrt 7 = 0.74, and an expected
    /// range of 3.258 sqrt(12 / 11) / sqrt 7 = 1.29.
    #[test]
    fn twelve_equal_models_on_seven_tasks() {
        let equal = equal_models(&vec![vec![true; 7]; 12]).unwrap();
        assert!((equal.expected_range - 1.292).abs() < 0.01, "{equal:?}");
        assert!((equal.high_range - 1.80).abs() < 0.02, "{equal:?}");
        assert!(equal.bands.iter().all(|band| (band.unwrap() - 0.74).abs() < 0.015), "{equal:?}");
    }

    /// One of two models has z = 1 and the other z = -1 in every column: |mean z| over 4 columns is 1 in 1 of 8 tables.
    #[test]
    fn two_models_are_like_coin_tosses() {
        let equal = equal_models(&vec![vec![true; 4]; 2]).unwrap();
        assert_eq!((equal.bands, equal.high_range), (vec![Some(1.0); 2], 2.0));
        // |mean| is 0, 0.5 and 1 with probability 3/8, 4/8 and 1/8; the range is twice that.
        assert!((equal.expected_range - 0.75).abs() < 0.02, "{}", equal.expected_range);
    }

    #[test]
    fn fewer_columns_make_a_wider_band_and_no_column_makes_none() {
        let mut scored = vec![vec![true, true, true, true]; 6];
        scored[1] = vec![true, false, false, false];
        scored[2] = vec![false; 4];
        let bands = equal_models(&scored).unwrap().bands;
        assert!(bands[1] > bands[0] && bands[2].is_none() && bands[0] == bands[3], "{bands:?}");
        assert_eq!(equal_models(&[vec![true; 3]]), None);
        assert_eq!(equal_models(&[vec![true, false], vec![false, true]]), None, "no column has two models");
        assert_eq!(equal_models(&[]), None);
    }
}
