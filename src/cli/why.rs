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
    let Some(name) = store.experiment_of(job.id).await.map_err(store_failure)? else {
        println!("in no plan of today: `grid gc --unplanned` lists what it left");
        return Ok(Exit::Done);
    };
    let spec = SpecText::kept(store.experiment(Some(&name)).await.map_err(store_failure)?.experiment);
    let workspace = Workspace::prepare(&cli.runs_dir, &spec, spec.grid()?, Some(&store)).await?;
    store.close().await;
    match workspace.decisions.get(&job.id) {
        Some(decision) => println!("next run of {name}: {decision}"),
        // The data have changed since it was planned.
        None => println!("next run of {name}: another job takes its place, as what it reads has changed"),
    }
    Ok(Exit::Done)
}
