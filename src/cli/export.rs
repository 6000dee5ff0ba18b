//! `grid export`.

use std::path::Path;

use super::args::{Cli, Export, TrackName};
use super::babylm;
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::items;
use super::models::{LeftModel, one_model};
use crate::data;
use crate::report::{Card, CardJob};
use crate::suites::official::Track;

/// `grid export`: what somebody else's tools read.
pub async fn export(cli: &Cli, what: &Export) -> Result<Exit, Failure> {
    match what {
        Export::Hf { job, dir } => hf(cli, job, dir).await,
        Export::Babylm { of, dir, track, partial } => {
            let track = match track {
                TrackName::StrictSmall => Track::StrictSmall,
                TrackName::Strict => Track::Strict,
            };
            babylm::export(cli, of, dir, track, *partial).await
        }
        Export::Items { experiment, file, milestones } => items::export(cli, experiment, file, *milestones).await,
    }
}

/// A model folder with its card.
async fn hf(cli: &Cli, job: &str, dir: &Path) -> Result<Exit, Failure> {
    let unusable = |error: data::DataError| Failure::new(Exit::Environment, error);
    let store = database::existing(cli).await?;
    let LeftModel { id, label, output } = one_model(job, store.model_jobs(job).await.map_err(store_failure)?)?;
    let lineage = store.lineage(id).await.map_err(store_failure)?;
    let scores = store.scores_of_model(id).await.map_err(store_failure)?;
    store.close().await;
    let lineage: Vec<CardJob> = lineage
        .into_iter()
        .map(|job| CardJob { id: job.id, label: job.label, job: job.job, words: job.words, tokens: job.tokens })
        .collect();
    let config = data::model_config(&output).map_err(unusable)?;
    let version = env!("CARGO_PKG_VERSION");
    let card = Card { name: &label, config: &config, lineage: &lineage, scores: &scores, version };
    data::export_model(&output, dir, &card.markdown()).map_err(unusable)?;
    if !cli.quiet {
        eprintln!("{label} ({}) is in {}", id.short(), dir.display());
    }
    Ok(Exit::Done)
}
