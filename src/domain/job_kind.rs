//! The kinds of job.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

use super::variants::all;

/// The kinds of job, in the order in which a cell needs them.
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
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    /// Training of a tokenizer.
    Tokenizer,
    /// Tokenization of a corpus or dataset.
    Prepare,
    /// Training of a model from random weights.
    Pretrain,
    /// Import of a model that was trained elsewhere.
    Import,
    /// Log-probabilities of the replies of a dataset under a model.
    Logprobs,
    /// Replies of a model to prompts.
    Sample,
    /// Correction or scoring of replies by a teacher.
    Teach,
    /// Further training on instruction records.
    Tune,
    /// Scoring of a model on one suite.
    Eval,
    /// Fine-tuning on one task of the suite `glue`, and scoring.
    Finetune,
}

impl JobKind {
    /// All kinds, in order.
    pub const ALL: [JobKind; JobKind::COUNT] = all(JobKind::VARIANTS);

    /// The name used in tables, folder names and the database.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
