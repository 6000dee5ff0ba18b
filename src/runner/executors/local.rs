//! Workers on this machine: one process per slot, which is kept from job to job.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::error::RunError;
use super::super::executor::{Executor, WorkerStatus};
use super::super::slots::Slot;
use super::super::worker::WorkerProgram;
use super::log_tail::last_lines;
use crate::domain::layout;

#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    log: PathBuf,
    /// Length of the log when the worker was given its last job.
    log_start: u64,
    exit: Option<ExitStatus>,
}

impl Worker {
    fn exited(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            // Fails only for a process that is not our child, which would then count as alive.
            self.exit = self.child.try_wait().ok().flatten();
        }
        self.exit
    }

    fn assign(&mut self, folder: &Path) -> io::Result<()> {
        self.log_start = fs::metadata(&self.log)?.len();
        writeln!(self.input, "{}", folder.display())?;
        self.input.flush()
    }

    /// Sends a signal to the process group of the worker, unless it has been reaped and its id may belong to another
    /// process.
    fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // Fails if the worker has just ended, which the next poll notices.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn kill_and_wait(&mut self) {
        self.signal(Signal::KILL);
        if self.exit.is_none() {
            self.exit = self.child.wait().ok();
        }
    }

    /// How the worker ended, with the last lines of its log.
    fn exit_message(&self, exit: ExitStatus) -> String {
        let how = match (exit.code(), exit.signal()) {
            (Some(code), _) => format!("the worker exited with code {code}"),
            (None, Some(9)) => {
                "the worker was killed by signal 9 (SIGKILL; the machine may have run out of memory)".into()
            }
            (None, Some(signal)) => format!("the worker was killed by signal {signal}"),
            (None, None) => "the worker ended".to_owned(),
        };
        match last_lines(&self.log, self.log_start) {
            Some(lines) => format!("{how}; {lines}"),
            None => how,
        }
    }
}

/// Runs the jobs of each slot in a process of its own, which is started when it is first needed.
///
/// When it is dropped, workers finish the jobs that they have, and idle workers exit.
#[derive(Debug)]
pub(super) struct Local {
    program: WorkerProgram,
    /// Arguments before those that name the slot; tests need them.
    arguments: Vec<String>,
    logs: PathBuf,
    slots: Vec<Slot>,
    workers: Vec<Option<Worker>>,
}

impl Local {
    /// Workers of `program` on these slots, which log to `<runs>/workers/<slot>.log`.
    pub(super) fn new(program: WorkerProgram, runs: &Path, slots: Vec<Slot>) -> Self {
        let workers = slots.iter().map(|_| None).collect();
        Self { program, arguments: vec![], logs: runs.join("workers"), slots, workers }
    }

    fn spawn(&self, slot: usize) -> Result<Worker, RunError> {
        let Slot { name, device, threads } = &self.slots[slot];
        let log = self.logs.join(format!("{name}.log"));
        let open = || {
            fs::create_dir_all(log.parent().unwrap_or(&self.logs))?;
            File::options().create(true).append(true).open(&log)
        };
        let file = open().map_err(|source| RunError::File { path: log.clone(), source })?;
        let failed = |source| RunError::Worker { program: self.program.path().to_owned(), source };
        let mut child = self
            .program
            .command(&self.arguments, device, *threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            // Ctrl-C in the terminal is for the coordinator, which forwards it.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take().ok_or_else(|| failed(io::Error::other("the process has no standard input")))?;
        Ok(Worker { child, input, log, log_start: 0, exit: None })
    }
}

impl Executor for Local {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn submit(&mut self, slot: usize, folder: &Path, _token: &str) -> Result<(), RunError> {
        if let Some(worker) = &mut self.workers[slot]
            && worker.exited().is_none()
            && worker.assign(folder).is_ok()
        {
            return Ok(());
        }
        self.retire(slot);
        let mut worker = self.spawn(slot)?;
        // If the worker ends before it has read a line, the next poll notices, and reports its last lines.
        match worker.assign(folder) {
            Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
                return Err(RunError::Worker { program: self.program.path().to_owned(), source });
            }
            _ => self.workers[slot] = Some(worker),
        }
        Ok(())
    }

    fn poll(&mut self, slot: usize) -> WorkerStatus {
        let Some(worker) = &mut self.workers[slot] else {
            return WorkerStatus::Ended { resumable: false, message: "the worker was never started".to_owned() };
        };
        match worker.exited() {
            None => WorkerStatus::Alive,
            Some(exit) => WorkerStatus::Ended {
                resumable: exit.code() == Some(layout::RESUMABLE.into()),
                message: worker.exit_message(exit),
            },
        }
    }

    fn retire(&mut self, slot: usize) {
        if let Some(mut worker) = self.workers[slot].take() {
            worker.kill_and_wait();
        }
    }

    fn interrupt(&mut self) {
        self.workers.iter_mut().flatten().for_each(|worker| worker.signal(Signal::TERM));
    }

    fn kill(&mut self) {
        self.workers.iter_mut().flatten().for_each(Worker::kill_and_wait);
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_millis(50)
    }
}
