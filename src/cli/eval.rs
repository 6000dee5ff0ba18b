//! `grid eval`.

use std::path::PathBuf;

use clap::Args;

use super::execution_args::ExecutionArgs;
use super::global::Global;
use super::output::{TableFormat, formatted};
use super::run::run_experiment;
use crate::domain::{Mode, Size};
use crate::report::{Columns, pivot};
use crate::session::{EvaluationRequest, EvaluationSpec, Exit, Failure, evaluation_spec, hide_curricula};

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Model folders in Hugging Face format, hub ids, or jobs (id or name) that produced a model.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    /// Suites, separated by commas; zero-shot means all zero-shot suites whose data exist, babylm-2025 and babylm-2026 those
    /// of an edition of the challenge, with its fine-tuning. A path that ends in .yaml is a test set of your own, or a
    /// multiple-choice task of lm-evaluation-harness.
    #[arg(long, value_delimiter = ',', default_value = "zero-shot", value_name = "NAME,...")]
    pub suite: Vec<String>,
    /// The official folder of evaluation data.
    #[arg(long, env = "GRID_DATA", default_value = "evaluation_data", value_name = "DIR")]
    pub data: PathBuf,
    /// Scoring rules: fixed (corrected), compat-2025 or compat-2026 (those of the official pipeline), or one of them with
    /// switches, such as fixed+ties=first. The default is fixed, or the rules of the edition that --suite names.
    #[arg(long)]
    pub mode: Option<Mode>,
    /// Use the small sets, which are made for checkpoints.
    #[arg(long, conflicts_with = "full")]
    pub fast: bool,
    /// Use the full sets; this is the default.
    #[arg(long)]
    pub full: bool,
    /// Name of the experiment in the database; by default derived from the models, suites and rules.
    #[arg(long)]
    pub name: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
    /// Execution.
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// `grid eval`: runs and records an experiment with one cell for each model.
pub(super) async fn eval(global: &Global, args: &EvalArgs) -> Result<Exit, Failure> {
    let runs = global.runs();
    let request = EvaluationRequest {
        name: args.name.as_deref(),
        models: &args.models,
        suites: &args.suite,
        data: &args.data,
        mode: args.mode,
        size: if args.fast { Size::Fast } else { Size::Full },
    };
    let EvaluationSpec { name, spec, notes } = evaluation_spec(&runs, &request).await?;
    if !global.quiet {
        notes.iter().for_each(|note| eprintln!("{note}"));
    }
    let (grid, origin) = (spec.grid()?, spec.origin.clone());
    let exit = run_experiment(global, spec, grid, &args.execution).await?;
    if exit == Exit::Interrupted {
        return Ok(exit);
    }
    let store = runs.open_existing().await?;
    let mut cells = store.cells(&name).await?;
    let mut scores = store.scores(&name).await?;
    store.close().await;
    if scores.is_empty() {
        return Ok(exit); // the reason was printed with each failed job
    }
    hide_curricula(&origin, &mut cells, &mut scores);
    print!("{}", formatted(&pivot(&name, &cells, &scores, &Columns::Aggregates, &[]), args.format));
    Ok(exit)
}
