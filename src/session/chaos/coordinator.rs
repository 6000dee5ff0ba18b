//! The coordinator under test: this program in a process of its own.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::watch;

use super::scene::signal_group;
use crate::runner::Stop;

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// A started coordinator. It is killed when it is dropped.
pub(super) struct Coordinator {
    child: Child,
    messages: PathBuf,
    exit: Option<ExitStatus>,
}

/// How a coordinator ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The exit code; `None` for a process that a signal ended.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard error.
    pub messages: String,
}

/// Why waiting for a coordinator ended.
pub(super) enum Waited {
    /// It ended.
    Ended(End),
    /// The time is over.
    TimedOut,
    /// The user interrupts the verification.
    Interrupted,
}

impl Coordinator {
    /// Starts this program with these arguments; `messages` receives its standard error. With a quota, no file can grow
    /// beyond this many blocks of 512 bytes, and a write beyond it fails as on a full disk.
    ///
    /// # Errors
    /// A program that cannot be started, or a file that cannot be created.
    pub(super) fn start(arguments: &[String], quota: Option<u64>, messages: &Path) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = match quota {
            None => Command::new(program),
            Some(blocks) => {
                // Only a shell can ignore the signal and set the limit for a program without unsafe code here.
                let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
                let mut shell = Command::new("sh");
                shell.args(["-c", script, "sh", &blocks.to_string()]).arg(program);
                shell
            }
        };
        for variable in ["GRID_RUNS_DIR", "GRID_DATABASE_DIR", "GRID_INJECT"] {
            command.env_remove(variable);
        }
        let error = File::create(messages)?;
        // In a group of its own: an interrupt in the terminal is for the verification, which ends the coordinator.
        let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(error).process_group(0);
        Ok(Self { child: command.spawn()?, messages: messages.to_owned(), exit: None })
    }

    /// How it ended; `None` while it runs.
    pub(super) fn end(&mut self) -> Option<End> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
        }
        let exit = self.exit?;
        let messages = fs::read(&self.messages).unwrap_or_default();
        let messages = String::from_utf8_lossy(&messages).into_owned();
        Some(End { code: exit.code(), signal: exit.signal(), messages })
    }

    /// Sends a signal, unless it has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.end().is_none() {
            signal_group(self.child.id(), signal);
        }
    }

    /// Kills it and waits for its end.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.exit.is_none() {
            self.exit = self.child.wait().ok();
        }
    }

    /// Waits until it ends.
    pub(super) async fn wait(&mut self, limit: Duration, stop: &watch::Receiver<Stop>) -> Waited {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.end() {
                return Waited::Ended(end);
            }
            if *stop.borrow() != Stop::No {
                return Waited::Interrupted;
            }
            if Instant::now() > deadline {
                return Waited::TimedOut;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.kill();
    }
}
