//! The editions of the BabyLM challenge that can be reproduced.

use std::fmt;

use strum::{EnumCount, VariantArray};

use super::mode::Mode;
use super::suite::Suite;
use super::variants::all;

/// An edition of the challenge: which suites it has, by which rules they are scored, and which code defines both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumCount, VariantArray)]
pub enum Edition {
    /// 2025.
    Of2025,
    /// 2026, tracks `strict` and `strict-small`.
    Of2026,
}

impl Edition {
    /// All editions, the oldest first.
    pub const ALL: [Edition; Edition::COUNT] = all(Edition::VARIANTS);

    /// The year, which is also the value of `--year`.
    pub fn year(self) -> u16 {
        match self {
            Edition::Of2025 => 2025,
            Edition::Of2026 => 2026,
        }
    }

    /// The name of all suites of the edition together, in specs and for `--suite`.
    pub fn set_name(self) -> &'static str {
        match self {
            Edition::Of2025 => "babylm-2025",
            Edition::Of2026 => "babylm-2026",
        }
    }

    /// The edition of a [set of suites](Edition::set_name).
    pub fn of_set(name: &str) -> Option<Edition> {
        Edition::ALL.into_iter().find(|edition| edition.set_name() == name)
    }

    /// The rules by which the edition scores.
    pub fn mode(self) -> Mode {
        match self {
            Edition::Of2025 => Mode::COMPAT,
            Edition::Of2026 => Mode::COMPAT_2026,
        }
    }

    /// The repository and the commit of the official code that the rules reproduce.
    pub fn pipeline(self) -> &'static str {
        match self {
            Edition::Of2025 => "babylm/evaluation-pipeline-2025 at bf55c11",
            // 6f825c29 repairs the scores of the fast set of EWoK, which are 0 for every model before it.
            Edition::Of2026 => "babylm-org/babylm-eval at 3d57ddc, collation of 6f825c29",
        }
    }

    /// Whether a suite is part of the edition.
    pub fn has(self, suite: Suite) -> bool {
        match suite {
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Ewok
            | Suite::Comps
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue => true,
            Suite::WugAdj | Suite::WugPast => self == Edition::Of2025,
            Suite::GlobalPiqaParallel | Suite::GlobalPiqaNonparallel => self == Edition::Of2026,
            Suite::Pairs | Suite::MultipleChoice | Suite::Perplexity | Suite::InContext => false,
        }
    }

    /// The suites of the edition.
    pub fn suites(self) -> impl Iterator<Item = Suite> + Clone {
        Suite::official().filter(move |suite| self.has(*suite))
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.set_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editions_have_their_suites_and_names() {
        assert_eq!(Edition::ALL.map(|edition| edition.suites().count()), [10, 10]);
        let sets = Edition::ALL.map(|edition| Edition::of_set(edition.set_name()));
        assert_eq!(sets, Edition::ALL.map(Some));
        assert_eq!(Edition::of_set("babylm"), None);
    }
}
