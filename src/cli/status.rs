//! `grid status`.

use super::args::{Cli, PlanFormat, StatusArgs};
use super::failure::{Exit, Failure, store_failure};
use crate::report::human;
use crate::store::{JobRow, State, Store};

/// `grid status`: the experiments, or the jobs of one.
pub async fn status(cli: &Cli, args: &StatusArgs) -> Result<Exit, Failure> {
    let store = Store::open_existing(&cli.runs_dir).await.map_err(store_failure)?;
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
            if json { print_json(&rows)? } else { rows.iter().for_each(|row| println!("{}", line(row))) }
        }
    }
    store.close().await;
    Ok(Exit::Done)
}

/// One job: what, where it stands, how long it took.
fn line(row: &JobRow) -> String {
    let stand = match (row.state, row.progress) {
        (State::Running | State::Interrupted, Some((done, total))) if total > 0 => {
            format!("{} {}%", row.state.name(), 100 * done / total)
        }
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
