//! The shared vocabulary: ids, jobs, model configurations, events, scores. Plain data and total functions.
//!
//! Purpose: the types that all other packages have in common.
//!
//! Invariant: nothing here does I/O, reads a clock or draws a random number; a value of a domain type means
//! the same on every machine, so one process can write it to a file and another can read it.
//!
//! Rejected: a `dyn Job` trait with one implementation per kind. There are few kinds, and an exhaustive `match` over them
//! shows at compile time what a new one needs.

pub mod arch;
pub mod base_model;
pub mod bench;
pub mod budget;
pub mod cluster;
pub mod curriculum;
pub mod digest;
pub mod digested_json;
pub mod dropout;
mod edition;
pub mod event;
pub mod excerpt;
pub mod fault_injection;
pub mod file_stamp;
pub mod finetune;
pub mod form;
pub mod formatting;
pub mod gap;
pub mod generation;
pub mod grid;
pub mod hugging_face;
pub mod inner_path;
pub mod interaction;
mod jinja;
pub mod job;
pub mod job_kind;
pub mod json_text;
pub mod layout;
pub mod metalang;
mod milestone;
pub mod mode;
pub mod model;
pub mod objective;
pub mod one_line;
pub mod openmp;
pub mod origin;
pub mod phenomenon;
pub mod plain_text;
pub mod plural;
pub mod ranking;
pub mod remote;
pub mod resources;
pub mod rope_scaling;
pub mod row_format;
pub mod sampling;
pub mod score;
pub mod scoring_backend;
pub mod scoring_request;
pub mod seed;
mod selection;
pub mod source;
pub mod spreadsheet;
pub mod suggest;
pub mod suite;
pub mod table;
pub mod template;
pub mod test_set;
pub mod text_format;
pub mod text_size;
pub mod training;
pub mod transformers;
mod variants;

pub use arch::{
    Arch, ArchProperties, Bert, Gelu, GptBert, GptNeox, LtgBert, Mistral, NormPlace, Opt, PositionSplit, Positions,
};
pub use base_model::{BaseModel, ImportedModel, NamedModel, Pretraining};
pub use bench::{
    BenchModel, BenchObjective, BenchResult, BenchRound, GenerationResult, GenerationRound, GenerationWorkload, Phases,
    WorkerReady, Workload,
};
pub use budget::{Budget, Premiums};
pub use cluster::{Cluster, Stderr, Stratum, clustered_stderr};
pub use curriculum::{LossMask, OptimizerStart, RecordOrder, Replay, SINGLE, Shots};
pub use digest::{Digest, JobId};
pub use dropout::{Dropout, DropoutPlace};
pub use edition::Edition;
pub use event::{
    Artifact, Assignment, Event, FailureKind, FinishedOutput, JobUpdate, JournalEntry, Outcome, RunSettings, Task,
    Update, Verdict,
};
pub use excerpt::{brief, excerpt};
pub use fault_injection::{FaultInjection, MemoryLimit};
pub use file_stamp::FileStamp;
pub use finetune::{BodyDropout, Criterion, FinetuneRecipe, GlueTask, Hyperparameters, Pooling, Selection};
pub use form::{FormRecipe, FormStage};
pub use formatting::{ChatTemplate, Formatting};
pub use gap::{Gap, ModelGaps};
pub use generation::{Generation, Question};
pub use grid::{Cell, CellKey, Evaluation, Finetuning, Grid, Recipe, Round, Stage, StagePart};
pub use hugging_face::{ConfigFile, SpecialTokens};
pub use inner_path::{FolderName, InnerPath, OuterPath};
pub use interaction::{
    DatasetSource, PieceSource, PromptPart, PromptSource, SampledCount, SampledData, SampledModel, StageDataset,
    Teacher, TeacherAccess, TeacherMode, TeacherPrompt, TeacherRequest, TeacherService,
};
pub use jinja::check_nesting;
pub use job::{
    EvalJob, FinetuneJob, ImportJob, Job, JobTeacher, LogprobsJob, PrepareJob, Prepared, PretrainJob, Prompts,
    ReplayedText, SampleJob, SelectedPieces, TeachJob, TokenizerJob, TuneJob, TunePart,
};
pub use job_kind::JobKind;
pub use json_text::{JsonProblem, json_lines, parse_json, special_number};
pub use metalang::{MetaLang, MetaLangVersion};
pub use milestone::Milestone;
pub use mode::{
    AoaFit, BackendRule, BoxRows, EwokContrast, FirstToken, MaskedSpan, Mode, Nan, PerLength, PerSolution, Preference,
    ReadingWord, Sums, Ties,
};
pub use model::{LARGEST_MODEL, ModelConfig, ModelLimits};
pub use objective::{Distill, Distillation, Replies, TuneObjective};
pub use one_line::{one_line, printable};
pub use origin::{Origin, WorldPart};
pub use phenomenon::blimp_term;
pub use plain_text::{NotText, plain_text, refuse_carriage_returns};
pub use plural::{counted, grouped};
pub use ranking::{Constraint, Expression, Gap as ScoreGap, Ranking};
pub use remote::{FileSelection, HubKind, Remote, RemoteLocation};
pub use resources::{Backend, BackendKind, BatchSystem, Resources, Slurm};
pub use rope_scaling::RopeScaling;
pub use row_format::{InstructionPosition, Role, RowFormat};
pub use sampling::SamplingOptions;
pub use score::{CellRow, ItemOutcome, ItemRow, Score, ScoreRow};
pub use scoring_backend::ScoringBackend;
pub use scoring_request::ScoringRequest;
pub use seed::{FinetuneSeeds, draw_distinct, mix, tuning_seed};
pub use selection::{Bandwidth, DensityLimit, PieceLimit, PieceSelection, PieceUnit};
pub use source::{Corpus, DataEntry, Dataset, ForeignModel, LocatedSource, Source, SourceFile};
pub use spreadsheet::no_formula;
pub use suggest::{closest, did_you_mean};
pub use suite::{OfficialData, ScoringMethod, Size, Suite};
pub use table::{NamedTable, OwnQuantity, Quantity, Reference, TableView};
pub use template::{Pattern, Template};
pub use test_set::{
    ChoiceMetric, ChoiceRule, ExamplePool, ExampleSampler, Examples, MultipleChoice, PairShots, PairsFormat, RowRule,
    ScoredStreams, ScoredText, Test, TestItems, TestSet,
};
pub use text_format::{CorpusFormat, DatasetFormat, Documents, Layout};
pub use text_size::{MeasuredText, TextSize};
pub use training::{EarlyStopping, KeptWeights, Length, Precision, Schedule, Training, Validation, Warmup};
pub use transformers::Transformers;
