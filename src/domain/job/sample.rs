//! Jobs that make data with a model.

use serde::{Deserialize, Serialize};

use super::super::digest::JobId;
use super::super::formatting::Formatting;
use super::super::interaction::{PromptPart, TeacherRequest};
use super::super::origin::Origin;
use super::super::sampling::SamplingOptions;
use super::super::selection::PieceSelection;
use super::super::text_format::{CorpusFormat, DatasetFormat};
use super::super::training::Precision;

/// Let a model reply to prompts, or select them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleJob {
    /// The pretrain, import or tune job whose weights are used.
    pub model: JobId,
    /// What it replies to.
    pub prompts: Prompts,
    /// The prompts that are used.
    pub part: PromptPart,
    /// Replies to each prompt; 0 if the model only selects them.
    pub replies: u32,
    /// How replies are sampled.
    pub options: SamplingOptions,
    /// The arithmetic of the model.
    pub precision: Precision,
    /// The seed of the draws.
    pub seed: u64,
}

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompts {
    /// The prompts of the records of a dataset, formatted like the records.
    Records {
        /// The dataset.
        data: Origin,
        /// How its files become records.
        format: Box<DatasetFormat>,
        /// How a record is formatted as text.
        formatting: Formatting,
    },
    /// The beginnings of the pieces that the training part of a corpus is cut into.
    Pieces {
        /// The prepare job of the corpus.
        corpus: JobId,
        /// Tokens of a beginning. A piece has as many more as a reply has at most.
        context: u32,
    },
    /// The pieces of a corpus that a dataset lacks. The model embeds both, and does not reply.
    Selected(Box<SelectedPieces>),
}

/// The pieces of a corpus that a dataset lacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectedPieces {
    /// The corpus, its held-out part included.
    pub corpus: Origin,
    /// How its files become documents.
    pub corpus_format: CorpusFormat,
    /// The dataset, its held-out part included.
    pub against: Origin,
    /// How its files become records.
    pub format: DatasetFormat,
    /// Which pieces are selected.
    pub selection: PieceSelection,
}

impl Prompts {
    /// Tokens of each prompt, if all have the same number.
    pub fn context(&self) -> Option<u32> {
        match self {
            Prompts::Records { .. } | Prompts::Selected(_) => None,
            Prompts::Pieces { context, .. } => Some(*context),
        }
    }

    /// The jobs that they are read from.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        match self {
            Prompts::Records { data: Origin::Output { job }, .. } | Prompts::Pieces { corpus: job, .. } => vec![*job],
            Prompts::Records { .. } | Prompts::Selected(_) => vec![],
        }
    }
}

/// Have the replies of a sample job corrected or scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeachJob {
    /// The sample job of the student.
    pub samples: JobId,
    /// Who does it, and how.
    pub teacher: JobTeacher,
}

/// Who corrects or scores the replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobTeacher {
    /// A model behind an endpoint.
    Endpoint(TeacherRequest),
    /// A model of the grid corrects them: its own replies to the same prompts are chosen.
    Samples {
        /// Its sample job, which has the prompts of the student.
        samples: JobId,
    },
    /// A model of the grid scores them: the score of a reply is the mean log-probability of its tokens, in nats.
    Likelihood {
        /// The pretrain, import or tune job whose weights are used.
        model: JobId,
        /// The arithmetic of the model.
        precision: Precision,
        /// How prompt and reply are formatted as text.
        formatting: Formatting,
    },
}

impl JobTeacher {
    /// The sample job of a model that corrects.
    pub fn samples(&self) -> Option<JobId> {
        match self {
            JobTeacher::Samples { samples } => Some(*samples),
            JobTeacher::Endpoint(_) | JobTeacher::Likelihood { .. } => None,
        }
    }

    /// The jobs that it reads.
    pub(super) fn parents(&self) -> Vec<JobId> {
        match self {
            JobTeacher::Endpoint(_) => vec![],
            JobTeacher::Samples { samples } => vec![*samples],
            JobTeacher::Likelihood { model, .. } => vec![*model],
        }
    }
}
