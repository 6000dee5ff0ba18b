//! The section `resources:`, what jobs run on.

use super::fields::{self, Fault, Fields, Scalar};
use super::problem::Log;
use super::scalars::{self, count, small};
use super::tree::{Node, Value};
use crate::domain::{Resources, Slurm};

/// Decodes `resources:`, which never change a result.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `slurm:` | submit the jobs to Slurm ([`slurm`]); the next three are then for `--local` | this machine |
/// | `devices:` | `auto`, or a list of `cpu`, `cuda:0`, ... | `auto` |
/// | `threads:` | of each worker | the cores shared among the workers |
/// | `jobs_per_device:` | workers | as many as fit the cores on a CPU, one on a GPU |
/// | `checkpoint_every:` | seconds | 60 |
/// | `micro_batch:` | rows per forward pass | the whole batch |
pub(super) fn resources(node: Option<&Node>, log: &Log) -> Resources {
    let auto = || vec!["auto".to_owned()];
    let mut resources = Resources {
        devices: auto(),
        threads: None,
        jobs_per_device: None,
        checkpoint_every_seconds: 60,
        micro_batch: None,
        slurm: None,
    };
    let Some(mut fields) = node.and_then(|node| Fields::of(node, "'resources'", log)) else { return resources };
    let some = |value: &Value| small(1..=65_536)(value).map(Some);
    resources.checkpoint_every_seconds = fields.get("checkpoint_every", 60, count(1..=31_536_000));
    resources.micro_batch = fields.get("micro_batch", None, some);
    resources.slurm = fields.take("slurm").and_then(|node| slurm(node, log));
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
        _ => Err(Fault::expected("auto, cpu, or cuda:0, cuda:1, ...").or_hint("auto takes all GPUs, or else the CPU")),
    }
}

/// Decodes `resources: {slurm: ...}`; every job of the grid becomes a job of Slurm's.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `jobs:` | of this grid in the queue at a time, waiting ones included | 50 |
/// | `cpus:` | cores of each job | 4 |
/// | `gres:` | such as `gpu:1` or `gpu:a100:1`: a GPU for each job | none: jobs run on the CPU |
/// | `options:` | further ones of `sbatch`, such as `[--partition=gpu, --time=4:00:00, --mem=32G]` | none |
/// | `poll_every:` | seconds between two looks at the queue | 15 |
/// | `grace:` | seconds that files may take from a node to here | 60 |
fn slurm(node: &Node, log: &Log) -> Option<Slurm> {
    let mut fields = Fields::of(node, "'slurm'", log)?;
    let slurm = Slurm {
        jobs: fields.get("jobs", 50, small(1..=10_000)),
        cpus: fields.get("cpus", 4, small(1..=65_536)),
        gres: fields.get("gres", None, |value| scalars::text(value).map(Some)),
        options: fields.list("options", option).unwrap_or_default(),
        poll_every_seconds: fields.get("poll_every", 15, count(1..=3600)),
        grace_seconds: fields.get("grace", 60, count(1..=3600)),
    };
    fields.finish();
    Some(slurm)
}

/// Options by which a job is recognised, or would not be one job.
const OURS: [&str; 13] = [
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
    let text = scalars::text(value)?;
    if !text.starts_with('-') || (text.contains(char::is_whitespace) && !text.contains('=')) {
        let hint = "each in one piece: [--partition=gpu, --time=4:00:00]";
        return Err(Fault::expected("an option of sbatch").or_hint(hint));
    }
    let name = if text.starts_with("--") { text.split('=').next() } else { text.get(..2) };
    match OURS.iter().find(|ours| Some(**ours) == name) {
        Some(ours) => Err(Fault::plain(format!("'{ours}' is not free"), "grid sets it, to find its jobs again")),
        None => Ok(text),
    }
}
