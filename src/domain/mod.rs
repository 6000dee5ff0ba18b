//! The vocabulary: ids, jobs, model configurations, events, scores. Plain data and total functions.
//!
//! Purpose: the nouns that every other room speaks.
//!
//! Invariant: nothing here does I/O, reads a clock or draws a random number; a value of a domain type means
//! the same on every machine, so it may be written to a file by one process and read by another.
//!
//! Rejected: a `dyn Job` trait with one implementation per kind. There are a handful of kinds and one `match`.

pub mod bench;
pub mod budget;
pub mod cluster;
pub mod curriculum;
pub mod digest;
pub mod event;
pub mod finetune;
pub mod generation;
pub mod grid;
pub mod hugging_face;
pub mod job;
pub mod milestone;
pub mod mode;
pub mod model;
pub mod phenomenon;
pub mod remote;
pub mod resources;
pub mod score;
pub mod seed;
pub mod table;
pub mod text;
pub mod training;
pub mod trial;

pub use bench::{Phases, Ready, Round, Speed, Workload};
pub use budget::{Budget, Extent, counted, grouped};
pub use cluster::{Cluster, Stderr, Stratum, clustered_stderr};
pub use curriculum::{Loss, Order, Replay, SINGLE, Start};
pub use digest::{Digest, JobId};
pub use event::{Artifact, Assignment, Entry, Event, Failure, News, Outcome, Settings, Task, Verdict, What};
pub use finetune::{Criterion, FinetuneRecipe, GlueTask, Hyperparameters, Pooling, Selection};
pub use generation::{Generation, Question};
pub use grid::{
    Base, Cell, CellKey, Corpus, DataEntry, Dataset, Evaluation, Finetuning, ForeignModel, Grid, Located, Pretraining,
    Recipe, Source, Stage, StagePart, Volume,
};
pub use hugging_face::{ConfigFile, SpecialTokens};
pub use job::{
    EvalJob, FinetuneJob, ImportJob, Job, Kind, PrepareJob, Prepared, PretrainJob, ReplayedText, TokenizerJob, TuneJob,
    TunePart,
};
pub use milestone::Milestone;
pub use mode::{AoaFit, BoxRows, EwokContrast, FirstToken, Mode, Nan, PerLength, Preference, ReadingWord, Sums, Ties};
pub use model::{Arch, ModelConfig};
pub use phenomenon::blimp_term;
pub use remote::{HubKind, Pick, Place, Remote};
pub use resources::{Backend, BackendKind, BatchSystem, Resources, Slurm};
pub use score::{CellRow, ItemOutcome, ItemRow, Score, ScoreRow, Size, Suite};
pub use seed::{FinetuneSeeds, mix, tuning_seed};
pub use table::{NamedTable, Quantity, Reference, Show};
pub use text::{CorpusFormat, DatasetFormat, Documents, Layout, Origin, Pattern, Template, WorldPart};
pub use training::{EarlyStopping, Keep, Length, Precision, Schedule, Training, Validation, Warmup};
pub use trial::{MemoryLimit, Trial};
