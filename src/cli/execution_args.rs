//! The options of verbs that run jobs.

use clap::Args;

use super::global::Global;
use crate::domain::Resources;
use crate::session::Execution;

/// How jobs are executed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Execution")]
pub(super) struct ExecutionArgs {
    /// Jobs at a time on each device, or in the queue of Slurm.
    #[arg(short, long)]
    pub jobs: Option<u32>,
    /// Threads of each job.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Devices, separated by commas: auto, cpu, cuda:0, ...
    #[arg(long, value_delimiter = ',', value_parser = device)]
    pub device: Vec<String>,
    /// Run on this machine, even if the spec submits to Slurm.
    #[arg(long)]
    pub local: bool,
    /// Cancel the jobs in the queue of Slurm when interrupted; by default they keep running, and `grid resume` adopts
    /// them.
    #[arg(long)]
    pub cancel_on_exit: bool,
    /// Stop at the first failed job; by default, jobs that do not depend on it still run.
    #[arg(long)]
    pub fail_fast: bool,
    /// How often a job is retried after its worker was lost.
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
}

impl ExecutionArgs {
    /// The options as a session takes them.
    pub(super) fn execution(&self, global: &Global) -> Execution {
        Execution {
            jobs: self.jobs,
            threads: self.threads,
            devices: self.device.clone(),
            local: self.local,
            cancel_on_exit: self.cancel_on_exit,
            fail_fast: self.fail_fast,
            offline: global.offline,
            retries: self.retries,
            log_filter: global.log_filter(),
        }
    }
}

/// Parses a device.
fn device(text: &str) -> Result<String, String> {
    match matches!(text, "auto" | "cuda") || Resources::is_device(text) {
        true => Ok(text.to_owned()),
        false => Err("a device is auto, cpu, or cuda:0, cuda:1, ...".to_owned()),
    }
}
