//! Models that can be scored.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grid::data::{Tokenizer, stamp_of};
use grid::domain::hugging_face::files::CONFIG;
use grid::domain::hugging_face::{ambiguity, difference_in_release_4};
use grid::domain::{Event, FileStamp, Transformers};

use super::inputs::Inputs;
use super::vocabulary;
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Model, model_folder};

/// A model and its tokenizer.
pub(super) struct Scorable {
    pub(super) model: Model,
    tokenizer: Tokenizer,
    folder: PathBuf,
    /// What is wrong with the weights.
    damage: Option<String>,
}

impl Scorable {
    /// Reads a model folder in the output of a parent; see [`Inputs::read_model`].
    pub(super) fn read(folder: &Path, inputs: Inputs<'_>) -> Result<Self, JobError> {
        Self::new(inputs.read_model(folder)?, folder)
    }

    /// Reads a model folder in the output of the running attempt, whose digests are not published yet.
    pub(super) fn read_own(folder: &Path, device: &str) -> Result<Self, JobError> {
        Self::new(model_folder::read(folder, ml::runtime::device(device)?)?, folder)
    }

    fn new(model: Model, folder: &Path) -> Result<Self, JobError> {
        let damage = damage(&model)?;
        Ok(Self { model, tokenizer: Tokenizer::load(folder)?, folder: folder.to_owned(), damage })
    }

    /// The tokenizer with the rules of a release of `transformers`.
    pub(super) fn tokenizer(&self, release: Transformers) -> Result<Cow<'_, Tokenizer>, JobError> {
        Ok(match release {
            Transformers::V5 => Cow::Borrowed(&self.tokenizer),
            Transformers::V4 => Cow::Owned(Tokenizer::load_as(&self.folder, release)?),
        })
    }

    /// Warns of weights that are not numbers.
    pub(super) fn warn_of_damage(&self, attempt: &mut Attempt) -> Result<(), JobError> {
        if let Some(message) = self.damage.clone() {
            attempt.emit(Event::Warning { message })?;
        }
        Ok(())
    }

    /// Warns of what a release of `transformers` computes differently from grid.
    pub(super) fn warn_of_release(&self, release: Transformers, attempt: &mut Attempt) -> Result<(), JobError> {
        let text = std::fs::read_to_string(self.folder.join(CONFIG)).unwrap_or_default();
        match difference_in_release_4(&text).filter(|_| release == Transformers::V4) {
            Some(message) => attempt.emit(Event::Warning { message }),
            None => Ok(()),
        }
    }

    /// Warns of everything in the model folder that may be a mistake.
    pub(super) fn warn(&self, attempt: &mut Attempt) -> Result<(), JobError> {
        self.warn_of_damage(attempt)?;
        let surplus = vocabulary::warning(&self.tokenizer, self.model.config().vocab_size);
        let open = ambiguity(&fs::read_to_string(self.folder.join(CONFIG)).unwrap_or_default());
        for message in self.tokenizer.warnings().iter().cloned().chain(surplus).chain(open) {
            attempt.emit(Event::Warning { message })?;
        }
        Ok(())
    }
}

/// Says which weights contain numbers that are not finite.
fn damage(model: &Model) -> Result<Option<String>, JobError> {
    let found = model.weights().non_finite()?;
    let named: Vec<String> =
        found.iter().take(3).map(|(name, wrong, count)| format!("{wrong} of {count} in '{name}'")).collect();
    let more = found.len() - named.len();
    let more = if more > 0 { format!(" and {more} more tensors") } else { String::new() };
    Ok((!found.is_empty()).then(|| {
        format!(
            "the weights contain numbers that are infinite or not a number (NaN): {}{more}; use a checkpoint from before \
             they appeared",
            named.join(", ")
        )
    }))
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
                let stamp = stamp_of(&path)?;
                stamps.push((path, stamp));
            }
        }
        stamps.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(stamps)
    };
    stamps().map_err(|error| JobError::failed(format!("{}: {error}", folder.display())))
}
