//! The jobs of the stages of a curriculum.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::curriculum::{LossMask, OptimizerStart, RecordOrder, Replay, Shots};
use super::super::digest::JobId;
use super::super::objective::TuneObjective;
use super::super::training::{Length, Training};

/// Train a model further on instruction records: one stage of a curriculum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneJob {
    /// The pretrain, import or tune job whose weights it starts from.
    pub parent: JobId,
    /// The prepare jobs of the datasets; sorted if their order makes no difference.
    pub datasets: Vec<JobId>,
    /// The weight of each dataset in the mixture; empty if each contributes all of its records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// The order of their records.
    #[serde(default, skip_serializing_if = "RecordOrder::is_shuffled")]
    pub order: RecordOrder,
    /// Pretraining text mixed into them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayedText>,
    /// The longest record in tokens; longer ones are truncated.
    pub max_length: u32,
    /// What the training minimizes.
    #[serde(default, skip_serializing_if = "TuneObjective::is_sft")]
    pub objective: TuneObjective,
    /// The logprobs job of each dataset, by its prepare job; empty unless the objective needs a reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<JobId, JobId>,
    /// The pretrain, import or tune jobs whose models are the teachers of a distillation, in ascending order; empty for other
    /// objectives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<JobId>,
    /// Demonstrations before each record; only of supervised fine-tuning and distillation on replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shots: Option<Shots<JobId>>,
    /// The tokens that receive loss; of an objective that compares replies, those of the cross entropy beside it.
    pub loss: LossMask,
    /// Optimization, with its own schedule; `training.length` is that of the first part.
    pub training: Training,
    /// Further parts under the same schedule, with the same optimizer state; most jobs have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<TunePart>,
    /// Further prepare jobs whose held-out parts are used for validation, sorted: those of the earlier stages, if this is
    /// the last stage of a curriculum over several datasets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_validation: Vec<JobId>,
    /// The optimizer state that the job starts with.
    #[serde(default, skip_serializing_if = "OptimizerStart::is_fresh")]
    pub optimizer: OptimizerStart,
    /// The seed of the data order, the same for all parts.
    pub seed: u64,
}

/// A part of a tune job; the fields have the same meaning as those of [`TuneJob`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunePart {
    /// The prepare jobs of the datasets; sorted if their order makes no difference.
    pub datasets: Vec<JobId>,
    /// The weight of each dataset in the mixture; empty if each contributes all of its records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// The order of their records.
    #[serde(default, skip_serializing_if = "RecordOrder::is_shuffled")]
    pub order: RecordOrder,
    /// Pretraining text mixed into them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayedText>,
    /// The length of the part. A batch never contains rows of two parts.
    pub length: Length,
}

/// Pretraining text in a tune job: packed windows in which all tokens receive loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayedText {
    /// The share of this text among the tokens that receive loss.
    pub share: Replay,
    /// Prepare jobs of the corpora; their windows are shuffled together.
    pub corpora: Vec<JobId>,
    /// Tokens per window.
    pub sequence_length: u32,
}

impl TuneJob {
    /// The prepare job of the dataset that demonstrations are drawn from, if it is not that of each record.
    pub fn pool(&self) -> Option<JobId> {
        self.shots.as_ref()?.pool
    }

    /// All parts, in order; at least one.
    pub fn parts(&self) -> Vec<TunePart> {
        let first = TunePart {
            datasets: self.datasets.clone(),
            shares: self.shares.clone(),
            order: self.order,
            replay: self.replay.clone(),
            length: self.training.length,
        };
        std::iter::once(first).chain(self.then.iter().cloned()).collect()
    }

    /// The prepare jobs whose held-out parts are used for validation: the datasets of the only part in their order, or
    /// else all datasets, sorted and without duplicates. A shuffled union of the same datasets is sorted too, so that both
    /// curricula are validated on the same rows.
    pub fn validation_datasets(&self) -> Vec<JobId> {
        if self.then.is_empty() && self.further_validation.is_empty() {
            return self.datasets.clone();
        }
        let datasets = self.parts().into_iter().flat_map(|part| part.datasets);
        let datasets: BTreeSet<JobId> = datasets.chain(self.further_validation.iter().copied()).collect();
        datasets.into_iter().collect()
    }
}

impl TunePart {
    /// The prepare jobs that the part reads: datasets, then replayed corpora.
    pub fn reads(&self) -> Vec<JobId> {
        let replayed = self.replay.as_ref().map_or(&[][..], |replay| &replay.corpora);
        [&self.datasets[..], replayed].concat()
    }
}
