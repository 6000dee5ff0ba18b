//! The text of a spec: where it comes from, and what the database keeps of it.

use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use crate::data::download::{DataCache, Lock};
use crate::domain::Grid;
use crate::spec;
use crate::store::Experiment;

/// What the database stores as the path of a generated spec.
const GENERATED: &str = "/(grid eval)";

/// Where a spec comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecOrigin {
    /// A file, by its absolute path.
    File(PathBuf),
    /// `grid eval` generated it; no path in it is relative.
    Generated,
}

impl SpecOrigin {
    /// The origin that the database stored as this path.
    pub fn from_stored(path: &Path) -> Self {
        if path == Path::new(GENERATED) { Self::Generated } else { Self::File(path.to_owned()) }
    }

    /// The path to store: an absolute one, or a fixed text for a generated spec.
    pub fn stored_path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Generated => Path::new(GENERATED),
        }
    }

    /// The file, unless the spec was generated.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Generated => None,
        }
    }
}

/// The text of a spec with the overrides of the command line. The database keeps both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecText {
    /// Where it comes from.
    pub origin: SpecOrigin,
    /// Content.
    pub text: Vec<u8>,
    /// `-S` overrides.
    pub overrides: Vec<String>,
}

impl SpecText {
    /// Reads a spec file, once, and validates what was read.
    ///
    /// # Errors
    /// All problems of the spec, or the one that kept it from being read.
    pub fn read(path: &Path, overrides: &[String]) -> Result<(Self, Grid), Failure> {
        let text = spec::read(path)?;
        let grid = spec::parse(path, &text, overrides)?;
        let absolute = std::path::absolute(path)
            .map_err(|error| Failure::text(Exit::Usage, format!("{}: {error}", path.display())))?;
        let overrides = overrides.iter().map(|text| independent_of_current_dir(text)).collect();
        Ok((Self { origin: SpecOrigin::File(absolute), text, overrides }, grid))
    }

    /// A generated spec.
    pub fn generated(text: String) -> Self {
        Self { origin: SpecOrigin::Generated, text: text.into_bytes(), overrides: vec![] }
    }

    /// The spec of an experiment as the database stored it.
    pub fn stored(experiment: Experiment) -> Self {
        let Experiment { spec_path, spec_text, overrides, .. } = experiment;
        Self { origin: SpecOrigin::from_stored(&spec_path), text: spec_text.into_bytes(), overrides }
    }

    /// Validates the text.
    ///
    /// # Errors
    /// All problems of the spec.
    pub fn grid(&self) -> Result<Grid, Failure> {
        Ok(spec::parse(self.origin.stored_path(), &self.text, &self.overrides)?)
    }

    /// The user's cache of fetched data, with the lock file of this spec.
    ///
    /// # Errors
    /// A lock file that cannot be read.
    pub fn data_cache(&self) -> Result<DataCache, Failure> {
        let lock = Lock::read(&self.shown_path()).map_err(|error| Failure::new(Exit::Environment, error))?;
        Ok(DataCache::of_user(lock))
    }

    /// Its path, relative to the current folder if it lies below it.
    pub fn shown_path(&self) -> PathBuf {
        let path = self.origin.stored_path();
        let relative = std::env::current_dir().ok().and_then(|here| Some(path.strip_prefix(here).ok()?.to_owned()));
        relative.unwrap_or_else(|| path.to_owned())
    }
}

/// An override that means the same in another current folder, where the experiment may be resumed.
fn independent_of_current_dir(text: &str) -> String {
    let absolute = text.strip_prefix("data_root=").and_then(|root| std::path::absolute(root).ok());
    absolute.map_or_else(|| text.to_owned(), |root| format!("data_root={}", root.display()))
}
