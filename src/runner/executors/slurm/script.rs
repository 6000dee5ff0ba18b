//! The name and the batch script of a Slurm job.

use std::path::Path;

use super::super::super::slots::Slot;
use super::super::super::worker::WorkerProgram;

/// `<experiment>.<kind>-<id>`, in characters that have no special meaning in Slurm.
pub(super) fn job_name(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    let name: String = parts.into_iter().rev().collect::<Vec<_>>().join(".");
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    name[name.len().saturating_sub(128)..].to_owned()
}

/// The batch script. It becomes the worker itself, so that signals reach it, with the folder of the job as its input.
pub(super) fn batch_script(program: &WorkerProgram, slot: &Slot, folder: &Path) -> String {
    let Slot { device, threads, .. } = slot;
    let variables = program.environment(*threads);
    let exports: String = variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    let arguments = WorkerProgram::arguments(device, *threads).join(" ");
    let program = quoted(&program.path().display().to_string());
    let folder = folder.display();
    format!("#!/bin/sh\n{exports}exec {program} {arguments} <<'END OF FOLDERS'\n{folder}\nEND OF FOLDERS\n")
}

/// A word of a shell script that stands for this text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
