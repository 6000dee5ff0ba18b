//! `grid-worker` takes job folders, one per line, on its standard input, and does the jobs one after the other; with
//! `bench` it measures instead.
//!
//! Exit codes: 0 the input ended; 75 asked to stop, whatever was under way can be resumed; 6 libtorch is missing or
//! another one than this program was built for; 1 a job's files cannot be read or written (the reason is on standard
//! error).

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use grid_worker::attempt::{self, Served, serve};
use grid_worker::{bench, jobs, ml};

/// The process that trains and scores models; started by `grid`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Device of this worker's slot; each job names its own.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of this worker's slot.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Something else than jobs.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Measure training speed: a round of steps for each line of standard input that holds a number.
    Bench {
        /// What to train, in JSON.
        workload: String,
    },
}

fn main() -> ExitCode {
    ml::runtime::prepare_process();
    let Arguments { device, threads, command } = Arguments::parse();
    let complain = |error: &dyn std::fmt::Display| {
        // Nobody is left to tell when standard error itself is gone.
        let _ = writeln!(std::io::stderr(), "grid-worker ({device}, {threads} threads): {error}");
    };
    ml::runtime::load_cuda_backend();
    let libtorch = match ml::runtime::check_version().and_then(|version| {
        ml::runtime::configure(threads)?;
        Ok(version)
    }) {
        Ok(version) => version,
        Err(error) => {
            complain(&error);
            return ExitCode::from(6);
        }
    };
    if let Some(Command::Bench { workload }) = command {
        return match bench::serve(&workload, std::io::stdin().lock(), std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        };
    }
    // Of two builds of one version only the program itself tells which one gave a number.
    let build = std::env::current_exe().and_then(|program| attempt::digest_of(&program));
    let build = build.map_or_else(|_| "unknown".to_owned(), |digest| digest.to_string()[..10].to_owned());
    let version = format!("grid {} (build {build}), libtorch {libtorch}", env!("CARGO_PKG_VERSION"));
    let stop = attempt::signal::stop_on_signals();
    let mut memory = jobs::Memory::default();
    match serve(std::io::stdin(), stop, &version, |assignment, attempt| jobs::run(assignment, attempt, &mut memory)) {
        Ok(Served::All) => ExitCode::SUCCESS,
        Ok(Served::Stopped) => ExitCode::from(75),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
