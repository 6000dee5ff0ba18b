//! Multiple testing: p-values that are corrected for the number of tests.

/// A method that corrects the p-values of a table for their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Holm's step-down method bounds the probability of any false positive (family-wise error rate).
    Holm,
    /// The method of Benjamini and Hochberg bounds the expected share of false positives among the positives (false
    /// discovery rate).
    BenjaminiHochberg,
}

impl Correction {
    /// The name in the head of a column.
    pub fn name(self) -> &'static str {
        match self {
            Correction::Holm => "Holm",
            Correction::BenjaminiHochberg => "BH",
        }
    }

    /// The corrected p-values, in the order of the given p-values.
    pub fn apply(self, p_values: &[f64]) -> Vec<f64> {
        match self {
            Correction::Holm => holm(p_values),
            Correction::BenjaminiHochberg => benjamini_hochberg(p_values),
        }
    }
}

/// The indices of the p-values from the smallest to the largest.
fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}

/// Holm (1979): the k-th smallest of m p-values is multiplied by m - k + 1, and no corrected value is below an earlier
/// one. Rejecting where the result is below alpha keeps the family-wise error rate at alpha under any dependence.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in ascending(p_values).iter().enumerate() {
        largest = largest.max((p_values[index] * (p_values.len() - rank) as f64).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

/// Benjamini and Hochberg (1995): the k-th smallest of m p-values is multiplied by m / k, and no corrected value is
/// above a later one. Holds under independence and under positive regression dependence.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut corrected = vec![0.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (rank, &index) in ascending(p_values).iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] * (p_values.len() as f64 / (rank + 1) as f64));
        corrected[index] = smallest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const P: [f64; 6] = [0.01, 0.04, 0.03, 0.005, 0.5, 0.2];

    fn assert_close(found: &[f64], expected: &[f64]) {
        let close = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close, "{found:?} instead of {expected:?}");
    }

    /// statsmodels.stats.multitest.multipletests(P, method='holm')[1] (statsmodels 0.15.0); tolerance 1e-12.
    #[test]
    fn holm_agrees_with_statsmodels() {
        assert_close(&holm(&P), &[0.05, 0.12, 0.12, 0.03, 0.5, 0.4]);
    }

    /// statsmodels.stats.multitest.multipletests(P, method='fdr_bh')[1] (statsmodels 0.15.0); tolerance 1e-12.
    #[test]
    fn benjamini_hochberg_agrees_with_statsmodels() {
        assert_close(&benjamini_hochberg(&P), &[0.03, 0.06, 0.06, 0.03, 0.5, 0.24]);
    }

    proptest! {
        #[test]
        fn corrections_never_lower_a_p_value_and_keep_the_order(values in prop::collection::vec(0.0f64..=1.0, 1..12)) {
            for correction in [Correction::Holm, Correction::BenjaminiHochberg] {
                let corrected = correction.apply(&values);
                for i in 0..values.len() {
                    prop_assert!(corrected[i] >= values[i] && corrected[i] <= 1.0);
                    for j in 0..values.len() {
                        prop_assert!(values[i] >= values[j] || corrected[i] <= corrected[j]);
                    }
                }
            }
        }
    }
}
