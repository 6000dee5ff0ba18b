//! The executors: one file for each backend.

#[cfg(test)]
pub(super) mod fake;
mod local;
mod log_tail;
mod slurm;

use std::path::Path;

use super::executor::Executor;
use super::slots::{ModelScale, slots, visible_gpus};
use super::worker::WorkerProgram;
use crate::domain::{Backend, Resources};
use local::Local;
use slurm::Slurm;

/// The executor of the backend of these resources, for a plan with models of this scale. Workers of this machine write their logs below `runs`; with
/// `cancel_on_exit` a polite stop cancels the jobs of a batch system, which otherwise outlive their coordinator.
pub fn executor_for(
    resources: &Resources,
    models: ModelScale,
    program: WorkerProgram,
    runs: &Path,
    cancel_on_exit: bool,
) -> Box<dyn Executor> {
    match &resources.backend {
        Backend::Local => {
            let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
            Box::new(Local::new(program, runs, slots(resources, models, cores, visible_gpus())))
        }
        Backend::Slurm(options) => Box::new(Slurm::new(program, options.clone(), cancel_on_exit)),
    }
}
