//! The files and processes of a run while it is disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::domain::{Event, JobId, JournalEntry, Outcome, Task, Verdict, layout};
use crate::runner;

/// The files and processes of one run.
pub(super) struct Scene {
    /// The runs folder.
    pub runs: PathBuf,
    /// The jobs with their folders.
    pub tasks: Vec<Task>,
}

/// The work that a run has published: whatever happens to processes and machines, it must not be done again.
pub(super) struct PublishedWork {
    /// The finished jobs, each with the folder of the attempt that succeeded.
    finished: BTreeMap<JobId, PathBuf>,
    /// The step of the newest checkpoint of each training in progress.
    checkpoints: BTreeMap<JobId, u64>,
}

impl Scene {
    /// The number of journal lines of all attempts, which measures how far the run is.
    pub(super) fn journal_lines(&self) -> u64 {
        let lines = |path: PathBuf| fs::read(path).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
        self.attempts().map(|attempt| lines(attempt.join(layout::JOURNAL)) as u64).sum()
    }

    /// The folders of all attempts, in the order of jobs and names.
    pub(super) fn attempts(&self) -> impl Iterator<Item = PathBuf> {
        self.tasks.iter().flat_map(|task| folders(&task.folder))
    }

    /// The finished jobs, each with the folder of the attempt that succeeded.
    pub(super) fn finished(&self) -> BTreeMap<JobId, PathBuf> {
        let outcome = |task: &Task| {
            let published = entries(&task.folder).into_iter().filter(|path| outcome_of(path));
            let outcomes = published.filter_map(|path| serde_json::from_slice::<Outcome>(&fs::read(path).ok()?).ok());
            let done =
                outcomes.filter(|outcome| outcome.verdict == Verdict::Done).max_by_key(|outcome| outcome.ended)?;
            Some((task.id, task.folder.join(done.attempt)))
        };
        self.tasks.iter().filter_map(outcome).collect()
    }

    /// The work that is published now.
    pub(super) fn published(&self) -> PublishedWork {
        let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(layout::CHECKPOINT_PREFIX)?.parse().ok();
        let checkpoints = self.checkpoints_in_use().into_iter();
        let owner = |path: &Path| Some(self.tasks.iter().find(|task| path.starts_with(&task.folder))?.id);
        let checkpoints = checkpoints.filter_map(|path| Some((owner(&path)?, step(&path)?))).collect();
        PublishedWork { finished: self.finished(), checkpoints }
    }

    /// What of this work was done again, now that the run is finished; `None` if nothing was.
    pub(super) fn repeated(&self, work: &PublishedWork) -> Option<String> {
        let finished = self.finished();
        let again = work.finished.iter().find(|(id, attempt)| finished.get(id) != Some(attempt));
        let again = again.map(|(id, attempt)| format!("job {} ran again after {}", id.short(), attempt.display()));
        let ignored = || {
            let ignored = work.checkpoints.iter().find(|(id, step)| self.resumed_from(id) < Some(**step))?;
            Some(format!("job {} did not resume from its checkpoint of step {}", ignored.0.short(), ignored.1))
        };
        again.or_else(ignored)
    }

    /// The last step that an attempt at a job resumed from.
    fn resumed_from(&self, id: &JobId) -> Option<u64> {
        let task = self.tasks.iter().find(|task| task.id == *id)?;
        let journals = folders(&task.folder).into_iter().filter_map(|path| fs::read(path.join(layout::JOURNAL)).ok());
        let entries = journals.flat_map(|text| {
            let entry = |line: &[u8]| serde_json::from_slice::<JournalEntry>(line).ok();
            text.split(|byte| *byte == b'\n').filter_map(entry).collect::<Vec<_>>()
        });
        let steps =
            entries.filter_map(|entry| if let Event::Resumed { step } = entry.event { Some(step) } else { None });
        steps.max()
    }

    /// The files in the outputs of finished jobs that a job which has not finished reads.
    pub(super) fn outputs_in_use(&self) -> Vec<PathBuf> {
        let finished = self.finished();
        let open = self.tasks.iter().filter(|task| !finished.contains_key(&task.id));
        let read: BTreeSet<JobId> = open.flat_map(|task| task.parents.iter().copied()).collect();
        let outputs = finished.iter().filter(|(id, _)| read.contains(id));
        outputs.flat_map(|(_, attempt)| files(&attempt.join(layout::OUTPUT))).collect()
    }

    /// The folders of the newest checkpoint of each job that has not finished.
    pub(super) fn checkpoints_in_use(&self) -> Vec<PathBuf> {
        let finished = self.finished();
        let open = self.tasks.iter().filter(|task| !finished.contains_key(&task.id));
        let newest = |task: &Task| {
            let found = folders(&task.folder).into_iter().flat_map(|attempt| folders(&attempt));
            let is_checkpoint = |path: &PathBuf| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(layout::CHECKPOINT_PREFIX))
            };
            found.filter(is_checkpoint).max_by_key(|path| path.file_name().map(ToOwned::to_owned))
        };
        open.filter_map(newest).collect()
    }

    /// The process ids of the workers that run a job, each of which leads a process group.
    pub(super) fn workers(&self) -> Vec<u32> {
        let alive = self.tasks.iter().filter(|task| runner::has_living_worker(&task.folder));
        let started = alive.flat_map(|task| folders(&task.folder)).filter_map(|attempt| {
            let journal = fs::read_to_string(attempt.join(layout::JOURNAL)).ok()?;
            let entry: JournalEntry = serde_json::from_str(journal.lines().next()?).ok()?;
            let has_ended = journal.lines().next_back().is_some_and(|line| line.contains("\"finished\""));
            match entry.event {
                Event::Started { pid, .. } if !has_ended && is_worker(pid) => Some(pid),
                _ => None,
            }
        });
        started.collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// Kills the workers, and waits until none is left; returns whether that succeeded. There must be no coordinator.
    pub(super) async fn kill_workers(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.workers().into_iter().for_each(|pid| signal_group(pid, Signal::KILL));
            if !self.tasks.iter().any(|task| runner::has_living_worker(&task.folder)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The first line of a log of a worker that tells of a panic.
    pub(super) fn panic(&self) -> Option<String> {
        let logs = files(&self.runs.join("workers")).into_iter().filter_map(|path| fs::read(path).ok());
        logs.into_iter().find_map(|log| panic_in(&String::from_utf8_lossy(&log)))
    }
}

/// The first line of a text that tells of a panic.
pub(super) fn panic_in(text: &str) -> Option<String> {
    text.lines().find(|line| line.contains("panicked")).map(str::to_owned)
}

/// Sends a signal to a process group. It fails for a group that has ended, which is what most signals are for.
pub(super) fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Whether a process is a worker, as far as this system says: a journal may name a process that has ended, whose number
/// another program has now.
fn is_worker(pid: u32) -> bool {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(command) => String::from_utf8_lossy(&command).contains("--device"),
        Err(_) => !Path::new("/proc/self/cmdline").exists(),
    }
}

fn outcome_of(path: &Path) -> bool {
    path.file_name().and_then(|name| layout::outcome_token(name.to_str()?)).is_some()
}

/// What a folder holds, sorted; nothing if it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The folders in a folder, sorted.
pub(super) fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir()).collect()
}

/// All files below a folder, sorted.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let below = entries(folder).into_iter();
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
