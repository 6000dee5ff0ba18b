//! How the jobs of one run are executed: what the command line and the environment say over the spec.

use super::failure::{Exit, Failure};
use crate::domain::{Backend, FaultInjection, Resources};
use crate::runner::Policy;

/// The execution options of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// Jobs at a time on each device, or in the queue of a batch system.
    pub jobs: Option<u32>,
    /// Threads of each job.
    pub threads: Option<u32>,
    /// Devices of this machine; empty for those of the spec.
    pub devices: Vec<String>,
    /// Whether to run on this machine even if the spec names a batch system.
    pub local: bool,
    /// Whether to cancel the jobs of a batch system when the run is interrupted.
    pub cancel_on_exit: bool,
    /// Whether to start no more jobs after the first failure.
    pub fail_fast: bool,
    /// Whether no request may be sent to a teacher.
    pub offline: bool,
    /// How often a job whose worker was lost is retried.
    pub retries: u32,
    /// The log filter of the workers.
    pub log_filter: String,
}

impl Execution {
    /// Applies the options to the resources of a spec.
    ///
    /// # Errors
    /// Devices of this machine for jobs that go to a batch system.
    pub fn apply_to(&self, resources: &mut Resources) -> Result<(), Failure> {
        if self.local {
            resources.backend = Backend::Local;
        }
        resources.set_concurrency(self.jobs, self.threads);
        if self.devices.is_empty() {
            return Ok(());
        }
        if let Some(system) = resources.backend.kind().batch_system() {
            let message = format!(
                "grid: --device names devices of this machine, but the jobs go to {}\n  help: add --local, or set `{}` \
                 in the spec",
                system.name, system.device_key
            );
            return Err(Failure::text(Exit::Usage, message));
        }
        resources.devices.clone_from(&self.devices);
        Ok(())
    }

    /// The policy of a run with these resources.
    ///
    /// # Errors
    /// `GRID_INJECT` that names no known fault.
    pub(super) fn policy(&self, resources: &Resources) -> Result<Policy, Failure> {
        Ok(Policy {
            keep_going: !self.fail_fast,
            retries: self.retries,
            checkpoint_every_seconds: resources.checkpoint_every_seconds,
            micro_batch: resources.micro_batch,
            faults: injected_faults()?,
        })
    }
}

/// The faults that `GRID_INJECT` asks for.
pub(super) fn injected_faults() -> Result<Option<FaultInjection>, Failure> {
    let Some(text) = std::env::var_os("GRID_INJECT") else { return Ok(None) };
    let faults = text.to_string_lossy().parse();
    faults.map(Some).map_err(|error| Failure::text(Exit::Usage, format!("grid: GRID_INJECT: {error}")))
}
