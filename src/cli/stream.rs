//! Standard output and standard error, whose failure ends nothing.
//!
//! The macros of the standard library panic where a write fails, as on a full disk, and would end a run with hours of work.
//! In this package, the macros of this file take their place.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::printable;
use crate::session::Exit;

/// Whether standard output has failed. Nothing more is written to it then.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. The first failure is reported on standard error.
pub(super) fn write_out(text: fmt::Arguments) {
    if !FAILED.load(Ordering::Relaxed) {
        report(io::stdout().write_fmt(text));
    }
}

/// Writes a message to standard error, without characters that control a terminal: messages quote the files of others. If it
/// fails, there is nowhere to report that.
pub(super) fn write_err(text: fmt::Arguments) {
    write_styled(&printable(&text.to_string()));
}

/// Writes a text with colours of our own to standard error.
pub(super) fn write_styled(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
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
