//! Seeds that are derived from other seeds.

/// Spreads the bits of a counter (the finalizer of SplitMix64, Steele et al. 2014): a bijection of 64 bits.
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The seed of the tunings of a cell: the cell's own seed, or with `tune.seed` a hash of both, so that the tunings of two
/// pretrained models never share a data order even where `tune.seed` is the same.
///
/// The hash is `mix(mix(seed) ^ tune_seed)` without its lowest bit; it fits into a signed integer of 64 bits.
pub fn tuning_seed(seed: u64, tune_seed: Option<u64>) -> u64 {
    tune_seed.map_or(seed, |tune_seed| mix(mix(seed) ^ tune_seed) >> 1)
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
}
