//! `grid logs`.

use clap::Args;

use super::global::Global;
use crate::domain::{Event, JournalEntry, Verdict, layout, one_line};
use crate::report::human;
use crate::session::{Exit, Failure, only_job};

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The id of a job, or its first digits, or its name.
    pub job: String,
    /// Print the journal unchanged, one JSON object per line.
    #[arg(long)]
    pub raw: bool,
}

/// `grid logs`: the journals of a job's attempts, oldest first.
pub(super) async fn logs(global: &Global, args: &LogsArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    let job = only_job(&store, &args.job).await?;
    let attempts = store.attempts(job.id).await?;
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
                println!("  cannot be read: {error}");
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
                    println!("  {:>8.1}s  {}", (entry.at - start) as f64 / 1e3, one_line(&describe(&entry.event)));
                }
                _ if args.raw => println!("  {line}"),
                _ => println!("  {}", one_line(line)),
            }
        }
    }
    Ok(Exit::Done)
}

/// An event in one line.
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
        Event::Finished { verdict: Verdict::DamagedInput { message, .. } } => format!("damaged input: {message}"),
    }
}
