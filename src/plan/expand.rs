//! From cells to jobs. Equal jobs have equal ids and therefore become one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};

use super::names::{JobName, distinguish_labels, stage_name};
use super::planned::{Plan, PlannedCell, PlannedJob, PreparedText, Role};
use crate::domain::{
    BaseModel, Cell, Corpus, Dataset, EvalJob, Evaluation, FinetuneJob, Finetuning, ForeignModel, Grid, ImportJob, Job,
    JobId, LocatedSource, LogprobsJob, Milestone, Origin, PrepareJob, Prepared, PretrainJob, Pretraining, Recipe,
    ReplayedText, Replies, Source, Stage, StagePart, Suite, TokenizerJob, TuneJob, TunePart, tuning_seed,
};

/// A job whose result is a model. Only this module creates one.
#[derive(Clone, Copy)]
struct TrainRef(JobId);

/// A model of a cell, and the name from which those of the jobs about it are made.
struct NamedModel {
    model: TrainRef,
    name: JobName,
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
        let base_name = JobName { group, seed: Some(recipe.seed), tune_seed: None };
        let (vocabulary, base) = match &recipe.base {
            BaseModel::Trained(base) => {
                let vocabulary = self.tokenizer(base, &mut jobs);
                (vocabulary.clone(), self.pretrain(recipe, base, &vocabulary, &base_name, &mut jobs))
            }
            BaseModel::Imported(model) => self.import(model, &cell.key.model, &mut jobs),
            BaseModel::Recorded(id) => self.add_recorded(*id, &cell.key.model, &mut jobs),
        };
        let base = NamedModel { model: base, name: base_name };
        let tuned = self.tune(recipe, &vocabulary, &base, &mut jobs);
        for (id, role) in &mut jobs {
            if *id == tuned.model.0 {
                *role = Role::Model;
            }
        }
        self.evaluate(recipe, &base, &tuned, &mut jobs);
        for finetuning in &recipe.finetunings {
            self.finetune(recipe, finetuning, &tuned, &mut jobs);
        }
        self.evaluate_milestones(recipe, &tuned, &mut jobs);
        for (id, _) in &jobs {
            self.graph[self.index[id]].cells += 1;
        }
        PlannedCell { key: cell.key.clone(), jobs }
    }

    /// Adds a job for each tuning stage; returns the model after the last one, which is `base` if there are none.
    fn tune(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        base: &NamedModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> NamedModel {
        let mut model = base.model;
        let mut name = JobName { tune_seed: recipe.tune_seed, ..base.name.clone() };
        let (mut path, mut datasets) = (vec![], BTreeSet::new());
        for (place, stage) in recipe.stages.iter().enumerate() {
            path.push(stage_name(stage));
            name.group = format!("{}/{}", base.name.group, path.join(">"));
            let mut job = self.tune_job(recipe, stage, vocabulary, model, jobs);
            datasets.extend(job.validation_datasets());
            // The last stage is validated on the rows that all stages hold out, as a training on the union of their data
            // is. The earlier stages are not, so that other cells can share them.
            if place + 1 == recipe.stages.len() && recipe.held_out > 0.0 {
                let own: BTreeSet<JobId> = job.validation_datasets().into_iter().collect();
                let fits = |id: &&JobId| self.replies_of(id) == stage.objective.replies();
                job.further_validation = datasets.difference(&own).filter(fits).copied().collect();
            }
            self.add_references(&mut job, &name, jobs);
            model = TrainRef(self.add(Job::Tune(job), &name, &[], Role::Ancestor, jobs));
        }
        NamedModel { model, name }
    }

    /// The replies that a prepare job of a dataset keeps.
    fn replies_of(&self, id: &JobId) -> Replies {
        match &self.graph[self.index[id]].job {
            Job::Prepare(PrepareJob { data: Prepared::Dataset(_, format, _), .. }) => format.replies(),
            _ => Replies::Good,
        }
    }

    /// Adds a job for the reference log-probabilities of each dataset that a stage reads, if its objective needs them.
    fn add_references(&mut self, job: &mut TuneJob, name: &JobName, jobs: &mut Vec<(JobId, Role)>) {
        if !job.objective.needs_reference() {
            return;
        }
        let (model, max_length, precision) = (job.parent, job.max_length, job.training.precision);
        let datasets: BTreeSet<JobId> =
            job.parts().into_iter().flat_map(|part| part.datasets).chain(job.validation_datasets()).collect();
        for dataset in datasets {
            let text = self.graph[self.index[&dataset]].text.as_ref().map_or(String::new(), |text| text.name.clone());
            let group = format!("{text} by {}", self.graph[self.index[&model]].group);
            let logprobs = Job::Logprobs(LogprobsJob { model, dataset, max_length, precision });
            let id = self.add(logprobs, &JobName { group, ..name.clone() }, &[], Role::Ancestor, jobs);
            job.references.insert(dataset, id);
        }
    }

    fn evaluate(&mut self, recipe: &Recipe, base: &NamedModel, tuned: &NamedModel, jobs: &mut Vec<(JobId, Role)>) {
        for evaluation in &recipe.evaluations {
            // Words are acquired in pretraining, so all tuned cells share the result of their pretrained model.
            let NamedModel { model, name } = if evaluation.test.suite() == Suite::Aoa { base } else { tuned };
            let group = format!("{} {}", evaluation.test, name.group);
            self.evaluation(evaluation, *model, None, &JobName { group, ..*name }, jobs);
        }
    }

    fn evaluate_milestones(&mut self, recipe: &Recipe, pretrained: &NamedModel, jobs: &mut Vec<(JobId, Role)>) {
        let NamedModel { model, name } = pretrained;
        let milestones = match &recipe.base {
            BaseModel::Trained(base) => &base.milestones[..],
            BaseModel::Imported(_) | BaseModel::Recorded(_) => &[],
        };
        for milestone in milestones {
            for evaluation in &recipe.milestone_evaluations {
                let group = format!("{} {} at {}", evaluation.test, name.group, milestone.label());
                self.evaluation(evaluation, *model, Some(*milestone), &JobName { group, ..*name }, jobs);
            }
        }
    }

    fn evaluation(
        &mut self,
        evaluation: &Evaluation,
        model: TrainRef,
        milestone: Option<Milestone>,
        name: &JobName,
        jobs: &mut Vec<(JobId, Role)>,
    ) {
        let Evaluation { test, mode, source, examples } = evaluation;
        let origin = |source| self.locate(source).origin;
        let (data, examples_data) = (origin(source), examples.as_ref().map(origin));
        let job = EvalJob { model: model.0, milestone, test: test.clone(), mode: *mode, data, examples: examples_data };
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
            corpora: corpora.map(|corpus| (self.locate(&corpus.source).origin, corpus.format.clone())).collect(),
            datasets: datasets.map(|dataset| (self.locate(&dataset.source).origin, dataset.format.clone())).collect(),
            special_tokens: base.special_tokens.clone(),
        };
        let name = format!("vocabulary of {vocab_size}");
        let job = self.add(Job::Tokenizer(job), &JobName::seedless(name.clone()), &sources, Role::Ancestor, jobs);
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
            let planned = PlannedJob { id, job, label, group, sources: vec![], text: None, cells: 0, parents: vec![] };
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
        source: &Source,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let (what, replies) = match &data {
            Prepared::Corpus(..) => ("corpus", ""),
            Prepared::Dataset(_, format, _) => match format.replies() {
                Replies::Good => ("dataset", ""),
                Replies::Pairs => ("dataset", " in pairs"),
                Replies::Labelled => ("dataset", " with bad replies"),
            },
        };
        let name = JobName::seedless(format!("{what} {}{replies}, {}", text.name, vocabulary.name));
        let own_text = matches!(data, Prepared::Dataset(..)) && recipe.needs_own_text();
        let texts = matches!(data, Prepared::Dataset(..)) && recipe.needs_texts();
        let job = PrepareJob { tokenizer: vocabulary.job, data, held_out: recipe.held_out, own_text, texts };
        let id = self.add(Job::Prepare(job), &name, &[source], Role::Ancestor, jobs);
        self.graph[self.index[&id]].text.get_or_insert(text);
        id
    }

    fn prepare_corpora(
        &mut self,
        recipe: &Recipe,
        base: &Pretraining,
        vocabulary: &Vocabulary,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> Vec<JobId> {
        let prepare = |corpus: &Corpus| {
            let data = Prepared::Corpus(self.locate(&corpus.source).origin, corpus.format.clone());
            let text = PreparedText { name: corpus.name.clone(), expected: corpus.expected, new_words: None };
            self.prepare(recipe, vocabulary, data, text, &corpus.source, jobs)
        };
        base.corpora.iter().map(prepare).collect()
    }

    fn prepare_dataset(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        dataset: &Dataset,
        replies: Replies,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> JobId {
        let origin = self.locate(&dataset.source).origin;
        // A dataset without such replies is refused before the plan is run.
        let format = dataset.format.with_replies(replies).unwrap_or_else(|| dataset.format.clone());
        let data = Prepared::Dataset(origin, format, dataset.formatting.clone());
        let Dataset { name, expected, new_words, .. } = dataset;
        let text = PreparedText { name: name.clone(), expected: *expected, new_words: *new_words };
        self.prepare(recipe, vocabulary, data, text, &dataset.source, jobs)
    }

    fn pretrain(
        &mut self,
        recipe: &Recipe,
        base: &Pretraining,
        vocabulary: &Vocabulary,
        name: &JobName,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TrainRef {
        let corpora = self.prepare_corpora(recipe, base, vocabulary, jobs);
        let job = PretrainJob {
            model: base.model.clone(),
            tokenizer: vocabulary.job,
            corpora,
            sequence_length: base.sequence_length,
            training: base.training.clone(),
            milestones: base.milestones.clone(),
            seed: recipe.seed,
        };
        TrainRef(self.add(Job::Pretrain(job), name, &[], Role::Ancestor, jobs))
    }

    fn tune_job(
        &mut self,
        recipe: &Recipe,
        stage: &Stage,
        vocabulary: &Vocabulary,
        parent: TrainRef,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TuneJob {
        let replies = stage.objective.replies();
        let mut parts = stage.parts().into_iter().map(|part| self.tune_part(recipe, &part, replies, vocabulary, jobs));
        let first = parts.next().expect("a stage has a first part");
        let then = parts.collect();
        TuneJob {
            parent: parent.0,
            datasets: first.datasets,
            shares: first.shares,
            order: first.order,
            replay: first.replay,
            optimizer: stage.optimizer,
            max_length: stage.max_length,
            objective: stage.objective,
            references: BTreeMap::new(),
            shots: stage.shots.clone(),
            loss: stage.loss,
            training: stage.training.clone(),
            then,
            further_validation: vec![],
            seed: tuning_seed(recipe.seed, recipe.tune_seed),
        }
    }

    fn tune_part(
        &mut self,
        recipe: &Recipe,
        part: &StagePart,
        replies: Replies,
        vocabulary: &Vocabulary,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TunePart {
        let mut datasets: Vec<(JobId, Option<f64>)> = vec![];
        for (place, dataset) in part.datasets.iter().enumerate() {
            let prepared = self.prepare_dataset(recipe, vocabulary, dataset, replies, jobs);
            datasets.push((prepared, part.shares.get(place).copied()));
        }
        if part.order.is_shuffled() {
            datasets.sort_by_key(|(id, _)| *id); // the order of datasets that are shuffled together has no effect
        }
        let replay = match (&recipe.base, part.replay) {
            (BaseModel::Trained(base), Some(share)) => Some(ReplayedText {
                share,
                corpora: self.prepare_corpora(recipe, base, vocabulary, jobs),
                sequence_length: base.sequence_length,
            }),
            _ => None,
        };
        TunePart {
            datasets: datasets.iter().map(|(id, _)| *id).collect(),
            shares: datasets.iter().filter_map(|(_, share)| *share).collect(),
            order: part.order,
            replay,
            length: part.length,
        }
    }

    fn finetune(
        &mut self,
        recipe: &Recipe,
        finetuning: &Finetuning,
        tuned: &NamedModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) {
        let NamedModel { model, name } = tuned;
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
