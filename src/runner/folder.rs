//! The folder of a job as the coordinator reads it: the open submission, the journals and the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::RunError;
use crate::domain::layout::SCHEMA;
use crate::domain::{
    Artifact, Assignment, Event, ItemOutcome, JobId, JobUpdate, JournalEntry, Outcome, Update, Verdict, layout,
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
        Ok(assignment) if assignment.id == id && assignment.schema == SCHEMA => Some(assignment),
        Ok(_) => {
            tracing::warn!(
                "{} belongs to another job or version of grid, so the job is submitted again",
                path.display()
            );
            None
        }
        Err(error) => {
            tracing::warn!("{} is damaged, so the job is submitted again: {error}", path.display());
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
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("{}: {error}", path.display()))),
    };
    let read = || {
        let outcome: Outcome = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if (outcome.schema, outcome.id, outcome.token.as_str()) != (SCHEMA, id, token) {
            return Err(format!("{} belongs to another submission or version of grid", path.display()));
        }
        let attempt = folder.join(&outcome.attempt);
        for Artifact { path, bytes, .. } in &outcome.artifacts {
            let path = attempt.join(layout::OUTPUT).join(path);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == *bytes => {}
                Ok(metadata) => return Err(format!("{} has {} bytes, not {bytes}", path.display(), metadata.len())),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        let items = items(&attempt.join(layout::ITEMS))?;
        Ok((outcome, items))
    };
    Some(read())
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
    let done = tokens.filter_map(|token| outcome(folder, id, &token)?.ok());
    let done = done.filter(|(outcome, _)| outcome.verdict == Verdict::Done);
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
mod tests {
    use super::super::tests::id;
    use super::*;

    fn line(message: &str) -> String {
        let event = Event::Warning { message: message.into() };
        serde_json::to_string(&JournalEntry { at: 0, event }).unwrap() + "\n"
    }

    fn read(tail: &mut JournalTail) -> Vec<(u64, String)> {
        let mut updates = vec![];
        tail.read(&mut updates).unwrap();
        let shown = |update: JobUpdate| match update.update {
            Update::Journal { line, entry: JournalEntry { event: Event::Warning { message }, .. }, .. } => {
                (line, message)
            }
            other => panic!("{other:?}"),
        };
        updates.into_iter().map(shown).collect()
    }

    #[test]
    fn an_incomplete_line_is_read_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let attempt = folder.path().join("t-1");
        let mut tail = JournalTail::new(id(0), "t", folder.path());
        assert_eq!(read(&mut tail), []);
        fs::create_dir(&attempt).unwrap();
        assert_eq!(read(&mut tail), []);
        let mut journal = File::create(attempt.join(layout::JOURNAL)).unwrap();
        let whole = line("b");
        let (start, rest) = whole.split_at(7);
        journal.write_all((line("a") + start).as_bytes()).unwrap();
        assert_eq!(read(&mut tail), [(0, "a".to_owned())]);
        assert_eq!(read(&mut tail), []);
        journal.write_all((rest.to_owned() + "nonsense\n" + &line("c")).as_bytes()).unwrap();
        assert_eq!(read(&mut tail), [(1, "b".to_owned()), (3, "c".to_owned())]);
    }

    #[test]
    fn attempts_under_another_token_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for attempt in ["t-1", "t-2", "u-1"] {
            fs::create_dir(folder.path().join(attempt)).unwrap();
            fs::write(folder.path().join(attempt).join(layout::JOURNAL), line(attempt)).unwrap();
        }
        let lines = read(&mut JournalTail::new(id(0), "t", folder.path()));
        assert_eq!(lines, [(0, "t-1".to_owned()), (0, "t-2".to_owned())]);
    }

    #[test]
    fn the_outcome_of_another_submission_or_job_is_rejected_whatever_its_file_name() {
        let folder = tempfile::tempdir().unwrap();
        let attempt = "t-1".to_owned();
        fs::create_dir(folder.path().join(&attempt)).unwrap();
        let (schema, verdict, artifacts) = (SCHEMA, Verdict::Done, vec![]);
        let done = Outcome { schema, id: id(0), token: "t".into(), attempt, started: 0, ended: 1, verdict, artifacts };
        for token in ["t", "u"] {
            let path = folder.path().join(layout::published_outcome(token));
            fs::write(path, serde_json::to_vec(&done).unwrap()).unwrap();
        }
        let found = |id, token| outcome(folder.path(), id, token).unwrap().map(|(outcome, _)| outcome);
        assert_eq!(found(id(0), "t").unwrap().attempt, "t-1");
        for (id, token) in [(id(0), "u"), (id(1), "t")] {
            assert!(found(id, token).unwrap_err().contains("belongs to another submission"));
        }
    }

    #[test]
    fn tokens_are_unique() {
        let tokens: std::collections::BTreeSet<String> = (0..1000).map(|_| new_token()).collect();
        assert_eq!(tokens.len(), 1000);
    }
}
