//! A plan: its jobs, the dependencies between them, and the cells that need them.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::domain::{
    CellKey, Corpus, Dataset, Job, JobId, LocatedSource, Origin, PrepareJob, Prepared, SampleJob, SourceFile,
    TeacherService, TextSize,
};

/// The role of a job in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The final model depends on it.
    Ancestor,
    /// Its result is the final model.
    Model,
    /// It scores the final model or one of its milestones.
    Eval,
}

impl Role {
    /// The name used in the database.
    pub fn name(self) -> &'static str {
        match self {
            Role::Ancestor => "ancestor",
            Role::Model => "model",
            Role::Eval => "eval",
        }
    }
}

/// A job of a plan.
#[derive(Debug, Clone)]
pub struct PlannedJob {
    /// The identity.
    pub id: JobId,
    /// The job.
    pub job: Job,
    /// The label, unique among the jobs of its kind.
    pub label: String,
    /// The label without the seed; jobs that differ only in the seed have the same one.
    pub group: String,
    /// The jobs that it waits for.
    pub parents: Vec<JobId>,
    /// The data that it reads itself, and the files of each.
    pub sources: Vec<(Origin, Vec<SourceFile>)>,
    /// The text of a prepare job, or that the prompts of a sample job are from; `None` for other jobs.
    pub text: Option<PreparedText>,
    /// The texts of a tokenizer job, in the order of the job; empty for other jobs.
    pub tokenizer_texts: Vec<PreparedText>,
    /// The service of a teach job whose teacher is behind an endpoint.
    pub teacher: Option<TeacherService>,
    /// Number of cells that need it.
    pub cells: usize,
}

impl PlannedJob {
    /// A description that does not depend on vocabulary or seed: `corpus speech`, `dataset chat`, `blimp`, `rte`.
    pub fn what(&self) -> String {
        match (&self.job, &self.text) {
            (Job::Prepare(PrepareJob { data: Prepared::Corpus(..), .. }), Some(text)) => {
                format!("corpus {}", text.name)
            }
            (Job::Prepare(_), Some(text)) => format!("dataset {}", text.name),
            (Job::Eval(eval), _) => eval.test.to_string(),
            (Job::Finetune(finetune), _) => finetune.task.to_string(),
            (job, _) => format!("{} {}", job.kind(), self.group),
        }
    }

    /// One of the sources that it reads itself, with its files.
    pub fn located(&self, origin: &Origin) -> LocatedSource {
        let files = self.sources.iter().find(|(known, _)| known == origin).map(|(_, files)| files.clone());
        LocatedSource { origin: origin.clone(), files: files.unwrap_or_default() }
    }

    /// The locations of the data that it reads itself and that was not found.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|(origin, _)| match origin {
            Origin::Missing { location } => Some(location.as_str()),
            Origin::World { .. } | Origin::Content { .. } | Origin::Output { .. } => None,
        })
    }
}

/// What the spec says about the text of a prepare job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedText {
    /// The name of the corpus or dataset.
    pub name: String,
    /// The size that the spec expects.
    pub expected: Option<TextSize>,
    /// The number of its words that no corpus contains.
    pub new_words: Option<u64>,
    /// Its language, as a code of ISO 639-3.
    pub language: Option<String>,
}

impl PreparedText {
    /// What the spec says about a corpus.
    pub(super) fn of_corpus(corpus: &Corpus) -> Self {
        let Corpus { name, expected, language, .. } = corpus;
        Self { name: name.clone(), expected: *expected, new_words: None, language: language.clone() }
    }

    /// What the spec says about a dataset.
    pub(super) fn of_dataset<S>(dataset: &Dataset<S>) -> Self {
        let Dataset { name, expected, new_words, language, .. } = dataset;
        Self { name: name.clone(), expected: *expected, new_words: *new_words, language: language.clone() }
    }
}

/// A cell of a plan, with its jobs.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    /// The axis values of the cell.
    pub key: CellKey,
    /// Every job that it needs, parents before children.
    pub jobs: Vec<(JobId, Role)>,
}

/// The DAG of an experiment.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) graph: DiGraph<PlannedJob, ()>,
    pub(super) index: HashMap<JobId, NodeIndex>,
    /// The name of the experiment.
    pub name: String,
    /// Number of combinations of axis values, before equal cells became one.
    pub combinations: usize,
    /// The cells, in the order of the grid.
    pub cells: Vec<PlannedCell>,
}

impl Plan {
    /// All jobs, parents before children.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &PlannedJob> {
        // Parents are added before their children, so the insertion order is topological.
        self.graph.node_weights().collect::<Vec<_>>().into_iter()
    }

    /// Whether another job continues with this job's optimizer, so that it must keep the optimizer state.
    pub fn is_carried(&self, id: &JobId) -> bool {
        self.jobs().any(|job| matches!(&job.job, Job::Tune(tune) if tune.parent == *id && !tune.optimizer.is_fresh()))
    }

    /// The job with this id.
    pub fn job(&self, id: &JobId) -> Option<&PlannedJob> {
        self.index.get(id).map(|node| &self.graph[*node])
    }

    /// The sample job from which this job, a sample or teach job, has its replies.
    pub fn samples(&self, id: &JobId) -> Option<(JobId, &SampleJob)> {
        match &self.job(id)?.job {
            Job::Sample(job) => Some((*id, job)),
            Job::Teach(job) => self.samples(&job.samples),
            _ => None,
        }
    }

    /// The number of jobs if cells did not share any.
    pub fn unshared(&self) -> usize {
        self.cells.iter().map(|cell| cell.jobs.len()).sum()
    }

    /// All dependencies, as `(parent, child)`.
    pub fn edges(&self) -> impl Iterator<Item = (&PlannedJob, &PlannedJob)> {
        self.graph.raw_edges().iter().map(|edge| (&self.graph[edge.source()], &self.graph[edge.target()]))
    }
}
