//! Points of a training run at which a copy of the model is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The amount of text after which pretraining keeps a copy of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// Whitespace-separated words seen, counting repetitions.
    Words(u64),
    /// Tokens trained on.
    Tokens(u64),
}

impl Milestone {
    /// The share by which a milestone may exceed the text seen in training and still count as reached: whole windows
    /// leave out the last words of each text.
    pub const SHORTFALL: f64 = 0.01;

    /// The milestones that BabyLM requires, up to `most` words: every million to 10 million, every 10 million to 100
    /// million, every 100 million to a billion (call for papers 2025, "training requirements").
    pub fn babylm(most: u64) -> Vec<Self> {
        let decade = |unit: u64| (1..10).map(move |n| n * unit);
        let rungs = [1_000_000, 10_000_000, 100_000_000].into_iter().flat_map(decade).chain([1_000_000_000]);
        rungs.filter(|words| *words <= most).map(Milestone::Words).collect()
    }

    /// The name of the revision that a submission to BabyLM has for the milestone, `chck_20M`; `None` for one that is not in
    /// whole millions of words.
    pub fn revision(self) -> Option<String> {
        match self {
            Milestone::Words(words) if words > 0 && words.is_multiple_of(1_000_000) => {
                Some(format!("chck_{}M", words / 1_000_000))
            }
            Milestone::Words(_) | Milestone::Tokens(_) => None,
        }
    }

    /// The milestone of a revision with a name such as `chck_20M`; `None` for other names.
    pub fn of_revision(name: &str) -> Option<Self> {
        let millions = name.strip_prefix("chck_")?.strip_suffix('M')?;
        let words = millions.parse::<u64>().ok()?.checked_mul(1_000_000)?;
        Some(Milestone::Words(words)).filter(|milestone| milestone.revision().as_deref() == Some(name))
    }

    /// The number of words or tokens.
    pub fn count(self) -> u64 {
        match self {
            Milestone::Words(count) | Milestone::Tokens(count) => count,
        }
    }

    /// The unit: `words` or `tokens`.
    pub fn unit(self) -> &'static str {
        match self {
            Milestone::Words(_) => "words",
            Milestone::Tokens(_) => "tokens",
        }
    }

    /// Of these numbers of words and tokens, the one in the unit of the milestone.
    pub fn seen(self, words: u64, tokens: u64) -> u64 {
        match self {
            Milestone::Words(_) => words,
            Milestone::Tokens(_) => tokens,
        }
    }

    /// The amount as shown in tables: `20M words`.
    pub fn label(self) -> String {
        let count = self.count();
        let (number, letter) = match count {
            _ if count.is_multiple_of(1_000_000) => (count / 1_000_000, "M"),
            _ if count.is_multiple_of(1_000) => (count / 1_000, "k"),
            _ => (count, ""),
        };
        format!("{number}{letter} {}", self.unit())
    }
}

/// The name of the folder, also used in the database: `20000000-words`.
impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.count(), self.unit())
    }
}

/// The error for text that is not the name of a milestone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a milestone such as 1000000-words")]
pub struct InvalidMilestone(String);

impl FromStr for Milestone {
    type Err = InvalidMilestone;

    fn from_str(text: &str) -> Result<Self, InvalidMilestone> {
        let parts = text.split_once('-').and_then(|(count, unit)| Some((count.parse().ok()?, unit)));
        match parts {
            Some((count, "words")) => Ok(Milestone::Words(count)),
            Some((count, "tokens")) => Ok(Milestone::Tokens(count)),
            _ => Err(InvalidMilestone(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn babylm_milestones() {
        let millions =
            |most| Milestone::babylm(most).into_iter().map(|rung| rung.count() / 1_000_000).collect::<Vec<_>>();
        assert_eq!(millions(999_999), Vec::<u64>::new());
        assert_eq!(millions(100_000_000), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(millions(u64::MAX).len(), 28);
        assert_eq!(millions(u64::MAX).last(), Some(&1000));
    }

    #[test]
    fn revisions_are_named_by_millions_of_words() {
        for (words, name) in [(1_000_000, "chck_1M"), (1_000_000_000, "chck_1000M")] {
            assert_eq!(Milestone::Words(words).revision().as_deref(), Some(name));
            assert_eq!(Milestone::of_revision(name), Some(Milestone::Words(words)));
        }
        let others = [Milestone::Words(0), Milestone::Words(1_500_000), Milestone::Tokens(1_000_000)];
        assert_eq!(others.map(Milestone::revision), [None, None, None]);
        for name in ["chck_M", "chck_0M", "chck_01M", "chck_1k", "chck_+1M", "main", "chck_99999999999999999M"] {
            assert_eq!(Milestone::of_revision(name), None, "{name}");
        }
    }

    #[test]
    fn names_round_trip() {
        for milestone in [Milestone::Words(20_000_000), Milestone::Tokens(1_500), Milestone::Words(7)] {
            assert_eq!(milestone.to_string().parse(), Ok(milestone));
        }
        assert_eq!(Milestone::Words(20_000_000).label(), "20M words");
        assert_eq!(Milestone::Tokens(1_500).label(), "1500 tokens");
        assert!("final".parse::<Milestone>().is_err() && "3-pages".parse::<Milestone>().is_err());
    }
}
