//! Data and models as a spec defines them, and their sources.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::formatting::Formatting;
use super::origin::{Origin, WorldPart};
use super::remote::{FileSelection, Remote, RemoteLocation};
use super::text_format::{CorpusFormat, DatasetFormat};
use super::text_size::TextSize;

/// The source of text, evaluation data or a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Source {
    /// The toy world.
    World {
        /// The part of the toy world.
        part: WorldPart,
        /// The seed of the toy world.
        seed: u64,
        /// The number of words, records, or items per subtask.
        size: u64,
    },
    /// Local files: a glob or path, resolved against the folder of the spec. The names of the files have no meaning.
    Files(PathBuf),
    /// A local folder of evaluation files; the names of the files are those of the subtasks.
    Folder(PathBuf),
    /// An imported model.
    Model(ForeignModel),
    /// Files on another machine, which have to be fetched.
    Remote(Remote),
}

impl Source {
    /// The remote files that may have to be fetched. For a model they follow from its name, unless there is a local
    /// folder of that name.
    pub fn remote(&self) -> Option<Remote> {
        match self {
            Source::Remote(remote) => Some(remote.clone()),
            Source::Model(model) => model.remote(),
            Source::World { .. } | Source::Files(_) | Source::Folder(_) => None,
        }
    }
}

/// A model in Hugging Face format, as the spec names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ForeignModel {
    /// The name: a folder, or a Hub id such as `org/name`; with the revision, if the spec names one: `org/name@revision`.
    pub name: String,
    /// The local folder of that name, resolved against the folder of the spec; it may not exist.
    pub folder: PathBuf,
    /// The revision, which in a local folder is a folder of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

impl ForeignModel {
    /// The Hub repository of that name, used if there is no such folder; `None` if the name can only be a path.
    pub fn remote(&self) -> Option<Remote> {
        Some(Remote { place: RemoteLocation::model(&self.name)?, archive: None, pick: FileSelection::Model })
    }
}

/// A named definition of data in a spec.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DataEntry {
    /// The section and name, such as `corpora.childes` or `evaluate.blimp`.
    pub name: String,
    /// The position of the definition: `experiments/x.yaml:12:5`, or `-S corpora.childes.files=x.txt`.
    pub place: String,
    /// The source of the data.
    pub source: Source,
    /// The value of `licence:`, if given.
    pub licence: Option<String>,
}

/// A [`Source`] after a search for its files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedSource {
    /// The content, as it enters identities; [`Origin::Missing`] if no files were found.
    pub origin: Origin,
    /// The files, sorted by name; empty for the toy world and for missing data.
    pub files: Vec<SourceFile>,
}

/// A file of a source, with the digest of the content that the plan was made for. Whoever reads the file compares what it
/// reads with the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The path.
    pub path: PathBuf,
    /// The digest of the content.
    pub digest: Digest,
}

/// A text corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Corpus {
    /// The name in the spec.
    pub name: String,
    /// The source of the text.
    pub source: Source,
    /// How the text is split into documents and cleaned.
    pub format: CorpusFormat,
    /// The size that the spec declares, if it does.
    pub expected: Option<TextSize>,
    /// The language, as a code of ISO 639-3, if the spec names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// An instruction dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset<S = Source> {
    /// The name in the spec.
    pub name: String,
    /// The source of the records.
    pub source: S,
    /// How the rows become records.
    pub format: DatasetFormat,
    /// How a record is formatted as text.
    pub formatting: Formatting,
    /// The size that the spec declares, if it does.
    pub expected: Option<TextSize>,
    /// The declared number of words that are not part of any corpus, if the spec declares it.
    pub new_words: Option<u64>,
    /// The language, as a code of ISO 639-3, if the spec names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

impl<S> Dataset<S> {
    /// The same dataset with a source of another type.
    pub fn map_source<T>(self, map: impl FnOnce(S) -> T) -> Dataset<T> {
        let Dataset { name, source, format, formatting, expected, new_words, language } = self;
        Dataset { name, source: map(source), format, formatting, expected, new_words, language }
    }
}
