//! Portable random choices.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

/// A stream of random choices that is a function of its arguments. It uses only integers, so it is the same on every
/// platform.
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of one document, record or file.
    pub(super) fn new(what: impl Serialize, seed: u64, index: u64) -> Self {
        let name = serde_json::to_vec(&("grid toy world", what, seed, index)).expect("names have string keys");
        Self(ChaCha8Rng::from_seed(*blake3::hash(&name).as_bytes()))
    }

    /// A number from 0 to `bound - 1`; the bias is below `bound / 2^32`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A number between 0 and 1, both exclusive.
    pub(super) fn unit(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// True with this probability in percent.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of the choices, with equal probabilities.
    ///
    /// # Panics
    /// If there are no choices.
    pub(super) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u32) as usize]
    }
}
