//! From cells to jobs. Equal jobs have equal ids and therefore become one.

use std::collections::{BTreeMap, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};

use super::names::{JobName, distinguish_labels};
use super::planned::{Plan, PlannedCell, PlannedJob, PreparedText, Role};
use crate::domain::{
    BaseModel, Cell, Corpus, DatasetSource, Distillation, EvalJob, Evaluation, FinetuneJob, Finetuning, ForeignModel,
    Grid, ImportJob, Job, JobId, LocatedSource, Milestone, NamedModel, Origin, PrepareJob, Prepared, PretrainJob,
    Pretraining, Recipe, Replies, Source, StageDataset, Suite, TokenizerJob,
};

mod sampled;
mod tune;

/// A job whose result is a model. Only this module creates one.
#[derive(Clone, Copy)]
struct TrainRef(JobId);

/// A model of a cell, and the name from which those of the jobs about it are made.
struct CellModel {
    model: TrainRef,
    name: JobName,
}

/// What an evaluation scores.
struct ScoredModel<'a> {
    model: TrainRef,
    /// The milestone of the model; `None` for its end.
    milestone: Option<Milestone>,
    /// The imported revisions that are scored: of a milestone the one whose model it is.
    revisions: &'a [(Milestone, TrainRef)],
}

/// A job of the database whose model a cell starts from.
#[derive(Debug, Clone)]
pub struct RecordedJob {
    /// The job.
    pub job: Job,
    /// Its label.
    pub label: String,
}

/// Expands a grid into its jobs. A source that `located` lacks counts as missing.
///
/// `recorded` has every job of the database that a cell names. They are part of the plan without their ancestors, and
/// the plan can only be run if their results still exist.
///
/// # Panics
/// If `recorded` lacks a job.
pub fn expand(grid: &Grid, located: &BTreeMap<Source, LocatedSource>, recorded: &BTreeMap<JobId, RecordedJob>) -> Plan {
    let mut builder = Builder { graph: DiGraph::new(), index: HashMap::new(), located, recorded };
    let cells = grid.cells.iter().map(|cell| builder.cell(cell)).collect();
    let Builder { mut graph, index, .. } = builder;
    distinguish_labels(&mut graph, &index, &cells);
    Plan { graph, index, name: grid.name.clone(), combinations: grid.combinations, cells }
}

/// A job whose result includes a tokenizer, and the name of the tokenizer in labels.
#[derive(Clone)]
struct Vocabulary {
    job: JobId,
    name: String,
}

struct Builder<'a> {
    graph: DiGraph<PlannedJob, ()>,
    index: HashMap<JobId, NodeIndex>,
    located: &'a BTreeMap<Source, LocatedSource>,
    recorded: &'a BTreeMap<JobId, RecordedJob>,
}

impl Builder<'_> {
    fn cell(&mut self, cell: &Cell) -> PlannedCell {
        let recipe = &cell.recipe;
        let mut jobs = vec![];
        let group = cell.key.model.clone();
        let (vocabulary, base) = self.base_model(recipe, &group, &recipe.base, &mut jobs);
        let base = CellModel { model: base, name: JobName { group, seed: Some(recipe.seed), tune_seed: None } };
        let tuned = self.tune(recipe, &vocabulary, &base, &mut jobs);
        for (id, role) in &mut jobs {
            if *id == tuned.model.0 {
                *role = Role::Model;
            }
        }
        let revisions = self.revisions(recipe, &base, &mut jobs);
        self.evaluate(recipe, &base, &revisions, &tuned, &mut jobs);
        for finetuning in &recipe.finetunings {
            self.finetune(recipe, finetuning, &tuned, &mut jobs);
        }
        self.evaluate_milestones(recipe, &revisions, &tuned, &mut jobs);
        for (id, _) in &jobs {
            self.graph[self.index[id]].cells += 1;
        }
        PlannedCell { key: cell.key.clone(), jobs }
    }

    /// Adds the jobs of a model before any tuning.
    fn base_model(
        &mut self,
        recipe: &Recipe,
        name: &str,
        base: &BaseModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> (Vocabulary, TrainRef) {
        match base {
            BaseModel::Trained(base) => {
                let vocabulary = self.tokenizer(base, jobs);
                let name = JobName { group: name.to_owned(), seed: Some(recipe.seed), tune_seed: None };
                (vocabulary.clone(), self.pretrain(recipe, base, &vocabulary, &name, jobs))
            }
            BaseModel::Imported(base) => self.import(&base.model, name, jobs),
            BaseModel::Recorded(id) => self.add_recorded(*id, name, jobs),
        }
    }

    /// Adds the jobs of a further model of a cell, which are those of the cells of that model. Returns the job whose result
    /// it is.
    fn further_model(&mut self, recipe: &Recipe, model: &NamedModel, jobs: &mut Vec<(JobId, Role)>) -> JobId {
        self.base_model(recipe, &model.name, &model.base, jobs).1.0
    }

    /// Adds the jobs of the teachers of a model, and returns those whose results they are, in ascending order.
    fn teachers(&mut self, recipe: &Recipe, teachers: &[NamedModel], jobs: &mut Vec<(JobId, Role)>) -> Vec<JobId> {
        let mut teachers: Vec<JobId> =
            teachers.iter().map(|teacher| self.further_model(recipe, teacher, jobs)).collect();
        teachers.sort_unstable(); // their order has no effect
        teachers
    }

    /// Adds the jobs that import the earlier revisions of the base model, if they are scored.
    fn revisions(
        &mut self,
        recipe: &Recipe,
        base: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> Vec<(Milestone, TrainRef)> {
        let wanted = recipe.base.revisions().iter().filter(|_| recipe.scores_revisions());
        let import = |(milestone, model): &(Milestone, ForeignModel)| {
            let name = format!("{} at {}", base.name.group, milestone.label());
            (*milestone, self.import(model, &name, jobs).1)
        };
        wanted.map(import).collect()
    }

    fn evaluate(
        &mut self,
        recipe: &Recipe,
        base: &CellModel,
        revisions: &[(Milestone, TrainRef)],
        tuned: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) {
        for evaluation in &recipe.evaluations {
            // Words are acquired in pretraining, so all tuned cells share the result of their pretrained model.
            let ((model, name), revisions) = match evaluation.test.suite() {
                Suite::Aoa => ((base.model, &base.name), revisions),
                _ => ((tuned.model, &tuned.name), &[][..]),
            };
            let group = format!("{} {}", evaluation.test, name.group);
            let scored = ScoredModel { model, milestone: None, revisions };
            self.evaluation(evaluation, scored, &JobName { group, ..*name }, jobs);
        }
    }

    fn evaluate_milestones(
        &mut self,
        recipe: &Recipe,
        revisions: &[(Milestone, TrainRef)],
        pretrained: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) {
        let CellModel { model, name } = pretrained;
        let kept = match &recipe.base {
            BaseModel::Trained(base) => base.milestones.iter().map(|milestone| (*milestone, *model)).collect(),
            BaseModel::Imported(_) => revisions.to_vec(),
            BaseModel::Recorded(_) => vec![],
        };
        for (index, (milestone, model)) in kept.into_iter().enumerate() {
            let revisions = revisions.get(index..=index).unwrap_or_default();
            for evaluation in &recipe.milestone_evaluations {
                let group = format!("{} {} at {}", evaluation.test, name.group, milestone.label());
                let scored = ScoredModel { model, milestone: Some(milestone), revisions };
                self.evaluation(evaluation, scored, &JobName { group, ..*name }, jobs);
            }
        }
    }

    fn evaluation(
        &mut self,
        evaluation: &Evaluation,
        scored: ScoredModel,
        name: &JobName,
        jobs: &mut Vec<(JobId, Role)>,
    ) {
        let Evaluation { test, mode, source, examples } = evaluation;
        let origin = |source| self.locate(source).origin;
        let (data, examples_data) = (origin(source), examples.as_ref().map(origin));
        let job = EvalJob {
            model: scored.model.0,
            milestone: scored.milestone,
            revisions: scored.revisions.iter().map(|(milestone, revision)| (*milestone, revision.0)).collect(),
            test: test.clone(),
            mode: *mode,
            data,
            examples: examples_data,
        };
        let sources: Vec<&Source> = std::iter::once(source).chain(examples).collect();
        self.add(Job::Eval(job), name, &sources, Role::Eval, jobs);
    }

    fn tokenizer(&mut self, base: &Pretraining, jobs: &mut Vec<(JobId, Role)>) -> Vocabulary {
        let corpora = base.tokenizer_corpora.iter();
        let datasets = base.tokenizer_datasets.iter();
        let sources: Vec<&Source> = corpora
            .clone()
            .map(|corpus| &corpus.source)
            .chain(datasets.clone().map(|dataset| &dataset.source))
            .collect();
        let vocab_size = base.model.vocab_size;
        let job = TokenizerJob {
            vocab_size,
            corpora: corpora
                .clone()
                .map(|corpus| (self.locate(&corpus.source).origin, corpus.format.clone()))
                .collect(),
            datasets: datasets
                .clone()
                .map(|dataset| (self.locate(&dataset.source).origin, dataset.format.clone()))
                .collect(),
            special_tokens: base.special_tokens.clone(),
        };
        let name = format!("vocabulary of {vocab_size}");
        let job = self.add(Job::Tokenizer(job), &JobName::seedless(name.clone()), &sources, Role::Ancestor, jobs);
        let texts = corpora.map(PreparedText::of_corpus).chain(datasets.map(PreparedText::of_dataset)).collect();
        self.graph[self.index[&job]].tokenizer_texts = texts;
        Vocabulary { job, name }
    }

    /// An imported model comes with its tokenizer.
    fn import(&mut self, model: &ForeignModel, name: &str, jobs: &mut Vec<(JobId, Role)>) -> (Vocabulary, TrainRef) {
        let source = Source::Model(model.clone());
        let job = Job::Import(ImportJob { folder: self.locate(&source).origin });
        let job = self.add(job, &JobName::seedless(name.to_owned()), &[&source], Role::Ancestor, jobs);
        (Vocabulary { job, name: format!("vocabulary of {name}") }, TrainRef(job))
    }

    /// A model of the database is stored with its tokenizer.
    fn add_recorded(&mut self, id: JobId, name: &str, jobs: &mut Vec<(JobId, Role)>) -> (Vocabulary, TrainRef) {
        jobs.push((id, Role::Ancestor));
        if !self.index.contains_key(&id) {
            let RecordedJob { job, label } = self.recorded[&id].clone();
            let group = label.clone();
            let planned = PlannedJob {
                id,
                job,
                label,
                group,
                sources: vec![],
                text: None,
                tokenizer_texts: vec![],
                teacher: None,
                cells: 0,
                parents: vec![],
            };
            self.index.insert(id, self.graph.add_node(planned));
        }
        (Vocabulary { job: id, name: format!("vocabulary of {name}") }, TrainRef(id))
    }

    fn prepare(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        data: Prepared,
        text: PreparedText,
        sources: &[&Source],
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let (what, of_replies) = match &data {
            Prepared::Corpus(..) => ("corpus", ""),
            Prepared::Dataset(_, format, _) => match format.replies() {
                Replies::Good => ("dataset", ""),
                Replies::Pairs => ("dataset", " in pairs"),
                Replies::Labelled => ("dataset", " with bad replies"),
            },
        };
        let name = match data.origin() {
            Origin::Output { job } => {
                let PlannedJob { group, .. } = &self.graph[self.index[job]];
                let group = format!("{what} {}, {group}{of_replies}", text.name);
                JobName { group, seed: Some(recipe.seed), tune_seed: recipe.tune_seed }
            }
            _ => JobName::seedless(format!("{what} {}{of_replies}, {}", text.name, vocabulary.name)),
        };
        let own_text = matches!(data, Prepared::Dataset(..)) && recipe.needs_own_text();
        let texts = matches!(data, Prepared::Dataset(..)) && recipe.needs_texts();
        let origin = data.origin().clone();
        let job = PrepareJob { tokenizer: vocabulary.job, data, held_out: recipe.held_out, own_text, texts };
        let id = self.add(Job::Prepare(job), &name, sources, Role::Ancestor, jobs);
        let planned = &mut self.graph[self.index[&id]];
        if planned.sources.is_empty() {
            planned.sources.push((origin, vec![])); // the output of a job
        }
        planned.text.get_or_insert(text);
        id
    }

    fn prepare_corpora(
        &mut self,
        recipe: &Recipe,
        corpora: &[Corpus],
        vocabulary: &Vocabulary,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> Vec<JobId> {
        let prepare = |corpus: &Corpus| {
            let data = Prepared::Corpus(self.locate(&corpus.source).origin, corpus.format.clone());
            let text = PreparedText::of_corpus(corpus);
            self.prepare(recipe, vocabulary, data, text, &[&corpus.source], jobs)
        };
        corpora.iter().map(prepare).collect()
    }

    fn prepare_dataset(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        dataset: &StageDataset,
        replies: Replies,
        student: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let (origin, sources) = match &dataset.source {
            DatasetSource::Data(source) => (self.locate(source).origin, vec![source]),
            DatasetSource::Sampled(sampled) => {
                let job = self.sampled_data(recipe, vocabulary, sampled, student, jobs);
                (Origin::Output { job }, vec![])
            }
        };
        // A dataset without such replies is refused before the plan is run.
        let format = dataset.format.with_replies(replies).unwrap_or_else(|| dataset.format.clone());
        let data = Prepared::Dataset(origin, format, dataset.formatting.clone());
        let text = PreparedText::of_dataset(dataset);
        self.prepare(recipe, vocabulary, data, text, &sources, jobs)
    }

    fn pretrain(
        &mut self,
        recipe: &Recipe,
        base: &Pretraining,
        vocabulary: &Vocabulary,
        name: &JobName,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TrainRef {
        let corpora = self.prepare_corpora(recipe, &base.corpora, vocabulary, jobs);
        let distillation = base.distillation.as_ref().map(|Distillation { teachers, settings }| Distillation {
            teachers: self.teachers(recipe, teachers, jobs),
            settings: *settings,
        });
        let job = PretrainJob {
            model: base.model.clone(),
            tokenizer: vocabulary.job,
            corpora,
            sequence_length: base.sequence_length,
            training: base.training.clone(),
            distillation,
            milestones: base.milestones.clone(),
            seed: recipe.seed,
        };
        TrainRef(self.add(Job::Pretrain(job), name, &[], Role::Ancestor, jobs))
    }

    fn finetune(&mut self, recipe: &Recipe, finetuning: &Finetuning, tuned: &CellModel, jobs: &mut Vec<(JobId, Role)>) {
        let CellModel { model, name } = tuned;
        let (train, valid) = (self.locate(&finetuning.train).origin, self.locate(&finetuning.valid).origin);
        for seed in finetuning.seeds.of(recipe.seed) {
            let job = FinetuneJob {
                model: model.0,
                task: finetuning.task,
                mode: finetuning.mode,
                recipe: finetuning.recipe.clone(),
                train: train.clone(),
                valid: valid.clone(),
                seed,
            };
            let name = JobName { group: format!("{}#{seed} {}", finetuning.task, name.group), ..*name };
            let sources = [&finetuning.train, &finetuning.valid];
            self.add(Job::Finetune(job), &name, &sources, Role::Eval, jobs);
        }
    }

    fn add(
        &mut self,
        job: Job,
        name: &JobName,
        sources: &[&Source],
        role: Role,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let id = job.id();
        if !jobs.iter().any(|(known, _)| *known == id) {
            jobs.push((id, role));
        }
        if self.index.contains_key(&id) {
            return id;
        }
        let parents = job.parents();
        let sources =
            sources.iter().map(|source| self.locate(source)).map(|LocatedSource { origin, files }| (origin, files));
        let planned = PlannedJob {
            id,
            label: name.label(),
            group: name.group.clone(),
            sources: sources.collect(),
            text: None,
            tokenizer_texts: vec![],
            teacher: None,
            cells: 0,
            parents: parents.clone(),
            job,
        };
        let node = self.graph.add_node(planned);
        for parent in parents {
            self.graph.add_edge(self.index[&parent], node, ());
        }
        self.index.insert(id, node);
        id
    }

    fn locate(&self, source: &Source) -> LocatedSource {
        self.located.get(source).cloned().unwrap_or_else(|| {
            let location = match source {
                Source::Files(path) | Source::Folder(path) => path.display().to_string(),
                Source::Model(model) => model.name.clone(),
                Source::Remote(remote) => remote.to_string(),
                Source::World { part, .. } => part.to_string(),
            };
            LocatedSource { origin: Origin::Missing { location }, files: vec![] }
        })
    }
}
