//! What jobs run on, which never enters an identity.
//!
//! A backend is a way to execute jobs. To add one, add a variant to [`Backend`] and [`BackendKind`] here; the compiler
//! then names the other places: the executors of the runner, and the section `resources` of the spec.

use serde::Serialize;

/// Where and how the jobs of a grid are executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// What executes the jobs.
    pub backend: Backend,
    /// Devices of [`Backend::Local`]: `auto`, or a list such as `cpu`, `cuda:0`.
    pub devices: Vec<String>,
    /// Threads of each worker of [`Backend::Local`]; `None` shares the cores among the workers.
    pub threads: Option<u32>,
    /// Workers per device of [`Backend::Local`]; `None` starts as many as there are cores per `threads` on a CPU, and
    /// one on a GPU.
    pub jobs_per_device: Option<u32>,
    /// Seconds between checkpoints.
    pub checkpoint_every_seconds: u64,
    /// Rows per forward pass; `None` passes the whole batch.
    pub micro_batch: Option<u32>,
}

impl Resources {
    /// Whether this names one device: `cpu`, `cuda:0`, ...
    pub fn is_device(text: &str) -> bool {
        text == "cpu" || text.strip_prefix("cuda:").is_some_and(|number| number.parse::<u8>().is_ok())
    }

    /// Sets how many jobs run at a time, and the threads of each, wherever the backend keeps these numbers.
    pub fn set_concurrency(&mut self, jobs: Option<u32>, threads: Option<u32>) {
        match &mut self.backend {
            Backend::Local => {
                self.jobs_per_device = jobs.or(self.jobs_per_device);
                self.threads = threads.or(self.threads);
            }
            Backend::Slurm(slurm) => {
                slurm.jobs = jobs.unwrap_or(slurm.jobs);
                slurm.cpus = threads.unwrap_or(slurm.cpus);
            }
        }
    }
}

/// What executes jobs, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Backend {
    /// Worker processes on this machine.
    Local,
    /// Jobs in the queue of a Slurm cluster.
    Slurm(Slurm),
}

impl Backend {
    /// The kind of backend, without its settings.
    pub fn kind(&self) -> BackendKind {
        match self {
            Self::Local => BackendKind::Local,
            Self::Slurm(_) => BackendKind::Slurm,
        }
    }
}

/// A kind of backend, which is recorded with each attempt in the name of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackendKind {
    /// See [`Backend::Local`].
    Local,
    /// See [`Backend::Slurm`].
    Slurm,
}

/// How messages refer to a batch system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSystem {
    /// Its name.
    pub name: &'static str,
    /// The key of the spec that has its settings.
    pub key: &'static str,
    /// The key of the spec that requests devices from it.
    pub device_key: &'static str,
}

impl BatchSystem {
    /// Slurm.
    pub const SLURM: Self = Self { name: "Slurm", key: "resources.slurm", device_key: "resources.slurm.gres" };
}

impl BackendKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Local, Self::Slurm];

    /// The batch system whose queue the jobs enter; `None` for workers that are processes of this machine.
    pub fn batch_system(self) -> Option<BatchSystem> {
        match self {
            Self::Local => None,
            Self::Slurm => Some(BatchSystem::SLURM),
        }
    }

    /// The name of a slot: `cpu/0` or `cuda:1/0` on this machine, `slurm/0` in a queue. The database keeps it.
    pub fn slot_name(self, device: &str, number: u32) -> String {
        match self {
            Self::Local => format!("{device}/{number}"),
            Self::Slurm => format!("slurm/{number}"),
        }
    }

    /// The backend that an attempt was submitted to, from the name of its slot.
    pub fn of_slot(name: &str) -> Self {
        let recorded = Self::ALL.into_iter().find(|kind| {
            let number = name.rsplit('/').next().and_then(|number| number.parse().ok());
            kind.batch_system().is_some() && number.is_some_and(|number| kind.slot_name("", number) == name)
        });
        recorded.unwrap_or(Self::Local)
    }
}

/// How jobs are submitted to Slurm, one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slurm {
    /// Jobs in Slurm's queue at a time, pending ones included.
    pub jobs: u32,
    /// `--cpus-per-task`: cores of each job, and threads of its worker.
    pub cpus: u32,
    /// `--gres`, such as `gpu:1`. With a GPU in it, the job runs on the first GPU that it is given; otherwise on the
    /// CPU.
    pub gres: Option<String>,
    /// Further options of `sbatch`, such as `--partition=gpu`.
    pub options: Vec<String>,
    /// Seconds between two listings of the queue.
    pub poll_every_seconds: u64,
    /// Seconds to wait for the files of a job that left the queue, because network filesystems lag behind.
    pub grace_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_of_an_attempt_is_read_back_from_its_slot() {
        for kind in BackendKind::ALL {
            for device in ["cpu", "cuda:1"] {
                assert_eq!(BackendKind::of_slot(&kind.slot_name(device, 12)), kind);
            }
        }
        assert_eq!(BackendKind::of_slot("unknown"), BackendKind::Local);
    }
}
