//! Workers on this machine: one process per slot, kept from job to job.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Executor, RunError, Slot, Status};
use crate::domain::layout;

/// Where the worker program is: `GRID_WORKER`, or `grid-worker` beside this program.
///
/// # Errors
/// [`RunError::NoWorker`] if there is no such file.
pub fn worker_program() -> Result<PathBuf, RunError> {
    let program = match std::env::var_os("GRID_WORKER") {
        Some(program) => PathBuf::from(program),
        None => {
            let program = std::env::current_exe();
            let program = program.map_err(|source| RunError::File { path: "/proc/self/exe".into(), source })?;
            program.with_file_name("grid-worker")
        }
    };
    if program.is_file() { Ok(program) } else { Err(RunError::NoWorker(program)) }
}

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
            // Fails only for a child that is not ours to wait for; it would stay "alive" then.
            self.exit = self.child.try_wait().ok().flatten();
        }
        self.exit
    }

    fn give(&mut self, folder: &Path) -> io::Result<()> {
        self.log_start = fs::metadata(&self.log)?.len();
        writeln!(self.input, "{}", folder.display())?;
        self.input.flush()
    }

    /// Sends a signal to the worker's process group, unless the worker has been reaped and the number may be another's.
    fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // Fails if it has just ended, which the next poll finds.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn kill_and_wait(&mut self) {
        self.signal(Signal::KILL);
        if self.exit.is_none() {
            self.exit = self.child.wait().ok();
        }
    }

    /// How it ended, with the last lines it wrote.
    fn obituary(&self, exit: ExitStatus) -> String {
        let how = match (exit.code(), exit.signal()) {
            (Some(code), _) => format!("the worker exited with code {code}"),
            (None, Some(9)) => {
                "the worker was killed by signal 9 (SIGKILL: perhaps the machine ran out of memory)".into()
            }
            (None, Some(signal)) => format!("the worker was killed by signal {signal}"),
            (None, None) => "the worker ended".to_owned(),
        };
        match last_lines(&self.log, self.log_start) {
            Some(words) => format!("{how}; {words}"),
            None => how,
        }
    }
}

/// The last lines that a worker wrote into its log from `start` on, with the name of the log; `None` without any.
pub(super) fn last_lines(log: &Path, start: u64) -> Option<String> {
    let text = read_from(log, start).ok()?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    (!last.is_empty()).then(|| format!("{} ends with:\n{}", log.display(), last.join("\n")))
}

fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut text = vec![];
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Runs each slot's jobs in a process of its own, started when first needed.
///
/// Dropping it leaves workers that have a job to finish it, and idle ones to leave.
#[derive(Debug)]
pub struct Local {
    program: PathBuf,
    /// Given before those that name the slot.
    arguments: Vec<String>,
    logs: PathBuf,
    slots: Vec<Slot>,
    workers: Vec<Option<Worker>>,
}

impl Local {
    /// Workers of `program` (see [`worker_program`]) on these slots, which log to `<runs>/workers/<slot>.log`.
    pub fn new(program: PathBuf, runs: &Path, slots: Vec<Slot>) -> Self {
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
        let failed = |source| RunError::Worker { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(["--device", device, "--threads", &threads.to_string()])
            // libtorch's pool is sized before a worker can ask for another size.
            .env("OMP_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            // A Ctrl-C at the terminal is for the coordinator, which passes it on.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take().ok_or_else(|| failed(io::Error::other("it has no standard input")))?;
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
            && worker.give(folder).is_ok()
        {
            return Ok(());
        }
        self.retire(slot);
        let mut worker = self.spawn(slot)?;
        // One that ends before it has read a line is found, with its last words, by the next poll.
        match worker.give(folder) {
            Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
                return Err(RunError::Worker { program: self.program.clone(), source });
            }
            _ => self.workers[slot] = Some(worker),
        }
        Ok(())
    }

    fn poll(&mut self, slot: usize) -> Status {
        let Some(worker) = &mut self.workers[slot] else {
            return Status::Gone { resumable: false, message: "the worker was never started".to_owned() };
        };
        match worker.exited() {
            None => Status::Working,
            Some(exit) => Status::Gone {
                resumable: exit.code() == Some(layout::RESUMABLE.into()),
                message: worker.obituary(exit),
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

    fn period(&self) -> Duration {
        Duration::from_millis(50)
    }
}
