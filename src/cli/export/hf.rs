//! `grid export hf`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::global::Global;
use crate::data;
use crate::report::{Card, CardJob};
use crate::session::{Exit, Failure, FinishedModel, check_model, only_model};
use crate::store::LineageJob;

/// Arguments of `export hf`.
#[derive(Debug, Args)]
pub(crate) struct HfArgs {
    /// The job that produced the model: its id or name, or that of a cell.
    pub job: String,
    /// The folder to create.
    pub dir: PathBuf,
}

/// `grid export hf`.
pub(super) async fn export(global: &Global, args: &HfArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    let FinishedModel { id, label, output } = only_model(&args.job, store.model_jobs(&args.job).await?)?;
    check_model(&store, id).await?;
    let lineage = store.lineage(id).await?;
    let scores = store.scores_of_model(id).await?;
    store.close().await;
    let card_job =
        |job: LineageJob| CardJob { id: job.id, label: job.label, job: job.job, words: job.words, tokens: job.tokens };
    let lineage: Vec<CardJob> = lineage.into_iter().map(card_job).collect();
    let config = data::model_config(&output)?;
    let version = env!("CARGO_PKG_VERSION");
    let card = Card { name: &label, config: &config, lineage: &lineage, scores: &scores, version };
    data::export_model(&output, &args.dir, &card.markdown())?;
    if !global.quiet {
        eprintln!("exported {label} ({}) to {}", id.short(), args.dir.display());
    }
    Ok(Exit::Done)
}
