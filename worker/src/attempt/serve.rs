//! From a job's folder to its published outcome.

use std::any::Any;
use std::fs::{self, TryLockError};
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use grid::domain::layout::{self, SCHEMA};
use grid::domain::{Assignment, Event, Outcome, Verdict};
use serde::Deserialize;

use super::files;
use super::{Attempt, JobError};

/// How often a waiting worker looks up.
const PERIOD: Duration = Duration::from_millis(100);

/// Why a worker stopped taking jobs.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// The input ended and all of it is done.
    All,
    /// It was asked to.
    Stopped,
}

/// What became of a submission.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attended {
    /// Its outcome is there, by this attempt or another.
    Published,
    /// It was given up on request.
    Interrupted,
}

/// A job's own files are unusable: no outcome can be published, so the process must end for the coordinator to notice.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", folder.display())]
pub struct Broken {
    folder: PathBuf,
    source: io::Error,
}

/// Does the jobs whose folders stand on the lines of `input`, until it ends or `stop` is raised.
///
/// If the input ends during a job (its coordinator died), the job is finished first.
///
/// # Errors
/// If a job can neither be run nor be reported as failed.
pub fn serve(
    input: impl Read + Send + 'static,
    stop: &'static AtomicBool,
    version: &str,
    mut run: impl FnMut(&Assignment, &mut Attempt) -> Result<(), JobError>,
) -> Result<Served, Broken> {
    // A thread of its own, since a blocked read would not see the flag.
    let (sender, folders) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(input).lines().map_while(Result::ok);
        lines.map(PathBuf::from).try_for_each(|folder| sender.send(folder))
    });
    while !stop.load(Ordering::Relaxed) {
        match folders.recv_timeout(PERIOD) {
            Ok(folder) => match attend(&folder, stop, version, &mut run) {
                Ok(Attended::Published) => {}
                Ok(Attended::Interrupted) => return Ok(Served::Stopped),
                Err(source) => return Err(Broken { folder, source }),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Served::All),
        }
    }
    Ok(Served::Stopped)
}

/// Sees to it that the submission in `folder` has an outcome.
pub(super) fn attend(
    folder: &Path,
    stop: &'static AtomicBool,
    version: &str,
    run: &mut impl FnMut(&Assignment, &mut Attempt) -> Result<(), JobError>,
) -> io::Result<Attended> {
    let lock = files::open_lock(folder)?;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => return Ok(Attended::Interrupted),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PERIOD),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    // Read under the lock: whoever held it before may have done the job, or have been replaced by a new submission.
    let assignment = read_assignment(&folder.join("job.json"))?;
    if folder.join(layout::published_outcome(&assignment.token)).exists() {
        return Ok(Attended::Published);
    }
    let mut attempt = Attempt::begin(folder, &assignment, stop)?;
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
            .unwrap_or_else(|panic| Err(JobError::failed(text_of(&*panic))))
    } else {
        Err(JobError::failed("the job has another id here than in job.json: build grid and grid-worker together"))
    };
    let sealed = result.and_then(|()| Ok(files::seal(&attempt.output)?));
    let (verdict, artifacts) = match sealed {
        Ok(artifacts) => (Verdict::Done, artifacts),
        Err(JobError::Failed { failure, message }) => (Verdict::Failed { failure, message }, vec![]),
        Err(JobError::Interrupted { step }) => {
            attempt.append(Event::Interrupted { step })?;
            return Ok(Attended::Interrupted);
        }
    };
    if let Some(items) = attempt.items.take() {
        items.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    }
    attempt.append(Event::Finished { verdict: verdict.clone() })?;
    let outcome = Outcome {
        schema: SCHEMA,
        id: assignment.id,
        token: assignment.token,
        attempt: attempt.name.clone(),
        started: attempt.started,
        ended: files::now(),
        verdict,
        artifacts,
    };
    files::publish(folder, &outcome)?;
    if outcome.verdict == Verdict::Done && assignment.settings.faults.is_none() {
        // The job is done whether or not its checkpoints can be removed: what is left only takes room.
        let _ = files::remove_checkpoints(folder);
    }
    Ok(Attended::Published)
}

fn read_assignment(path: &Path) -> io::Result<Assignment> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let wrong = |reason: String| io::Error::other(format!("job.json: {reason}"));
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let Versioned { schema } = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if schema != SCHEMA {
        return Err(wrong(format!("has schema {schema}, this grid-worker reads {SCHEMA}: build both together")));
    }
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// The message of a panic.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
