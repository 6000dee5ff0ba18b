//! The releases of the library `transformers` whose rules grid follows.

use std::fmt;
use std::str::FromStr;

/// A release of `transformers`; the releases turn the same files of a tokenizer into different ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transformers {
    /// 4.51.3, which the official evaluation pipeline of 2025 pins.
    V4,
    /// 5, the current one.
    #[default]
    V5,
}

impl Transformers {
    /// All releases.
    pub const ALL: [Transformers; 2] = [Transformers::V4, Transformers::V5];

    /// The number of the release, as in `--transformers`.
    pub fn name(self) -> &'static str {
        match self {
            Transformers::V4 => "4.51.3",
            Transformers::V5 => "5",
        }
    }
}

impl fmt::Display for Transformers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error for text that is not a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown release of transformers '{0}'; expected `4.51.3` or `5`")]
pub struct UnknownRelease(String);

impl FromStr for Transformers {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        Self::ALL.into_iter().find(|release| release.name() == text).ok_or_else(|| UnknownRelease(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_round_trip_as_text() {
        for release in Transformers::ALL {
            assert_eq!(release.to_string().parse(), Ok(release));
        }
        assert!("4".parse::<Transformers>().unwrap_err().to_string().contains("expected `4.51.3` or `5`"));
    }
}
