//! What a plan is: its jobs, the cells that need them, and who waits for whom.

use std::collections::HashMap;
use std::path::PathBuf;

use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::domain::{CellKey, Job, JobId, Origin, PrepareJob, Prepared, TextSize};

/// Which part a job plays in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The cell's final model depends on it.
    Ancestor,
    /// It makes the cell's final model.
    Model,
    /// It scores the cell's final model, or one of its milestones.
    Eval,
}

impl Role {
    /// The word used in the database.
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
    /// Identity.
    pub id: JobId,
    /// The work.
    pub job: Job,
    /// A name for people; unique within the plan.
    pub label: String,
    /// The label without the seed: equal for jobs that differ in the seed only.
    pub group: String,
    /// The jobs it waits for.
    pub parents: Vec<JobId>,
    /// Files of the data it reads itself.
    pub sources: Vec<(Origin, Vec<PathBuf>)>,
    /// What the spec says of the text, of a prepare job.
    pub text: Option<Text>,
    /// Cells that need it.
    pub cells: usize,
}

impl PlannedJob {
    /// What it is for, whichever vocabulary or seed: `corpus speech`, `dataset chat`, `blimp`, `rte`.
    pub fn what(&self) -> String {
        match (&self.job, &self.text) {
            (Job::Prepare(PrepareJob { data: Prepared::Corpus(..), .. }), Some(text)) => {
                format!("corpus {}", text.name)
            }
            (Job::Prepare(_), Some(text)) => format!("dataset {}", text.name),
            (Job::Eval(eval), _) => eval.suite.to_string(),
            (Job::Finetune(finetune), _) => finetune.task.to_string(),
            (job, _) => format!("{} {}", job.kind(), self.group),
        }
    }

    /// Locations of data that it reads and that were not found.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|(origin, _)| match origin {
            Origin::Missing { location } => Some(location.as_str()),
            Origin::World { .. } | Origin::Content { .. } => None,
        })
    }
}

/// What the spec says of the text that a prepare job reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Name of the corpus or dataset.
    pub name: String,
    /// How much there is.
    pub expected: Option<TextSize>,
    /// How many of its words are text that no corpus has.
    pub new_words: Option<u64>,
}

/// A cell of a plan, with its jobs.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    /// Coordinates.
    pub key: CellKey,
    /// Every job it needs, parents before children.
    pub jobs: Vec<(JobId, Role)>,
}

/// The DAG of an experiment.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) graph: DiGraph<PlannedJob, ()>,
    pub(super) index: HashMap<JobId, NodeIndex>,
    /// Name of the experiment.
    pub name: String,
    /// Combinations of axis values before equal cells collapsed.
    pub combinations: usize,
    /// The cells, in the order of the grid.
    pub cells: Vec<PlannedCell>,
}

impl Plan {
    /// All jobs, parents before children.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &PlannedJob> {
        // Parents are always added before children, so the order of insertion is topological.
        self.graph.node_weights().collect::<Vec<_>>().into_iter()
    }

    /// Whether a job carries on with the optimiser of this one, which must then leave its state.
    pub fn is_carried(&self, id: &JobId) -> bool {
        self.jobs().any(|job| matches!(&job.job, Job::Tune(tune) if tune.parent == *id && !tune.optimizer.is_fresh()))
    }

    /// One job.
    pub fn job(&self, id: &JobId) -> Option<&PlannedJob> {
        self.index.get(id).map(|node| &self.graph[*node])
    }

    /// Jobs that would run if no two cells shared any.
    pub fn unshared(&self) -> usize {
        self.cells.iter().map(|cell| cell.jobs.len()).sum()
    }

    /// Pairs (parent, child).
    pub fn edges(&self) -> impl Iterator<Item = (&PlannedJob, &PlannedJob)> {
        self.graph.raw_edges().iter().map(|edge| (&self.graph[edge.source()], &self.graph[edge.target()]))
    }
}
