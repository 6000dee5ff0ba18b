//! The models of a cell before any tuning.

use serde::Serialize;

use super::digest::JobId;
use super::milestone::Milestone;
use super::model::ModelConfig;
use super::objective::Distillation;
use super::source::{Corpus, Dataset, ForeignModel, Source};
use super::training::Training;

/// How a model is trained from random weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pretraining {
    /// The corpora on which the tokenizer is trained.
    pub tokenizer_corpora: Vec<Corpus>,
    /// The datasets on which the tokenizer is trained too.
    pub tokenizer_datasets: Vec<Dataset>,
    /// Texts that are one token each, besides the end-of-text and the padding token.
    pub special_tokens: Vec<String>,
    /// The model; its `vocab_size` is that of the tokenizer.
    pub model: ModelConfig,
    /// The pretraining corpora; never empty.
    pub corpora: Vec<Corpus>,
    /// Tokens per pretraining sequence.
    pub sequence_length: u32,
    /// The optimization of pretraining.
    pub training: Training,
    /// The teachers that the model learns from beside the text; `None` for next-token prediction alone.
    pub distillation: Option<Distillation<NamedModel>>,
    /// The milestones at which copies of the model are kept, in ascending order.
    pub milestones: Vec<Milestone>,
}

/// A model that was trained elsewhere, with its own tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedModel {
    /// The model.
    pub model: ForeignModel,
    /// Its earlier revisions, each with the text that it had seen, in ascending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<(Milestone, ForeignModel)>,
}

/// The model of a cell before any tuning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum BaseModel {
    /// A model that the experiment trains.
    Trained(Box<Pretraining>),
    /// An imported model with its own tokenizer.
    Imported(Box<ImportedModel>),
    /// The result of a recorded job.
    Recorded(JobId),
}

/// A further model of a cell, such as a teacher: an entry of `models:` before any tuning, with the seed and the axis values
/// of the cell. Cells of that model have the same one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedModel {
    /// The name in the spec.
    pub name: String,
    /// The model.
    pub base: BaseModel,
}

impl BaseModel {
    /// The models that it is distilled from.
    pub fn teachers(&self) -> &[NamedModel] {
        match self {
            BaseModel::Trained(base) => base.distillation.as_ref().map_or(&[], |distillation| &distillation.teachers),
            BaseModel::Imported(_) | BaseModel::Recorded(_) => &[],
        }
    }

    /// The milestones of its pretraining at which it can be scored, in ascending order. Those of a recorded model are known
    /// once its folder is read.
    pub fn milestones(&self) -> Vec<Milestone> {
        match self {
            BaseModel::Trained(base) => base.milestones.clone(),
            BaseModel::Imported(base) => base.revisions.iter().map(|(milestone, _)| *milestone).collect(),
            BaseModel::Recorded(_) => vec![],
        }
    }

    /// The earlier revisions of an imported model, each with its milestone.
    pub fn revisions(&self) -> &[(Milestone, ForeignModel)] {
        match self {
            BaseModel::Imported(base) => &base.revisions,
            BaseModel::Trained(_) | BaseModel::Recorded(_) => &[],
        }
    }

    /// The datasets that the tokenizers of the model and of its teachers are trained on.
    pub fn tokenizer_datasets_mut(&mut self) -> Vec<&mut Dataset> {
        let BaseModel::Trained(base) = self else { return vec![] };
        let Pretraining { tokenizer_datasets, distillation, .. } = &mut **base;
        let teachers = distillation.iter_mut().flat_map(|distillation| &mut distillation.teachers);
        tokenizer_datasets.iter_mut().chain(teachers.flat_map(|model| model.base.tokenizer_datasets_mut())).collect()
    }

    /// All data and models that it is made of, without earlier revisions, possibly with duplicates.
    pub(super) fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = vec![];
        match self {
            BaseModel::Trained(base) => {
                sources.extend(base.corpora.iter().chain(&base.tokenizer_corpora).map(|corpus| corpus.source.clone()));
                sources.extend(base.tokenizer_datasets.iter().map(|dataset| dataset.source.clone()));
            }
            BaseModel::Imported(base) => sources.push(Source::Model(base.model.clone())),
            BaseModel::Recorded(_) => {}
        }
        sources.extend(self.teachers().iter().flat_map(|teacher| teacher.base.sources()));
        sources
    }
}
