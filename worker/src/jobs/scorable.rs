//! Models that can be scored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grid::data::{FileStamp, Tokenizer};

use super::inputs::Inputs;
use crate::attempt::JobError;
use crate::ml::{self, Model, model_folder};

/// A model and its tokenizer.
pub(super) struct Scorable {
    pub(super) model: Model,
    pub(super) tokenizer: Tokenizer,
}

impl Scorable {
    /// Reads a model folder in the output of a parent; see [`Inputs::read_model`].
    pub(super) fn read(folder: &Path, inputs: Inputs<'_>) -> Result<Self, JobError> {
        Ok(Self { model: inputs.read_model(folder)?, tokenizer: Tokenizer::load(folder)? })
    }

    /// Reads a model folder in the output of the running attempt, whose digests are not published yet.
    pub(super) fn read_own(folder: &Path, device: &str) -> Result<Self, JobError> {
        let model = model_folder::read(folder, ml::runtime::device(device)?)?;
        Ok(Self { model, tokenizer: Tokenizer::load(folder)? })
    }
}

/// The model that was used last.
#[derive(Default)]
pub(super) struct ModelCache(Option<CachedModel>);

struct CachedModel {
    folder: PathBuf,
    /// Those of the files in the folder when the model was read, by name.
    stamps: Vec<(PathBuf, FileStamp)>,
    scorable: Scorable,
}

impl ModelCache {
    /// The model in a folder, which is read unless it is the last one and its files are the same.
    pub(super) fn get(&mut self, folder: PathBuf, inputs: Inputs<'_>) -> Result<&Scorable, JobError> {
        let stamps = stamps(&folder)?;
        if self.0.as_ref().is_some_and(|cached| cached.folder == folder && cached.stamps == stamps) {
            tracing::debug!(folder = %folder.display(), "the model is in memory");
        } else {
            self.clear();
            let scorable = Scorable::read(&folder, inputs)?;
            self.0 = Some(CachedModel { folder, stamps, scorable });
        }
        match &self.0 {
            Some(cached) => Ok(&cached.scorable),
            None => unreachable!("read above"),
        }
    }

    /// Stores a model that was read otherwise.
    pub(super) fn put(&mut self, folder: PathBuf, scorable: Scorable) -> Result<(), JobError> {
        let stamps = stamps(&folder)?;
        self.0 = Some(CachedModel { folder, stamps, scorable });
        Ok(())
    }

    /// Frees the memory of the model.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

/// The stamps of the files in a folder, sorted by name.
fn stamps(folder: &Path) -> Result<Vec<(PathBuf, FileStamp)>, JobError> {
    let stamps = || -> io::Result<Vec<(PathBuf, FileStamp)>> {
        let mut stamps = vec![];
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                let stamp = FileStamp::of(&path)?;
                stamps.push((path, stamp));
            }
        }
        stamps.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(stamps)
    };
    stamps().map_err(|error| JobError::failed(format!("{}: {error}", folder.display())))
}
