//! How much text a model may be trained on.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::plural::grouped;

/// The most text that a model may be trained on, from its random weights to its last stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Distinct words, including the held-out part.
    pub words: u64,
    /// How many times it may see that many words.
    pub epochs: u32,
    /// How text in several languages counts; `None` counts whitespace-separated words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub premiums: Option<Premiums>,
}

/// The byte premium of each language, by its code of ISO 639-3: how many bytes a text takes for each byte of its English
/// translation (Arnett et al. 2024, arXiv 2403.00686).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Premiums(pub BTreeMap<String, f64>);

impl Premiums {
    /// Bytes of English text for each word: the tier of 100 million words of the multilingual track of BabyLM has 543
    /// megabytes.
    const BYTES_PER_WORD: f64 = 5.43;

    /// The premiums on which the site of the challenge and the table of its pipeline agree
    /// (`babylm-org/multilingual-babylm`, `resources/byte_coefs_20240233.tsv`). They give different numbers for Chinese.
    pub fn of_challenge() -> Premiums {
        Premiums([("eng", 1.0), ("nld", 1.051_61)].map(|(language, premium)| (language.to_owned(), premium)).into())
    }

    /// The number of English words that a text of this many bytes stands for; `None` for a language without a premium.
    pub fn words(&self, language: &str, bytes: u64) -> Option<u64> {
        self.0.get(language).map(|premium| (bytes as f64 / premium / Self::BYTES_PER_WORD).round() as u64)
    }
}

impl Budget {
    /// The tracks of the BabyLM challenge, by their names in specs.
    pub fn tracks() -> [(&'static str, Budget); 3] {
        let track = |words, premiums| Budget { words, epochs: 10, premiums };
        [
            ("strict", track(100_000_000, None)),
            ("strict-small", track(10_000_000, None)),
            ("multilingual", track(100_000_000, Some(Premiums::of_challenge()))),
        ]
    }

    /// Words that may be seen, counting repetitions.
    pub fn seen(&self) -> u64 {
        self.words.saturating_mul(u64::from(self.epochs))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_track = |track: &Budget| {
            (track.words, track.epochs, track.premiums.is_some()) == (self.words, self.epochs, self.premiums.is_some())
        };
        if let Some((name, _)) = Budget::tracks().iter().find(|(_, track)| is_track(track)) {
            write!(f, "track {name}, ")?;
        }
        let english = if self.premiums.is_some() { "English " } else { "" };
        write!(f, "{} {english}words × {} epochs", grouped(self.words), self.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tier of 100 million words: 543 megabytes of English, and more in proportion to the premium.
    #[test]
    fn text_in_other_languages_counts_in_english_words() {
        let premiums = Premiums::of_challenge();
        assert_eq!(premiums.words("eng", 543_000_000), Some(100_000_000));
        assert_eq!(premiums.words("nld", 571_024_230), Some(100_000_000));
        assert_eq!(premiums.words("nld", 543_000_000), Some(95_092_287));
        assert_eq!(premiums.words("zho", 1), None);
    }

    #[test]
    fn budgets_are_named_by_their_track() {
        let names = Budget::tracks().map(|(_, track)| track.to_string());
        assert_eq!(
            names,
            [
                "track strict, 100,000,000 words × 10 epochs",
                "track strict-small, 10,000,000 words × 10 epochs",
                "track multilingual, 100,000,000 English words × 10 epochs",
            ]
        );
        assert_eq!(Budget { words: 5, epochs: 2, premiums: None }.to_string(), "5 words × 2 epochs");
    }
}
