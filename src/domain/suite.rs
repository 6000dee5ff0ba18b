//! The evaluation suites.
//!
//! Four of them are not official: they stand for the formats of the user's own [test sets](super::TestSet).
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
    /// Global PIQA, parallel part: everyday physical knowledge, translated questions with four solutions.
    GlobalPiqaParallel,
    /// Global PIQA, non-parallel part: questions with two solutions, written in the language itself.
    GlobalPiqaNonparallel,
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
    /// Options, one of which is right: a test set of the user's own.
    Pairs,
    /// A multiple-choice task in the format of lm-evaluation-harness: a test set of the user's own.
    MultipleChoice,
    /// Bits per byte of a text: a test set of the user's own.
    Perplexity,
    /// The regret of predictions in random languages: a test set of the user's own.
    InContext,
}

impl Suite {
    /// All suites, in order of declaration.
    pub const ALL: [Suite; Suite::COUNT] = all(Suite::VARIANTS);

    /// The suites of the official evaluation, which a spec names without defining them.
    pub fn official() -> impl Iterator<Item = Suite> + Clone {
        Suite::ALL.into_iter().filter(|suite| suite.official_data().is_some())
    }

    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// How the items of the suite become scores.
    pub fn scoring(self) -> ScoringMethod {
        match self {
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Ewok
            | Suite::Comps
            | Suite::GlobalPiqaParallel
            | Suite::GlobalPiqaNonparallel
            | Suite::Pairs
            | Suite::MultipleChoice => ScoringMethod::Choice,
            Suite::WugAdj | Suite::WugPast => ScoringMethod::Rank,
            Suite::Reading => ScoringMethod::ReadingTimes,
            Suite::Aoa => ScoringMethod::AgeOfAcquisition,
            Suite::Glue => ScoringMethod::Finetuning,
            Suite::Perplexity => ScoringMethod::BitsPerByte,
            Suite::InContext => ScoringMethod::Regret,
        }
    }

    /// Whether a single model is scored without fine-tuning.
    pub fn is_zero_shot(self) -> bool {
        match self.scoring() {
            ScoringMethod::Choice
            | ScoringMethod::Rank
            | ScoringMethod::ReadingTimes
            | ScoringMethod::BitsPerByte
            | ScoringMethod::Regret => true,
            ScoringMethod::AgeOfAcquisition | ScoringMethod::Finetuning => false,
        }
    }

    /// Where the suite is in the official evaluation data; `None` for a test set of the user's own.
    pub fn official_data(self) -> Option<OfficialData> {
        let (full, fast) = match self {
            Suite::Blimp => ("full_eval/blimp_filtered", Some("fast_eval/blimp_fast")),
            Suite::BlimpSupplement => ("full_eval/supplement_filtered", Some("fast_eval/supplement_fast")),
            Suite::EntityTracking => ("full_eval/entity_tracking", Some("fast_eval/entity_tracking_fast")),
            Suite::Ewok => ("full_eval/ewok_filtered", Some("fast_eval/ewok_fast")),
            Suite::Comps => ("full_eval/comps", None),
            Suite::GlobalPiqaParallel => ("full_eval/global_piqa_parallel", Some("fast_eval/global_piqa_parallel")),
            Suite::GlobalPiqaNonparallel => {
                ("full_eval/global_piqa_nonparallel", Some("fast_eval/global_piqa_nonparallel"))
            }
            Suite::WugAdj => ("full_eval/wug_adj_nominalization", Some("fast_eval/wug_adj_nominalization")),
            Suite::WugPast => ("full_eval/wug_past_tense", Some("fast_eval/wug_past_tense")),
            Suite::Reading => ("full_eval/reading", Some("fast_eval/reading")),
            Suite::Aoa => ("full_eval/aoa", None),
            Suite::Glue => ("full_eval/glue_filtered", None),
            Suite::Pairs | Suite::MultipleChoice | Suite::Perplexity | Suite::InContext => return None,
        };
        let download = match self {
            Suite::Ewok => {
                "fast: ewok_fast.zip of https://osf.io/ryjfm/; full: ewok-core/ewok-core-1.0 on Hugging Face (accept \
                 its terms), filtered by `python -m evaluation_pipeline.ewok.dl_and_filter` of \
                 https://github.com/babylm/evaluation-pipeline-2025"
            }
            Suite::GlobalPiqaParallel | Suite::GlobalPiqaNonparallel => {
                "mrlbenchmarks/global-piqa-parallel and -nonparallel on Hugging Face, as eng_latn.jsonl: \
                 `python -m evaluation_pipeline.global_piqa.dl` in strict/ of https://github.com/babylm-org/babylm-eval"
            }
            _ => "evaluation_data of the BabyLM 2025 challenge, https://osf.io/ryjfm/",
        };
        Some(OfficialData { suite: self, full, fast, download })
    }

    /// The names of the switches of [`Mode`](super::Mode) that change how the suite is scored.
    pub fn switches(self) -> &'static [&'static str] {
        match self {
            Suite::Blimp | Suite::BlimpSupplement | Suite::Comps => {
                &["ties", "nan", "backend", "masking", "first_token", "sums", "length", "transformers"]
            }
            Suite::GlobalPiqaParallel | Suite::GlobalPiqaNonparallel => {
                &["ties", "nan", "backend", "masking", "first_token", "sums", "global_piqa", "transformers"]
            }
            Suite::Ewok => {
                &["ties", "nan", "backend", "masking", "first_token", "sums", "length", "ewok", "transformers"]
            }
            Suite::EntityTracking => &[
                "ties",
                "nan",
                "backend",
                "masking",
                "first_token",
                "sums",
                "length",
                "entity_tracking",
                "transformers",
            ],
            Suite::WugAdj | Suite::WugPast => {
                &["ties", "nan", "backend", "masking", "first_token", "sums", "length", "wug", "transformers"]
            }
            Suite::Reading => &["backend", "masking", "first_token", "reading", "transformers"],
            Suite::Aoa => &["backend", "masking", "first_token", "aoa", "transformers"],
            Suite::Pairs => &["ties", "nan", "backend", "masking", "first_token", "sums", "length", "transformers"],
            Suite::MultipleChoice => &["ties", "nan", "backend", "sums", "transformers"],
            // Bits per byte and regrets have no choices.
            Suite::Perplexity | Suite::InContext => &["transformers"],
            // The rules of fine-tuning are in its recipe.
            Suite::Glue => &[],
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
            | Suite::GlobalPiqaParallel
            | Suite::GlobalPiqaNonparallel
            | Suite::WugAdj
            | Suite::WugPast
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue
            | Suite::Pairs
            | Suite::MultipleChoice
            | Suite::Perplexity => 1,
            Suite::InContext => 2,
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
    /// The log-probability of a text is related to the number of its bytes.
    BitsPerByte,
    /// The log-probability of the symbols of a stream is compared with their entropy.
    Regret,
}

impl ScoringMethod {
    /// The metric of a task's official aggregate: the value of [`Score::metric`](super::Score::metric).
    pub fn metric(self) -> &'static str {
        match self {
            ScoringMethod::Choice | ScoringMethod::Finetuning => "accuracy",
            ScoringMethod::Rank => "spearman",
            ScoringMethod::ReadingTimes => "partial-r2",
            ScoringMethod::AgeOfAcquisition => "pearson",
            ScoringMethod::BitsPerByte => "bits-per-byte",
            ScoringMethod::Regret => "regret",
        }
    }
}

/// The place of a suite in the official evaluation data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficialData {
    /// The suite.
    pub suite: Suite,
    /// The folder of all items.
    full: &'static str,
    /// The folder of the subset that is meant for checkpoints, if there is one.
    fast: Option<&'static str>,
    /// What to download to obtain the folders.
    pub download: &'static str,
}

impl OfficialData {
    /// The data of all suites of the official evaluation.
    pub fn all() -> impl Iterator<Item = OfficialData> {
        Suite::ALL.into_iter().filter_map(Suite::official_data)
    }

    /// The folder in the official evaluation data. A suite without a subset has its full set in both sizes.
    pub fn folder(self, size: Size) -> &'static str {
        match size {
            Size::Full => self.full,
            Size::Fast => self.fast.unwrap_or(self.full),
        }
    }

    /// Whether there is a subset that is meant for checkpoints.
    pub fn has_fast_set(self) -> bool {
        self.fast.is_some()
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
