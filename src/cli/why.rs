//! `grid why`.

use super::args::{Cli, WhyArgs};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::logs::one_job;
use super::workspace::{SpecText, Workspace};

/// `grid why`: what the identity of a job is made of, and what would happen to the job in the next run.
pub async fn why(cli: &Cli, args: &WhyArgs) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    let job = one_job(&store, &args.job).await?;
    println!("{} {}", job.kind, job.label);
    println!("id {}: the first 32 digits of the blake3 digest of this, without the spaces:", job.id);
    if let Some(canonical) = store.canonical(job.id).await.map_err(store_failure)? {
        let value: serde_json::Value =
            serde_json::from_str(&canonical).map_err(|error| Failure::new(Exit::Database, error))?;
        super::status::print_json(&value)?;
    }
    let stored = store.experiment(None).await.map_err(store_failure)?.experiment;
    let spec = SpecText { path: stored.spec_path, text: stored.spec_text.into_bytes(), overrides: stored.overrides };
    let workspace = Workspace::prepare(&cli.runs_dir, &spec, spec.grid()?, Some(&store)).await?;
    store.close().await;
    match workspace.decisions.get(&job.id) {
        Some(decision) => println!("next run of {}: {decision}", stored.name),
        None => println!("not part of {}, the latest experiment", stored.name),
    }
    Ok(Exit::Done)
}
