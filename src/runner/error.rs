//! Errors of the runner.

use std::path::PathBuf;

use crate::domain::BatchSystem;

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The tasks do not form a graph that can be run.
    #[error("run {0}")]
    Tasks(String),
    /// What happened could not be recorded.
    #[error("record the progress of the jobs: {0}")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file of the run cannot be written or read.
    #[error("use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A worker cannot be started.
    #[error("start the worker {}: {source}", program.display())]
    Worker {
        /// The worker program.
        program: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A batch system rejects a job for a reason that will not go away.
    #[error("submit a job to {}: {message}; correct `{}` in the spec, or run here with --local", system.name, system.key)]
    Rejected {
        /// The batch system.
        system: BatchSystem,
        /// Its message.
        message: String,
    },
    /// A worker ended during a benchmark.
    #[error("run the benchmark: {0}; the output of the worker is above")]
    Benchmark(String),
    /// There is no worker program.
    #[error(
        "find the worker program: {} does not exist; build it with `cargo build --release`, or set GRID_WORKER to its \
         path", .0.display()
    )]
    NoWorker(PathBuf),
    /// There is no device to run on.
    #[error("run any job: there is no device to run on; name one under `resources` in the spec")]
    NoSlots,
    /// Another coordinator is using the runs folder.
    #[error("lock {}: another grid is running there ({holder}); wait until it ends, or stop it", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself: its process and host.
        holder: String,
    },
}
