//! `grid status`.

use clap::Args;

use super::global::Global;
use super::output::{TextFormat, print_json};
use crate::report::human;
use crate::session::{Exit, Failure, is_abandoned};
use crate::store::{ExperimentRow, JobRow, JobState};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The experiment; by default all experiments are listed.
    pub experiment: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub format: TextFormat,
}

/// `grid status`: the experiments, or the jobs of one.
pub(super) async fn status(global: &Global, args: &StatusArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    match &args.experiment {
        None => {
            let rows = store.experiments().await?;
            match args.format {
                TextFormat::Json => print_json(&rows)?,
                TextFormat::Text => rows.iter().for_each(|row| println!("{}", experiment_line(row))),
            }
        }
        Some(name) => {
            let stored = store.experiment(Some(name)).await?;
            let rows = store.job_rows(&stored.experiment.name).await?;
            match args.format {
                TextFormat::Json => print_json(&rows)?,
                TextFormat::Text => {
                    rows.iter().for_each(|row| println!("{}", job_line(row)));
                    let abandoned = rows.iter().filter(|row| is_abandoned(row)).count() as u64;
                    if abandoned > 0 {
                        let jobs = human::counted(abandoned, "job");
                        eprintln!("{jobs} abandoned by dead workers: `grid resume` continues");
                    }
                }
            }
        }
    }
    store.close().await;
    Ok(Exit::Done)
}

fn experiment_line(row: &ExperimentRow) -> String {
    let failed = if row.failed > 0 { format!(", {} failed", row.failed) } else { String::new() };
    let (jobs, cells) = (human::counted(row.jobs, "job"), human::counted(row.cells, "cell"));
    format!("{}: {} of {jobs} done{failed}, {cells}", row.name, row.done)
}

/// One job: its name, its state and how long it took.
fn job_line(row: &JobRow) -> String {
    let name = if is_abandoned(row) { "abandoned" } else { row.state.name() };
    let state = match (row.state, row.progress) {
        (JobState::Running | JobState::Interrupted, Some((done, total))) if total > 0 => {
            format!("{name} {}%", 100 * done / total)
        }
        _ => name.to_owned(),
    };
    let seconds =
        row.seconds.map_or(String::new(), |seconds| human::duration(std::time::Duration::from_secs_f64(seconds)));
    let message = row.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
    let text = format!("{:<9}  {}  {:<16}  {:>8}  {}  {message}", row.kind, row.id.short(), state, seconds, row.label);
    text.trim_end().to_owned()
}
