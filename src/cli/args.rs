//! The command line, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::data::DataVerb;
use super::diff::DiffArgs;
use super::init::InitArgs;
use super::report::ReportArgs;
use crate::domain::{Mode, Resources};

/// grid: one YAML file in, one trustworthy table out.
#[derive(Debug, Parser)]
#[command(name = "grid", version, disable_help_subcommand = true, after_help = "Exit codes: grid help exit-codes")]
pub struct Cli {
    /// Folder of results, and of runs.db.
    #[arg(long, global = true, env = "GRID_RUNS_DIR", default_value = "runs", value_name = "DIR")]
    pub runs_dir: PathBuf,
    /// Folder of runs.db, if another one: it must be on a local disk, results may be on a network filesystem.
    #[arg(long, global = true, env = "GRID_DATABASE_DIR", value_name = "DIR")]
    pub database_dir: Option<PathBuf>,
    /// Say more: -v what happens, -vv why.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Fetch nothing from other machines; what is not here is named, with the folder to put it into.
    #[arg(long, global = true, env = "GRID_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a spec to begin with.
    Init(InitArgs),
    /// Run a spec; a spec that ran before is continued.
    Run(RunArgs),
    /// Continue an experiment (by default the latest) from the database; needs no spec.
    Resume(ResumeArgs),
    /// Score models: Hugging Face folders or hub ids, or jobs that left one.
    Eval(EvalArgs),
    /// List, fetch and check the data of a spec that come from other machines.
    #[command(subcommand)]
    Data(DataVerb),
    /// Print what a run would do, and why.
    Plan(PlanArgs),
    /// Print where an experiment stands.
    Status(StatusArgs),
    /// Print the journal of a job.
    Logs(LogsArgs),
    /// Print what a job's identity is made of, and why it would run.
    Why(WhyArgs),
    /// Print in what two experiments or specs differ, and their scores.
    Diff(DiffArgs),
    /// Print the table of an experiment.
    Report(ReportArgs),
    /// Measure this machine.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        what: BenchVerb,
    },
    /// Check a promise on this machine.
    Verify {
        /// The promise.
        #[command(subcommand)]
        what: VerifyVerb,
    },
    /// Write what other tools read.
    #[command(subcommand)]
    Export(Export),
    /// List what is of no further use in the runs folder, or remove it.
    Gc(GcArgs),
    /// Print the schema of runs.db.
    Schema,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print help on a verb, or on `exit-codes`.
    Help {
        /// A verb and what may follow it, or `exit-codes`.
        topic: Vec<String>,
    },
}

/// A spec and changes to it.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// The spec.
    pub spec: PathBuf,
    /// Set a field of the spec: path.to.field=value.
    #[arg(short = 'S', long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// How to drive.
#[derive(Debug, Args)]
pub struct DriveArgs {
    /// Jobs at once on each device, or in Slurm's queue.
    #[arg(short, long)]
    pub jobs: Option<u32>,
    /// Threads of each job.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Devices: auto, cpu, cuda:0, ... separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = device)]
    pub device: Vec<String>,
    /// Run on this machine, even if the spec says Slurm.
    #[arg(long)]
    pub local: bool,
    /// Cancel the jobs in Slurm's queue when interrupted; by default they go on, and `grid resume` takes them over.
    #[arg(long)]
    pub cancel_on_exit: bool,
    /// Stop at the first failed job; by default, jobs that do not depend on it go on.
    #[arg(long)]
    pub fail_fast: bool,
    /// How often a job whose worker was lost is tried again.
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Print the plan and stop.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Driving.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Experiment; by default the latest.
    pub experiment: Option<String>,
    /// Driving.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folders of models in Hugging Face's form, hub ids, or jobs (their id or name) that left a model.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    /// Suites, separated by commas; zero-shot stands for all of them whose data is there.
    #[arg(long, value_delimiter = ',', default_value = "zero-shot", value_name = "NAME,...")]
    pub suite: Vec<String>,
    /// The official folder of evaluation data.
    #[arg(long, env = "GRID_DATA", default_value = "evaluation_data", value_name = "DIR")]
    pub data: PathBuf,
    /// Rules: fixed, compat (the official pipeline's numbers), or either with switches: fixed+ties=first.
    #[arg(long, default_value = "fixed")]
    pub mode: Mode,
    /// The small sets, made for checkpoints.
    #[arg(long, conflicts_with = "full")]
    pub fast: bool,
    /// The whole sets; the default.
    #[arg(long)]
    pub full: bool,
    /// Name of the experiment in the database; by default one that follows from models, suites and rules.
    #[arg(long)]
    pub name: Option<String>,
    /// Form of the table.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
    /// Driving.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// What to export.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// A model folder for Hugging Face's transformers, with a model card.
    Hf {
        /// The job that left the model: its id or name, or that of a cell.
        job: String,
        /// A new folder.
        dir: PathBuf,
    },
    /// The result files of the official BabyLM 2025 pipeline, and the collated file that is handed in.
    Babylm {
        /// An experiment, all of whose cells are meant, or a job that left a model: its id or name, or that of a cell.
        of: String,
        /// A new folder.
        dir: PathBuf,
        /// How many checkpoints are wanted.
        #[arg(long, value_enum, default_value_t = TrackName::Strict)]
        track: TrackName,
        /// Write what there is, even if pieces are missing.
        #[arg(long)]
        partial: bool,
    },
    /// A long table of every item that was answered right or wrong, for mixed models such as those of lme4 and brms: a
    /// row per cell, seed, seed of the fine-tuning and item, with the cluster of items that it shares material with.
    Items {
        /// The experiment.
        experiment: String,
        /// A new file: .parquet or .csv.
        file: PathBuf,
        /// Also the milestones on the way to each model; column `checkpoint` tells them apart.
        #[arg(long)]
        milestones: bool,
    },
}

/// Tracks of the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrackName {
    /// 10 million words: 19 checkpoints.
    StrictSmall,
    /// 100 million words, and the other tracks: 28 checkpoints.
    Strict,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Form.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Print the graph of jobs instead.
    #[arg(long, value_enum)]
    pub graph: Option<Graph>,
}

/// Forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// Graph languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Graph {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Experiment; by default all.
    pub experiment: Option<String>,
    /// Form.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Also the results of jobs that stand in no plan of today: of specs that were changed since.
    #[arg(long)]
    pub unplanned: bool,
    /// Remove them; without it they are only listed.
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A job's id or its first digits, or its name.
    pub job: String,
    /// Print the journal as it is, a JSON object per line.
    #[arg(long)]
    pub raw: bool,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A job's id or its first digits, or its name.
    pub job: String,
}

/// Promises that can be checked.
#[derive(Debug, Subcommand)]
pub enum VerifyVerb {
    /// Train every training job of a spec straight, then with kills and resumes, and compare both bit by bit.
    Resume(VerifyResumeArgs),
}

/// Arguments of `verify resume`.
#[derive(Debug, Args)]
pub struct VerifyResumeArgs {
    /// Spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// How often each job is killed (SIGKILL), at random steps.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub kills: u32,
    /// Where the kills fall; by default another place each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Only this training job: its name, with its kind before it or not (`pretrain/tiny/seed1`), or its id.
    #[arg(long, value_name = "KIND/NAME")]
    pub job: Vec<String>,
    /// Threads of each job; several values, separated by commas, are checked one after the other.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub threads: Vec<u32>,
    /// Devices: auto, cpu, cuda:0, ... separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub device: Vec<String>,
    /// Form.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Training speed: tokens per second, share of the matrix-product peak, memory, and where the time goes.
    Train(BenchTrainArgs),
}

/// Arguments of `bench train`.
#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// Measure the models of this spec with their own batch, sequence length and precision.
    pub spec: Option<PathBuf>,
    /// Measure a model of this shape; the keys are those of a model in a spec.
    #[arg(
        long,
        value_name = "KEY=VALUE,...",
        conflicts_with = "spec",
        default_value = "hidden=256,layers=4,heads=4,intermediate=704,vocab_size=8192"
    )]
    pub model: String,
    /// Rows of a batch; by default 16 or what the spec says.
    #[arg(long)]
    pub batch_size: Option<u32>,
    /// Predicted ids of a row; by default 256 or what the spec says.
    #[arg(long)]
    pub sequence_length: Option<u32>,
    /// Arithmetic; by default both or what the spec says.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub precision: Vec<PrecisionArg>,
    /// Device: cpu, cuda:0, ...
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads; by default one per core.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Steps of a round.
    #[arg(long, default_value_t = 4)]
    pub steps: u32,
    /// Form.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// Arithmetic of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// 32-bit floats.
    F32,
    /// bfloat16 compute, 32-bit weights.
    Bf16,
}

/// Forms of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For a terminal.
    Table,
    /// Markdown.
    Md,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
    /// A table of LaTeX, with booktabs.
    Latex,
    /// A page for browsers that needs no other file; `grid report` puts pictures below the tables.
    Html,
}

fn device(text: &str) -> Result<String, String> {
    match matches!(text, "auto" | "cuda") || Resources::is_device(text) {
        true => Ok(text.to_owned()),
        false => Err("a device is auto, cpu, or cuda:0, cuda:1, ...".to_owned()),
    }
}
