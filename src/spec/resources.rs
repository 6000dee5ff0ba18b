//! The section `resources:`, which says where jobs run.

use super::fields::{self, Fault, Fields, Scalar};
use super::problem::Log;
use super::scalars::{self, count, small};
use super::tree::{Node, Value};
use crate::domain::{Backend, Resources, Slurm};

/// Decodes `resources:`. They never change a result.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `slurm:` | submits the jobs to Slurm ([`slurm`]); the next three keys then apply to `--local` runs | run on this machine |
/// | `devices:` | `auto`, or a list of `cpu`, `cuda:0`, ... | `auto` |
/// | `threads:` | threads of each worker | the cores divided among the workers |
/// | `jobs_per_device:` | workers on each device | as many as the cores allow on a CPU, one on a GPU |
/// | `checkpoint_every:` | seconds between checkpoints | 60 |
/// | `micro_batch:` | rows per forward pass | the whole batch |
pub(super) fn resources(node: Option<&Node>, log: &Log) -> Resources {
    let auto = || vec!["auto".to_owned()];
    let mut resources = Resources {
        devices: auto(),
        threads: None,
        jobs_per_device: None,
        checkpoint_every_seconds: 60,
        micro_batch: None,
        backend: Backend::Local,
    };
    let Some(mut fields) = node.and_then(|node| Fields::of(node, "'resources'", log)) else { return resources };
    let some = |value: &Value| small(1..=65_536)(value).map(Some);
    resources.checkpoint_every_seconds = fields.get("checkpoint_every", 60, count(1..=31_536_000));
    resources.micro_batch = fields.get("micro_batch", None, some);
    if let Some(slurm) = fields.take("slurm").and_then(|node| slurm(node, log)) {
        resources.backend = Backend::Slurm(slurm);
    }
    resources.devices = match fields.take("devices") {
        Some(Node { value: Value::Text(word), .. }) if word == "auto" => auto(),
        Some(node @ Node { value: Value::Text(_), .. }) => {
            fields::scalar("'devices'", node, log, device).map_or_else(auto, |device| vec![device])
        }
        Some(_) => fields.list("devices", device).unwrap_or_else(auto),
        None => auto(),
    };
    resources.threads = fields.get("threads", None, some);
    resources.jobs_per_device = fields.get("jobs_per_device", None, some);
    fields.finish();
    resources
}

fn device(value: &Value) -> Scalar<String> {
    match value {
        Value::Text(text) if Resources::is_device(text) => Ok(text.clone()),
        _ => Err(Fault::expected("auto, cpu, or cuda:0, cuda:1, ...")
            .or_hint("`auto` uses all GPUs, or the CPU if there are none")),
    }
}

/// Decodes `resources: {slurm: ...}`; every job is submitted as a Slurm job.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `jobs:` | the most jobs in the queue at a time, pending ones included | 50 |
/// | `cpus:` | cores of each job | 4 |
/// | `gres:` | generic resources of each job, such as `gpu:1` or `gpu:a100:1` | none: jobs run on the CPU |
/// | `options:` | further options of `sbatch`, such as `[--partition=gpu, --time=4:00:00, --mem=32G]` | none |
/// | `poll_every:` | seconds between two queries of the queue | 15 |
/// | `grace:` | seconds that a file written on a node may take to appear here | 60 |
fn slurm(node: &Node, log: &Log) -> Option<Slurm> {
    let mut fields = Fields::of(node, "'slurm'", log)?;
    let slurm = Slurm {
        jobs: fields.get("jobs", 50, small(1..=10_000)),
        cpus: fields.get("cpus", 4, small(1..=65_536)),
        gres: fields.get("gres", None, |value| scalars::line(value).map(Some)),
        options: fields.list("options", option).unwrap_or_default(),
        poll_every_seconds: fields.get("poll_every", 15, count(1..=3600)),
        grace_seconds: fields.get("grace", 60, count(1..=3600)),
    };
    fields.finish();
    Some(slurm)
}

/// Options that grid sets to recognize its jobs, or that would make several jobs of one.
const RESERVED_OPTIONS: [&str; 13] = [
    "--job-name",
    "-J",
    "--comment",
    "--output",
    "-o",
    "--dependency",
    "-d",
    "--array",
    "-a",
    "--wrap",
    "--wait",
    "-W",
    "--test-only",
];

fn option(value: &Value) -> Scalar<String> {
    let text = scalars::line(value)?;
    if !text.starts_with('-') || (text.contains(char::is_whitespace) && !text.contains('=')) {
        let hint = "write each option as one item: [--partition=gpu, --time=4:00:00]";
        return Err(Fault::expected("an option of sbatch").or_hint(hint));
    }
    let name = if text.starts_with("--") { text.split('=').next() } else { text.get(..2) };
    match RESERVED_OPTIONS.iter().find(|reserved| Some(**reserved) == name) {
        Some(reserved) => Err(Fault::plain(
            format!("the sbatch option '{reserved}' is reserved"),
            "remove it: grid sets it to track its jobs",
        )),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BackendKind;

    /// A backend that no spec can name is of no use, so this `match` has a spec for each.
    #[test]
    fn every_backend_can_be_chosen_in_a_spec() {
        for kind in BackendKind::ALL {
            let text = match kind {
                BackendKind::Local => "threads: 1",
                BackendKind::Slurm => "slurm: {cpus: 1}",
            };
            let log = Log::new("x.yaml".into(), text);
            let node = Node::read(text, |mark| mark, &log);
            let backend = resources(node.as_ref(), &log).backend;
            assert_eq!(backend.kind(), kind);
            assert!(log.finish(Some(())).is_ok());
        }
    }
}
