//! `grid logs`.

use super::args::{Cli, LogsArgs};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use crate::domain::{Event, JournalEntry, Verdict, layout};
use crate::report::human;
use crate::store::{JobRow, Store};

/// `grid logs`: the journals of a job's attempts, oldest first.
pub async fn logs(cli: &Cli, args: &LogsArgs) -> Result<Exit, Failure> {
    let store = database::existing(cli).await?;
    let job = one_job(&store, &args.job).await?;
    let attempts = store.attempts(job.id).await.map_err(store_failure)?;
    store.close().await;
    println!("{} {} ({})", job.kind, job.label, job.id);
    for attempt in attempts {
        let slot = attempt.slot.as_deref().unwrap_or("unknown slot");
        println!("\nattempt {} on {slot}: {}", attempt.token, attempt.state.name());
        if let Some(message) = &attempt.message {
            println!("  {message}");
        }
        let Some(folder) = &attempt.folder else { continue };
        let path = folder.join(layout::JOURNAL);
        println!("  {}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                println!("  not readable: {error}");
                continue;
            }
        };
        let start = text
            .lines()
            .next()
            .and_then(|line| serde_json::from_str::<JournalEntry>(line).ok())
            .map_or(0, |entry| entry.at);
        for line in text.lines() {
            match serde_json::from_str::<JournalEntry>(line) {
                Ok(entry) if !args.raw => {
                    println!("  {:>8.1}s  {}", (entry.at - start) as f64 / 1e3, describe(&entry.event))
                }
                Ok(_) | Err(_) => println!("  {line}"),
            }
        }
    }
    Ok(Exit::Done)
}

/// The one job that an id's first digits, or a label, name.
pub(super) async fn one_job(store: &Store, text: &str) -> Result<JobRow, Failure> {
    let mut jobs = store.find_jobs(text).await.map_err(store_failure)?;
    match jobs.len() {
        0 => Err(Failure::text(
            Exit::NothingMatches,
            format!("grid: no job has the id or name '{text}'; see `grid status EXPERIMENT`"),
        )),
        1 => Ok(jobs.remove(0)),
        _ => {
            let list: Vec<String> =
                jobs.iter().map(|job| format!("  {}  {} {}", job.id.short(), job.kind, job.label)).collect();
            Err(Failure::text(Exit::NothingMatches, format!("grid: '{text}' names several jobs:\n{}", list.join("\n"))))
        }
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::Started { host, pid, device, threads, micro_batch, version } => {
            let rows =
                micro_batch.map_or(String::new(), |rows| format!(", {} at a time", human::counted(rows.into(), "row")));
            let threads = human::counted((*threads).into(), "thread");
            format!("started on {host} (process {pid}, {device}, {threads}{rows}; {version})")
        }
        Event::Resumed { step } => format!("resumed after step {step}"),
        Event::Progress { done, total, loss, tokens_per_second } => {
            let loss = loss.map_or(String::new(), |loss| format!("  loss {loss:.4}"));
            let speed =
                tokens_per_second.map_or(String::new(), |speed| format!("  {} tok/s", human::count(speed as u64)));
            format!("{done} of {total}{loss}{speed}")
        }
        Event::Metric { name, step, value } => format!("{name} {} at step {step}", human::number(*value)),
        Event::Checkpoint { path, step, tokens, words, milestone: Some(_), .. } => {
            format!("milestone {} at step {step} ({tokens} tokens, {words} words)", path.display())
        }
        Event::Checkpoint { path, step, tokens, words, .. } => {
            format!("checkpoint {} at step {step} ({tokens} tokens, {words} words)", path.display())
        }
        Event::Scored(score) => {
            let subtask = score.subtask.as_ref().map_or(String::new(), |subtask| format!("/{subtask}"));
            format!("scored {}{subtask}: {} {:.2} (n {})", score.task, score.metric, score.value, score.n)
        }
        Event::Warning { message } => format!("warning: {message}"),
        Event::Interrupted { step } => format!("interrupted after step {step}"),
        Event::Finished { verdict: Verdict::Done } => "done".to_owned(),
        Event::Finished { verdict: Verdict::Failed { message, .. } } => format!("failed: {message}"),
    }
}
