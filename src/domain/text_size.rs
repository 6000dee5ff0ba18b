//! How much text a source holds.

use serde::{Deserialize, Serialize};

/// How much text a source holds, as far as somebody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TextSize {
    /// Documents of a corpus, or records of a dataset; `None` where only words are known.
    pub units: Option<u64>,
    /// Whitespace-separated words after cleaning; both sides of a record.
    pub words: u64,
}

impl TextSize {
    /// What is left of it when this share is held out.
    pub fn trained(self, held_out: f64) -> Self {
        let train = |n: u64| n - (held_out * n as f64).ceil() as u64;
        Self { units: self.units.map(train), words: train(self.words) }
    }

    /// Whether it differs from what was expected by more than one part in a hundred.
    pub fn surprises(self, expected: TextSize) -> bool {
        let far = |found: u64, wanted: u64| found.abs_diff(wanted) as f64 > 0.01 * wanted as f64;
        let units = self.units.zip(expected.units).is_some_and(|(found, wanted)| far(found, wanted));
        units || far(self.words, expected.words)
    }
}

/// How much text a source holds under a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredText {
    /// Documents of a corpus, or records of a dataset.
    pub units: u64,
    /// Whitespace-separated words after cleaning; both sides of a record.
    pub words: u64,
    /// Records that were left out, as their reply is blank.
    pub blank: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_in_a_hundred_is_no_surprise() {
        let extent = |units, words| TextSize { units, words };
        assert!(!extent(Some(99), 1010).surprises(extent(Some(100), 1000)));
        assert!(extent(Some(100), 1011).surprises(extent(Some(100), 1000)));
        assert!(extent(Some(98), 1000).surprises(extent(Some(100), 1000)));
        assert!(!extent(Some(98), 1000).surprises(extent(None, 1000)), "what is not said cannot differ");
    }

    #[test]
    fn a_tenth_is_held_out_rounded_up() {
        let dialogues = TextSize { units: Some(38_802), words: 2_600_000 };
        assert_eq!(dialogues.trained(0.1), TextSize { units: Some(34_921), words: 2_340_000 });
    }
}
