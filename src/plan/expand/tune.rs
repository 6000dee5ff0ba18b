//! The jobs of the stages of a curriculum.

use std::collections::{BTreeMap, BTreeSet};

use super::{Builder, CellModel, TrainRef, Vocabulary};
use crate::domain::{
    BaseModel, Job, JobId, LogprobsJob, PrepareJob, Prepared, Recipe, ReplayedText, Replies, Stage, StagePart, TuneJob,
    TunePart, tuning_seed,
};
use crate::plan::names::{JobName, stage_name};
use crate::plan::planned::Role;

/// A pool that is the only dataset of a job is the default.
fn forget_own_pool(job: &mut TuneJob) {
    let datasets = job.validation_datasets();
    if let Some(shots) = &mut job.shots
        && shots.pool.is_some_and(|pool| datasets == [pool])
    {
        shots.pool = None;
    }
}

impl Builder<'_> {
    /// Adds a job for each tuning stage; returns the model after the last one, which is `base` if there are none.
    pub(super) fn tune(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        base: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> CellModel {
        let mut model = base.model;
        let mut name = JobName { tune_seed: recipe.tune_seed, ..base.name.clone() };
        let (mut path, mut datasets) = (vec![], BTreeSet::new());
        let mut student = CellModel { model, name: name.clone() };
        for (place, stage) in recipe.stages.iter().enumerate() {
            if stage.round.is_none_or(|round| round.is_first_stage()) {
                student = CellModel { model, name: name.clone() };
            }
            if stage.round.is_some_and(|round| round.number > 0 || !round.is_first_stage()) {
                path.pop(); // that of the stage before in the rounds
            }
            path.push(stage_name(stage));
            name.group = format!("{}/{}", base.name.group, path.join(">"));
            let mut job = self.tune_job(recipe, stage, vocabulary, model, &student, jobs);
            datasets.extend(job.validation_datasets());
            // The last stage is validated on the rows that all stages hold out, as a training on the union of their data
            // is. The earlier stages are not, so that other cells can share them.
            // Every round has data of its own.
            if place + 1 == recipe.stages.len() && recipe.held_out > 0.0 && stage.round.is_none() {
                let own: BTreeSet<JobId> = job.validation_datasets().into_iter().collect();
                let fits = |id: &&JobId| self.replies_of(id) == stage.objective.replies();
                job.further_validation = datasets.difference(&own).filter(fits).copied().collect();
            }
            forget_own_pool(&mut job);
            self.add_references(&mut job, &name, jobs);
            model = TrainRef(self.add(Job::Tune(job), &name, &[], Role::Ancestor, jobs));
        }
        CellModel { model, name }
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

    fn tune_job(
        &mut self,
        recipe: &Recipe,
        stage: &Stage,
        vocabulary: &Vocabulary,
        parent: TrainRef,
        student: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TuneJob {
        let replies = stage.objective.replies();
        let mut parts =
            stage.parts().into_iter().map(|part| self.tune_part(recipe, &part, replies, vocabulary, student, jobs));
        let first = parts.next().expect("a stage has a first part");
        let then = parts.collect();
        let teachers = self.teachers(recipe, &stage.teachers, jobs);
        let shots = stage.shots.as_ref().map(|shots| {
            let prepare = |pool| self.prepare_dataset(recipe, vocabulary, pool, replies, student, jobs);
            shots.with_pool(shots.pool.as_ref().map(prepare))
        });
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
            teachers,
            shots,
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
        student: &CellModel,
        jobs: &mut Vec<(JobId, Role)>,
    ) -> TunePart {
        let mut datasets: Vec<(JobId, Option<f64>)> = vec![];
        for (place, dataset) in part.datasets.iter().enumerate() {
            let prepared = self.prepare_dataset(recipe, vocabulary, dataset, replies, student, jobs);
            datasets.push((prepared, part.shares.get(place).copied()));
        }
        if part.order.is_shuffled() {
            datasets.sort_by_key(|(id, _)| *id); // the order of datasets that are shuffled together has no effect
        }
        let replay = match (&recipe.base, part.replay) {
            (BaseModel::Trained(base), Some(share)) => Some(ReplayedText {
                share,
                corpora: self.prepare_corpora(recipe, &base.corpora, vocabulary, jobs),
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
}
