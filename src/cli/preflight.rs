//! What is looked at before the first job starts: what it would stumble over hours later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::failure::{Exit, Failure};
use super::workspace::Workspace;
use crate::data;
use crate::domain::{Job, LocatedSource, Resources, Suite};
use crate::plan::{Decision, PlannedJob};
use crate::runner;
use crate::spec;
use crate::suites;

/// Fails where jobs are blocked by missing data, each of which it names with its place in the spec and what can be done.
pub(super) fn refuse_blocked(workspace: &Workspace) -> Result<(), Failure> {
    let mut missing: BTreeMap<&str, Option<Suite>> = BTreeMap::new();
    for job in workspace.plan.jobs() {
        if let Some(Decision::Blocked(_)) = workspace.decisions.get(&job.id) {
            let suite = if let Job::Eval(job) = &job.job { Some(job.suite) } else { None };
            missing.extend(job.missing().map(|location| (location, suite)));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let places = &workspace.facts.places;
    let missing = missing.into_iter().map(|(location, suite)| (places.get(location), location, suite));
    let missing: Vec<_> = missing.collect();
    let mut message = String::new();
    for (place, location, suite) in &missing {
        let place = place.map_or("grid", String::as_str);
        message.push_str(&format!("{place}: not found: {location}\n"));
        let made = workspace.grid.generations.iter().any(|generation| generation.to == Path::new(location));
        match suite {
            _ if made => message.push_str("  `grid data build SPEC` makes it\n"),
            Some(suite) => {
                message.push_str(&format!("  {suite} needs {}\n", suite.download()));
                message.push_str("  password-protected archives may stay packed: put them beside that folder\n");
            }
            None => {
                spec::nearest(Path::new(location)).iter().for_each(|hint| message.push_str(&format!("  {hint}\n")));
            }
        }
    }
    message
        .push_str("  help: put the files there, or correct the paths in the spec (`-S data_root=DIR` sets the root)");
    // What a user wrote may be wrong; of a spec that `grid eval` made the data folder is.
    let exit = if missing.iter().all(|(place, ..)| place.is_some()) { Exit::Usage } else { Exit::Environment };
    Err(Failure::text(exit, message))
}

/// Fails where the evaluation data of a job that is to run cannot be read.
pub(super) fn refuse_unreadable(workspace: &Workspace) -> Result<(), Failure> {
    let to_run = |job: &&PlannedJob| matches!(workspace.decisions.get(&job.id), Some(Decision::Run(_)));
    let mut read = BTreeSet::new();
    for planned in workspace.plan.jobs().filter(to_run) {
        let Job::Eval(job) = &planned.job else { continue };
        let files = planned.sources.iter().find(|(origin, _)| *origin == job.data).map(|(_, files)| files.clone());
        let located = LocatedSource { origin: job.data.clone(), files: files.unwrap_or_default() };
        if !read.insert((job.suite, located.files.clone())) {
            continue;
        }
        let folder = located.files.first().and_then(|file| file.parent()).map(|folder| folder.display().to_string());
        let unreadable = |reason: String| {
            let place = folder.map_or(String::new(), |folder| format!(" in {folder}"));
            Failure::text(Exit::Environment, format!("grid: the data of {}{place} cannot be used: {reason}", job.suite))
        };
        match data::evaluation_files(&located, job.suite) {
            Err(error) => return Err(unreadable(error.to_string())),
            Ok(files) => suites::read(job.suite, job.mode, &files).map_err(|error| unreadable(error.to_string()))?,
        };
    }
    Ok(())
}

/// Fails where a GPU is asked for that this machine does not have.
pub(super) fn refuse_devices(resources: &Resources) -> Result<(), Failure> {
    let gpus = runner::gpus();
    if gpus == 0 && Path::new("/proc/driver/nvidia").exists() {
        return Ok(()); // there is a driver, and nobody to list what it drives: the worker will see
    }
    let number = |device: &String| device.strip_prefix("cuda:").and_then(|number| number.parse::<u32>().ok());
    match resources.devices.iter().find(|device| number(device).is_some_and(|number| number >= gpus)) {
        Some(device) if resources.slurm.is_none() => {
            let there = if gpus == 0 { "no GPU".to_owned() } else { format!("cuda:0 to cuda:{}", gpus - 1) };
            let help = "nvidia-smi lists them; CUDA_VISIBLE_DEVICES may hide some";
            Err(Failure::text(
                Exit::Environment,
                format!("grid: there is no device {device}: this machine has {there}\n  help: {help}"),
            ))
        }
        _ => Ok(()),
    }
}
