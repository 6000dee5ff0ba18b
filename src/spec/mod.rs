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
//! | `tokenizer` | `vocab_size`; the `corpora` and `datasets` it is trained on, by default those that a cell uses | `document` |
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
mod base_models;
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
mod imported;
mod metalang;
mod models;
mod names;
mod nearest;
mod objective;
mod overrides;
mod own_test;
mod problem;
mod ranking;
mod remote;
mod resources;
mod sampled;
mod sampling;
mod scalars;
mod selection;
mod shape;
mod tables;
mod task_file;
mod test_sets;
#[cfg(test)]
mod tests;
mod training;
mod tree;

use std::path::Path;

pub use nearest::nearest;
pub use problem::{Problem, Problems};
pub use shape::shape;

use crate::domain::{Grid, NotText, plain_text};
use nearest::similar_names;
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
/// YAML; they are applied in order before anything is validated. Only the files that define test sets are read from disk:
/// the plan checks whether data is available.
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
