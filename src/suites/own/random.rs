//! The random samples of Python's `random.Random(seed).sample`, which lm-evaluation-harness draws its examples with.

use std::collections::HashSet;

use rand_mt::Mt;

/// A generator that gives the numbers of `random.Random(seed)`.
pub(super) struct PythonRandom(Mt);

impl PythonRandom {
    pub(super) fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// The indices that `sample(population, count)` draws from a population of this size, in its order.
    ///
    /// # Panics
    /// If `count` is greater than `size`.
    pub(super) fn sample(&mut self, size: usize, count: usize) -> Vec<usize> {
        assert!(count <= size, "a sample of {count} from {size}");
        // CPython takes a set of indices where that is smaller than a list of the population.
        let mut set_size = 21;
        if count > 5 {
            set_size += 4usize.pow(((count * 3) as f64).log(4.0).ceil() as u32);
        }
        if size <= set_size {
            let mut pool: Vec<usize> = (0..size).collect();
            let mut draw = |drawn: usize| {
                let index = self.below(size - drawn);
                let chosen = pool[index];
                pool[index] = pool[size - drawn - 1];
                chosen
            };
            return (0..count).map(&mut draw).collect();
        }
        let mut seen = HashSet::new();
        let mut draw = |_| loop {
            let index = self.below(size);
            if seen.insert(index) {
                return index;
            }
        };
        (0..count).map(&mut draw).collect()
    }

    /// A number below `limit`, which must fit into 32 bits.
    fn below(&mut self, limit: usize) -> usize {
        let bits = usize::BITS - limit.leading_zeros();
        loop {
            let number = (self.0.next_u32() >> (32 - bits)) as usize;
            if number < limit {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers were printed by CPython 3.11: `r = random.Random(1234)`, then `r.sample(range(size), count)` for each.
    #[test]
    fn samples_are_those_of_python() {
        let mut random = PythonRandom::new(1234);
        assert_eq!(random.sample(10, 3), SAMPLES[0]);
        assert_eq!(random.sample(1000, 5), SAMPLES[1]);
        assert_eq!(random.sample(100, 6), SAMPLES[2]);
        assert_eq!(random.sample(7, 7), SAMPLES[3]);
    }

    const SAMPLES: [&[usize]; 4] =
        [&[7, 1, 0], &[92, 932, 965, 961, 826], &[74, 4, 85, 88, 10, 12], &[6, 2, 1, 0, 3, 5, 4]];
}
