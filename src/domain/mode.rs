//! The scoring rules of a suite: one switch for each defect of the official pipeline.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::arch::Arch;
use super::scoring_backend::ScoringBackend;
use super::suite::Suite;
use super::transformers::Transformers;

macro_rules! switches {
    ($(
        $(#[$doc:meta])*
        $switch:ident: $kind:ident, compat $compat:ident, compat_2026 $compat_2026:ident, fixed $fixed:ident {
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

        /// The scoring rules of a suite: [`Mode::COMPAT`], [`Mode::COMPAT_2026`], [`Mode::FIXED`], or any combination of
        /// switches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct Mode {
            $( $(#[$doc])* pub $switch: $kind, )+
        }

        impl Mode {
            /// The official pipeline of 2025, item by item, including its defects.
            pub const COMPAT: Mode = Mode { $( $switch: $kind::$compat, )+ };
            /// The official pipeline of 2026, item by item.
            pub const COMPAT_2026: Mode = Mode { $( $switch: $kind::$compat_2026, )+ };
            /// All defects corrected.
            pub const FIXED: Mode = Mode { $( $switch: $kind::$fixed, )+ };
            /// The modes by name; the first is the default.
            pub const BASES: [(&'static str, Mode); 3] =
                [("fixed", Mode::FIXED), ("compat", Mode::COMPAT), ("compat-2026", Mode::COMPAT_2026)];
            /// [`Mode::BASES`], and another name of [`Mode::COMPAT`], which modes are not written with.
            pub const NAMES: [(&'static str, Mode); 4] = [
                Mode::BASES[0],
                Mode::BASES[1],
                ("compat-2025", Mode::COMPAT),
                Mode::BASES[2],
            ];
            /// The name of every switch and of its settings.
            pub const SWITCHES: &'static [(&'static str, &'static [&'static str])] =
                &[$( (stringify!($switch), &[$( $word, )+]), )+];

            /// The name of the setting of each switch, in the order of [`Mode::SWITCHES`].
            pub fn settings(self) -> Vec<&'static str> {
                vec![$( match self.$switch { $( $kind::$setting => $word, )+ }, )+]
            }

            /// The mode with one switch changed; `None` if there is no such switch or setting.
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
    /// What counts as correct when several candidates have the greatest score.
    ties: Ties, compat First, compat_2026 Random, fixed Credit {
        /// The first of them is chosen. Candidate 0 is the right one, so a tie with it counts as correct.
        First = "first",
        /// Each has an equal share: a tie of k candidates gives a credit of 1/k.
        Credit = "credit",
        /// One of them is chosen by a hash of the item, as in the pipeline of 2026.
        Random = "random",
    }
    /// How a score that is NaN compares.
    nan: Nan, compat Wins, compat_2026 MinusInfinity, fixed Loses {
        /// The first such candidate is chosen, so a model that only gives NaN scores 100.
        Wins = "wins",
        /// It is less than all other scores, and a model that only gives NaN has no credit.
        Loses = "loses",
        /// It is minus infinity, so a model that only gives NaN ties all candidates. This is the pipeline of 2026.
        MinusInfinity = "minus_infinity",
    }
    /// How a model gives a text its probability.
    backend: BackendRule, compat OfModel, compat_2026 OfModel, fixed OfModel {
        /// As its architecture was trained; the first of [`Arch::backends`](super::arch::Arch::backends).
        OfModel = "model",
        /// Each token given those in front of it.
        Causal = "causal",
        /// Each token masked alone, and predicted at its position.
        Mlm = "mlm",
        /// Each token masked alone, and predicted at the position in front of it.
        Mntp = "mntp",
    }
    /// What is masked when a masked model scores a token.
    masking: MaskedSpan, compat Token, compat_2026 Token, fixed Token {
        /// The token alone: later tokens of its word give it away (Salazar et al. 2020).
        Token = "token",
        /// Also the later tokens of its word: `within_word_l2r` of minicons (Kauf and Ivanova 2023).
        Word = "word",
    }
    /// The context of the first token, if the tokenizer adds no begin-of-text token.
    first_token: FirstToken, compat Free, compat_2026 Free, fixed Free {
        /// None: the first token is not scored.
        Free = "free",
        /// The end-of-text token; the first token is scored given it.
        EndOfText = "end_of_text",
    }
    /// The floating-point type in which candidates are compared.
    sums: Sums, compat Single, compat_2026 Single, fixed Double {
        /// 32-bit floats, as in the official pipeline.
        Single = "f32",
        /// 64-bit floats.
        Double = "f64",
    }
    /// The normalization of the log-probability of a candidate.
    length: PerLength, compat Whole, compat_2026 Whole, fixed Whole {
        /// None: shorter candidates have an advantage.
        Whole = "sum",
        /// Divided by the number of scored tokens.
        Token = "token",
        /// Divided by the number of scored UTF-8 bytes, which does not depend on the tokenizer.
        Byte = "byte",
    }
    /// The contrast in the items of EWoK.
    ewok: EwokContrast, compat Targets, compat_2026 Contexts, fixed Contexts {
        /// Two targets after one context.
        Targets = "targets",
        /// One target after two contexts, as its authors and the pipeline of 2026 do.
        Contexts = "contexts",
    }
    /// The rows of entity tracking that are scored.
    entity_tracking: BoxRows, compat All, compat_2026 WithoutNothing, fixed WithoutNothing {
        /// All rows of the official files.
        All = "all",
        /// Rows without an option "nothing", as in the pipeline of 2026. That option is always the shortest one, and is right
        /// in three of ten rows.
        WithoutNothing = "without_nothing",
    }
    /// What is correlated with the human preference between nonce forms.
    wug: Preference, compat Probability, compat_2026 Probability, fixed Difference {
        /// A float32 probability, which saturates and causes ties.
        Probability = "probability",
        /// The difference of the two log-probabilities.
        Difference = "difference",
        /// No correlation: the score is the share of items whose first form is preferred, the metric before August 2025.
        Accuracy = "accuracy",
    }
    /// How the surprisal of a word in a reading text is computed.
    reading: ReadingWord, compat Pieces, compat_2026 Pieces, fixed Whole {
        /// Without the space before the word, with each piece tokenized separately.
        Pieces = "pieces",
        /// With the space before the word, in one pass over context and word.
        Whole = "whole",
    }
    /// How the age of acquisition of a model is fitted.
    aoa: AoaFit, compat Official, compat_2026 Repaired, fixed Repaired {
        /// An unbounded fit to every surprisal, which compares a threshold in bits with surprisals in nats.
        Official = "official",
        /// A bounded fit to the mean surprisal of each checkpoint, with a threshold in nats; correlations that are not
        /// significant count as zero. This is the pipeline of 2026.
        Repaired = "repaired",
    }
    /// What the log-probability of a solution of Global PIQA is divided by.
    global_piqa: PerSolution, compat Token, compat_2026 Token, fixed Token {
        /// The number of its tokens, as in the pipeline of 2026.
        Token = "token",
        /// The number of its UTF-8 bytes, which does not depend on the tokenizer.
        Byte = "byte",
        /// Nothing: shorter solutions have an advantage.
        Whole = "sum",
    }
    /// The release of the library `transformers` whose rules turn texts into ids.
    transformers: TransformersRule, compat V4, compat_2026 V5, fixed V5 {
        /// [`Transformers::V4`], which the pipeline of 2025 pins.
        V4 = "v4",
        /// [`Transformers::V5`].
        V5 = "v5",
    }
}

impl PerSolution {
    /// The same normalization as [`Mode::length`] has it.
    pub fn length(self) -> PerLength {
        match self {
            PerSolution::Token => PerLength::Token,
            PerSolution::Byte => PerLength::Byte,
            PerSolution::Whole => PerLength::Whole,
        }
    }
}

impl BackendRule {
    /// The backend for a model of this architecture.
    ///
    /// # Errors
    /// One that its models were not trained for, as a sentence.
    pub fn of(self, arch: Arch) -> Result<ScoringBackend, String> {
        let of_arch = arch.backends();
        let wanted = match self {
            BackendRule::OfModel => of_arch[0],
            BackendRule::Causal => ScoringBackend::Causal,
            BackendRule::Mlm => ScoringBackend::Mlm,
            BackendRule::Mntp => ScoringBackend::Mntp,
        };
        match of_arch.contains(&wanted) {
            true => Ok(wanted),
            false => Err(format!(
                "the backend '{wanted}' is not one of a model of the architecture {}, which is scored with {}",
                arch.name(),
                of_arch.iter().map(|backend| format!("'{backend}'")).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
}

impl Mode {
    /// The mode with all switches that do not concern the suite set as in the nearest base, which is its own in a tie.
    /// Modes that differ from a base only in other switches become equal to it and so have the same identity.
    pub fn of(self, suite: Suite) -> Mode {
        let own = self.differences().0;
        let own = Mode::BASES.into_iter().find(|(name, _)| *name == own).map_or(self, |(_, base)| base);
        if suite.switches().is_empty() {
            return own;
        }
        let bases = [own].into_iter().chain(Mode::BASES.map(|(_, base)| base));
        let near = bases.map(|base| self.only(suite.switches(), base));
        near.min_by_key(|mode| mode.differences().1.len()).unwrap_or(self)
    }

    /// Whether both modes score a suite by the same rules.
    pub fn is_alike(self, other: Mode, suite: Suite) -> bool {
        self.only(suite.switches(), Mode::FIXED) == other.only(suite.switches(), Mode::FIXED)
    }

    /// `base` with these switches set as in `self`.
    fn only(self, switches: &[&str], base: Mode) -> Mode {
        let settings = Mode::SWITCHES.iter().map(|(switch, _)| *switch).zip(self.settings());
        let concerned = settings.filter(|(switch, _)| switches.contains(switch));
        concerned.fold(base, |mode, (switch, setting)| mode.with(switch, setting).unwrap_or(mode))
    }

    /// The release of `transformers` whose rules turn texts into ids.
    pub fn transformers(self) -> Transformers {
        match self.transformers {
            TransformersRule::V4 => Transformers::V4,
            TransformersRule::V5 => Transformers::V5,
        }
    }

    /// The base that differs in the fewest switches (in a tie the first of [`Mode::BASES`]), and the switches in which `self` differs from it.
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

/// `fixed`, `compat`, `compat-2026`, or one of them and the differing switches: `fixed+ties=first+nan=wins`.
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

/// The error for text that is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown mode '{0}'; expected `fixed`, `compat-2025` or `compat-2026`, optionally with switches, as in \
     `fixed+ties=first`"
)]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let mut parts = text.split('+');
        let name = parts.next();
        let base = Mode::NAMES.iter().find(|(known, _)| Some(*known) == name).map(|(_, base)| *base);
        let mode = parts.fold(base, |mode, part| {
            let (switch, setting) = part.split_once('=')?;
            mode?.with(switch, setting)
        });
        mode.ok_or_else(|| UnknownMode(text.to_owned()))
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn modes_round_trip_as_text() {
        let other = Mode { ties: Ties::First, nan: Nan::Wins, ..Mode::FIXED };
        let texts = [
            (Mode::COMPAT, "compat"),
            (Mode::COMPAT_2026, "compat-2026"),
            (Mode { ties: Ties::Credit, ..Mode::COMPAT_2026 }, "compat-2026+ties=credit"),
            (Mode::FIXED, "fixed"),
            (other, "fixed+ties=first+nan=wins"),
        ];
        assert_eq!("compat-2025".parse(), Ok(Mode::COMPAT));
        for (mode, text) in texts {
            assert_eq!((mode.to_string().as_str(), text.parse()), (text, Ok(mode)));
            assert_eq!(serde_json::from_value::<Mode>(serde_json::to_value(mode).unwrap()).unwrap(), mode);
        }
        for wrong in ["", "fix", "fixed+ties", "fixed+ties=second", "fixed+tie=first", "ties=first"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn compat_tokenizes_as_the_official_pipeline() {
        assert_eq!((Mode::COMPAT.transformers(), Mode::FIXED.transformers()), (Transformers::V4, Transformers::V5));
        assert_eq!(Mode::COMPAT_2026.transformers(), Transformers::V5);
        assert_eq!(Mode { ties: Ties::Credit, ..Mode::COMPAT }.transformers(), Transformers::V4);
    }

    #[test]
    fn every_setting_can_be_changed_separately() {
        for (place, (switch, settings)) in Mode::SWITCHES.iter().enumerate() {
            for setting in *settings {
                let mode = Mode::FIXED.with(switch, setting).unwrap();
                assert_eq!(mode.settings()[place], *setting);
                assert_eq!(mode.to_string().parse(), Ok(mode));
            }
            assert_eq!(Mode::FIXED.with(switch, "otherwise"), None);
        }
    }

    /// A misspelled name in [`Suite::switches`] would be ignored.
    #[test]
    fn every_switch_concerns_a_suite() {
        let stated: BTreeSet<&str> = Suite::ALL.iter().flat_map(|suite| suite.switches()).copied().collect();
        assert_eq!(stated, Mode::SWITCHES.iter().map(|(switch, _)| *switch).collect());
    }

    #[test]
    fn switches_of_other_suites_do_not_change_the_mode() {
        for suite in Suite::ALL {
            for (_, mode) in Mode::BASES {
                assert_eq!(mode.of(suite), mode, "{suite}");
            }
        }
        let ewok = Mode { ewok: EwokContrast::Targets, ..Mode::FIXED };
        assert_eq!(ewok.of(Suite::Blimp), Mode::FIXED);
        assert_eq!(ewok.of(Suite::Ewok).to_string(), "fixed+ewok=targets");
        let v5 = TransformersRule::V5;
        let blimp = Mode { ties: Ties::Credit, nan: Nan::Loses, sums: Sums::Double, transformers: v5, ..Mode::COMPAT };
        assert_eq!(blimp.of(Suite::Blimp), Mode::FIXED, "all that concerns BLiMP is as in fixed");
        assert_eq!(blimp.of(Suite::Ewok).to_string(), "fixed+ewok=targets");
        let reading = Mode { reading: ReadingWord::Whole, transformers: v5, ..Mode::COMPAT };
        assert_eq!(reading.of(Suite::Reading), Mode::FIXED);
        let first = Mode { first_token: FirstToken::EndOfText, ..reading };
        assert_eq!(first.of(Suite::Reading).to_string(), "fixed+first_token=end_of_text");
        assert_eq!((reading.of(Suite::Glue), blimp.of(Suite::Glue)), (Mode::COMPAT, Mode::COMPAT), "the nearest base");
        assert_eq!(Mode::COMPAT_2026.of(Suite::Glue), Mode::COMPAT_2026, "it names the recipe of fine-tuning");
        assert_eq!(Mode::COMPAT_2026.of(Suite::Blimp), Mode::COMPAT_2026);
        assert!(Mode::COMPAT_2026.is_alike(Mode::FIXED, Suite::Aoa), "the pipeline of 2026 has repaired it");
        assert!(!Mode::COMPAT.is_alike(Mode::FIXED, Suite::Aoa));
        assert!(!Mode::COMPAT_2026.is_alike(Mode::FIXED, Suite::Blimp), "ties");
    }
}
