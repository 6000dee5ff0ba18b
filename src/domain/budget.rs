//! How much text there is, is expected, and may be used.

use std::fmt;

use serde::Serialize;

/// How much text a source holds, as far as somebody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Documents of a corpus, or records of a dataset; `None` where only words are known.
    pub units: Option<u64>,
    /// Whitespace-separated words after cleaning; both sides of a record.
    pub words: u64,
}

impl Extent {
    /// What is left of it when this share is held out.
    pub fn trained(self, held_out: f64) -> Self {
        let train = |n: u64| n - (held_out * n as f64).ceil() as u64;
        Self { units: self.units.map(train), words: train(self.words) }
    }

    /// Whether it differs from what was expected by more than one part in a hundred.
    pub fn surprises(self, expected: Extent) -> bool {
        let far = |found: u64, wanted: u64| found.abs_diff(wanted) as f64 > 0.01 * wanted as f64;
        let units = self.units.zip(expected.units).is_some_and(|(found, wanted)| far(found, wanted));
        units || far(self.words, expected.words)
    }
}

/// The most text that one model may see from its random weights to its last stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Words of different text, what is held out included.
    pub words: u64,
    /// How often it may see that many.
    pub epochs: u32,
}

impl Budget {
    /// The tracks of the BabyLM challenge by the names used in specs.
    pub const TRACKS: [(&str, Budget); 2] = [
        ("strict", Budget { words: 100_000_000, epochs: 10 }),
        ("strict-small", Budget { words: 10_000_000, epochs: 10 }),
    ];

    /// Words that may be seen, repetitions included.
    pub fn seen(self) -> u64 {
        self.words.saturating_mul(u64::from(self.epochs))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Budget::TRACKS.iter().find(|(_, track)| track == self) {
            write!(f, "track {name}, ")?;
        }
        write!(f, "{} words × {} epochs", grouped(self.words), self.epochs)
    }
}

/// `140231872` is `140,231,872`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something there are: `1 job`, `3 jobs`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 140_231_872].map(grouped), ["0", "999", "1,000", "140,231,872"]);
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!([0, 1, 2, 1000].map(|n| counted(n, "job")), ["0 jobs", "1 job", "2 jobs", "1,000 jobs"]);
    }

    #[test]
    fn one_part_in_a_hundred_is_no_surprise() {
        let extent = |units, words| Extent { units, words };
        assert!(!extent(Some(99), 1010).surprises(extent(Some(100), 1000)));
        assert!(extent(Some(100), 1011).surprises(extent(Some(100), 1000)));
        assert!(extent(Some(98), 1000).surprises(extent(Some(100), 1000)));
        assert!(!extent(Some(98), 1000).surprises(extent(None, 1000)), "what is not said cannot differ");
    }

    #[test]
    fn a_tenth_is_held_out_rounded_up() {
        let dialogues = Extent { units: Some(38_802), words: 2_600_000 };
        assert_eq!(dialogues.trained(0.1), Extent { units: Some(34_921), words: 2_340_000 });
    }
}
