//! The hyper-parameters of the models of an experiment, as a form about a submission asks for them.

use super::digest::JobId;
use super::model::ModelConfig;
use super::training::Training;

/// One stage of the training of a model. A number that is not known is `None`; those that were measured are known once
/// the stage is done.
#[derive(Debug, Clone, PartialEq)]
pub struct FormStage {
    /// The label of the cell.
    pub model: String,
    /// The kind and the name of the stage: `pretrain tiny`.
    pub stage: String,
    /// The job of the stage.
    pub job: JobId,
    /// The shape of the model.
    pub config: Option<ModelConfig>,
    /// How it is trained; `None` for an imported model.
    pub recipe: Option<FormRecipe>,
    /// Passes over the data of each part of the stage.
    pub epochs: Vec<Option<f64>>,
    /// Words read in the stage, counted again in every epoch.
    pub words: Option<u64>,
    /// Words read in all stages up to this one; unknown if the model or a stage before has read an unknown number.
    pub words_so_far: Option<u64>,
    /// Tokens read in the stage, counted again in every epoch.
    pub tokens: Option<u64>,
    /// Optimizer steps taken.
    pub steps: Option<u64>,
    /// Tokens read per second of the stage, validations and checkpoints included.
    pub tokens_per_second: Option<f64>,
    /// Floating-point operations of the stage, those of its teachers included.
    pub flops: Option<f64>,
}

/// The recipe of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct FormRecipe {
    /// What it minimizes.
    pub objective: String,
    /// Optimization.
    pub training: Training,
    /// The longest sequence in tokens.
    pub sequence_length: u32,
    /// The seed.
    pub seed: u64,
}
