//! Seeds derived from other seeds.

use serde::Serialize;

/// A bijective hash of 64 bits: the finalizer of SplitMix64 (Steele et al. 2014).
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The seed of the tuning jobs of a cell: the seed of the cell, or with `tune.seed` a hash of both, so that the tunings
/// of different pretrained models have different data orders even if `tune.seed` is the same.
///
/// The hash is `mix(mix(seed) ^ tune_seed)` without its lowest bit; it fits into a signed integer of 64 bits.
pub fn tuning_seed(seed: u64, tune_seed: Option<u64>) -> u64 {
    tune_seed.map_or(seed, |tune_seed| mix(mix(seed) ^ tune_seed) >> 1)
}

/// The seeds with which a model is fine-tuned on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinetuneSeeds {
    /// This number of seeds, derived from the seed of the cell: `100 * seed + 1`, `100 * seed + 2` and so on. Cells with
    /// different seeds share none, so that the deviation between models includes the variation from fine-tuning.
    Derived(u32),
    /// These seeds, for every model.
    Listed(Vec<u64>),
}

impl FinetuneSeeds {
    /// The most seeds that can be derived for one model without overlap between cells.
    pub const MOST: u32 = 100;
    /// The largest seed of a cell from which seeds can be derived, so that they fit into a signed 64-bit integer.
    pub const LARGEST: u64 = i64::MAX as u64 / Self::MOST as u64 - 1;

    /// The seeds for the model of a cell with this seed, which is at most [`FinetuneSeeds::LARGEST`].
    pub fn of(&self, seed: u64) -> Vec<u64> {
        match self {
            Self::Derived(count) => {
                let first = seed.min(Self::LARGEST) * u64::from(Self::MOST);
                (1..=u64::from(*count)).map(|place| first + place).collect()
            }
            Self::Listed(seeds) => seeds.clone(),
        }
    }
}

/// Draws `wanted` distinct numbers below `count` that fit, or all of them if there are fewer. Each that fits has the same
/// probability; the draw is a function of the seed.
pub fn draw_distinct(seed: u64, count: usize, wanted: usize, fits: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut state = seed;
    let mut below = |bound: usize| {
        state = mix(state);
        (state % bound as u64) as usize
    };
    let mut drawn: Vec<usize> = vec![];
    // Usually nearly all numbers fit, so that a few tries suffice. If they do not, all numbers are looked at.
    for _ in 0..if count == 0 { 0 } else { 32 * wanted } {
        if drawn.len() == wanted {
            break;
        }
        let number = below(count);
        if fits(number) && !drawn.contains(&number) {
            drawn.push(number);
        }
    }
    if drawn.len() < wanted {
        let mut left: Vec<usize> = (0..count).filter(|number| fits(*number) && !drawn.contains(number)).collect();
        while drawn.len() < wanted && !left.is_empty() {
            drawn.push(left.swap_remove(below(left.len())));
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn draws_are_distinct_fit_and_have_equal_probabilities() {
        let mut counts = [0; 6];
        for seed in 0..6_000 {
            let drawn = draw_distinct(mix(seed), 6, 2, |number| number != 4);
            assert!(drawn.len() == 2 && drawn[0] != drawn[1] && !drawn.contains(&4), "{drawn:?}");
            assert_eq!(drawn, draw_distinct(mix(seed), 6, 2, |number| number != 4));
            drawn.iter().for_each(|number| counts[*number] += 1);
        }
        // Each of five numbers in two of five draws; the standard deviation is 38.
        assert!([0, 1, 2, 3, 5].iter().all(|number| (2_200..2_600).contains(&counts[*number])), "{counts:?}");
        // Few numbers fit among many, so that the tries fail.
        let mut rare = draw_distinct(1, 100_000, 5, |number| number % 40_000 == 7);
        rare.sort_unstable();
        assert_eq!(rare, [7, 40_007, 80_007]);
        assert!(draw_distinct(1, 0, 3, |_| true).is_empty());
    }

    #[test]
    fn a_tuning_seed_depends_on_both_seeds_and_is_the_cells_own_by_default() {
        assert_eq!(tuning_seed(7, None), 7);
        let pairs = || (0..50).flat_map(|seed| (0..50).map(move |own| (seed, own)));
        let seeds: BTreeSet<u64> = pairs().map(|(seed, own)| tuning_seed(seed, Some(own))).collect();
        assert_eq!(seeds.len(), 2_500, "no two pairs share one");
        assert!(seeds.iter().all(|seed| *seed > 1_000_000 && i64::try_from(*seed).is_ok()));
        // Results are named after these seeds: they must not change.
        let few = [tuning_seed(1, Some(1)), tuning_seed(1, Some(2)), tuning_seed(2, Some(1))];
        insta::assert_compact_debug_snapshot!(few, @"[8430369225095084303, 6804074658870690613, 8085905411993364802]");
    }

    #[test]
    fn derived_seeds_of_fine_tunings_are_shared_by_no_two_models() {
        assert_eq!(FinetuneSeeds::Derived(3).of(1), [101, 102, 103]);
        assert_eq!(FinetuneSeeds::Listed(vec![5, 2]).of(9), [5, 2]);
        let most = FinetuneSeeds::Derived(FinetuneSeeds::MOST);
        let seeds: BTreeSet<u64> = (0..50).flat_map(|seed| most.of(seed)).collect();
        assert_eq!(seeds.len(), 50 * 100);
        assert!(most.of(FinetuneSeeds::LARGEST).iter().all(|seed| i64::try_from(*seed).is_ok()));
    }
}
