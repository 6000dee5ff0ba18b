//! `grid-worker` takes job folders, one per line, on its standard input, and does the jobs one after the other.
//!
//! Exit codes: 0 the input ended; 75 asked to stop, whatever was under way can be resumed; 1 a job's files cannot be
//! read or written (the reason is on standard error).

mod attempt;
mod jobs;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use attempt::{Served, serve};

/// The process that trains and scores models; started by `grid`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Device of this worker's slot; each job names its own.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of this worker's slot; each job names its own.
    #[arg(long, default_value_t = 1)]
    threads: u32,
}

/// What a journal says about the build.
const VERSION: &str = concat!("grid ", env!("CARGO_PKG_VERSION"), ", libtorch 2.11.0");

fn main() -> ExitCode {
    let Arguments { device, threads } = Arguments::parse();
    let stop = attempt::signal::stop_on_signals();
    match serve(std::io::stdin(), stop, VERSION, jobs::run) {
        Ok(Served::All) => ExitCode::SUCCESS,
        Ok(Served::Stopped) => ExitCode::from(75),
        Err(error) => {
            // Nobody is left to tell when standard error itself is gone.
            let _ = writeln!(std::io::stderr(), "grid-worker ({device}, {threads} threads): {error}");
            ExitCode::FAILURE
        }
    }
}
