//! `grid resume`.

use clap::Args;

use super::execution_args::ExecutionArgs;
use super::global::Global;
use super::run::run_experiment;
use crate::session::{Exit, Failure, SpecText};

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The experiment; by default the latest.
    pub experiment: Option<String>,
    /// Execution.
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// `grid resume`.
pub(super) async fn resume(global: &Global, args: &ResumeArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    let stored = store.experiment(args.experiment.as_deref()).await?.experiment;
    store.close().await;
    let spec = SpecText::stored(stored);
    let grid = spec.grid()?;
    run_experiment(global, spec, grid, &args.execution).await
}
