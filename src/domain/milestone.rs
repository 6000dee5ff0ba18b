//! Points of a training at which its model is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of text after which pretraining keeps a copy of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// So many whitespace-separated words seen, repetitions counted.
    Words(u64),
    /// So many tokens trained on.
    Tokens(u64),
}

impl Milestone {
    /// By what share a milestone may lie beyond the end of training and still be reached by it: whole windows leave out
    /// the last words of each text.
    pub const SHORTFALL: f64 = 0.01;

    /// The points at which BabyLM wants a model, up to `most` words: every million to ten million, every ten to a
    /// hundred, every hundred to a billion (call for papers 2025, "training requirements").
    pub fn babylm(most: u64) -> Vec<Self> {
        let decade = |unit: u64| (1..10).map(move |n| n * unit);
        let rungs = [1_000_000, 10_000_000, 100_000_000].into_iter().flat_map(decade).chain([1_000_000_000]);
        rungs.filter(|words| *words <= most).map(Milestone::Words).collect()
    }

    /// How much text it stands for, in its unit.
    pub fn count(self) -> u64 {
        match self {
            Milestone::Words(count) | Milestone::Tokens(count) => count,
        }
    }

    /// `words` or `tokens`.
    pub fn unit(self) -> &'static str {
        match self {
            Milestone::Words(_) => "words",
            Milestone::Tokens(_) => "tokens",
        }
    }

    /// The amount in its unit, out of both.
    pub fn seen(self, words: u64, tokens: u64) -> u64 {
        match self {
            Milestone::Words(_) => words,
            Milestone::Tokens(_) => tokens,
        }
    }

    /// The amount for people: `20M words`.
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

/// The name of its folder, and in the database: `20000000-words`.
impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.count(), self.unit())
    }
}

/// Text that is not the name of a milestone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a milestone such as 1000000-words")]
pub struct NotMilestone(String);

impl FromStr for Milestone {
    type Err = NotMilestone;

    fn from_str(text: &str) -> Result<Self, NotMilestone> {
        let parts = text.split_once('-').and_then(|(count, unit)| Some((count.parse().ok()?, unit)));
        match parts {
            Some((count, "words")) => Ok(Milestone::Words(count)),
            Some((count, "tokens")) => Ok(Milestone::Tokens(count)),
            _ => Err(NotMilestone(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_of_babylm() {
        let millions =
            |most| Milestone::babylm(most).into_iter().map(|rung| rung.count() / 1_000_000).collect::<Vec<_>>();
        assert_eq!(millions(999_999), Vec::<u64>::new());
        assert_eq!(millions(100_000_000), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(millions(u64::MAX).len(), 28);
        assert_eq!(millions(u64::MAX).last(), Some(&1000));
    }

    #[test]
    fn names_come_back() {
        for milestone in [Milestone::Words(20_000_000), Milestone::Tokens(1_500), Milestone::Words(7)] {
            assert_eq!(milestone.to_string().parse(), Ok(milestone));
        }
        assert_eq!(Milestone::Words(20_000_000).label(), "20M words");
        assert_eq!(Milestone::Tokens(1_500).label(), "1500 tokens");
        assert!("final".parse::<Milestone>().is_err() && "3-pages".parse::<Milestone>().is_err());
    }
}
