//! The folder of a job as the coordinator reads it: the open submission, the journals and the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::error::RunError;
use crate::domain::layout::{ASSIGNMENT_SCHEMA, OUTCOME_SCHEMA, OUTCOME_SCHEMA_WITHOUT_DIGESTS};
use crate::domain::{
    Artifact, Assignment, Digest, Event, FileStamp, ItemOutcome, JobId, JobUpdate, JournalEntry, Outcome, Update,
    Verdict, digested_json, layout,
};

/// A unique name for a submission: 16 hexadecimal digits.
pub(super) fn new_token() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let parts = (time, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    blake3::hash(format!("{parts:?}").as_bytes()).to_hex()[..16].to_owned()
}

/// Opens a submission by writing `job.json` atomically.
pub(super) fn open(folder: &Path, assignment: &Assignment) -> Result<(), RunError> {
    let path = folder.join(layout::JOB);
    let write = || {
        fs::create_dir_all(folder)?;
        let temporary = folder.join(format!("{}.tmp", layout::JOB));
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(assignment)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| RunError::File { path: path.clone(), source })
}

/// Closes a submission whose end has been recorded.
pub(super) fn close(folder: &Path) -> Result<(), RunError> {
    let path = folder.join(layout::JOB);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RunError::File { path, source }),
        _ => Ok(()),
    }
}

/// The submission of job `id` that an earlier coordinator left open, if it can be read.
pub(super) fn open_submission(folder: &Path, id: JobId) -> Option<Assignment> {
    let path = folder.join(layout::JOB);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("cannot read {}, so the job is submitted again: {error}", path.display());
            return None;
        }
    };
    match serde_json::from_slice::<Assignment>(&text) {
        Ok(assignment) if assignment.id == id && assignment.schema == ASSIGNMENT_SCHEMA => Some(assignment),
        Ok(_) => {
            tracing::warn!(
                "{} belongs to another job or version of grid, so the job is submitted again",
                path.display()
            );
            None
        }
        Err(error) => {
            let problem = "is damaged or of an earlier version";
            tracing::warn!("{} {problem}, so the job is submitted again: {error}", path.display());
            None
        }
    }
}

/// Whether a living worker holds the lock of this job's folder.
pub fn has_living_worker(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(layout::LOCK)) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// The heartbeats of all attempts at a submission, a text that changes as long as one of them lives.
pub(super) fn heartbeats(folder: &Path, token: &str) -> String {
    let attempts = attempts(folder, token).unwrap_or_default();
    let beats = attempts.into_iter().filter_map(|attempt| fs::read_to_string(attempt.join(layout::HEARTBEAT)).ok());
    beats.collect::<Vec<_>>().join(" ")
}

/// The folders of the attempts at a submission, oldest first.
fn attempts(folder: &Path, token: &str) -> io::Result<BTreeSet<PathBuf>> {
    let prefix = format!("{token}-");
    let listed = fs::read_dir(folder)?.flatten();
    let ours = listed.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    Ok(ours.map(|entry| entry.path()).collect())
}

/// The published outcome of a submission with its items, or what is wrong with the files.
pub(super) fn outcome(folder: &Path, id: JobId, token: &str) -> Option<Result<(Outcome, Vec<ItemOutcome>), String>> {
    let path = folder.join(layout::published_outcome(token));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("{}: {error}", path.display()))),
    };
    let read = || {
        let outcome = parse_outcome(&text).map_err(|problem| format!("{}: {problem}", path.display()))?;
        if (outcome.id, outcome.token.as_str()) != (id, token) {
            return Err(format!("{} belongs to another submission", path.display()));
        }
        if !outcome.attempt.as_str().starts_with(&format!("{token}-")) {
            return Err(format!("{} names {}, an attempt at another submission", path.display(), outcome.attempt));
        }
        let attempt = folder.join(&outcome.attempt);
        check_inside(folder, &attempt)?;
        let output = attempt.join(layout::OUTPUT);
        for artifact in &outcome.artifacts {
            check_inside(folder, &output.join(&artifact.path))?;
            check_artifact(&output, artifact)?;
        }
        for record in &outcome.records {
            let path = folder.join(&record.path);
            check_inside(folder, &path)?;
            let digest_then = |file: File| Digest::of_reader(file.take(record.bytes));
            check_digest(&path, File::open(&path).and_then(digest_then), record.digest)?;
        }
        let path = attempt.join(layout::ITEMS);
        let is_recorded = outcome.records.iter().any(|record| folder.join(&record.path) == path);
        let may_have_items = is_recorded || outcome.schema == OUTCOME_SCHEMA_WITHOUT_DIGESTS;
        let items = if may_have_items { items(&path)? } else { vec![] };
        Ok((outcome, items))
    };
    Some(read())
}

fn parse_outcome(text: &str) -> Result<Outcome, String> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let invalid = |error: serde_json::Error| error.to_string();
    let Versioned { schema } = serde_json::from_str(text).map_err(invalid)?;
    match schema {
        OUTCOME_SCHEMA => digested_json::from_text(text),
        OUTCOME_SCHEMA_WITHOUT_DIGESTS => serde_json::from_str(text).map_err(invalid),
        _ => Err(format!("it has the schema {schema} of another version of grid")),
    }
}

/// Refuses a path below the folder of a job that a symbolic link leads elsewhere.
fn check_inside(folder: &Path, path: &Path) -> Result<(), String> {
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    match real(path)?.starts_with(real(folder)?) {
        true => Ok(()),
        false => Err(format!("{} leads out of the folder of its job by a symbolic link", path.display())),
    }
}

/// Compares a file with its record. A file with the stamp at which its worker digested it is the same; of any other, the
/// content is digested again.
fn check_artifact(output: &Path, artifact: &Artifact) -> Result<(), String> {
    let path = output.join(&artifact.path);
    let unreadable = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(unreadable)?;
    let stamp = FileStamp::from(&file.metadata().map_err(unreadable)?);
    if artifact.stamp == Some(stamp) {
        return Ok(());
    }
    if stamp.length != artifact.bytes {
        return Err(format!("{} has {} bytes, not {}", path.display(), stamp.length, artifact.bytes));
    }
    check_digest(&path, Digest::of_reader(file), artifact.digest)
}

/// Compares the digest that was found of a file with its record.
fn check_digest(path: &Path, found: io::Result<Digest>, recorded: Digest) -> Result<(), String> {
    let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
    match found == recorded {
        true => Ok(()),
        false => Err(format!("{} is damaged: its digest is {found}, but {recorded} is recorded", path.display())),
    }
}

/// The updates that record a finished job which the database does not know; empty if the job is not done in its folder,
/// or has an open submission.
///
/// # Errors
/// A journal that cannot be read.
pub fn unrecorded_outcome(id: JobId, folder: &Path) -> Result<Vec<JobUpdate>, RunError> {
    let Ok(listed) = fs::read_dir(folder) else { return Ok(vec![]) };
    if folder.join(layout::JOB).exists() {
        return Ok(vec![]);
    }
    let token = |name: &str| layout::outcome_token(name).map(str::to_owned);
    let tokens = listed.flatten().filter_map(|entry| token(entry.file_name().to_str()?));
    let usable = |token: String| match outcome(folder, id, &token)? {
        Ok(found) => Some(found),
        Err(problem) => {
            tracing::warn!("an earlier result is not used: {problem}");
            None
        }
    };
    let done = tokens.filter_map(usable).filter(|(outcome, _)| outcome.verdict == Verdict::Done);
    let Some((outcome, items)) = done.max_by_key(|(outcome, _)| outcome.ended) else { return Ok(vec![]) };
    let mut updates = vec![];
    JournalTail::new(id, &outcome.token, folder).read(&mut updates)?;
    updates.push(JobUpdate { job: id, update: Update::Ended { folder: folder.to_owned(), outcome, items } });
    Ok(updates)
}

fn items(path: &Path) -> Result<Vec<ItemOutcome>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let line = |(number, line)| {
        serde_json::from_str(line).map_err(|error| format!("{} line {}: {error}", path.display(), number + 1))
    };
    text.lines().enumerate().map(line).collect()
}

/// How far a journal has been read.
#[derive(Debug, Default)]
struct JournalPosition {
    bytes: u64,
    lines: u64,
}

/// Follows the journals of the attempts at a submission as they grow.
#[derive(Debug)]
pub(super) struct JournalTail {
    job: JobId,
    token: String,
    folder: PathBuf,
    attempts: BTreeMap<PathBuf, JournalPosition>,
    /// Host and process id of the attempt that started last.
    pub(super) worker: Option<(String, u32)>,
    /// The step at which the work was saved on request, if the last line that was read says so.
    pub(super) interrupted: Option<u64>,
}

impl JournalTail {
    /// Follows the attempts under `token` in `folder` from the start of their journals.
    pub(super) fn new(job: JobId, token: &str, folder: &Path) -> Self {
        let (token, folder) = (token.to_owned(), folder.to_owned());
        Self { job, token, folder, attempts: BTreeMap::new(), worker: None, interrupted: None }
    }

    /// Appends the new complete lines to `updates`.
    pub(super) fn read(&mut self, updates: &mut Vec<JobUpdate>) -> Result<(), RunError> {
        let found = match attempts(&self.folder, &self.token) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(RunError::File { path: self.folder.clone(), source }),
        };
        for attempt in found {
            self.attempts.entry(attempt).or_default();
        }
        for (attempt, position) in &mut self.attempts {
            let path = attempt.join(layout::JOURNAL);
            let text = match read_from(&path, position.bytes) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(RunError::File { path, source }),
            };
            for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
                let number = position.lines;
                position.lines += 1;
                position.bytes += line.len() as u64;
                let entry: JournalEntry = match serde_json::from_slice(line) {
                    Ok(entry) => entry,
                    Err(error) => {
                        tracing::warn!("{} line {}: {error}", path.display(), number + 1);
                        continue;
                    }
                };
                if let Event::Started { host, pid, .. } = &entry.event {
                    self.worker = Some((host.clone(), *pid));
                }
                self.interrupted = if let Event::Interrupted { step } = entry.event { Some(step) } else { None };
                let update =
                    Update::Journal { token: self.token.clone(), attempt: attempt.clone(), line: number, entry };
                updates.push(JobUpdate { job: self.job, update });
            }
        }
        Ok(())
    }
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut text = vec![];
    file.read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
