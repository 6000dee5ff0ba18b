//! How much text a source holds.

use serde::{Deserialize, Serialize};

/// The size of a text, measured or declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TextSize {
    /// Documents of a corpus or records of a dataset; `None` if only the number of words is known.
    pub units: Option<u64>,
    /// Whitespace-separated words after cleaning; for a record, those of prompt and reply.
    pub words: u64,
}

impl TextSize {
    /// The size of the training part when this share is held out.
    pub fn without_held_out(self, held_out: f64) -> Self {
        let train = |n: u64| n - (held_out * n as f64).ceil() as u64;
        Self { units: self.units.map(train), words: train(self.words) }
    }

    /// Whether the size differs from the expected one by more than 1%.
    pub fn deviates_from(self, expected: TextSize) -> bool {
        let far = |found: u64, wanted: u64| found.abs_diff(wanted) as f64 > 0.01 * wanted as f64;
        let units = self.units.zip(expected.units).is_some_and(|(found, wanted)| far(found, wanted));
        units || far(self.words, expected.words)
    }
}

/// The size of a text that was read in some format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredText {
    /// Documents of a corpus or records of a dataset.
    pub units: u64,
    /// Whitespace-separated words after cleaning; for a record, those of prompt and reply.
    pub words: u64,
    /// Records that were left out because they have no text to train on.
    pub blank: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_larger_than_one_percent() {
        let extent = |units, words| TextSize { units, words };
        assert!(!extent(Some(99), 1010).deviates_from(extent(Some(100), 1000)));
        assert!(extent(Some(100), 1011).deviates_from(extent(Some(100), 1000)));
        assert!(extent(Some(98), 1000).deviates_from(extent(Some(100), 1000)));
        assert!(!extent(Some(98), 1000).deviates_from(extent(None, 1000)), "an undeclared number cannot deviate");
    }

    #[test]
    fn the_held_out_part_is_rounded_up() {
        let dialogues = TextSize { units: Some(38_802), words: 2_600_000 };
        assert_eq!(dialogues.without_held_out(0.1), TextSize { units: Some(34_921), words: 2_340_000 });
    }
}
