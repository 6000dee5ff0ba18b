//! The job that a user names.

use super::failure::{Exit, Failure};
use crate::store::{JobRow, Store};

/// The only job that the first digits of an id, or a name, match.
pub async fn only_job(store: &Store, text: &str) -> Result<JobRow, Failure> {
    let mut jobs = store.find_jobs(text).await?;
    match jobs.len() {
        0 => Err(Failure::text(
            Exit::NothingMatches,
            format!("grid: no job has the id or name '{text}'; see `grid status EXPERIMENT`"),
        )),
        1 => Ok(jobs.remove(0)),
        _ => {
            let list: Vec<String> =
                jobs.iter().map(|job| format!("  {}  {} {}", job.id.short(), job.kind, job.label)).collect();
            let message = format!("grid: '{text}' matches several jobs:\n{}", list.join("\n"));
            Err(Failure::text(Exit::NothingMatches, message))
        }
    }
}
