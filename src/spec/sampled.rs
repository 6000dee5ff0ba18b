//! The datasets of a stage, among them those that a model makes, whose models and texts are looked up.

use crate::domain::{
    DatasetSource, PieceSource, Precision, PromptPart, PromptSource, SampledData, SampledModel, StageDataset, Teacher,
};

use super::base_models::BaseModels;
use super::sampling::{PromptName, Sampling, TeacherKeys};

impl BaseModels<'_> {
    /// The dataset of this name; `None` only if something is wrong that is reported elsewhere.
    pub(super) fn dataset(&self, name: &str) -> Option<StageDataset> {
        match self.document.sampled.iter().find(|(known, _)| known == name) {
            Some((_, sampling)) => self.sampled_dataset(name, sampling, (0, 1), Precision::F32),
            None => {
                let dataset = self.document.datasets.iter().find(|dataset| dataset.name == name)?;
                Some(dataset.clone().map_source(DatasetSource::Data))
            }
        }
    }

    /// The dataset that a model makes of a share of the prompts, the number of which is given with the number of shares.
    pub(super) fn sampled_dataset(
        &self,
        name: &str,
        sampling: &Sampling,
        (number, of): (u32, u32),
        precision: Precision,
    ) -> Option<StageDataset> {
        let prompts = match &sampling.prompts {
            PromptName::Dataset(name) => {
                let dataset = self.document.datasets.iter().find(|dataset| dataset.name == *name)?;
                PromptSource::Dataset(Box::new(dataset.clone()))
            }
            PromptName::Corpus { name, context } => {
                let corpus = self.document.corpora.iter().find(|corpus| corpus.name == *name)?;
                PromptSource::Corpus { corpus: Box::new(corpus.clone()), context: *context }
            }
            PromptName::Selected { from, against, selection } => {
                let corpus = self.document.corpora.iter().find(|corpus| corpus.name == *from)?.clone();
                let against = self.document.datasets.iter().find(|dataset| dataset.name == *against)?.clone();
                PromptSource::Selected(Box::new(PieceSource { corpus, against, selection: selection.clone() }))
            }
        };
        let model = match &sampling.model {
            Some(name) => SampledModel::Named(self.named(name)?),
            None => SampledModel::AtStartOfRound,
        };
        let teacher = match &sampling.teacher {
            Some(TeacherKeys::Endpoint(request, service)) => Some(Teacher::Endpoint(request.clone(), service.clone())),
            Some(TeacherKeys::Model { name, scores }) => {
                Some(Teacher::Model { model: self.named(name)?, scores: *scores })
            }
            None => None,
        };
        let part = PromptPart { number, of, most: sampling.most };
        let (replies, options) = (sampling.replies, sampling.options.clone());
        let sampled = SampledData { model, prompts, part, replies, options, precision, teacher };
        let formatting = sampled.formatting();
        let source = DatasetSource::Sampled(Box::new(sampled));
        let (name, format) = (name.to_owned(), sampling.format());
        Some(StageDataset { name, source, format, formatting, expected: None, new_words: None, language: None })
    }
}
