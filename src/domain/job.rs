//! Jobs and their identity.
//!
//! A job *is* the key of its result: every field below changes the result. Part of the identity, and not part of it:
//!
//! | in the identity | not in it |
//! |---|---|
//! | kind, and the hand-bumped version of the job | names of the experiment, model, corpus, dataset, axis |
//! | resolved hyperparameters | paths, hosts, devices, threads, micro-batch |
//! | digests of the data, names of evaluation files (they name subtasks) | attempts, tokens, times |
//! | ids of the parent jobs (and therefore all of the above for them) | how often checkpoints are written or kept |
//! | seed | the commit of the code (recorded beside the result) |

use serde::{Deserialize, Serialize};

use super::digest::JobId;
use super::finetune::{FinetuneRecipe, GlueTask};
use super::formatting::Formatting;
use super::job_kind::JobKind;
use super::milestone::Milestone;
use super::mode::Mode;
use super::model::ModelConfig;
use super::objective::Distillation;
use super::origin::{Origin, WorldPart};
use super::suite::Suite;
use super::test_set::Test;
use super::text_format::{CorpusFormat, DatasetFormat};
use super::training::{Precision, Training};

mod sample;
mod tune;

pub use sample::{JobTeacher, Prompts, SampleJob, SelectedPieces, TeachJob};
pub use tune::{ReplayedText, TuneJob, TunePart};

/// Train a byte-level BPE tokenizer (no prefix space, no BOS) on the corpora, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerJob {
    /// The size of the vocabulary, including the 256 bytes and the special tokens.
    pub vocab_size: u32,
    /// The corpora to train on.
    pub corpora: Vec<(Origin, CorpusFormat)>,
    /// Instruction datasets to train on too, as plain text.
    pub datasets: Vec<(Origin, DatasetFormat)>,
    /// Texts that are one token each, besides the end-of-text and the padding token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special_tokens: Vec<String>,
}

/// The input of a prepare job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// A stream of documents, each followed by the end-of-text token.
    Corpus(Origin, CorpusFormat),
    /// Records, each formatted as text.
    Dataset(Origin, DatasetFormat, Formatting),
}

impl Prepared {
    /// The data.
    pub fn origin(&self) -> &Origin {
        match self {
            Prepared::Corpus(origin, _) | Prepared::Dataset(origin, _, _) => origin,
        }
    }

    /// The job that writes the data, if one does.
    fn job(&self) -> Option<JobId> {
        match self.origin() {
            Origin::Output { job } => Some(*job),
            Origin::World { .. } | Origin::Content { .. } | Origin::Missing { .. } => None,
        }
    }

    /// Whether the records form groups, such as dialogues or paragraphs, that are held out as a whole.
    pub fn is_grouped(&self) -> bool {
        match self {
            // The records of these parts are independent, whatever the format.
            Prepared::Dataset(
                Origin::World {
                    part: WorldPart::Chat | WorldPart::Questions | WorldPart::Preferences | WorldPart::Habits,
                    ..
                },
                ..,
            ) => false,
            Prepared::Dataset(_, DatasetFormat::Dialogue { .. } | DatasetFormat::Squad { .. }, _) => true,
            Prepared::Dataset(
                _,
                DatasetFormat::Detected { .. } | DatasetFormat::Rows { .. } | DatasetFormat::Records { .. },
                _,
            )
            | Prepared::Corpus(..) => false,
        }
    }
}

/// Tokenize a corpus or dataset into files of token ids, with a word ledger and a held-out part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrepareJob {
    /// The tokenizer job, or a job whose model includes a tokenizer.
    pub tokenizer: JobId,
    /// The corpus or dataset.
    pub data: Prepared,
    /// The share of documents or records held out for validation, in 0..1.
    pub held_out: f64,
    /// Whether the tokens of the records' own text are marked, which
    /// [`LossMask::Instruction`](super::LossMask::Instruction) needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_text: bool,
    /// Whether the texts of prompts and replies are kept, which [`Shots`](super::Shots) need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub texts: bool,
}

/// Train a model from random weights on packed text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainJob {
    /// The configuration of the model.
    pub model: ModelConfig,
    /// The tokenizer job; its tokenizer is saved with the model.
    pub tokenizer: JobId,
    /// Prepare jobs of the corpora; their windows are shuffled together.
    pub corpora: Vec<JobId>,
    /// Tokens per training sequence.
    pub sequence_length: u32,
    /// Optimization of the model.
    pub training: Training,
    /// The pretrain, import or tune jobs whose models are its teachers, in ascending order; `None` for next-token prediction
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation<JobId>>,
    /// The milestones at which copies of the model are kept, in ascending order.
    pub milestones: Vec<Milestone>,
    /// The seed of the initial weights and the data order.
    pub seed: u64,
}

impl PretrainJob {
    /// The jobs whose models are its teachers.
    pub fn teachers(&self) -> &[JobId] {
        self.distillation.as_ref().map_or(&[], |distillation| &distillation.teachers)
    }
}

/// Import a model that was trained elsewhere, after checking each of its files.
///
/// The folder in Hugging Face format, with weights and tokenizer, becomes the output unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportJob {
    /// The files of the model folder.
    pub folder: Origin,
}

/// Compute the log-probabilities of the replies of a dataset under a model, the reference of objectives that compare with
/// it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogprobsJob {
    /// The pretrain, import or tune job whose weights are used.
    pub model: JobId,
    /// The prepare job of the dataset.
    pub dataset: JobId,
    /// The longest record in tokens; longer ones are truncated.
    pub max_length: u32,
    /// The arithmetic of the model, that of the training.
    pub precision: Precision,
}

/// Score a model on one suite, or on a test set of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalJob {
    /// The pretrain, import or tune job whose weights are scored.
    pub model: JobId,
    /// The milestone of that job to score; `None` for its final model.
    pub milestone: Option<Milestone>,
    /// The import jobs of earlier revisions of an imported model, in ascending order: all of them for a suite that scores all
    /// milestones at once; of a milestone the job whose model is scored, which is also `model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<(Milestone, JobId)>,
    /// What it is scored on.
    #[serde(rename = "suite")]
    pub test: Test,
    /// The scoring rules, as far as they concern the suite.
    pub mode: Mode,
    /// The evaluation files.
    pub data: Origin,
    /// The files of the examples that are shown before each item, if they are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<Origin>,
}

/// Train a classifier on top of a model for one task of the suite `glue`, and score it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneJob {
    /// The pretrain or tune job whose weights it starts from.
    pub model: JobId,
    /// The task to fine-tune on.
    pub task: GlueTask,
    /// The scoring rules.
    pub mode: Mode,
    /// How to fine-tune.
    pub recipe: FinetuneRecipe,
    /// The training rows.
    pub train: Origin,
    /// The rows to predict.
    pub valid: Origin,
    /// The seed of the classifier's initial weights, the data order and the dropout.
    pub seed: u64,
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Job {
    /// Trains a tokenizer.
    Tokenizer(TokenizerJob),
    /// Tokenizes a corpus or dataset.
    Prepare(PrepareJob),
    /// Trains a model from random weights.
    Pretrain(PretrainJob),
    /// Imports a model that was trained elsewhere.
    Import(ImportJob),
    /// Computes the log-probabilities of the replies of a dataset under a model.
    Logprobs(LogprobsJob),
    /// Lets a model reply to prompts, or select them.
    Sample(SampleJob),
    /// Has the replies of a model corrected or scored.
    Teach(TeachJob),
    /// Trains a model further on instruction records.
    Tune(TuneJob),
    /// Scores a model on one suite.
    Eval(EvalJob),
    /// Fine-tunes a model on one task of the suite `glue`, and scores it.
    Finetune(FinetuneJob),
}

/// The canonical form of a job, which is hashed.
#[derive(Serialize)]
struct Canonical<'a> {
    version: u32,
    suite_version: Option<u32>,
    job: &'a Job,
}

impl Job {
    /// The kind of the job.
    pub fn kind(&self) -> JobKind {
        match self {
            Job::Tokenizer(_) => JobKind::Tokenizer,
            Job::Prepare(_) => JobKind::Prepare,
            Job::Pretrain(_) => JobKind::Pretrain,
            Job::Import(_) => JobKind::Import,
            Job::Logprobs(_) => JobKind::Logprobs,
            Job::Sample(_) => JobKind::Sample,
            Job::Teach(_) => JobKind::Teach,
            Job::Tune(_) => JobKind::Tune,
            Job::Eval(_) => JobKind::Eval,
            Job::Finetune(_) => JobKind::Finetune,
        }
    }

    /// Incremented by hand when the same inputs would give another result, and only for the jobs concerned: a new version
    /// is a new identity, so these jobs are computed again.
    ///
    /// | job | version | change |
    /// |---|---|---|
    /// | prepare, of a dataset | 3 | prompt and reply are tokenized as one text; before, 2 if dialogues or paragraphs are held out as a whole |
    /// | tune, with replayed text | 2 | its share refers to tokens that receive loss, no longer to rows |
    /// | all others | 1 | |
    pub fn version(&self) -> u32 {
        match self {
            Job::Prepare(PrepareJob { data: Prepared::Dataset(..), .. }) => 3,
            Job::Tune(job) if job.parts().iter().any(|part| part.replay.is_some()) => 2,
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Tune(_)
            | Job::Eval(_)
            | Job::Finetune(_) => 1,
        }
    }

    /// The canonical form that is hashed: JSON with fields in declared order.
    pub fn canonical(&self) -> String {
        let suite_version = match self {
            Job::Eval(eval) => Some(eval.test.suite().version()),
            Job::Finetune(_) => Some(Suite::Glue.version()),
            _ => None,
        };
        let canonical = Canonical { version: self.version(), suite_version, job: self };
        serde_json::to_string(&canonical).expect("a job has string keys and finite numbers only")
    }

    /// The id of the job.
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical())
    }

    /// The jobs whose results this job needs, in a fixed order and without duplicates.
    pub fn parents(&self) -> Vec<JobId> {
        let mut parents = match self {
            Job::Tokenizer(_) | Job::Import(_) => vec![],
            Job::Prepare(job) => std::iter::once(job.tokenizer).chain(job.data.job()).collect(),
            Job::Pretrain(job) => [&[job.tokenizer], &job.corpora[..], job.teachers()].concat(),
            Job::Logprobs(job) => vec![job.model, job.dataset],
            Job::Sample(job) => std::iter::once(job.model).chain(job.prompts.jobs()).collect(),
            Job::Teach(job) => std::iter::once(job.samples).chain(job.teacher.parents()).collect(),
            Job::Tune(job) => {
                let read = job.parts().into_iter().flat_map(|part| part.reads());
                let validated = job.further_validation.iter().copied();
                let references = job.references.values().copied();
                let teachers = job.teachers.iter().copied();
                let all = std::iter::once(job.parent).chain(read).chain(validated).chain(references).chain(teachers);
                all.chain(job.pool()).collect()
            }
            Job::Eval(job) => {
                let revisions = job.revisions.iter().map(|(_, revision)| *revision);
                std::iter::once(job.model).chain(revisions.filter(|revision| *revision != job.model)).collect()
            }
            Job::Finetune(job) => vec![job.model],
        };
        let mut seen = std::collections::HashSet::new();
        parents.retain(|id| seen.insert(*id));
        parents
    }

    /// The jobs whose models it learns from.
    pub fn teachers(&self) -> &[JobId] {
        match self {
            Job::Pretrain(job) => job.teachers(),
            Job::Tune(job) => &job.teachers,
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Eval(_)
            | Job::Finetune(_) => &[],
        }
    }

    /// Rows per optimizer step of a training job. A worker with little memory may split them into micro-batches.
    pub fn batch_size(&self) -> Option<u32> {
        match self {
            Job::Pretrain(job) => Some(job.training.batch_size),
            Job::Tune(job) => Some(job.training.batch_size),
            Job::Finetune(job) => job.recipe.selection.candidates().iter().map(|one| one.batch_size).max(),
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Eval(_) => None,
        }
    }

    /// The data that the job reads directly, not through its parents.
    pub fn origins(&self) -> Vec<&Origin> {
        match self {
            Job::Tokenizer(job) => job
                .corpora
                .iter()
                .map(|(origin, _)| origin)
                .chain(job.datasets.iter().map(|(origin, _)| origin))
                .collect(),
            Job::Prepare(job) => vec![job.data.origin()],
            Job::Import(job) => vec![&job.folder],
            Job::Eval(job) => std::iter::once(&job.data).chain(&job.examples).collect(),
            Job::Finetune(job) => vec![&job.train, &job.valid],
            Job::Sample(job) => match &job.prompts {
                Prompts::Records { data, .. } => vec![data],
                Prompts::Pieces { .. } => vec![],
                Prompts::Selected(selected) => vec![&selected.corpus, &selected.against],
            },
            Job::Pretrain(_) | Job::Logprobs(_) | Job::Teach(_) | Job::Tune(_) => vec![],
        }
    }
}

#[cfg(test)]
mod tests;
