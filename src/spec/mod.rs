//! YAML to a validated [`Grid`].
//!
//! Purpose: one file defines an experiment. After this module, nothing about it can be wrong or missing except its data.
//! Every key is documented, with its default, at the function that decodes it:
//!
//! | section | content | decoded by |
//! |---|---|---|
//! | `name` | a name that can be used as a folder | `cells` |
//! | `data_root` | folder that relative data paths start from; by default that of the spec (in `-S`, relative to the current folder) | `document` |
//! | `corpora` | text for pretraining; required unless every model has `hf:` or `job:` | `data::corpus` |
//! | `datasets` | prompt/reply records | `data::dataset` |
//! | `build` in a dataset | how a model generates it from a corpus | `build` |
//! | `hf`, `osf`, `url` in any of them | data on other machines | `remote` |
//! | `tokenizer` | `vocab_size`; the `corpora` and `datasets` it is trained on, by default everything the spec defines | `document` |
//! | `models` | shapes, or `hf:` for imported models, `job:` for models of the database; keys of `pretrain:` and `tune:` that override the common ones | `models`, `shape` |
//! | `pretrain`, `tune` | optimization, validation, milestones | `training` |
//! | `held_out` | fraction of all data kept for validation, by default 0.1 | `document` |
//! | `curricula` | named lists of stages | `curricula` |
//! | `axes`, `include`, `exclude` | the cells | `axes`, `combinations`, `cells` |
//! | `evaluate` | suites | `evaluate` |
//! | `resources` | where jobs run: on this machine, or on a Slurm cluster | `resources` |
//! | `reference`, `tables` | published numbers; the tables of `grid report --table` | `tables` |
//! | `budget` | the most text that a model may see | `budget` |
//! | `finetune` | how the suite `glue` is fine-tuned | `finetune` |
//!
//! The text is parsed into a tree whose keys and values have places; overrides (`-S path.to.key=value`) and the values of
//! field axes are put into that tree; then each section is decoded.
//!
//! Invariant: a problem never hides another one. Decoders log a problem and continue, and a value that is missing because
//! of a logged problem is not reported again.
//!
//! Rejected: serde structs with `deny_unknown_fields`. They stop at the first error, lose the place of decoded values, and
//! would need a second set of types for overrides and field axes.

mod axes;
mod budget;
mod build;
mod cells;
mod combinations;
mod curricula;
mod data;
mod dataset_format;
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

use crate::domain::{Grid, NotText, did_you_mean, plain_text};
use problem::{Log, Mark};
use tree::Node;

/// Reads the text of a spec file, for [`parse`].
///
/// # Errors
/// The problem that kept the file from being read, with the specs beside it.
pub fn read(path: &Path) -> Result<Vec<u8>, Problems> {
    std::fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let reason = if missing { "no such spec file".to_owned() } else { format!("cannot be read: {error}") };
        let hint = if missing {
            similar_names(path).unwrap_or("give the path of a YAML file".into())
        } else {
            "check that it is a file, and that you may read it".into()
        };
        Problems::unreadable(path, reason, Some(hint))
    })
}

/// Validates the text of a spec.
///
/// `path` is for messages, and relative data paths start from its folder. `overrides` are `path.to.key=value`, the value in
/// YAML; they are applied in order before anything is validated. Nothing is read from disk: the plan checks whether data is
/// available.
///
/// # Errors
/// All problems together, in order of place.
pub fn parse(path: &Path, text: &[u8], overrides: &[String]) -> Result<Grid, Problems> {
    let name = path.display().to_string();
    if let Err(problem @ NotText::Kind { .. }) = plain_text(text) {
        let log = Log::new(name, "");
        let hint = "a spec is a YAML file in UTF-8";
        log.add(Mark { source: 0, line: 1, column: 1, length: 1 }, format!("{problem}"), Some(hint.into()));
        return log.finish(None);
    }
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

/// A hint with the names of the specs in the folder of a path that does not exist.
fn similar_names(path: &Path) -> Option<String> {
    let mut names = names_in(folder_of(path));
    names.retain(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wanted = path.file_name()?.to_string_lossy();
    did_you_mean(&wanted, names.iter().copied())
        .or_else(|| (!names.is_empty()).then(|| format!("there are: {}", names.join(", "))))
}

/// A hint for a path that does not exist: the last existing folder on it, and what that folder contains.
pub fn nearest(path: &Path) -> Option<String> {
    /// The number of names that are listed.
    const MAX_LISTED: usize = 5;
    let missing = path.ancestors().find(|step| step.file_name().is_some() && folder_of(step).is_dir())?;
    let (folder, wanted) = (folder_of(missing), missing.file_name()?.to_string_lossy());
    let names = names_in(folder);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = did_you_mean(&wanted, names.iter().copied()).unwrap_or_else(|| match names.len() {
        0 => "the folder is empty".to_owned(),
        1..=MAX_LISTED => format!("there are: {}", names.join(", ")),
        more => format!("there are: {}, and {} more", names[..MAX_LISTED].join(", "), more - MAX_LISTED),
    });
    let place = if folder == Path::new(".") { "the current folder".to_owned() } else { folder.display().to_string() };
    let relation = if wanted.contains(['*', '?', '[']) { "matches" } else { "is called" };
    Some(format!("nothing in {place} {relation} '{wanted}'; {hint}"))
}

/// The folder that contains a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The names of the files and folders in a folder, sorted, without hidden ones.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
