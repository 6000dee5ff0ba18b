//! Where the imported models of an experiment are from.

use super::spec_text::SpecText;
use crate::domain::{BaseModel, Grid};

/// An imported model of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedSource {
    /// Its name in the spec.
    pub model: String,
    /// The folder or repository, with the revision if the spec names one.
    pub from: String,
    /// The commit that the lock file pins, for a repository.
    pub commit: Option<String>,
}

/// The imported models of the cells of an experiment, each once. Without a lock file that can be read, their commits are not
/// known.
pub fn imported_sources(spec: &SpecText, grid: &Grid) -> Vec<ImportedSource> {
    let mut sources: Vec<ImportedSource> = vec![];
    let cache = spec.data_cache().ok();
    for cell in &grid.cells {
        let BaseModel::Imported(base) = &cell.recipe.base else { continue };
        if sources.iter().any(|known| known.model == cell.key.model) {
            continue;
        }
        let is_local = base.model.folder.is_dir();
        let place = base.model.remote().filter(|_| !is_local).map(|remote| remote.place);
        let commit = place.and_then(|place| cache.as_ref()?.lock.place(&place)?.revision.clone());
        sources.push(ImportedSource { model: cell.key.model.clone(), from: base.model.name.clone(), commit });
    }
    sources
}
