//! The jobs that make data with a model of the grid.

use super::{Builder, CellModel, Vocabulary};
use crate::domain::{
    Job, JobId, JobTeacher, NamedModel, PieceSource, PromptSource, Prompts, Recipe, SampleJob, SampledData,
    SampledModel, SelectedPieces, Source, TeachJob, Teacher, tuning_seed,
};
use crate::plan::names::JobName;
use crate::plan::planned::{PreparedText, Role};

impl Builder<'_> {
    /// Adds the jobs that make the records of sampled data, and returns the one that writes them. `student` is the model
    /// that the current round starts with.
    pub(super) fn sampled_data(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        sampled: &SampledData,
        student: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let SampledData { model, prompts, part, replies, options, precision, teacher } = sampled;
        // Pieces of text are cut by the tokenizer of the model that continues them.
        let further = match model {
            SampledModel::AtStartOfRound => None,
            SampledModel::Named(named) => Some(self.further_cell_model(recipe, named, jobs)),
        };
        let (vocabulary, CellModel { model, name }) =
            further.as_ref().map_or((vocabulary, student), |(vocabulary, model)| (vocabulary, model));
        let (prompts, sources, prompted) = self.prompts(recipe, vocabulary, prompts, jobs);
        let text = &prompted.name;
        let share = if part.of > 1 { format!(" {} of {}", part.number + 1, part.of) } else { String::new() };
        let what = format!("{text}{share}");
        let named = |name: &JobName| JobName { group: format!("{what} by {}", name.group), ..name.clone() };
        let job = SampleJob {
            model: model.0,
            prompts,
            part: *part,
            replies: *replies,
            options: options.clone(),
            precision: *precision,
            seed: tuning_seed(recipe.seed, recipe.tune_seed),
        };
        let samples = self.add(Job::Sample(job.clone()), &named(name), &sources, Role::Ancestor, jobs);
        self.graph[self.index[&samples]].text.get_or_insert_with(|| prompted.clone());
        let (teacher, service) = match teacher {
            None => return samples,
            Some(Teacher::Endpoint(request, service)) => (JobTeacher::Endpoint(request.clone()), Some(service.clone())),
            Some(Teacher::Model { model, scores }) => {
                let (_, teacher) = self.further_cell_model(recipe, model, jobs);
                let teacher = if *scores {
                    let formatting = sampled.formatting();
                    JobTeacher::Likelihood { model: teacher.model.0, precision: *precision, formatting }
                } else {
                    let job = SampleJob { model: teacher.model.0, ..job };
                    let name = named(&teacher.name);
                    JobTeacher::Samples { samples: self.add(Job::Sample(job), &name, &sources, Role::Ancestor, jobs) }
                };
                (teacher, None)
            }
        };
        let id = self.add(Job::Teach(TeachJob { samples, teacher }), &named(name), &[], Role::Ancestor, jobs);
        self.graph[self.index[&id]].teacher = service;
        id
    }

    /// Adds the jobs of a further model of a cell.
    fn further_cell_model(
        &mut self,
        recipe: &Recipe,
        model: &NamedModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> (Vocabulary, CellModel) {
        let (vocabulary, job) = self.base_model(recipe, &model.name, &model.base, jobs);
        let name = JobName { group: model.name.clone(), seed: Some(recipe.seed), tune_seed: None };
        (vocabulary, CellModel { model: job, name })
    }

    /// The prompts of sampled data as jobs refer to them, the sources that a job reads for them, and the name of their text.
    fn prompts<'a>(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        prompts: &'a PromptSource,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> (Prompts, Vec<&'a Source>, PreparedText) {
        match prompts {
            PromptSource::Corpus { corpus, context } => {
                let prepared = self.prepare_corpora(recipe, std::slice::from_ref(corpus), vocabulary, jobs);
                (Prompts::Pieces { corpus: prepared[0], context: *context }, vec![], PreparedText::of_corpus(corpus))
            }
            PromptSource::Dataset(dataset) => {
                let data = self.locate(&dataset.source).origin;
                let (format, formatting) = (Box::new(dataset.format.clone()), dataset.formatting.clone());
                let prompts = Prompts::Records { data, format, formatting };
                (prompts, vec![&dataset.source], PreparedText::of_dataset(dataset))
            }
            PromptSource::Selected(source) => {
                let PieceSource { corpus, against, selection } = &**source;
                let selected = SelectedPieces {
                    corpus: self.locate(&corpus.source).origin,
                    corpus_format: corpus.format.clone(),
                    against: self.locate(&against.source).origin,
                    format: against.format.clone(),
                    selection: selection.clone(),
                };
                let name = format!("{} unlike {}", corpus.name, against.name);
                let text = PreparedText { name, ..PreparedText::of_corpus(corpus) };
                (Prompts::Selected(Box::new(selected)), vec![&corpus.source, &against.source], text)
            }
        }
    }
}
