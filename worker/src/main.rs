//! `grid-worker` reads the folders of jobs from standard input, one per line, and runs the jobs one after the other. With
//! `bench`, it measures training speed instead.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the input ended, and all jobs have an outcome |
//! | 1 | the files of a job cannot be read or written; standard error has the reason |
//! | 6 | libtorch is missing, or is not the version that this program was built for |
//! | 75 | it was asked to stop; the interrupted job can resume |
//!
//! | variable | meaning |
//! |---|---|
//! | `GRID_LOG` | what to log to standard error, as a filter of `tracing-subscriber` such as `info` or `grid_worker=debug`; the default is `warn` |
//! | `GRID_MKL_AMD` | see [`ml::runtime`] |

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use grid::domain::layout;
use grid_worker::attempt::{self, Served, serve};
use grid_worker::{bench, jobs, ml};

/// The process that trains and scores models. `grid` starts it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Device of this worker's slot, for messages; each job names its own device.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of this worker's slot.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// What to do instead of running jobs.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Measure training speed: one round for each line of standard input, which is a number of steps.
    Bench {
        /// The model and batch to train, in JSON.
        workload: String,
    },
    /// Measure generation speed: one round for each line of standard input, which is a number of repetitions.
    BenchGeneration {
        /// The model and the prompts, in JSON.
        workload: String,
    },
}

/// The exit code when libtorch is missing or has another version.
const WRONG_LIBTORCH: u8 = 6;

/// Logs to standard error, which the coordinator redirects to the log of the slot.
fn start_tracing() {
    let filter = EnvFilter::try_from_env("GRID_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
}

fn main() -> ExitCode {
    ml::runtime::prepare_process();
    let Arguments { device, threads, command } = Arguments::parse();
    let complain = |error: &dyn std::fmt::Display| {
        // If standard error fails, there is nowhere to report that.
        let _ = writeln!(std::io::stderr(), "grid-worker ({device}, {threads} threads): {error}");
    };
    start_tracing();
    let cuda = ml::runtime::load_cuda_backend();
    let libtorch = match ml::runtime::check_version().and_then(|version| {
        ml::runtime::configure(threads)?;
        Ok(version)
    }) {
        Ok(version) => version,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG_LIBTORCH);
        }
    };
    if let Some(command) = command {
        let (input, output) = (std::io::stdin().lock(), std::io::stdout());
        let served = match command {
            Command::Bench { workload } => bench::serve(&workload, input, output),
            Command::BenchGeneration { workload } => bench::serve_generation(&workload, input, output),
        };
        return match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        };
    }
    // Several builds may have the same version; a digest of the program tells them apart.
    let build = std::env::current_exe().and_then(|program| attempt::digest_of(&program));
    let build = build.map_or_else(|_| "unknown".to_owned(), |digest| digest.to_string()[..10].to_owned());
    tracing::info!(libtorch, cuda, build, "started");
    let version = format!("grid {} (build {build}), libtorch {libtorch}", env!("CARGO_PKG_VERSION"));
    let stop = attempt::signal::stop_on_signals();
    let mut memory = jobs::Memory::default();
    match serve(std::io::stdin(), stop, &version, |assignment, attempt| jobs::run(assignment, attempt, &mut memory)) {
        Ok(Served::All) => ExitCode::SUCCESS,
        Ok(Served::Stopped) => ExitCode::from(layout::RESUMABLE),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
