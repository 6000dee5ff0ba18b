//! How many jobs run at a time on this machine, and on which devices.

use std::process::Command;

use crate::domain::{BackendKind, Job, Resources};

/// One job at a time runs in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The device and a number, or the batch system and a number: `cpu/0`, `cuda:1/0`, `slurm/0`.
    pub name: String,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Threads of the worker.
    pub threads: u32,
}

/// The largest width of a small model. Its operations are so short that its threads often wait for each other: on two idle
/// cores, two workers with one thread each train models of width 128 1.1 times as fast as one worker with two threads, and
/// the more so if other programs need the cores.
const SMALL_WIDTH: u32 = 256;

/// Whether all models of a plan are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelScale {
    /// All models are trained from random weights and at most 256 wide.
    Small,
    /// Any models.
    Any,
}

impl ModelScale {
    /// The scale of the models of a plan. It must be given all jobs, finished ones too: the number of threads changes the
    /// last bits of results, so a run and its continuation need the same.
    pub fn of<'a>(jobs: impl Iterator<Item = &'a Job>) -> Self {
        let mut widths = jobs.filter_map(|job| match job {
            Job::Pretrain(job) => Some(job.model.hidden),
            Job::Import(_) => Some(u32::MAX),
            _ => None,
        });
        let first = widths.next().unwrap_or(u32::MAX);
        if widths.fold(first, u32::max) <= SMALL_WIDTH { Self::Small } else { Self::Any }
    }
}

/// The slots of a machine with this many CPU cores and visible GPUs; `auto` means all GPUs, or the CPU if there is no
/// GPU.
///
/// The CPU has `jobs_per_device` slots, by default as many as `threads` fit into the cores, or else one slot with all
/// cores; for small models, as many slots as cores. A GPU has `jobs_per_device` slots, by default one, and the slots of all
/// GPUs share the cores.
pub fn slots(resources: &Resources, models: ModelScale, cores: u32, gpus: u32) -> Vec<Slot> {
    let mut devices: Vec<String> = vec![];
    let cuda = || (0..gpus).map(|number| format!("cuda:{number}"));
    for device in &resources.devices {
        let meant: Vec<String> = match device.as_str() {
            "auto" if gpus > 0 => cuda().collect(),
            "auto" => vec!["cpu".to_owned()],
            "cuda" => vec!["cuda:0".to_owned()],
            other => vec![other.to_owned()],
        };
        for device in meant {
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
    }
    let used_gpus = devices.iter().filter(|device| *device != "cpu").count() as u32;
    let mut slots = vec![];
    for device in devices {
        let (default_jobs, devices) = match (device.as_str(), resources.threads, models) {
            ("cpu", Some(threads), _) => (cores / threads.max(1), 1),
            ("cpu", None, ModelScale::Small) => (cores, 1),
            ("cpu", None, ModelScale::Any) => (1, 1),
            _ => (1, used_gpus),
        };
        let jobs = resources.jobs_per_device.unwrap_or(default_jobs).max(1);
        let threads = resources.threads.unwrap_or(cores / (jobs * devices)).max(1);
        slots.extend((0..jobs).map(|number| Slot {
            name: BackendKind::Local.slot_name(&device, number),
            device: device.clone(),
            threads,
        }));
    }
    slots
}

/// The number of GPUs that CUDA programs started here can use.
pub fn visible_gpus() -> u32 {
    let Ok(listing) = Command::new("nvidia-smi").arg("-L").output() else { return 0 };
    let variable = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    count_visible(&String::from_utf8_lossy(&listing.stdout), variable.as_deref())
}

/// The number of GPUs in the listing of `nvidia-smi -L` that `CUDA_VISIBLE_DEVICES` leaves visible: those before its
/// first invalid entry.
fn count_visible(listing: &str, variable: Option<&str>) -> u32 {
    let present = listing.lines().filter(|line| line.starts_with("GPU ")).count() as u32;
    let Some(variable) = variable else { return present };
    let valid = |entry: &str| match entry.trim().parse::<i64>() {
        Ok(number) => (0..i64::from(present)).contains(&number),
        Err(_) => entry.trim().starts_with("GPU-") || entry.trim().starts_with("MIG-"),
    };
    let left = variable.split(',').take_while(|entry| valid(entry)).count() as u32;
    left.min(present)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::pretrain;
    use super::*;
    use crate::domain::Backend;

    fn shown(devices: &[&str], threads: Option<u32>, jobs_per_device: Option<u32>, cores: u32, gpus: u32) -> String {
        shown_for(ModelScale::Any, devices, threads, jobs_per_device, cores, gpus)
    }

    fn shown_for(
        models: ModelScale,
        devices: &[&str],
        threads: Option<u32>,
        jobs_per_device: Option<u32>,
        cores: u32,
        gpus: u32,
    ) -> String {
        let devices = devices.iter().map(|device| device.to_string()).collect();
        let resources = Resources {
            devices,
            threads,
            jobs_per_device,
            checkpoint_every_seconds: 60,
            micro_batch: None,
            backend: Backend::Local,
        };
        let slots = slots(&resources, models, cores, gpus);
        slots.iter().map(|slot| format!("{} x{}", slot.name, slot.threads)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn one_worker_has_the_whole_cpu_by_default() {
        assert_eq!(shown(&["auto"], None, None, 8, 0), "cpu/0 x8");
        assert_eq!(shown(&["auto"], Some(4), None, 8, 0), "cpu/0 x4, cpu/1 x4");
        assert_eq!(shown(&["cpu"], None, Some(2), 8, 2), "cpu/0 x4, cpu/1 x4");
        assert_eq!(shown(&["cpu"], Some(16), None, 8, 0), "cpu/0 x16");
        assert_eq!(shown(&["cpu"], Some(0), Some(0), 0, 0), "cpu/0 x1");
    }

    #[test]
    fn small_models_get_a_worker_for_each_core() {
        let small = |devices: &[&str], threads, jobs| shown_for(ModelScale::Small, devices, threads, jobs, 4, 1);
        assert_eq!(small(&["cpu"], None, None), "cpu/0 x1, cpu/1 x1, cpu/2 x1, cpu/3 x1");
        assert_eq!(small(&["cpu"], Some(4), None), "cpu/0 x4");
        assert_eq!(small(&["cpu"], None, Some(2)), "cpu/0 x2, cpu/1 x2");
        assert_eq!(small(&["auto"], None, None), "cuda:0/0 x4");
    }

    #[test]
    fn one_large_or_imported_model_makes_a_plan_large() {
        let pretrain = |hidden| {
            let Job::Pretrain(mut job) = pretrain(Path::new("runs"), 8).job else { panic!("a pretrain job") };
            job.model.hidden = hidden;
            Job::Pretrain(job)
        };
        let scale = |jobs: &[Job]| ModelScale::of(jobs.iter());
        assert_eq!(scale(&[pretrain(256), pretrain(64)]), ModelScale::Small);
        assert_eq!(scale(&[pretrain(256), pretrain(257)]), ModelScale::Any);
        assert_eq!(scale(&[]), ModelScale::Any);
    }

    #[test]
    fn the_slots_of_gpus_share_the_cores() {
        assert_eq!(shown(&["auto"], None, None, 16, 2), "cuda:0/0 x8, cuda:1/0 x8");
        assert_eq!(shown(&["cuda:1"], None, Some(2), 16, 2), "cuda:1/0 x8, cuda:1/1 x8");
        assert_eq!(shown(&["cuda:0", "auto", "cuda:0"], Some(3), None, 16, 2), "cuda:0/0 x3, cuda:1/0 x3");
        assert_eq!(shown(&[], None, None, 16, 2), "");
    }

    #[test]
    fn cuda_visible_devices_hides_gpus() {
        let listing = "GPU 0: NVIDIA A100 (UUID: GPU-a)\n  MIG 1g.5gb Device 0: (UUID: MIG-x)\nGPU 1: NVIDIA A100 (UUID: GPU-b)\n";
        assert_eq!(count_visible(listing, None), 2);
        assert_eq!(count_visible(listing, Some("1")), 1);
        assert_eq!(count_visible(listing, Some("1,-1,0")), 1);
        assert_eq!(count_visible(listing, Some("GPU-b, GPU-a")), 2);
        assert_eq!(count_visible(listing, Some("")), 0);
        assert_eq!(count_visible(listing, Some("-1")), 0);
        assert_eq!(count_visible("NVIDIA-SMI has failed\n", Some("0")), 0);
    }
}
