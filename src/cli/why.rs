//! `grid why`.

use clap::Args;

use super::global::Global;
use super::output::print_json;
use crate::session::{Exit, Failure, Session, SpecText, only_job};
use crate::store::Provenance;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The id of a job, or its first digits, or its name.
    pub job: String,
}

/// `grid why`: what the identity of a job consists of, and what the next run would do with the job.
pub(super) async fn why(global: &Global, args: &WhyArgs) -> Result<Exit, Failure> {
    let runs = global.runs();
    let store = runs.open_existing().await?;
    let job = only_job(&store, &args.job).await?;
    println!("{} {}", job.kind, job.label);
    println!("id {}: the first 32 digits of the blake3 digest of this, without the spaces:", job.id);
    if let Some(canonical) = store.canonical(job.id).await? {
        let value: serde_json::Value =
            serde_json::from_str(&canonical).map_err(|error| Failure::new(Exit::Database, error))?;
        print_json(&value)?;
    }
    if let Some(made) = store.provenance(job.id).await? {
        print_provenance(&made);
    }
    let Some(name) = store.experiment_of(job.id).await? else {
        println!("no current experiment uses it; `grid gc --unplanned` lists its files");
        return Ok(Exit::Done);
    };
    let spec = SpecText::stored(store.experiment(Some(&name)).await?.experiment);
    let grid = spec.grid()?;
    let session = Session::open(&runs.path, spec, grid, Some(&store)).await?;
    store.close().await;
    match session.decisions.get(&job.id) {
        Some(decision) => println!("next run of {name}: {decision}"),
        // The data have changed since it was planned.
        None => println!("next run of {name}: another job takes its place, because its data have changed"),
    }
    Ok(Exit::Done)
}

/// Prints which command made a result.
fn print_provenance(made: &Provenance) {
    let Provenance { experiment, command, spec_path, overrides, host, version, started } = made;
    println!("made by: {command}");
    println!("  at {started} on {host}, with grid {version}, for {experiment}");
    let overrides: String = overrides.iter().map(|path_and_value| format!(" -S {path_and_value}")).collect();
    println!("  spec: {}{overrides}", spec_path.display());
}
