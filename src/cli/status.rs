//! `grid status`.

use super::args::{Cli, PlanFormat, StatusArgs};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use crate::report::human;
use crate::runner;
use crate::store::{JobRow, JobState};

/// `grid status`: the experiments, or the jobs of one.
pub async fn status(cli: &Cli, args: &StatusArgs) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    let json = args.format == PlanFormat::Json;
    match &args.experiment {
        None => {
            let rows = store.experiments().await.map_err(store_failure)?;
            if json {
                print_json(&rows)?;
            } else {
                for row in rows {
                    let failed = if row.failed > 0 { format!(", {} failed", row.failed) } else { String::new() };
                    let (jobs, cells) = (human::counted(row.jobs, "job"), human::counted(row.cells, "cell"));
                    println!("{}: {} of {jobs} done{failed}, {cells}", row.name, row.done);
                }
            }
        }
        Some(name) => {
            let stored = store.experiment(Some(name)).await.map_err(store_failure)?;
            let rows = store.job_rows(&stored.experiment.name).await.map_err(store_failure)?;
            if json {
                print_json(&rows)?;
            } else {
                rows.iter().for_each(|row| println!("{}", line(row)));
                let left = rows.iter().filter(|row| is_left(row)).count();
                if left > 0 {
                    eprintln!("{left} left by their workers: `grid resume` goes on with them");
                }
            }
        }
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Whether a job is under way as far as its last coordinator knew, but no worker is at it, nor will be.
fn is_left(row: &JobRow) -> bool {
    let queued = row.device.as_deref().is_some_and(|slot| slot.starts_with("slurm/"));
    matches!(row.state, JobState::Submitted | JobState::Running) && !queued && !runner::at_work(&row.folder)
}

/// One job: what, where it stands, how long it took.
fn line(row: &JobRow) -> String {
    let left = is_left(row);
    let stand = match (row.state, row.progress) {
        (JobState::Running | JobState::Interrupted, Some((done, total))) if total > 0 => {
            format!("{} {}%", if left { "left at" } else { row.state.name() }, 100 * done / total)
        }
        _ if left => "left".to_owned(),
        _ => row.state.name().to_owned(),
    };
    let seconds =
        row.seconds.map_or(String::new(), |seconds| human::duration(std::time::Duration::from_secs_f64(seconds)));
    let message = row.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
    let text = format!("{:<9}  {}  {:<16}  {:>8}  {}  {message}", row.kind, row.id.short(), stand, seconds, row.label);
    text.trim_end().to_owned()
}

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Environment, error))?;
    println!("{text}");
    Ok(())
}
