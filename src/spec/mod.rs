//! YAML to a validated [`Grid`].
//!
//! Purpose: one file says what an experiment is; after this room nothing about it can be wrong or missing except its
//! data. The format, every key with its default beside the code that reads it:
//!
//! | section | what | read by |
//! |---|---|---|
//! | `name` | fit for a folder | `cells` |
//! | `data_root` | folder of relative data paths; by default that of the spec (in `-S` relative to the current folder) | `document` |
//! | `corpora` | text for pretraining; needed unless every model has `hf:` or `job:` | `data::corpus` |
//! | `datasets` | prompt/reply records | `data::dataset` |
//! | `build` in a dataset | a model makes it of a corpus | `build` |
//! | `hf`, `osf`, `url` in any of them | data on other machines | `remote` |
//! | `tokenizer` | `vocab_size`; `corpora` and `datasets` it learns from, by default everything the spec defines | `document` |
//! | `models` | shapes, or `hf:` for models from elsewhere, `job:` for those of the database; per model `pretrain:` and `tune:` keys that go over the common ones | `models` |
//! | `pretrain`, `tune` | optimisation; looks at the held-out loss; milestones | `training` |
//! | `held_out` | share of all data kept for validation, by default 0.1 | `document` |
//! | `curricula` | named lists of stages | `curricula` |
//! | `axes`, `include`, `exclude` | the cells | `axes`, `cells` |
//! | `evaluate` | suites | `evaluate` |
//! | `resources` | what jobs run on: this machine, or a Slurm cluster | `resources` |
//! | `reference`, `tables` | published numbers; what `grid report --table` shows | `tables` |
//! | `budget` | the most text that a model may see | `budget` |
//! | `finetune` | how the suite `glue` is fine-tuned | `finetune` |
//!
//! The text becomes a tree whose keys and values know their places; overrides (`-S path.to.key=value`) and the values
//! of further axes are put into that tree; then each section decodes its part of it.
//!
//! Invariant: a problem never hides another. Decoders note what is wrong and go on, and whoever lacks a value because
//! of a noted problem stays silent.
//!
//! Rejected: serde structs with `deny_unknown_fields`. They stop at the first error, know no place once a value
//! is decoded, and would want a second set of types for overrides and further axes.

mod axes;
mod budget;
mod build;
mod cells;
mod curricula;
mod data;
mod document;
mod evaluate;
mod fields;
mod finetune;
mod models;
mod names;
mod overrides;
mod problem;
mod remote;
mod resources;
mod scalars;
mod shape;
mod tables;
#[cfg(test)]
mod tests;
mod training;
mod tree;

use std::path::Path;

pub use problem::{Problem, Problems};
pub use shape::shape;

use crate::domain::{Grid, did_you_mean};
use problem::{Log, Mark};
use tree::Node;

/// Reads and validates a spec file; see [`parse`].
///
/// # Errors
/// All problems of the file, or the one that kept it from being read.
pub fn load(path: &Path, overrides: &[String]) -> Result<Grid, Problems> {
    let text = std::fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let reason = if missing { "no such spec file".to_owned() } else { format!("cannot be read: {error}") };
        let hint = if missing {
            neighbours(path).unwrap_or("give the path of a YAML file".into())
        } else {
            "is it a file that you may read?".into()
        };
        Problems::unreadable(path, reason, Some(hint))
    })?;
    parse(path, &text, overrides)
}

/// Validates the text of a spec.
///
/// `path` is for messages, and its folder the one that relative data paths start from. `overrides` are
/// `path.to.key=value`, the value in YAML; they are applied in order before anything is validated. Nothing is read
/// from disk: whether data is there is a question for the plan.
///
/// # Errors
/// All problems at once, in order of place.
pub fn parse(path: &Path, text: &[u8], overrides: &[String]) -> Result<Grid, Problems> {
    let name = path.display().to_string();
    let text = match str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let log = Log::new(name, &String::from_utf8_lossy(text));
            let (before, bad) = text.split_at(error.valid_up_to());
            let before = String::from_utf8_lossy(before);
            let line = before.rsplit('\n').next().unwrap_or_default();
            let mark = Mark {
                source: 0,
                line: before.matches('\n').count() as u32 + 1,
                column: line.chars().count() as u32 + 1,
                length: 1,
            };
            let reason = format!("byte 0x{:02x} is not UTF-8", bad.first().copied().unwrap_or_default());
            log.add(mark, reason, Some("save the file as UTF-8".into()));
            return log.finish(None);
        }
    };
    let log = Log::new(name, text);
    let grid = Node::read(text, |mark| mark, &log).and_then(|mut root| {
        overrides::apply(&mut root, overrides, &log);
        let folder = path.parent().unwrap_or(Path::new(""));
        cells::grid(&root, folder, &log)
    });
    log.finish(grid)
}

/// What the user may have meant by the name of a spec that is not there.
fn neighbours(path: &Path) -> Option<String> {
    let mut names = names_in(folder_of(path));
    names.retain(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wanted = path.file_name()?.to_string_lossy();
    did_you_mean(&wanted, names.iter().copied())
        .or_else(|| (!names.is_empty()).then(|| format!("there are: {}", names.join(", "))))
}

/// What is at the last folder on a path at whose end nothing is, and what the user may have meant instead.
pub fn nearest(path: &Path) -> Option<String> {
    /// How many names are listed.
    const MOST: usize = 5;
    let lost = path.ancestors().find(|step| step.file_name().is_some() && folder_of(step).is_dir())?;
    let (folder, wanted) = (folder_of(lost), lost.file_name()?.to_string_lossy());
    let names = names_in(folder);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = did_you_mean(&wanted, names.iter().copied()).unwrap_or_else(|| match names.len() {
        0 => "it is empty".to_owned(),
        1..=MOST => format!("there are: {}", names.join(", ")),
        more => format!("there are: {}, and {} more", names[..MOST].join(", "), more - MOST),
    });
    let place = if folder == Path::new(".") { "the current folder".to_owned() } else { folder.display().to_string() };
    let relation = if wanted.contains(['*', '?', '[']) { "matches" } else { "is called" };
    Some(format!("nothing in {place} {relation} '{wanted}'; {hint}"))
}

/// The folder in which a path is.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The names of what is in a folder, sorted, hidden ones left out.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
