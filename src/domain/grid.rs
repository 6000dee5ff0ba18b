//! A validated experiment: cells, each with a complete recipe. Nothing is optional here that a spec could leave out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::budget::Budget;
use super::curriculum::{LossMask, OptimizerStart, RecordOrder, Replay};
use super::digest::JobId;
use super::finetune::{FinetuneRecipe, GlueTask};
use super::generation::Generation;
use super::milestone::Milestone;
use super::mode::Mode;
use super::model::ModelConfig;
use super::seed::FinetuneSeeds;
use super::source::{Corpus, DataEntry, Dataset, ForeignModel, Source};
use super::suite::Suite;
use super::table::{NamedTable, Reference};
use super::training::{Length, Training};

/// A whole experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grid {
    /// Name, fit for a folder: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// The distinct cells, in the order of the axes.
    pub cells: Vec<Cell>,
    /// Combinations of axis values before equal ones were collapsed, `include` and `exclude` applied.
    pub combinations: usize,
    /// The most text that the model of a cell may see; `None` where nothing limits it.
    pub budget: Option<Budget>,
    /// Published numbers to be shown beside the measured ones.
    pub references: Vec<Reference>,
    /// The tables that the spec defines.
    pub tables: Vec<NamedTable>,
    /// All data that the spec names, in its order; the cells may use fewer.
    pub data: Vec<DataEntry>,
    /// The datasets among them that a model makes of text.
    pub generations: Vec<Generation>,
    /// How to run it on this machine.
    pub resources: Resources,
}

/// One condition with one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Its coordinates.
    pub key: CellKey,
    /// What to do.
    pub recipe: Recipe,
}

/// The coordinates of a cell on the axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct CellKey {
    /// Name of the model.
    pub model: String,
    /// Names of the datasets, in order, joined by `+`; `None` without tuning.
    pub dataset: Option<String>,
    /// Name of the curriculum; `pretrained` without tuning, `single` for one dataset under another built-in one.
    pub curriculum: String,
    /// Seed.
    pub seed: u64,
    /// Further axes.
    pub extra: BTreeMap<String, String>,
}

impl CellKey {
    /// One word for the cell: `tiny/chat+questions/merged/seed1`.
    pub fn label(&self) -> String {
        let mut parts = vec![self.model.clone()];
        parts.extend(self.dataset.clone());
        parts.push(self.curriculum.clone());
        parts.extend(self.extra.iter().map(|(name, value)| format!("{name}={value}")));
        parts.push(format!("seed{}", self.seed));
        parts.join("/")
    }
}

/// One stage of a curriculum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The datasets; never empty, each once.
    pub datasets: Vec<Dataset>,
    /// The weight of each of them in the mixture; empty where each gives all of its records.
    pub shares: Vec<f64>,
    /// How their records follow each other.
    pub order: RecordOrder,
    /// The share of pretraining text among them.
    pub replay: Option<Replay>,
    /// What the optimiser remembers.
    pub optimizer: OptimizerStart,
    /// Optimisation; its length is that of the first part.
    pub training: Training,
    /// The parts that follow under the same schedule (`schedule: whole`).
    pub then: Vec<StagePart>,
    /// Longest record in tokens.
    pub max_length: u32,
    /// Tokens trained on.
    pub loss: LossMask,
}

/// What a stage trains on for a while: the fields mean what those of [`Stage`] mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePart {
    /// The datasets; never empty, each once.
    pub datasets: Vec<Dataset>,
    /// The weight of each of them in the mixture; empty where each gives all of its records.
    pub shares: Vec<f64>,
    /// How their records follow each other.
    pub order: RecordOrder,
    /// The share of pretraining text among them.
    pub replay: Option<Replay>,
    /// How long.
    pub length: Length,
}

impl Stage {
    /// All parts, in order; at least one.
    pub fn parts(&self) -> Vec<StagePart> {
        let Stage { datasets, shares, order, replay, training, .. } = self.clone();
        let first = StagePart { datasets, shares, order, replay, length: training.length };
        std::iter::once(first).chain(self.then.iter().cloned()).collect()
    }

    /// All datasets of its parts, some perhaps more than once.
    pub fn all_datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.datasets.iter().chain(self.then.iter().flat_map(|part| &part.datasets))
    }
}

/// The suites to run on a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Suite.
    pub suite: Suite,
    /// The rules, as far as they concern the suite.
    pub mode: Mode,
    /// Its files: the suite's own folder, or the toy world.
    pub source: Source,
}

/// A task of the suite `glue` to fine-tune a cell's model on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finetuning {
    /// The task.
    pub task: GlueTask,
    /// Rules.
    pub mode: Mode,
    /// How.
    pub recipe: FinetuneRecipe,
    /// The rows to learn from: a file, or the toy world.
    pub train: Source,
    /// The rows to predict: a file, or the toy world.
    pub valid: Source,
    /// Seeds of the fine-tuning, a job for each.
    pub seeds: FinetuneSeeds,
}

/// How a model is trained from random weights, and on what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pretraining {
    /// Corpora the tokenizer learns from.
    pub tokenizer_corpora: Vec<Corpus>,
    /// Datasets it also learns from.
    pub tokenizer_datasets: Vec<Dataset>,
    /// The model; its `vocab_size` is that of the tokenizer.
    pub model: ModelConfig,
    /// Pretraining corpora; never empty.
    pub corpora: Vec<Corpus>,
    /// Tokens per pretraining sequence.
    pub sequence_length: u32,
    /// Optimisation.
    pub training: Training,
    /// Where copies of the model are kept, in ascending order.
    pub milestones: Vec<Milestone>,
}

/// Where a cell's model comes from, before any tuning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum BaseModel {
    /// Trained here.
    Trained(Box<Pretraining>),
    /// Trained elsewhere, with a tokenizer of its own.
    Imported(ForeignModel),
    /// The result of a job that the database knows.
    Recorded(JobId),
}

/// Everything that makes a cell's numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// The model to start from.
    pub base: BaseModel,
    /// Share held out of every corpus and dataset.
    pub held_out: f64,
    /// The curriculum; empty for the base model alone.
    pub stages: Vec<Stage>,
    /// Evaluation; may be empty.
    pub evaluations: Vec<Evaluation>,
    /// Evaluation by fine-tuning; may be empty.
    pub finetunings: Vec<Finetuning>,
    /// Evaluation of every milestone; empty for a cell with tuning.
    pub milestone_evaluations: Vec<Evaluation>,
    /// Seed of weights and data order.
    pub seed: u64,
    /// `tune.seed`: tells several tunings of one pretrained model apart; see [`super::seed::tuning_seed`].
    pub tune_seed: Option<u64>,
}

impl Recipe {
    /// All data and models that it reads, some perhaps more than once.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = vec![];
        match &self.base {
            BaseModel::Trained(base) => {
                sources.extend(base.corpora.iter().chain(&base.tokenizer_corpora).map(|corpus| corpus.source.clone()));
                sources.extend(base.tokenizer_datasets.iter().map(|dataset| dataset.source.clone()));
            }
            BaseModel::Imported(model) => sources.push(Source::Model(model.clone())),
            BaseModel::Recorded(_) => {}
        }
        let datasets = self.stages.iter().flat_map(Stage::all_datasets);
        sources.extend(datasets.map(|dataset| dataset.source.clone()));
        let evaluations = self.evaluations.iter().chain(&self.milestone_evaluations);
        sources.extend(evaluations.map(|evaluation| evaluation.source.clone()));
        let finetunings = self.finetunings.iter().flat_map(|finetuning| [&finetuning.train, &finetuning.valid]);
        sources.extend(finetunings.cloned());
        sources
    }
}

/// What jobs run on; never part of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Devices: `auto`, or a list such as `cpu`, `cuda:0`.
    pub devices: Vec<String>,
    /// Threads of each worker; `None` shares the cores among the workers.
    pub threads: Option<u32>,
    /// Workers per device; `None` is as many as there are cores per `threads` on a CPU, one on a GPU.
    pub jobs_per_device: Option<u32>,
    /// Seconds between checkpoints.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` takes the whole batch.
    pub micro_batch: Option<u32>,
    /// The cluster whose queue the jobs go to; `None` runs them on this machine.
    pub slurm: Option<Slurm>,
}

impl Resources {
    /// Whether this names one device: `cpu`, `cuda:0`, ...
    pub fn is_device(text: &str) -> bool {
        text == "cpu" || text.strip_prefix("cuda:").is_some_and(|number| number.parse::<u8>().is_ok())
    }
}

/// How jobs are submitted to Slurm, one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slurm {
    /// Jobs in Slurm's queue at a time, waiting ones included.
    pub jobs: u32,
    /// `--cpus-per-task`: cores of each job, and threads of its worker.
    pub cpus: u32,
    /// `--gres`, such as `gpu:1`: with a GPU in it the job runs on the first one that it is given, else on the CPU.
    pub gres: Option<String>,
    /// Further options of `sbatch`, such as `--partition=gpu`.
    pub options: Vec<String>,
    /// Seconds between two looks at the queue.
    pub poll_every_seconds: u64,
    /// Seconds for which a job that left the queue may still show what it did, as network filesystems are late.
    pub grace_seconds: u64,
}
