//! What is checked on this machine before the first job starts, so that no job fails on it hours later.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::{Exit, Failure};
use super::open::Session;
use crate::domain::{Generation, Job, OfficialData, Resources, Suite};
use crate::plan::Decision;
use crate::runner;
use crate::spec;

/// Refuses jobs that are blocked by missing data, and names each location with its place in the spec and the remedy.
pub(super) fn missing_data(session: &Session) -> Result<(), Failure> {
    let mut missing: BTreeMap<&str, Option<Suite>> = BTreeMap::new();
    for job in session.plan.jobs() {
        if let Some(Decision::Blocked(_)) = session.decisions.get(&job.id) {
            let suite = if let Job::Eval(job) = &job.job { Some(job.test.suite()) } else { None };
            missing.extend(job.missing().map(|location| (location, suite)));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let places = &session.facts.places;
    let mut message = String::new();
    for (location, suite) in &missing {
        let place = places.get(*location).map_or("grid", String::as_str);
        message.push_str(&format!("{place}: not found: {location}\n"));
        message.push_str(&remedy_for_missing(location, *suite, &session.grid.generations));
    }
    message
        .push_str("  help: put the files there, or correct the paths in the spec (`-S data_root=DIR` sets the root)");
    // A user may have written a wrong path. A path without a place in a spec comes from the command line.
    let in_spec = missing.keys().all(|location| places.contains_key(*location));
    let exit = if in_spec { Exit::Usage } else { Exit::Environment };
    Err(Failure::text(exit, message))
}

fn remedy_for_missing(location: &str, suite: Option<Suite>, generations: &[Generation]) -> String {
    if generations.iter().any(|generation| generation.to == Path::new(location)) {
        return "  `grid data build SPEC` makes it\n".to_owned();
    }
    match suite.and_then(Suite::official_data) {
        Some(OfficialData { suite, download, .. }) => format!(
            "  {suite} needs {download}\n  password-protected archives may stay packed: put them beside that folder\n"
        ),
        None => spec::nearest(Path::new(location)).iter().map(|hint| format!("  {hint}\n")).collect(),
    }
}

/// Refuses a GPU that this machine does not have.
pub(super) fn missing_devices(resources: &Resources) -> Result<(), Failure> {
    if resources.backend.kind().batch_system().is_some() {
        return Ok(());
    }
    let gpus = runner::visible_gpus();
    if gpus == 0 && Path::new("/proc/driver/nvidia").exists() {
        return Ok(()); // there is a driver but no nvidia-smi, so only the worker can tell
    }
    let number = |device: &String| device.strip_prefix("cuda:").and_then(|number| number.parse::<u32>().ok());
    let missing = |device: &&String| number(device).is_some_and(|number| number >= gpus);
    let Some(device) = resources.devices.iter().find(missing) else { return Ok(()) };
    let present = if gpus == 0 { "no GPU".to_owned() } else { format!("cuda:0 to cuda:{}", gpus - 1) };
    let help = "nvidia-smi lists them; CUDA_VISIBLE_DEVICES may hide some";
    let message = format!("grid: there is no device {device}: this machine has {present}\n  help: {help}");
    Err(Failure::text(Exit::Environment, message))
}
