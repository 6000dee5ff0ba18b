//! Models that can be scored.

use std::path::{Path, PathBuf};

use grid::data::Tokenizer;

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

/// The model that was used last, with its folder.
#[derive(Default)]
pub(super) struct ModelCache(Option<(PathBuf, Scorable)>);

impl ModelCache {
    /// The model in a folder, which is read unless it is the last one.
    pub(super) fn get(&mut self, folder: PathBuf, inputs: Inputs<'_>) -> Result<&Scorable, JobError> {
        if self.0.as_ref().is_some_and(|(cached, _)| *cached == folder) {
            tracing::debug!(folder = %folder.display(), "the model is in memory");
        } else {
            self.clear();
            let scorable = Scorable::read(&folder, inputs)?;
            self.put(folder, scorable);
        }
        match &self.0 {
            Some((_, scorable)) => Ok(scorable),
            None => unreachable!("read above"),
        }
    }

    /// Stores a model that was read otherwise.
    pub(super) fn put(&mut self, folder: PathBuf, scorable: Scorable) {
        self.0 = Some((folder, scorable));
    }

    /// Frees the memory of the model.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
