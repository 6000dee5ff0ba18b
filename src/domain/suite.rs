//! The evaluation suites. A new suite starts here: add a variant to [`Suite`] and follow the compiler.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A family of evaluation tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// WUG: nominalisation of nonce adjectives, against people's preferences.
    WugAdj,
    /// WUG: past tense of nonce verbs, against people's preferences.
    WugPast,
    /// Reading times of words in context, eye-tracked and self-paced.
    Reading,
    /// Age of acquisition: whether words are learned in the order in which children learn them.
    Aoa,
    /// (Super)GLUE: classification after fine-tuning.
    Glue,
}

impl Suite {
    /// All suites.
    pub const ALL: [Suite; 10] = [
        Suite::Blimp,
        Suite::BlimpSupplement,
        Suite::EntityTracking,
        Suite::Ewok,
        Suite::Comps,
        Suite::WugAdj,
        Suite::WugPast,
        Suite::Reading,
        Suite::Aoa,
        Suite::Glue,
    ];

    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Blimp => "blimp",
            Suite::BlimpSupplement => "blimp-supplement",
            Suite::EntityTracking => "entity-tracking",
            Suite::Ewok => "ewok",
            Suite::Comps => "comps",
            Suite::WugAdj => "wug-adj",
            Suite::WugPast => "wug-past",
            Suite::Reading => "reading",
            Suite::Aoa => "aoa",
            Suite::Glue => "glue",
        }
    }

    /// How its items become scores, and scores are compared.
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

    /// Whether one model is scored without further training: neither by fine-tuning nor over several checkpoints.
    pub fn is_zero_shot(self) -> bool {
        match self.scoring() {
            ScoringMethod::Choice | ScoringMethod::Rank | ScoringMethod::ReadingTimes => true,
            ScoringMethod::AgeOfAcquisition | ScoringMethod::Finetuning => false,
        }
    }

    /// Its folder within the official evaluation data.
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
            // Officially in the full evaluation only.
            (Suite::Comps, _) => "full_eval/comps",
            (Suite::WugAdj, Size::Full) => "full_eval/wug_adj_nominalization",
            (Suite::WugAdj, Size::Fast) => "fast_eval/wug_adj_nominalization",
            (Suite::WugPast, Size::Full) => "full_eval/wug_past_tense",
            (Suite::WugPast, Size::Fast) => "fast_eval/wug_past_tense",
            (Suite::Reading, Size::Full) => "full_eval/reading",
            (Suite::Reading, Size::Fast) => "fast_eval/reading",
            // Officially in the full evaluation only.
            (Suite::Aoa, _) => "full_eval/aoa",
            (Suite::Glue, _) => "full_eval/glue_filtered",
        }
    }

    /// What to download for its folder.
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

    /// Bumped by hand whenever the same model and data would get another score. A new way of computing standard errors
    /// does not count: the scores stay the same, and their errors can be computed again from the items.
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

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the items of a suite become scores. A suite of an existing method needs a reader of its files and nothing else in
/// `suites`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoringMethod {
    /// The candidate with the greatest log-probability is chosen; the score is the share of right choices.
    Choice,
    /// Preferences between two candidates are correlated with those of people.
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

/// Which of the official data sets of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Everything (`full_eval`).
    Full,
    /// A subset for checkpoints (`fast_eval`).
    Fast,
}
