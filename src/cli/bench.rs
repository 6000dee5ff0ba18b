//! `grid bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::global::Global;
use super::output::{TableFormat, formatted, print_json};
use crate::domain::{BaseModel, BenchModel, BenchObjective, GenerationWorkload, Precision, Workload};
use crate::report;
use crate::runner::{self, BenchmarkRounds, WorkerProgram};
use crate::session::{Exit, Failure, SpecText};
use crate::spec;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(super) enum BenchVerb {
    /// Training speed: tokens per second, share of the peak speed of matrix products, memory, and time per phase.
    Train(BenchTrainArgs),
    /// Generation speed: new tokens per second, and memory, on synthetic prompts.
    Generate(BenchGenerateArgs),
}

/// How a benchmark is run.
#[derive(Debug, Args)]
pub(super) struct BenchRunArgs {
    /// Device: cpu, cuda:0, ...
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads; by default one per core.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Number of rounds, whose median is reported.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// Arguments of `bench train`.
#[derive(Debug, Args)]
pub(super) struct BenchTrainArgs {
    /// Measure the models of this spec with their batch size, sequence length and precision.
    pub spec: Option<PathBuf>,
    /// Measure a model of this shape; the keys are those of a model in a spec.
    #[arg(
        long,
        value_name = "KEY=VALUE,...",
        conflicts_with = "spec",
        default_value = "hidden=256,layers=4,heads=4,intermediate=704,vocab_size=8192"
    )]
    pub model: String,
    /// Rows of a batch; by default 16, or that of the spec.
    #[arg(long)]
    pub batch_size: Option<u32>,
    /// Predicted tokens per row; by default 256, or that of the spec.
    #[arg(long)]
    pub sequence_length: Option<u32>,
    /// The objective; dpo takes every two rows of a batch as the chosen and the rejected reply of a pair.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Sft)]
    pub objective: ObjectiveArg,
    /// Precision; by default both, or that of the spec.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub precision: Vec<PrecisionArg>,
    /// Optimizer steps per round.
    #[arg(long, default_value_t = 4)]
    pub steps: u32,
    #[command(flatten)]
    pub run: BenchRunArgs,
}

/// Arguments of `bench generate`.
#[derive(Debug, Args)]
pub(super) struct BenchGenerateArgs {
    /// Measure the model in this folder, in Hugging Face format.
    pub folder: Option<PathBuf>,
    /// Measure a model of this shape with random weights; the keys are those of a model in a spec.
    #[arg(
        long,
        value_name = "KEY=VALUE,...",
        conflicts_with = "folder",
        default_value = "hidden=256,layers=4,heads=4,intermediate=704,vocab_size=8192"
    )]
    pub model: String,
    /// Number of prompts.
    #[arg(long, default_value_t = 64)]
    pub prompts: u32,
    /// Tokens of each prompt.
    #[arg(long, default_value_t = 32)]
    pub prompt_length: u32,
    /// New tokens of each reply.
    #[arg(long, default_value_t = 128)]
    pub new_tokens: u32,
    /// Temperature; 0 chooses the most probable token.
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Probability of the nucleus that tokens are drawn from.
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Precision.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [PrecisionArg::F32])]
    pub precision: Vec<PrecisionArg>,
    #[command(flatten)]
    pub run: BenchRunArgs,
}

/// What training minimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ObjectiveArg {
    /// The cross entropy of every token.
    Sft,
    /// Direct preference optimization.
    Dpo,
}

/// Arithmetic of forward and backward passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PrecisionArg {
    /// 32-bit floats.
    F32,
    /// bfloat16 compute with 32-bit weights.
    Bf16,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        }
    }
}

/// `grid bench`.
pub(super) fn bench(global: &Global, verb: &BenchVerb) -> Result<Exit, Failure> {
    match verb {
        BenchVerb::Train(args) => train(global, args),
        BenchVerb::Generate(args) => generate(global, args),
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// `grid bench generate`.
fn generate(global: &Global, args: &BenchGenerateArgs) -> Result<Exit, Failure> {
    let program = WorkerProgram::find(&global.log_filter())?;
    let model = match &args.folder {
        Some(folder) => BenchModel::Folder(folder.clone()),
        None => BenchModel::Random(spec::shape(&args.model)?),
    };
    let mut speeds = vec![];
    for precision in &args.precision {
        let workload = GenerationWorkload {
            model: model.clone(),
            prompts: args.prompts.max(1),
            prompt_length: args.prompt_length.max(1),
            new_tokens: args.new_tokens,
            temperature: args.temperature,
            top_p: args.top_p,
            precision: (*precision).into(),
            device: args.run.device.clone(),
            initial: None,
        };
        if let Some(problem) = workload.options().problem() {
            return Err(Failure::text(Exit::Usage, problem));
        }
        let threads = args.run.threads.unwrap_or_else(cores);
        speeds.push(runner::measure_generation(&program, workload, threads, args.run.rounds.max(1))?);
    }
    match args.run.format {
        TableFormat::Json => print_json(&speeds)?,
        format => print!("{}", formatted(&report::generation_speed(&speeds), format)),
    }
    Ok(Exit::Done)
}

/// `grid bench train`.
fn train(global: &Global, args: &BenchTrainArgs) -> Result<Exit, Failure> {
    let program = WorkerProgram::find(&global.log_filter())?;
    let rounds = BenchmarkRounds { count: args.run.rounds.max(1), steps: args.steps.max(1) };
    let mut speeds = vec![];
    for workload in workloads(args)? {
        let threads = args.run.threads.unwrap_or_else(cores);
        speeds.push(runner::measure(&program, workload, threads, rounds)?);
    }
    let table = report::speed(&speeds);
    match args.run.format {
        TableFormat::Json => print_json(&speeds)?,
        format => print!("{}", formatted(&table, format)),
    }
    Ok(Exit::Done)
}

/// The models to measure, each with its batch.
fn workloads(args: &BenchTrainArgs) -> Result<Vec<Workload>, Failure> {
    let mut bases = vec![];
    match &args.spec {
        Some(path) => {
            for cell in SpecText::read(path, &[])?.1.cells {
                let BaseModel::Trained(base) = cell.recipe.base else { continue };
                let base = (base.model, base.training.batch_size, base.sequence_length, base.training.precision);
                if !bases.contains(&base) {
                    bases.push(base);
                }
            }
            if bases.is_empty() {
                let reason = format!("{}: no model in this spec is trained from random weights", path.display());
                return Err(Failure::text(Exit::Usage, reason));
            }
        }
        None => {
            let model = spec::shape(&args.model)?;
            bases = [Precision::F32, Precision::Bf16].map(|precision| (model.clone(), 16, 256, precision)).into();
        }
    }
    if !args.precision.is_empty() {
        bases.dedup_by(|a, b| a.0 == b.0 && (a.1, a.2) == (b.1, b.2));
    }
    let requested: Vec<Precision> = args.precision.iter().map(|&precision| precision.into()).collect();
    let objective = match args.objective {
        ObjectiveArg::Sft => BenchObjective::Sft,
        ObjectiveArg::Dpo => BenchObjective::Dpo,
    };
    let workloads = bases.into_iter().flat_map(|(model, batch_size, sequence_length, own)| {
        let precisions = if requested.is_empty() { vec![own] } else { requested.clone() };
        precisions.into_iter().map(move |precision| Workload {
            objective,
            model: model.clone(),
            batch_size: args.batch_size.unwrap_or(batch_size),
            sequence_length: args.sequence_length.unwrap_or(sequence_length),
            precision,
            device: args.run.device.clone(),
            initial: None,
        })
    });
    Ok(workloads.collect())
}
