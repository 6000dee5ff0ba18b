//! A validated experiment: cells, each with a complete recipe. All defaults of the spec are filled in.

use std::collections::BTreeMap;

use serde::Serialize;

use super::base_model::{BaseModel, NamedModel};
use super::budget::Budget;
use super::curriculum::{LossMask, OptimizerStart, RecordOrder, Replay, Shots};
use super::finetune::{FinetuneRecipe, GlueTask};
use super::generation::Generation;
use super::interaction::{DatasetSource, StageDataset};
use super::mode::Mode;
use super::objective::TuneObjective;
use super::resources::Resources;
use super::seed::FinetuneSeeds;
use super::source::{DataEntry, Dataset, Source};
use super::suite::Suite;
use super::table::{NamedTable, Reference};
use super::test_set::Test;
use super::training::{Length, Training};

/// An experiment: everything that a spec describes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grid {
    /// The name, which is also that of a folder: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The distinct cells, in the order of the axes.
    pub cells: Vec<Cell>,
    /// The number of combinations of axis values, after `include` and `exclude` and before equal cells were merged.
    pub combinations: usize,
    /// The most text that the model of a cell may see; `None` for no limit.
    pub budget: Option<Budget>,
    /// Published scores to show beside the measured ones.
    pub references: Vec<Reference>,
    /// The tables that the spec defines.
    pub tables: Vec<NamedTable>,
    /// All data that the spec defines, in order; cells may use only some of it.
    pub data: Vec<DataEntry>,
    /// All datasets that the spec defines, in order; cells may be trained on only some of them.
    pub datasets: Vec<Dataset>,
    /// The datasets that a model generates from text.
    pub generations: Vec<Generation>,
    /// How to run the jobs.
    pub resources: Resources,
}

/// One condition with one seed: a cell of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The coordinates of the cell.
    pub key: CellKey,
    /// What to train and evaluate.
    pub recipe: Recipe,
}

/// The coordinates of a cell on the axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct CellKey {
    /// The name of the model.
    pub model: String,
    /// The names of the datasets, in order, joined by `+`; `None` without tuning.
    pub dataset: Option<String>,
    /// The name of the curriculum: `pretrained` without tuning; `single` for one dataset, if the curriculum is built in.
    pub curriculum: String,
    /// The seed of the cell.
    pub seed: u64,
    /// The values of further axes, by name.
    pub extra: BTreeMap<String, String>,
}

impl CellKey {
    /// The label of the cell: `tiny/chat+questions/merged/seed1`.
    pub fn label(&self) -> String {
        let mut parts = vec![self.model.clone()];
        parts.extend(self.dataset.clone());
        parts.push(self.curriculum.clone());
        parts.extend(self.extra.iter().map(|(name, value)| format!("{name}={value}")));
        parts.push(format!("seed{}", self.seed));
        parts.join("/")
    }
}

/// The place of a stage in a curriculum with rounds. At the start of a round, the current model replies to prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Round {
    /// The number of the round, from 0.
    pub number: u32,
    /// The place of the stage within the round, from 0.
    pub stage: u32,
    /// The number of stages of a round.
    pub stages: u32,
}

impl Round {
    /// Whether the round starts with the stage.
    pub fn is_first_stage(self) -> bool {
        self.stage == 0
    }
}

/// One stage of a curriculum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The round of the curriculum that it belongs to, if the curriculum has rounds.
    pub round: Option<Round>,
    /// The datasets; never empty, without duplicates.
    pub datasets: Vec<StageDataset>,
    /// The weight of each dataset in the mixture; empty if each contributes all of its records.
    pub shares: Vec<f64>,
    /// The order of their records.
    pub order: RecordOrder,
    /// The share of pretraining text mixed into them.
    pub replay: Option<Replay>,
    /// The optimizer state that the stage starts with.
    pub optimizer: OptimizerStart,
    /// Optimization; `training.length` is that of the first part.
    pub training: Training,
    /// Further parts under the same schedule (`schedule: whole`).
    pub then: Vec<StagePart>,
    /// The longest record in tokens; longer ones are truncated.
    pub max_length: u32,
    /// What the stage minimizes.
    pub objective: TuneObjective,
    /// The teachers of a distillation; empty for other objectives.
    pub teachers: Vec<NamedModel>,
    /// Demonstrations before each record.
    pub shots: Option<Shots<StageDataset>>,
    /// The tokens that receive loss.
    pub loss: LossMask,
}

/// A part of a stage; the fields have the same meaning as those of [`Stage`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePart {
    /// The datasets; never empty, without duplicates.
    pub datasets: Vec<StageDataset>,
    /// The weight of each dataset in the mixture; empty if each contributes all of its records.
    pub shares: Vec<f64>,
    /// The order of their records.
    pub order: RecordOrder,
    /// The share of pretraining text mixed into them.
    pub replay: Option<Replay>,
    /// The length of the part.
    pub length: Length,
}

impl Stage {
    /// All parts, in order; at least one.
    pub fn parts(&self) -> Vec<StagePart> {
        let Stage { datasets, shares, order, replay, training, .. } = self.clone();
        let first = StagePart { datasets, shares, order, replay, length: training.length };
        std::iter::once(first).chain(self.then.iter().cloned()).collect()
    }

    /// The models of the spec that it needs: teachers, and those that make its data.
    pub fn further_models(&self) -> impl Iterator<Item = &NamedModel> {
        let of_data = self.all_datasets().filter_map(|dataset| match &dataset.source {
            DatasetSource::Data(_) => None,
            DatasetSource::Sampled(sampled) => Some(sampled.models()),
        });
        self.teachers.iter().chain(of_data.flatten())
    }

    /// The datasets of all parts, and that which demonstrations are drawn from, possibly with duplicates.
    pub fn all_datasets(&self) -> impl Iterator<Item = &StageDataset> {
        let pool = self.shots.iter().flat_map(|shots| &shots.pool);
        self.datasets.iter().chain(self.then.iter().flat_map(|part| &part.datasets)).chain(pool)
    }

    /// The same, to be changed.
    pub fn all_datasets_mut(&mut self) -> impl Iterator<Item = &mut StageDataset> {
        let pool = self.shots.iter_mut().flat_map(|shots| &mut shots.pool);
        self.datasets.iter_mut().chain(self.then.iter_mut().flat_map(|part| &mut part.datasets)).chain(pool)
    }
}

/// A suite to run on a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// What to evaluate on.
    pub test: Test,
    /// The scoring rules, as far as they concern the suite.
    pub mode: Mode,
    /// The evaluation files: the folder of the suite, the files of a test set, or the toy world.
    pub source: Source,
    /// The files of the examples that are shown before each item, if they are others.
    pub examples: Option<Source>,
}

/// A task of the suite `glue` to fine-tune a cell's model on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finetuning {
    /// The task to fine-tune on.
    pub task: GlueTask,
    /// The scoring rules.
    pub mode: Mode,
    /// How to fine-tune.
    pub recipe: FinetuneRecipe,
    /// The training rows: a file, or the toy world.
    pub train: Source,
    /// The rows to predict: a file, or the toy world.
    pub valid: Source,
    /// The seeds of the fine-tuning; there is one job for each.
    pub seeds: FinetuneSeeds,
}

/// Everything that determines the scores of a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// The model before tuning.
    pub base: BaseModel,
    /// The share of every corpus and dataset that is held out for validation.
    pub held_out: f64,
    /// The stages of the curriculum; empty for the base model alone.
    pub stages: Vec<Stage>,
    /// The suites to evaluate; may be empty.
    pub evaluations: Vec<Evaluation>,
    /// The tasks to fine-tune on; may be empty.
    pub finetunings: Vec<Finetuning>,
    /// The suites to evaluate at every milestone; empty for a cell with tuning.
    pub milestone_evaluations: Vec<Evaluation>,
    /// The seed of initial weights and data order.
    pub seed: u64,
    /// `tune.seed`, which distinguishes several tunings of one pretrained model; see [`super::seed::tuning_seed`].
    pub tune_seed: Option<u64>,
}

impl Recipe {
    /// Whether a stage needs to know which tokens are the records' own text. The data of all stages are then marked,
    /// because the last stage is validated on all of them.
    pub fn needs_own_text(&self) -> bool {
        self.stages.iter().any(|stage| stage.loss == LossMask::Instruction)
    }

    /// Whether a stage has demonstrations. The texts of all datasets are then kept, for the same reason.
    pub fn needs_texts(&self) -> bool {
        self.stages.iter().any(|stage| stage.shots.is_some())
    }

    /// The models beside its own that the cell needs, possibly with duplicates.
    pub fn further_models(&self) -> impl Iterator<Item = &NamedModel> {
        let of_stages = self.stages.iter().flat_map(Stage::further_models);
        let own = self.base.teachers().iter().chain(of_stages);
        own.flat_map(|model| std::iter::once(model).chain(model.base.teachers()))
    }

    /// Whether earlier revisions of the base model are scored: at every milestone, or for the age of acquisition.
    pub fn scores_revisions(&self) -> bool {
        !self.milestone_evaluations.is_empty()
            || self.evaluations.iter().any(|evaluation| evaluation.test.suite() == Suite::Aoa)
    }

    /// All data and models that the cell reads, possibly with duplicates.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources = self.base.sources();
        if self.scores_revisions() {
            sources.extend(self.base.revisions().iter().map(|(_, model)| Source::Model(model.clone())));
        }
        sources.extend(self.stages.iter().flat_map(Stage::further_models).flat_map(|model| model.base.sources()));
        let datasets = self.stages.iter().flat_map(Stage::all_datasets);
        for dataset in datasets {
            match &dataset.source {
                DatasetSource::Data(source) => sources.push(source.clone()),
                DatasetSource::Sampled(sampled) => sources.extend(sampled.sources().into_iter().cloned()),
            }
        }
        let evaluations = self.evaluations.iter().chain(&self.milestone_evaluations);
        let examples = evaluations.clone().filter_map(|evaluation| evaluation.examples.clone());
        sources.extend(examples);
        sources.extend(evaluations.map(|evaluation| evaluation.source.clone()));
        let finetunings = self.finetunings.iter().flat_map(|finetuning| [&finetuning.train, &finetuning.valid]);
        sources.extend(finetunings.cloned());
        sources
    }
}
