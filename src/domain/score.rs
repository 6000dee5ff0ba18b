//! Suites, scores, item outcomes, and the rows that the report reads.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::mode::Mode;

/// A family of evaluation tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// BLiMP: grammatical minimal pairs.
    Blimp,
    /// BLiMP Supplement: minimal pairs of questions and dialogue.
    BlimpSupplement,
    /// Entity tracking: what a box holds after some operations.
    EntityTracking,
    /// EWoK: basic world knowledge in context.
    Ewok,
    /// COMPS: properties of concepts, known and nonce.
    Comps,
    /// WUG: nominalisation of nonce adjectives, against people's preferences.
    WugAdj,
    /// WUG: past tense of nonce verbs, against people's preferences.
    WugPast,
    /// Reading times of words in context, eye-tracked and self-paced.
    Reading,
    /// Age of acquisition: whether words are learned in the order in which children learn them.
    Aoa,
    /// (Super)GLUE: classification after fine-tuning.
    Glue,
}

impl Suite {
    /// All suites.
    pub const ALL: [Suite; 10] = [
        Suite::Blimp,
        Suite::BlimpSupplement,
        Suite::EntityTracking,
        Suite::Ewok,
        Suite::Comps,
        Suite::WugAdj,
        Suite::WugPast,
        Suite::Reading,
        Suite::Aoa,
        Suite::Glue,
    ];

    /// The name used in specs, tables and the database.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Blimp => "blimp",
            Suite::BlimpSupplement => "blimp-supplement",
            Suite::EntityTracking => "entity-tracking",
            Suite::Ewok => "ewok",
            Suite::Comps => "comps",
            Suite::WugAdj => "wug-adj",
            Suite::WugPast => "wug-past",
            Suite::Reading => "reading",
            Suite::Aoa => "aoa",
            Suite::Glue => "glue",
        }
    }

    /// Whether a model is scored as it is, at one point of its training.
    pub fn is_zero_shot(self) -> bool {
        !matches!(self, Suite::Aoa | Suite::Glue)
    }

    /// Its folder within the official evaluation data.
    pub fn folder(self, size: Size) -> &'static str {
        match (self, size) {
            (Suite::Blimp, Size::Full) => "full_eval/blimp_filtered",
            (Suite::Blimp, Size::Fast) => "fast_eval/blimp_fast",
            (Suite::BlimpSupplement, Size::Full) => "full_eval/supplement_filtered",
            (Suite::BlimpSupplement, Size::Fast) => "fast_eval/supplement_fast",
            (Suite::EntityTracking, Size::Full) => "full_eval/entity_tracking",
            (Suite::EntityTracking, Size::Fast) => "fast_eval/entity_tracking_fast",
            (Suite::Ewok, Size::Full) => "full_eval/ewok_filtered",
            (Suite::Ewok, Size::Fast) => "fast_eval/ewok_fast",
            // Officially in the full evaluation only.
            (Suite::Comps, _) => "full_eval/comps",
            (Suite::WugAdj, Size::Full) => "full_eval/wug_adj_nominalization",
            (Suite::WugAdj, Size::Fast) => "fast_eval/wug_adj_nominalization",
            (Suite::WugPast, Size::Full) => "full_eval/wug_past_tense",
            (Suite::WugPast, Size::Fast) => "fast_eval/wug_past_tense",
            (Suite::Reading, Size::Full) => "full_eval/reading",
            (Suite::Reading, Size::Fast) => "fast_eval/reading",
            // Officially in the full evaluation only.
            (Suite::Aoa, _) => "full_eval/aoa",
            (Suite::Glue, _) => "full_eval/glue_filtered",
        }
    }

    /// What to download for its folder.
    pub fn download(self) -> &'static str {
        match self {
            Suite::Ewok => {
                "fast: ewok_fast.zip of https://osf.io/ryjfm/; full: ewok-core/ewok-core-1.0 on Hugging Face (accept \
                 its terms), filtered by `python -m evaluation_pipeline.ewok.dl_and_filter` of \
                 https://github.com/babylm/evaluation-pipeline-2025"
            }
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Comps
            | Suite::WugAdj
            | Suite::WugPast
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue => "evaluation_data of the BabyLM 2025 challenge, https://osf.io/ryjfm/",
        }
    }

    /// Bumped by hand whenever the same model and data would get another score. A new way of computing standard errors
    /// does not count: the scores stay the same, and their errors can be computed again from the items.
    pub fn version(self) -> u32 {
        match self {
            Suite::Blimp
            | Suite::BlimpSupplement
            | Suite::EntityTracking
            | Suite::Ewok
            | Suite::Comps
            | Suite::WugAdj
            | Suite::WugPast
            | Suite::Reading
            | Suite::Aoa
            | Suite::Glue => 1,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which of the official data sets of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Everything (`full_eval`).
    Full,
    /// A subset for checkpoints (`fast_eval`).
    Fast,
}

/// One number about one model: a task's official aggregate, or one of its subtasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The suite.
    pub suite: Suite,
    /// The task within it.
    pub task: String,
    /// The subtask (`UID`), or `None` for the task's official aggregate.
    pub subtask: Option<String>,
    /// `accuracy`, `spearman`, `pearson`, `partial-r2`, `f1` or `mcc`.
    pub metric: String,
    /// The value, in percent: accuracies, F1, shares of variance, and correlations times 100.
    pub value: f64,
    /// Items it rests on.
    pub n: u64,
    /// Standard error over items, in the value's unit; that of an accuracy takes items of one [`Cluster`] together.
    pub stderr: Option<f64>,
    /// What guessing gives, in the value's unit; of classes, guessing the most frequent one.
    pub chance: Option<f64>,
    /// What a trivial strategy gives (such as the shorter sentence, or the first word alone), in the value's unit.
    pub floor: Option<f64>,
    /// Items whose best candidates had exactly equal scores.
    pub ties: u64,
    /// Items whose two best candidates lie within 1e-4 nats, exact ties included.
    pub near_ties: u64,
    /// Items with a candidate whose score is not a number.
    pub nans: u64,
    /// Different classes among the predictions, where items have classes: 1 says that the input decides nothing.
    pub classes: Option<u64>,
    /// Rules.
    pub mode: Mode,
}

/// What a model did on one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemOutcome {
    /// The task.
    pub task: String,
    /// The subtask (`UID`).
    pub subtask: String,
    /// Position within the subtask, from 0, as the official predictions count; rows that the mode drops included.
    pub item: u32,
    /// Index of the chosen candidate (the lowest of a tie).
    pub chosen: u32,
    /// Whether the choice counts as right under the mode; in `fixed` mode a tie does not.
    pub correct: bool,
    /// Credit in 0..=1; differs from `correct` on ties in `fixed` mode.
    pub credit: f64,
    /// Log-probability (sum) of each candidate or class, in nats; one that is not finite is `null`.
    pub scores: Vec<Option<f64>>,
    /// The items that it shares material with; not known of items that were recorded before there were clusters.
    #[serde(default)]
    pub cluster: Cluster,
}

/// A cell of an experiment, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// Model axis.
    pub model: String,
    /// Dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// Curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// Seed axis.
    pub seed: u64,
    /// Values of further axes: `name=value` joined by `, `; empty when there are none.
    pub extra: String,
}

/// The checkpoint of a score that is about the result of a training.
pub const FINAL: &str = "final";

/// A score with the cell it belongs to, as `v_scores` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The experiment.
    pub experiment: String,
    /// The cell's label.
    pub cell: String,
    /// Model axis.
    pub model: String,
    /// Dataset axis; `None` for a cell without tuning.
    pub dataset: Option<String>,
    /// Curriculum axis; `pretrained` for a cell without tuning.
    pub curriculum: String,
    /// Seed axis.
    pub seed: u64,
    /// Values of further axes: `name=value` joined by `, `; empty when there are none.
    pub extra: String,
    /// The number.
    pub score: Score,
    /// Checkpoint scored: [`FINAL`], or the name of a [`Milestone`](super::Milestone).
    pub checkpoint: String,
    /// Seed of the fine-tuning; `None` for a score that needs none.
    pub finetune_seed: Option<u64>,
    /// Full id of the eval or finetune job.
    pub job: String,
    /// The items that it scored: their [`Origin`](super::Origin) as JSON.
    pub data: String,
}

impl ScoreRow {
    /// Whether it is about the cell's model, not about one on the way there.
    pub fn is_final(&self) -> bool {
        self.checkpoint == FINAL
    }
}

/// An item outcome with the eval or finetune job it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRow {
    /// Full id of the eval or finetune job.
    pub job: String,
    /// The suite.
    pub suite: Suite,
    /// What happened.
    pub outcome: ItemOutcome,
}
