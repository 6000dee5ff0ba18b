//! Standard output and standard error, which end and block no run.
//!
//! The macros of the standard library panic where a write fails, as on a full disk, and would end a run with hours of work.
//! They also wait where nobody reads a pipe, or where a terminal is stopped. In this package, the macros of this file take
//! their place.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::domain::printable;
use crate::session::Exit;

/// How long a message waits until standard error takes it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes that a pipe takes without waiting when it says that it can be written.
const PIPE_BYTES: usize = 4096;

/// Whether messages are dropped where standard error would block.
static NEVER_BLOCKS: AtomicBool = AtomicBool::new(false);
/// Whether standard error took the last message not in time. The next one does not wait.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Whether standard output has failed. Nothing more is written to it then.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. The first failure is reported on standard error.
pub(super) fn write_out(text: fmt::Arguments) {
    if !FAILED.load(Ordering::Relaxed) {
        report(io::stdout().write_fmt(text));
    }
}

/// Lets no message wait for standard error for long, from now on: it is dropped instead.
pub(super) fn never_block() {
    NEVER_BLOCKS.store(true, Ordering::Relaxed);
}

/// Writes a message to standard error, without characters that control a terminal: messages quote the files of others. If it
/// fails, there is nowhere to report that.
pub(super) fn write_err(text: fmt::Arguments) {
    write_styled(&printable(&text.to_string()));
}

/// Writes a text with colours of our own to standard error.
pub(super) fn write_styled(text: &str) {
    let _ = StandardError.write_all(text.as_bytes());
}

/// Standard error, as a stream that never fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandardError;

impl Write for StandardError {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !NEVER_BLOCKS.load(Ordering::Relaxed) {
            let _ = io::stderr().write_all(text);
            return Ok(text.len());
        }
        for chunk in text.chunks(PIPE_BYTES) {
            let patience = if STUCK.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
            let is_stuck = !is_writable(patience);
            STUCK.store(is_stuck, Ordering::Relaxed);
            if is_stuck || io::stderr().write_all(chunk).is_err() {
                break;
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether standard error can be written, or fails at once, within this time.
fn is_writable(patience: Duration) -> bool {
    let stderr = io::stderr();
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            // By a request to stop.
            Err(Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}

/// Waits until everything is written, and returns the exit code: a success whose output is lost is none.
pub(super) fn finish(exit: Exit) -> Exit {
    if !FAILED.load(Ordering::Relaxed) {
        report(io::stdout().flush());
    }
    match exit {
        Exit::Done if FAILED.load(Ordering::Relaxed) => Exit::Environment,
        exit => exit,
    }
}

fn report(written: io::Result<()>) {
    if let Err(error) = written
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        write_err(format_args!("grid: failed to write to standard output: {error}\n"));
    }
}

/// Whether messages on standard error have colours and are redrawn: on a terminal that can, unless the user said otherwise.
pub(super) fn has_colours() -> bool {
    is_capable_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is a terminal that can move its cursor.
pub(super) fn is_capable_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Prints to standard output.
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::stream::write_out(format_args!($($text)*)) };
}

/// Prints a line to standard output.
macro_rules! println {
    ($($text:tt)*) => { $crate::cli::stream::write_out(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a line to standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::stream::write_err(format_args!("{}\n", format_args!($($text)*))) };
}
