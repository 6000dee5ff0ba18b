//! The evaluation suites.
//!
//! To add a suite, add a variant to [`Suite`]; the compiler then reports every `match` that needs it. If its items are
//! scored by an existing [`ScoringMethod`], only a reader for its files is missing in `suites`. CONTRIBUTING.md lists the
//! files.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

use super::variants::all;

/// An evaluation suite: a set of tasks that are read and scored alike.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    VariantArray,
    IntoStaticStr,
    Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Suite {
    /// BLiMP: grammatical minimal pairs.
    Blimp,
    /// BLiMP Supplement: minimal pairs of questions and dialogue.
    BlimpSupplement,
    /// Entity tracking: what a box holds after some operations.
    EntityTracking,
    /// EWoK: basic world knowledge in context.
    Ewok,
    /// COMPS: properties of concepts, known and nonce.
    Comps,
    /// WUG: nominalization of nonce adjectives, compared with human preferences.
    WugAdj,
    /// WUG: past tense of nonce verbs, compared with human preferences.
    WugPast,
    /// Reading times of words in context, from eye tracking and self-paced reading.
    Reading,
    /// Age of acquisition: whether a model learns words in the order in which children do.
    Aoa,
    /// (Super)GLUE: classification after fine-tuning.
    Glue,
}

impl Suite {
    /// All suites, in order of declaration.
    pub const ALL: [Suite; Suite::COUNT] = all(Suite::VARIANTS);

    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// How the items of the suite become scores.
    pub fn scoring(self) -> ScoringMethod {
        match self {
            Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking | Suite::Ewok | Suite::Comps => {
                ScoringMethod::Choice
            }
            Suite::WugAdj | Suite::WugPast => ScoringMethod::Rank,
            Suite::Reading => ScoringMethod::ReadingTimes,
            Suite::Aoa => ScoringMethod::AgeOfAcquisition,
            Suite::Glue => ScoringMethod::Finetuning,
        }
    }

    /// Whether a single model is scored without fine-tuning.
    pub fn is_zero_shot(self) -> bool {
        match self.scoring() {
            ScoringMethod::Choice | ScoringMethod::Rank | ScoringMethod::ReadingTimes => true,
            ScoringMethod::AgeOfAcquisition | ScoringMethod::Finetuning => false,
        }
    }

    /// The folder of the suite in the official evaluation data.
    pub fn folder(self, size: Size) -> &'static str {
        match (self, size) {
            (Suite::Blimp, Size::Full) => "full_eval/blimp_filtered",
            (Suite::Blimp, Size::Fast) => "fast_eval/blimp_fast",
            (Suite::BlimpSupplement, Size::Full) => "full_eval/supplement_filtered",
            (Suite::BlimpSupplement, Size::Fast) => "fast_eval/supplement_fast",
            (Suite::EntityTracking, Size::Full) => "full_eval/entity_tracking",
            (Suite::EntityTracking, Size::Fast) => "fast_eval/entity_tracking_fast",
            (Suite::Ewok, Size::Full) => "full_eval/ewok_filtered",
            (Suite::Ewok, Size::Fast) => "fast_eval/ewok_fast",
            // The official evaluation has it in full only.
            (Suite::Comps, _) => "full_eval/comps",
            (Suite::WugAdj, Size::Full) => "full_eval/wug_adj_nominalization",
            (Suite::WugAdj, Size::Fast) => "fast_eval/wug_adj_nominalization",
            (Suite::WugPast, Size::Full) => "full_eval/wug_past_tense",
            (Suite::WugPast, Size::Fast) => "fast_eval/wug_past_tense",
            (Suite::Reading, Size::Full) => "full_eval/reading",
            (Suite::Reading, Size::Fast) => "fast_eval/reading",
            // The official evaluation has it in full only.
            (Suite::Aoa, _) => "full_eval/aoa",
            (Suite::Glue, _) => "full_eval/glue_filtered",
        }
    }

    /// Whether the official evaluation data has a subset of the suite that is meant for checkpoints.
    pub fn has_fast_set(self) -> bool {
        self.folder(Size::Fast) != self.folder(Size::Full)
    }

    /// The names of the switches of [`Mode`](super::Mode) that change how the suite is scored.
    pub fn switches(self) -> &'static [&'static str] {
        match self {
            Suite::Blimp | Suite::BlimpSupplement | Suite::Comps => &["ties", "nan", "first_token", "sums", "length"],
            Suite::Ewok => &["ties", "nan", "first_token", "sums", "length", "ewok"],
            Suite::EntityTracking => &["ties", "nan", "first_token", "sums", "length", "entity_tracking"],
            Suite::WugAdj | Suite::WugPast => &["ties", "nan", "first_token", "sums", "length", "wug"],
            Suite::Reading => &["first_token", "reading"],
            Suite::Aoa => &["first_token", "aoa"],
            // The rules of fine-tuning are in its recipe.
            Suite::Glue => &[],
        }
    }

    /// What to download to obtain the folder.
    pub fn download(self) -> &'static str {
        match self {
            Suite::Ewok => {
                "fast: ewok_fast.zip of https://osf.io/ryjfm/; full: ewok-core/ewok-core-1.0 on Hugging Face (accept \
                 its terms), filtered by `python -m evaluation_pipeline.ewok.dl_and_filter` of \
                 https://github.com/babylm/evaluation-pipeline-2025"
            }
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Comps
            | Suite::WugAdj
            | Suite::WugPast
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue => "evaluation_data of the BabyLM 2025 challenge, https://osf.io/ryjfm/",
        }
    }

    /// Incremented by hand when the same model and data would get another score. A new formula for standard errors does
    /// not count: the scores stay the same, and the standard errors can be computed again from the items.
    pub fn version(self) -> u32 {
        match self {
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Ewok
            | Suite::Comps
            | Suite::WugAdj
            | Suite::WugPast
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue => 1,
        }
    }
}

/// How the items of a suite become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoringMethod {
    /// The candidate with the greatest log-probability is chosen; the score is the share of right choices.
    Choice,
    /// Preferences between two candidates are correlated with human preferences.
    Rank,
    /// Surprisals enter a regression of reading times.
    ReadingTimes,
    /// Surprisals over several checkpoints are compared with the ages at which children learn words.
    AgeOfAcquisition,
    /// A classifier is trained on the model and predicts a class for each item.
    Finetuning,
}

impl ScoringMethod {
    /// The metric of a task's official aggregate: the value of [`Score::metric`](super::Score::metric).
    pub fn metric(self) -> &'static str {
        match self {
            ScoringMethod::Choice | ScoringMethod::Finetuning => "accuracy",
            ScoringMethod::Rank => "spearman",
            ScoringMethod::ReadingTimes => "partial-r2",
            ScoringMethod::AgeOfAcquisition => "pearson",
        }
    }
}

/// The size of the official evaluation data of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// All items (`full_eval`).
    Full,
    /// A subset of the items, meant for checkpoints (`fast_eval`).
    Fast,
}
