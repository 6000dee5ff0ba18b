//! Jobs and their identity.
//!
//! A job *is* the key of its result: every field below changes what comes out. What is in, and what is not:
//!
//! | in the identity | not in it |
//! |---|---|
//! | kind, and the hand-bumped version of the job | names of the experiment, model, corpus, dataset, axis |
//! | resolved hyperparameters | paths, hosts, devices, threads, micro-batch |
//! | digests of the data, names of evaluation files (they name subtasks) | attempts, tokens, times |
//! | ids of the parent jobs (and so, all the above of theirs) | how often checkpoints are written or kept |
//! | seed | the commit of the code (recorded beside the result) |

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::curriculum::{Loss, Order, Replay, Start};
use super::digest::JobId;
use super::finetune::{FinetuneRecipe, GlueTask};
use super::milestone::Milestone;
use super::mode::Mode;
use super::model::ModelConfig;
use super::score::Suite;
use super::text::{CorpusFormat, DatasetFormat, Origin, Template, WorldPart};
use super::training::{Length, Training};

/// Train a byte-level BPE tokenizer (no prefix space, no BOS) on the corpora, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerJob {
    /// Entries, the 256 bytes and the special tokens included.
    pub vocab_size: u32,
    /// The texts.
    pub corpora: Vec<(Origin, CorpusFormat)>,
    /// Instruction data that the tokenizer also sees, as plain text.
    pub datasets: Vec<(Origin, DatasetFormat)>,
}

/// What a prepare job turns into token files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// A stream of documents, each followed by the end-of-text token.
    Corpus(Origin, CorpusFormat),
    /// Prompt/reply records, each laid out by the template and followed by the end-of-text token.
    Dataset(Origin, DatasetFormat, Template),
}

impl Prepared {
    /// Whether its records belong together in groups of several, dialogues or paragraphs, that are held out whole.
    pub fn is_grouped(&self) -> bool {
        match self {
            // The records of these parts stand alone, whatever the format.
            Prepared::Dataset(Origin::World { part: WorldPart::Chat | WorldPart::Questions, .. }, ..) => false,
            Prepared::Dataset(_, DatasetFormat::Dialogue { .. } | DatasetFormat::Squad { .. }, _) => true,
            Prepared::Dataset(_, DatasetFormat::Records { .. }, _) | Prepared::Corpus(..) => false,
        }
    }
}

/// Tokenize a corpus or dataset into memory-mapped files, with a word ledger and a held-out part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrepareJob {
    /// The tokenizer job, or a job whose model brings its tokenizer.
    pub tokenizer: JobId,
    /// The text.
    pub data: Prepared,
    /// Share of the documents or records held out for validation, in 0..1.
    pub held_out: f64,
}

/// Train a model from random weights on packed text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainJob {
    /// The model.
    pub model: ModelConfig,
    /// The tokenizer job, whose tokenizer travels with the model.
    pub tokenizer: JobId,
    /// Prepare jobs of the corpora; their windows are shuffled together.
    pub corpora: Vec<JobId>,
    /// Tokens per training sequence.
    pub sequence_length: u32,
    /// Optimisation.
    pub training: Training,
    /// Where copies of the model are kept on the way, in ascending order.
    pub milestones: Vec<Milestone>,
    /// Seed of the initial weights and the data order.
    pub seed: u64,
}

/// Take over a model that was trained elsewhere, after a look at every file of it.
///
/// Its folder in Hugging Face's form, weights and tokenizer, becomes the output as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportJob {
    /// The files of the folder.
    pub folder: Origin,
}

/// Train a model further on instruction records: one stage of a curriculum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneJob {
    /// The pretrain, import or tune job whose weights it starts from.
    pub parent: JobId,
    /// Prepare jobs of the datasets; sorted where their order means nothing.
    pub datasets: Vec<JobId>,
    /// The weight of each of them in the mixture; empty where each gives all of its records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// How their records follow each other.
    #[serde(default, skip_serializing_if = "Order::is_shuffled")]
    pub order: Order,
    /// Pretraining text among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayedText>,
    /// Longer records lose the tokens beyond it.
    pub max_length: u32,
    /// Tokens trained on.
    pub loss: Loss,
    /// Optimisation; a schedule of its own. Its length is that of the first part.
    pub training: Training,
    /// The parts that follow under the same schedule, with the same state of the optimiser; most trainings have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<TunePart>,
    /// Further prepare jobs on whose held-out parts the loss is measured, sorted: those of the earlier stages, where
    /// this is the last stage of a curriculum over several datasets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_validation: Vec<JobId>,
    /// What the optimiser remembers.
    #[serde(default, skip_serializing_if = "Start::is_fresh")]
    pub optimizer: Start,
    /// Seed of the data order, of each part the same.
    pub seed: u64,
}

/// What a tuning trains on for a while: the fields mean what those of [`TuneJob`] mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunePart {
    /// Prepare jobs of the datasets; sorted where their order means nothing.
    pub datasets: Vec<JobId>,
    /// The weight of each of them in the mixture; empty where each gives all of its records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// How their records follow each other.
    #[serde(default, skip_serializing_if = "Order::is_shuffled")]
    pub order: Order,
    /// Pretraining text among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayedText>,
    /// How long. A batch never holds rows of two parts.
    pub length: Length,
}

/// Pretraining text in a tune job: packed windows, predicted whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayedText {
    /// Its share of the tokens that receive loss.
    pub share: Replay,
    /// Prepare jobs of the corpora; their windows are shuffled together.
    pub corpora: Vec<JobId>,
    /// Tokens per window.
    pub sequence_length: u32,
}

impl TuneJob {
    /// All parts, in order; at least one.
    pub fn parts(&self) -> Vec<TunePart> {
        let first = TunePart {
            datasets: self.datasets.clone(),
            shares: self.shares.clone(),
            order: self.order,
            replay: self.replay.clone(),
            length: self.training.length,
        };
        std::iter::once(first).chain(self.then.iter().cloned()).collect()
    }

    /// The prepare jobs on whose held-out parts the loss is measured: the datasets in their order, or where there are
    /// more than those of one part, all of them sorted and each once. A shuffled union of the same datasets is sorted
    /// too, so that both look at the same rows.
    pub fn validation_datasets(&self) -> Vec<JobId> {
        if self.then.is_empty() && self.further_validation.is_empty() {
            return self.datasets.clone();
        }
        let datasets = self.parts().into_iter().flat_map(|part| part.datasets);
        let datasets: BTreeSet<JobId> = datasets.chain(self.further_validation.iter().copied()).collect();
        datasets.into_iter().collect()
    }
}

impl TunePart {
    /// The prepare jobs that it reads: datasets, then replayed corpora.
    pub fn reads(&self) -> Vec<JobId> {
        let replayed = self.replay.as_ref().map_or(&[][..], |replay| &replay.corpora);
        [&self.datasets[..], replayed].concat()
    }
}

/// Score a model on one suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalJob {
    /// The pretrain, import or tune job whose weights are scored.
    pub model: JobId,
    /// The milestone of that job whose weights they are; `None` for its result.
    pub milestone: Option<Milestone>,
    /// The suite.
    pub suite: Suite,
    /// The rules, as far as they concern the suite.
    pub mode: Mode,
    /// The evaluation files.
    pub data: Origin,
}

/// Train a classifier on top of a model for one task of the suite `glue`, and score it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneJob {
    /// The pretrain or tune job whose weights it starts from.
    pub model: JobId,
    /// The task.
    pub task: GlueTask,
    /// The rules that its scores go by.
    pub mode: Mode,
    /// How.
    pub recipe: FinetuneRecipe,
    /// The rows to learn from.
    pub train: Origin,
    /// The rows to predict.
    pub valid: Origin,
    /// Seed of the classifier's initial weights, the data order and the dropout.
    pub seed: u64,
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Job {
    /// See [`TokenizerJob`].
    Tokenizer(TokenizerJob),
    /// See [`PrepareJob`].
    Prepare(PrepareJob),
    /// See [`PretrainJob`].
    Pretrain(PretrainJob),
    /// See [`ImportJob`].
    Import(ImportJob),
    /// See [`TuneJob`].
    Tune(TuneJob),
    /// See [`EvalJob`].
    Eval(EvalJob),
    /// See [`FinetuneJob`].
    Finetune(FinetuneJob),
}

/// The kinds of job, in the order in which a cell goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// See [`TokenizerJob`].
    Tokenizer,
    /// See [`PrepareJob`].
    Prepare,
    /// See [`PretrainJob`].
    Pretrain,
    /// See [`ImportJob`].
    Import,
    /// See [`TuneJob`].
    Tune,
    /// See [`EvalJob`].
    Eval,
    /// See [`FinetuneJob`].
    Finetune,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Kind; 7] =
        [Kind::Tokenizer, Kind::Prepare, Kind::Pretrain, Kind::Import, Kind::Tune, Kind::Eval, Kind::Finetune];

    /// The word used in tables, folder names and the database.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tokenizer => "tokenizer",
            Kind::Prepare => "prepare",
            Kind::Pretrain => "pretrain",
            Kind::Import => "import",
            Kind::Tune => "tune",
            Kind::Eval => "eval",
            Kind::Finetune => "finetune",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is hashed: the job between its versions.
#[derive(Serialize)]
struct Canonical<'a> {
    version: u32,
    suite_version: Option<u32>,
    job: &'a Job,
}

impl Job {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Job::Tokenizer(_) => Kind::Tokenizer,
            Job::Prepare(_) => Kind::Prepare,
            Job::Pretrain(_) => Kind::Pretrain,
            Job::Import(_) => Kind::Import,
            Job::Tune(_) => Kind::Tune,
            Job::Eval(_) => Kind::Eval,
            Job::Finetune(_) => Kind::Finetune,
        }
    }

    /// Bumped by hand whenever the same inputs would give another result, for the jobs whose result that is and for no
    /// others: a changed version is a new identity, and what has it is computed anew.
    ///
    /// | job | version | since then |
    /// |---|---|---|
    /// | prepare, of dialogues and paragraphs, with a held-out part | 2 | they are held out whole |
    /// | tune, with replayed text | 2 | its share is one of tokens that receive loss, no longer one of rows |
    /// | every other | 1 | |
    pub fn version(&self) -> u32 {
        match self {
            Job::Prepare(job) if job.held_out > 0.0 && job.data.is_grouped() => 2,
            Job::Tune(job) if job.parts().iter().any(|part| part.replay.is_some()) => 2,
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Tune(_)
            | Job::Eval(_)
            | Job::Finetune(_) => 1,
        }
    }

    /// The canonical form that is hashed: JSON with fields in declared order.
    pub fn canonical(&self) -> String {
        let suite_version = match self {
            Job::Eval(eval) => Some(eval.suite.version()),
            Job::Finetune(_) => Some(Suite::Glue.version()),
            _ => None,
        };
        let canonical = Canonical { version: self.version(), suite_version, job: self };
        serde_json::to_string(&canonical).expect("a job has string keys and finite numbers only")
    }

    /// The identity.
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical())
    }

    /// The jobs whose results this one needs, in a fixed order, each once.
    pub fn parents(&self) -> Vec<JobId> {
        let mut parents = match self {
            Job::Tokenizer(_) | Job::Import(_) => vec![],
            Job::Prepare(job) => vec![job.tokenizer],
            Job::Pretrain(job) => [&[job.tokenizer], &job.corpora[..]].concat(),
            Job::Tune(job) => {
                let read = job.parts().into_iter().flat_map(|part| part.reads());
                let validated = job.further_validation.iter().copied();
                std::iter::once(job.parent).chain(read).chain(validated).collect()
            }
            Job::Eval(job) => vec![job.model],
            Job::Finetune(job) => vec![job.model],
        };
        let mut seen = std::collections::HashSet::new();
        parents.retain(|id| seen.insert(*id));
        parents
    }

    /// Rows per optimiser step of a training job, which a worker short of memory may take in several parts.
    pub fn batch_size(&self) -> Option<u32> {
        match self {
            Job::Pretrain(job) => Some(job.training.batch_size),
            Job::Tune(job) => Some(job.training.batch_size),
            Job::Finetune(job) => job.recipe.selection.candidates().iter().map(|one| one.batch_size).max(),
            Job::Tokenizer(_) | Job::Prepare(_) | Job::Import(_) | Job::Eval(_) => None,
        }
    }

    /// The data that the job itself reads (not through its parents).
    pub fn origins(&self) -> Vec<&Origin> {
        match self {
            Job::Tokenizer(job) => job
                .corpora
                .iter()
                .map(|(origin, _)| origin)
                .chain(job.datasets.iter().map(|(origin, _)| origin))
                .collect(),
            Job::Prepare(job) => match &job.data {
                Prepared::Corpus(origin, _) | Prepared::Dataset(origin, _, _) => vec![origin],
            },
            Job::Import(job) => vec![&job.folder],
            Job::Eval(job) => vec![&job.data],
            Job::Finetune(job) => vec![&job.train, &job.valid],
            Job::Pretrain(_) | Job::Tune(_) => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::super::finetune::{Pooling, Selection};
    use super::super::training::{Length, Precision, Schedule, Warmup};
    use super::*;

    fn tokenizer(vocab_size: u32) -> Job {
        let corpora = vec![(Origin::World { part: WorldPart::Speech, seed: 1, size: 1000 }, CorpusFormat::default())];
        Job::Tokenizer(TokenizerJob { vocab_size, corpora, datasets: vec![] })
    }

    #[test]
    fn the_id_changes_with_what_changes_the_result() {
        assert_eq!(tokenizer(512).id(), tokenizer(512).id());
        assert_ne!(tokenizer(512).id(), tokenizer(513).id());
    }

    /// A changed id makes every user recompute everything: change this line only together with a version.
    #[test]
    fn the_id_is_stable_across_releases() {
        assert_eq!(
            tokenizer(512).canonical(),
            r#"{"version":1,"suite_version":null,"job":{"kind":"tokenizer","vocab_size":512,"corpora":[[{"from":"world","part":"speech","seed":1,"size":1000},{"documents":"blank_line","min_words":0}]],"datasets":[]}}"#
        );
    }

    fn prepare(format: DatasetFormat, held_out: f64) -> PrepareJob {
        let origin = Origin::World { part: WorldPart::Chat, seed: 1, size: 50 };
        let data = Prepared::Dataset(origin, format, Template::separated("\n"));
        PrepareJob { tokenizer: tokenizer(512).id(), data, held_out }
    }

    fn tune() -> TuneJob {
        let training = Training {
            length: Length::Epochs(2),
            batch_size: 8,
            learning_rate: 2e-5,
            schedule: Schedule::Cosine,
            warmup: Warmup::Fraction(0.05),
            min_learning_rate_ratio: 0.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: Some(1.0),
            label_smoothing: 0.0,
            precision: Precision::F32,
            validation: None,
        };
        TuneJob {
            parent: JobId::of("parent"),
            datasets: vec![JobId::of("chat")],
            shares: vec![],
            order: Order::Shuffled,
            replay: None,
            max_length: 128,
            loss: Loss::Reply,
            training,
            then: vec![],
            further_validation: vec![],
            optimizer: Start::Fresh,
            seed: 1,
        }
    }

    fn finetune() -> FinetuneJob {
        let origin = Origin::World { part: WorldPart::Evaluation, seed: 1, size: 50 };
        let recipe = FinetuneRecipe {
            pooling: Pooling::Last,
            selection: Selection::HeldOut(vec![GlueTask::Rte.official()]),
            max_length: 512,
            gradient_scale: 1,
            precision: Precision::F32,
            keep: false,
        };
        FinetuneJob {
            model: JobId::of("model"),
            task: GlueTask::Rte,
            mode: Mode::FIXED,
            recipe,
            train: origin.clone(),
            valid: origin,
            seed: 1,
        }
    }

    /// As [`the_id_is_stable_across_releases`].
    #[test]
    fn plain_jobs_keep_their_ids() {
        insta::assert_snapshot!(Job::Prepare(prepare(DatasetFormat::json("q", "a"), 0.1)).canonical(), @r#"{"version":1,"suite_version":null,"job":{"kind":"prepare","tokenizer":"7c1828f126800a8e57f73e8f9f248a17","data":{"dataset":[{"from":"world","part":"chat","seed":1,"size":50},{"format":"records","prompt":"q","reply":"a"},"{prompt}\n{reply}"]},"held_out":0.1}}"#);
        insta::assert_snapshot!(Job::Tune(tune()).canonical(), @r#"{"version":1,"suite_version":null,"job":{"kind":"tune","parent":"ebdea6058df2230dc25b7a7c7b487b47","datasets":["504c1dbb87fc1cd93594bd6baad1b520"],"max_length":128,"loss":"reply","training":{"length":{"epochs":2},"batch_size":8,"learning_rate":0.00002,"schedule":"cosine","warmup":{"fraction":0.05},"min_learning_rate_ratio":0.0,"betas":[0.9,0.999],"epsilon":1e-8,"weight_decay":0.0,"clip_norm":1.0,"label_smoothing":0.0,"precision":"f32","validation":null},"seed":1}}"#);
        insta::assert_snapshot!(Job::Finetune(finetune()).canonical(), @r#"{"version":1,"suite_version":1,"job":{"kind":"finetune","model":"ccca53791b024d98ee5d8c126d923e16","task":"rte","mode":"fixed","recipe":{"pooling":"last","selection":{"held_out":[{"learning_rate":0.00003,"batch_size":32,"epochs":10}]},"max_length":512,"gradient_scale":1,"precision":"f32"},"train":{"from":"world","part":"evaluation","seed":1,"size":50},"valid":{"from":"world","part":"evaluation","seed":1,"size":50},"seed":1}}"#);
        let share = Replay::new(0.25).unwrap();
        let replay = ReplayedText { share, corpora: vec![JobId::of("speech")], sequence_length: 64 };
        let replayed = TuneJob { replay: Some(replay), ..tune() };
        // Version 1 measured the share in rows.
        insta::assert_snapshot!(Job::Tune(replayed).canonical(), @r#"{"version":2,"suite_version":null,"job":{"kind":"tune","parent":"ebdea6058df2230dc25b7a7c7b487b47","datasets":["504c1dbb87fc1cd93594bd6baad1b520"],"replay":{"share":0.25,"corpora":["bbef90dfda3f42df1f4c689f5eea2ad9"],"sequence_length":64},"max_length":128,"loss":"reply","training":{"length":{"epochs":2},"batch_size":8,"learning_rate":0.00002,"schedule":"cosine","warmup":{"fraction":0.05},"min_learning_rate_ratio":0.0,"betas":[0.9,0.999],"epsilon":1e-8,"weight_decay":0.0,"clip_norm":1.0,"label_smoothing":0.0,"precision":"f32","validation":null},"seed":1}}"#);
    }

    /// Data of a file, whose records may belong together.
    fn prepare_file(format: DatasetFormat, held_out: f64) -> Job {
        let origin = Origin::Content { digest: Digest::of(b"text") };
        let data = Prepared::Dataset(origin, format, Template::separated("\n"));
        Job::Prepare(PrepareJob { data, ..prepare(DatasetFormat::json("q", "a"), held_out) })
    }

    #[test]
    fn only_jobs_with_another_result_have_another_version() {
        let (talk, squad) = (DatasetFormat::dialogue(3), DatasetFormat::Squad { with_context: true });
        let changed = [prepare_file(talk.clone(), 0.1), prepare_file(squad.clone(), 0.1)];
        assert!(changed.iter().all(|job| job.canonical().starts_with(r#"{"version":2,"#)));
        let same = [
            prepare_file(talk.clone(), 0.0),
            prepare_file(squad, 0.0),
            prepare_file(DatasetFormat::json("q", "a"), 0.1),
            Job::Prepare(prepare(talk, 0.1)),
        ];
        assert!(same.iter().all(|job| job.canonical().starts_with(r#"{"version":1,"#)));
    }

    #[test]
    fn a_job_survives_its_own_json() {
        let job = tokenizer(512);
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
    }
}
