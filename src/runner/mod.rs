//! When and where jobs run: the ready queue, slots, workers, retries and cancellation.
//!
//! Purpose: [`drive`] runs a set of tasks to their end on any [`Executor`], and reports what happens as [`JobUpdate`].
//!
//! Invariant: an event is recorded before it is acted on. A submission is recorded before a worker gets it, and an
//! outcome before the children of the job start; a job's `job.json` exists exactly as long as the end of its submission
//! is not recorded. A coordinator that is killed at any instruction therefore leaves files from which the next one
//! continues without running anything twice.
//!
//! Rejected: workers that report over a socket or pipe. They would need a living coordinator, a protocol to reconnect,
//! and another one for Slurm. A journal in a file serves all three purposes, and people can read it.
//!
//! [`executor_for`] makes the executor of a [`crate::domain::Backend`]; each backend has a file in `executors/`.
//!
//! [`JobUpdate`]: crate::domain::JobUpdate

mod bench;
mod compare;
mod drive;
mod error;
mod executor;
mod executors;
mod folder;
mod lock;
mod policy;
mod queue;
mod slots;
mod submission;
mod summary;
#[cfg(test)]
mod tests;
mod worker;

pub use bench::{BenchmarkRounds, measure, measure_generation};
pub use compare::{AttemptDifference, first_difference};
pub use drive::drive;
pub use error::RunError;
pub use executor::{Executor, WorkerStatus};
pub use executors::executor_for;
pub use folder::{has_living_worker, unrecorded_outcome};
pub use lock::RunsLock;
pub use policy::{Policy, Stop};
pub use slots::{ModelScale, Slot, slots, visible_gpus};
pub use summary::Summary;
pub use worker::WorkerProgram;
