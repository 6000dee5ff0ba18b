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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
