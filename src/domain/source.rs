//! The data and models that a spec names, and where they are.

use std::path::PathBuf;

use serde::Serialize;

use super::remote::{FileSelection, Remote, RemoteLocation};
use super::text::{CorpusFormat, DatasetFormat, Origin, Template, WorldPart};
use super::text_size::TextSize;

/// Where text or evaluation data is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Source {
    /// The toy world.
    World {
        /// Which text.
        part: WorldPart,
        /// Seed.
        seed: u64,
        /// Words, records, or items per subtask.
        size: u64,
    },
    /// Local files: a glob (or plain path) with the folder of the spec already resolved. Their names mean nothing.
    Files(PathBuf),
    /// A local folder of evaluation files, whose names are those of the subtasks.
    Folder(PathBuf),
    /// A model that was trained elsewhere.
    Model(ForeignModel),
    /// Files on another machine, to be fetched.
    Remote(Remote),
}

impl Source {
    /// What may have to be fetched of another machine: of a model it is known by its name alone, and a folder of that
    /// name goes before it.
    pub fn remote(&self) -> Option<Remote> {
        match self {
            Source::Remote(remote) => Some(remote.clone()),
            Source::Model(model) => model.remote(),
            Source::World { .. } | Source::Files(_) | Source::Folder(_) => None,
        }
    }
}

/// A model in Hugging Face's form, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ForeignModel {
    /// As written: a folder, or a hub id such as `org/name` or `org/name@revision`.
    pub name: String,
    /// The folder it means if there is one, with the folder of the spec already resolved.
    pub folder: PathBuf,
}

impl ForeignModel {
    /// The repository it means where no such folder is; `None` for what can only be a path.
    pub fn remote(&self) -> Option<Remote> {
        Some(Remote { place: RemoteLocation::model(&self.name)?, archive: None, pick: FileSelection::Model })
    }
}

/// Data under the name that the spec gives them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DataEntry {
    /// Its section and name, such as `corpora.childes` or `evaluate.blimp`.
    pub name: String,
    /// Where the spec says where they are: `experiments/x.yaml:12:5`, or `-S corpora.childes.files=x.txt`.
    pub place: String,
    /// Where they are.
    pub source: Source,
    /// `licence:`, as written.
    pub licence: Option<String>,
}

/// A [`Source`] that has been looked up on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedSource {
    /// Its content, as it enters identities; [`Origin::Missing`] where nothing was found.
    pub origin: Origin,
    /// The files, sorted by name; empty for the toy world and for what is missing.
    pub files: Vec<PathBuf>,
}

/// A text corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Corpus {
    /// Its name in the spec.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// How it is cut.
    pub format: CorpusFormat,
    /// How much text its author says it has; `None` where that is not said.
    pub expected: Option<TextSize>,
}

/// An instruction dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    /// Its name in the spec.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// How it becomes records.
    pub format: DatasetFormat,
    /// How a record is laid out.
    pub template: Template,
    /// How much text its author says it has; `None` where that is not said.
    pub expected: Option<TextSize>,
    /// How many of its words its author says are text that no corpus has; `None` where that is not said.
    pub new_words: Option<u64>,
}
