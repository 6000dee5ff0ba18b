//! From the folder of a job to its published outcome.

use std::any::Any;
use std::fs::{self, TryLockError};
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use grid::domain::{Assignment, Event, Outcome, Verdict};
use serde::Deserialize;

use super::error::JobError;
use super::files;
use super::running::Attempt;
use grid::domain::layout::{self, ASSIGNMENT_SCHEMA, OUTCOME_SCHEMA};

/// The interval at which a waiting worker checks whether it should stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Why a worker stopped taking jobs.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// The input ended, and all of its jobs are done.
    All,
    /// It was asked to stop.
    Stopped,
}

/// How the processing of a submission ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Processed {
    /// Its outcome is published, by this attempt or another.
    Published,
    /// It was interrupted on request.
    Interrupted,
}

/// The files of a job cannot be used, so no outcome can be published. The process must end for the coordinator to notice.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", folder.display())]
pub struct UnusableJob {
    folder: PathBuf,
    source: io::Error,
}

/// Runs the jobs whose folders are the lines of `input`, until it ends or `stop` is set.
///
/// If the input ends during a job, because the coordinator died, the job is finished first.
///
/// # Errors
/// If a job can neither be run nor reported as failed.
pub fn serve(
    input: impl Read + Send + 'static,
    stop: &'static AtomicBool,
    version: &str,
    mut run: impl FnMut(&Assignment, &mut Attempt) -> Result<(), JobError>,
) -> Result<Served, UnusableJob> {
    // On its own thread, because a blocked read does not notice the flag.
    let (sender, folders) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(input).lines().map_while(Result::ok);
        lines.map(PathBuf::from).try_for_each(|folder| sender.send(folder))
    });
    while !stop.load(Ordering::Relaxed) {
        match folders.recv_timeout(POLL_INTERVAL) {
            Ok(folder) => match process(&folder, stop, version, &mut run) {
                Ok(Processed::Published) => {}
                Ok(Processed::Interrupted) => return Ok(Served::Stopped),
                Err(source) => return Err(UnusableJob { folder, source }),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Served::All),
        }
    }
    Ok(Served::Stopped)
}

/// Makes sure that the submission in `folder` has an outcome: runs the job, unless another worker has.
pub(super) fn process(
    folder: &Path,
    stop: &'static AtomicBool,
    version: &str,
    run: &mut impl FnMut(&Assignment, &mut Attempt) -> Result<(), JobError>,
) -> io::Result<Processed> {
    let lock = files::open_lock(folder)?;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => return Ok(Processed::Interrupted),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL_INTERVAL),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    // Read under the lock: the previous holder may have done the job, or a new submission may have replaced it.
    let assignment = read_assignment(&folder.join(layout::JOB))?;
    if folder.join(layout::published_outcome(&assignment.token)).exists() {
        tracing::info!(job = assignment.id.short(), "the outcome is already published");
        return Ok(Processed::Published);
    }
    let mut attempt = Attempt::begin(folder, &assignment, stop)?;
    tracing::info!(job = assignment.id.short(), attempt = %attempt.folder().display(), "started a job");
    attempt.append(Event::Started {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        device: assignment.settings.device.clone(),
        threads: assignment.settings.threads,
        micro_batch: assignment.settings.micro_batch,
        version: version.to_owned(),
    })?;
    let result = if assignment.id == assignment.job.id() {
        catch_unwind(AssertUnwindSafe(|| run(&assignment, &mut attempt)))
            .unwrap_or_else(|panic| Err(JobError::panicked(panic_text(&*panic))))
    } else {
        Err(JobError::failed("this worker computes another id for the job: build grid and grid-worker together"))
    };
    let sealed = result.and_then(|()| Ok(files::seal(attempt.output())?));
    let (verdict, artifacts) = match sealed {
        Ok(artifacts) => (Verdict::Done, artifacts),
        Err(JobError::Failed { failure, message }) => (Verdict::Failed { failure, message }, vec![]),
        Err(JobError::DamagedInput { parent, message }) => (Verdict::DamagedInput { parent, message }, vec![]),
        Err(JobError::Interrupted { step }) => {
            tracing::info!(job = assignment.id.short(), step, "interrupted");
            attempt.append(Event::Interrupted { step })?;
            return Ok(Processed::Interrupted);
        }
    };
    attempt.sync_items()?;
    attempt.append(Event::Finished { verdict: verdict.clone() })?;
    tracing::info!(job = assignment.id.short(), ?verdict, "finished a job");
    let records = files::records(folder, &assignment.token, &attempt.name)?;
    let outcome = Outcome {
        schema: OUTCOME_SCHEMA,
        id: assignment.id,
        token: assignment.token,
        attempt: attempt.name.clone(),
        started: attempt.started,
        ended: files::now(),
        verdict,
        artifacts,
        records,
    };
    files::publish(folder, &outcome)?;
    if outcome.verdict == Verdict::Done && assignment.settings.faults.is_none() {
        // The job is done, whether or not its checkpoints can be removed: they only take up space.
        let _ = files::remove_checkpoints(folder);
    }
    Ok(Processed::Published)
}

fn read_assignment(path: &Path) -> io::Result<Assignment> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let wrong = |reason: String| io::Error::other(format!("{}: {reason}", layout::JOB));
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let Versioned { schema } = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if schema != ASSIGNMENT_SCHEMA {
        return Err(wrong(format!(
            "has schema {schema}, but this grid-worker reads {ASSIGNMENT_SCHEMA}: build grid and grid-worker together"
        )));
    }
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}
