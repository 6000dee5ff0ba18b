//! The recorded models of other programs.
//!
//! The integration tests of both packages include this file by its path.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use grid::domain::Arch;

use super::recordings::recording;

/// The folders of recorded models that have this part, a file or a folder. Those of architectures that are not built are
/// named on standard error and left out.
///
/// # Panics
/// If `GRID_SHARED` is set but there is none.
pub(crate) fn recorded_models(part: &str) -> Vec<PathBuf> {
    let Some(golden) = recording("golden") else { return vec![] };
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let all = [entries(&golden), entries(&golden.join("architectures"))].concat();
    let mut folders: Vec<PathBuf> = all.into_iter().filter(|path| path.join(part).exists()).collect();
    folders.sort();
    folders.retain(|folder| {
        let config = fs::read_to_string(folder.join("model/config.json")).expect("a recorded model");
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        let model_type = config["model_type"].as_str().expect("a type");
        let is_built = Arch::ALL.iter().any(|arch| arch.name() == model_type);
        if !is_built {
            writeln!(std::io::stderr(), "not built: {model_type} of {}", folder.display()).expect("stderr is open");
        }
        is_built
    });
    assert!(!folders.is_empty(), "no recording has {part}");
    folders
}
