//! The variants of an enum as an array.

/// The variants that `strum::VariantArray` lists, as an array of `strum::EnumCount` length.
pub(super) const fn all<T: Copy, const N: usize>(variants: &[T]) -> [T; N] {
    match variants.first_chunk() {
        Some(all) if variants.len() == N => *all,
        _ => panic!("N is the number of variants"),
    }
}
