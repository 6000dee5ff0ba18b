//! The rules a suite is scored by: one switch for each place where the official pipeline can be repaired.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::suite::{ScoringMethod, Suite};

macro_rules! switches {
    ($(
        $(#[$doc:meta])*
        $switch:ident: $kind:ident, compat $compat:ident, fixed $fixed:ident {
            $( $(#[$setting_doc:meta])* $setting:ident = $word:literal, )+
        }
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum $kind {
                $( $(#[$setting_doc])* $setting, )+
            }
        )+

        /// The rules a suite is scored by: [`Mode::COMPAT`], [`Mode::FIXED`], or anything between.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct Mode {
            $( $(#[$doc])* pub $switch: $kind, )+
        }

        impl Mode {
            /// The official pipeline, item by item, defects included.
            pub const COMPAT: Mode = Mode { $( $switch: $kind::$compat, )+ };
            /// Repaired.
            pub const FIXED: Mode = Mode { $( $switch: $kind::$fixed, )+ };
            /// The two of them, by name; the first is the default.
            pub const BASES: [(&'static str, Mode); 2] = [("fixed", Mode::FIXED), ("compat", Mode::COMPAT)];
            /// Every switch and the words of its settings.
            pub const SWITCHES: &'static [(&'static str, &'static [&'static str])] =
                &[$( (stringify!($switch), &[$( $word, )+]), )+];

            /// The word of each switch's setting, in the order of [`Mode::SWITCHES`].
            pub fn settings(self) -> Vec<&'static str> {
                vec![$( match self.$switch { $( $kind::$setting => $word, )+ }, )+]
            }

            /// The same with one switch set otherwise; `None` where there is no such switch or setting.
            pub fn with(self, switch: &str, setting: &str) -> Option<Mode> {
                match (switch, setting) {
                    $( $( (stringify!($switch), $word) => Some(Mode { $switch: $kind::$setting, ..self }), )+ )+
                    _ => None,
                }
            }
        }
    };
}

switches! {
    /// Who is right when several candidates have exactly the greatest score.
    ties: Ties, compat First, fixed Credit {
        /// The first of them is chosen. Candidate 0 is right, so a tie counts as correct.
        First = "first",
        /// Each has an equal share: 1/k credit in a tie of k.
        Credit = "credit",
        /// One of them is drawn, by a function of the item: the pipeline of 2026.
        Random = "random",
    }
    /// What becomes of a score that is not a number.
    nan: Nan, compat Wins, fixed Loses {
        /// The first such candidate is chosen, so that a model of nothing but NaN scores 100.
        Wins = "wins",
        /// It is as bad as can be.
        Loses = "loses",
    }
    /// What stands before the first token where the tokenizer itself puts nothing there.
    first_token: FirstToken, compat Free, fixed Free {
        /// Nothing: the first token is not scored.
        Free = "free",
        /// The end-of-text token, given which the first token is scored.
        EndOfText = "end_of_text",
    }
    /// In which numbers candidates are compared.
    sums: Sums, compat Single, fixed Double {
        /// float32.
        Single = "f32",
        /// float64.
        Double = "f64",
    }
    /// What the log-probability of a candidate is divided by.
    length: PerLength, compat Whole, fixed Whole {
        /// Nothing: the shorter candidate has an advantage.
        Whole = "sum",
        /// Its scored tokens.
        Token = "token",
        /// Its scored bytes of UTF-8, the same for every tokenizer.
        Byte = "byte",
    }
    /// What EWoK contrasts.
    ewok: EwokContrast, compat Targets, fixed Contexts {
        /// Two targets after one context.
        Targets = "targets",
        /// One target after two contexts, as the authors of EWoK have it, and the pipeline of 2026.
        Contexts = "contexts",
    }
    /// Which rows of entity tracking count.
    entity_tracking: BoxRows, compat All, fixed WithoutNothing {
        /// All.
        All = "all",
        /// Those without an option "nothing", which is always the shortest and right in three rows of ten: the pipeline
        /// of 2026.
        WithoutNothing = "without_nothing",
    }
    /// What is correlated with people's preference between nonce forms.
    wug: Preference, compat Probability, fixed Difference {
        /// A float32 probability, which saturates and so ties.
        Probability = "probability",
        /// The difference of the two scores.
        Difference = "difference",
        /// Nothing: the share of items whose first form is preferred, the metric before August 2025.
        Accuracy = "accuracy",
    }
    /// How a word that is read is scored.
    reading: ReadingWord, compat Pieces, fixed Whole {
        /// Without the space before it, and piece by piece tokenized anew.
        Pieces = "pieces",
        /// With the space before it, in one pass over context and word.
        Whole = "whole",
    }
    /// How a model's age of acquisition is fitted.
    aoa: AoaFit, compat Official, fixed Repaired {
        /// Unbounded, through every surprisal, with a threshold in bits against surprisals in nats.
        Official = "official",
        /// Bounded, through the mean surprisal of each checkpoint, with a threshold in nats; a correlation that chance
        /// explains is none: the pipeline of 2026.
        Repaired = "repaired",
    }
}

impl Mode {
    /// The same rules, with the switches that do not concern a suite set as in the base that is nearest: two modes that
    /// score a suite alike become equal, so that they have one identity.
    pub fn of(self, suite: Suite) -> Mode {
        if suite == Suite::Glue {
            // Its switches are those of its recipe.
            let nearest = self.differences().0;
            return Mode::BASES.into_iter().find(|(name, _)| *name == nearest).map_or(self, |(_, base)| base);
        }
        let near = Mode::BASES.map(|(_, base)| self.only(suite, base));
        near.into_iter().min_by_key(|mode| mode.differences().1.len()).unwrap_or(self)
    }

    /// `base` with the switches that concern the suite set as here.
    fn only(self, suite: Suite, base: Mode) -> Mode {
        let mode = Mode { first_token: self.first_token, ..base };
        let mode = match suite.scoring() {
            ScoringMethod::ReadingTimes => return Mode { reading: self.reading, ..mode },
            ScoringMethod::AgeOfAcquisition => return Mode { aoa: self.aoa, ..mode },
            ScoringMethod::Choice | ScoringMethod::Rank | ScoringMethod::Finetuning => {
                Mode { ties: self.ties, nan: self.nan, sums: self.sums, length: self.length, ..mode }
            }
        };
        match suite {
            Suite::Ewok => Mode { ewok: self.ewok, ..mode },
            Suite::EntityTracking => Mode { entity_tracking: self.entity_tracking, ..mode },
            Suite::WugAdj | Suite::WugPast => Mode { wug: self.wug, ..mode },
            Suite::Blimp | Suite::BlimpSupplement | Suite::Comps | Suite::Reading | Suite::Aoa | Suite::Glue => mode,
        }
    }

    /// The base that differs in the fewest switches (fixed, if both do alike), and the switches in which it differs.
    fn differences(self) -> (&'static str, Vec<(&'static str, &'static str)>) {
        let from = |base: Mode| {
            let switches = Mode::SWITCHES.iter().map(|(switch, _)| *switch);
            let pairs = switches.zip(self.settings()).zip(base.settings());
            pairs.filter(|((_, setting), theirs)| setting != theirs).map(|(ours, _)| ours).collect::<Vec<_>>()
        };
        let near = Mode::BASES.map(|(name, base)| (name, from(base)));
        near.into_iter().min_by_key(|(_, differences)| differences.len()).unwrap_or_default()
    }
}

/// `fixed`, `compat`, or one of them and what is otherwise: `fixed+ties=first+nan=wins`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, differences) = self.differences();
        let mut text = base.to_owned();
        for (switch, setting) in differences {
            text.push_str(&format!("+{switch}={setting}"));
        }
        f.pad(&text)
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMode(String);

impl fmt::Display for NoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no mode; expected compat or fixed, perhaps with switches such as fixed+ties=first", self.0)
    }
}

impl std::error::Error for NoMode {}

impl FromStr for Mode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        let mut parts = text.split('+');
        let name = parts.next();
        let base = Mode::BASES.iter().find(|(known, _)| Some(*known) == name).map(|(_, base)| *base);
        let mode = parts.fold(base, |mode, part| {
            let (switch, setting) = part.split_once('=')?;
            mode?.with(switch, setting)
        });
        mode.ok_or_else(|| NoMode(text.to_owned()))
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_texts_and_back() {
        let other = Mode { ties: Ties::First, nan: Nan::Wins, ..Mode::FIXED };
        for (mode, text) in [(Mode::COMPAT, "compat"), (Mode::FIXED, "fixed"), (other, "fixed+ties=first+nan=wins")] {
            assert_eq!((mode.to_string().as_str(), text.parse()), (text, Ok(mode)));
            assert_eq!(serde_json::from_value::<Mode>(serde_json::to_value(mode).unwrap()).unwrap(), mode);
        }
        for wrong in ["", "fix", "fixed+ties", "fixed+ties=second", "fixed+tie=first", "ties=first"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_setting_can_be_chosen_on_its_own() {
        for (place, (switch, settings)) in Mode::SWITCHES.iter().enumerate() {
            for setting in *settings {
                let mode = Mode::FIXED.with(switch, setting).unwrap();
                assert_eq!(mode.settings()[place], *setting);
                assert_eq!(mode.to_string().parse(), Ok(mode));
            }
            assert_eq!(Mode::FIXED.with(switch, "otherwise"), None);
        }
    }

    #[test]
    fn what_does_not_concern_a_suite_leaves_its_mode_alone() {
        for suite in Suite::ALL {
            assert_eq!((Mode::FIXED.of(suite), Mode::COMPAT.of(suite)), (Mode::FIXED, Mode::COMPAT), "{suite}");
        }
        let ewok = Mode { ewok: EwokContrast::Targets, ..Mode::FIXED };
        assert_eq!(ewok.of(Suite::Blimp), Mode::FIXED);
        assert_eq!(ewok.of(Suite::Ewok).to_string(), "fixed+ewok=targets");
        let blimp = Mode { ties: Ties::Credit, nan: Nan::Loses, sums: Sums::Double, ..Mode::COMPAT };
        assert_eq!(blimp.of(Suite::Blimp), Mode::FIXED, "all that concerns BLiMP is as in fixed");
        assert_eq!(blimp.of(Suite::Ewok).to_string(), "fixed+ewok=targets");
        let reading = Mode { reading: ReadingWord::Whole, ..Mode::COMPAT };
        assert_eq!(reading.of(Suite::Reading), Mode::FIXED);
        let first = Mode { first_token: FirstToken::EndOfText, ..reading };
        assert_eq!(first.of(Suite::Reading).to_string(), "fixed+first_token=end_of_text");
    }
}
