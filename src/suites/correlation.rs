//! Correlations of two lists of numbers.

/// Spearman's rank correlation: Pearson's correlation of the ranks, ties sharing their mean rank.
///
/// `None` when either side is constant or contains a NaN.
pub(super) fn spearman(left: &[f64], right: &[f64]) -> Option<f64> {
    if left.iter().chain(right).any(|number| number.is_nan()) {
        return None;
    }
    pearson(&ranks(left), &ranks(right))
}

/// Ranks from 1; equal numbers share the mean of their ranks.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&left, &right| numbers[left].total_cmp(&numbers[right]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&left, &right| numbers[left] == numbers[right]) {
        let shared = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &index in equal {
            ranks[index] = shared;
        }
        before += equal.len();
    }
    ranks
}

/// Pearson's correlation; `None` when either side is constant.
pub(super) fn pearson(left: &[f64], right: &[f64]) -> Option<f64> {
    let centred = |numbers: &[f64]| -> Vec<f64> {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        numbers.iter().map(|number| number - mean).collect()
    };
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>();
    let (left, right) = (centred(left), centred(right));
    let correlation = dot(&left, &right) / (dot(&left, &left) * dot(&right, &right)).sqrt();
    correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_share_their_mean_and_zeros_are_equal() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
        // By hand: d = (-1, 1, 0), rho = 1 - 6 * 2 / (3 * 8).
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[20.0, 10.0, 30.0]), Some(0.5));
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]), None);
    }

    proptest! {
        #[test]
        fn rho_is_bounded_symmetric_and_invariant_under_monotone_maps(
            pairs in prop::collection::vec((-5i8..5, -5.0..5.0f64), 2..30)
        ) {
            let left: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.0)).collect();
            let right: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
            let rho = spearman(&left, &right);
            prop_assert!(rho.is_none_or(|rho| (-1.0..=1.0).contains(&rho)));
            let cubed: Vec<f64> = left.iter().map(|number| number.powi(3) + 7.0).collect();
            prop_assert_eq!(rho, spearman(&cubed, &right));
            let mirrored = spearman(&right, &left);
            prop_assert!((rho.unwrap_or(0.0) - mirrored.unwrap_or(0.0)).abs() < 1e-12);
        }
    }
}
