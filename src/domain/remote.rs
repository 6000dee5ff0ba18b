//! Remote data as a spec defines it, before anything is fetched.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The default revision of a Hub repository.
pub const MAIN: &str = "main";

/// The kind of a Hugging Face Hub repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubKind {
    /// A dataset repository.
    Datasets,
    /// A model repository.
    Models,
}

impl HubKind {
    /// The name used in URLs and folders.
    pub fn name(self) -> &'static str {
        match self {
            HubKind::Datasets => "datasets",
            HubKind::Models => "models",
        }
    }
}

/// The location of a tree of files on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteLocation {
    /// A repository of the Hugging Face Hub, or of a mirror.
    Hub {
        /// The kind of the repository.
        kind: HubKind,
        /// The name: `organization/name`.
        repository: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// The files of an OSF project.
    Osf {
        /// The id of the project, as in <https://osf.io/ryjfm>.
        project: String,
    },
    /// A single file; its name is the last part of the URL.
    Url {
        /// The URL of the file.
        url: String,
        /// The SHA-256 of the file in lower-case hexadecimal digits, if the spec gives it.
        sha256: Option<String>,
    },
}

impl RemoteLocation {
    /// Parses the name of a Hub model: `name` or `organization/name`, optionally with `@revision`.
    pub fn model(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (repository, revision) = (repository.to_owned(), revision.to_owned());
        (is_repository(&repository) && is_revision(&revision)).then_some(RemoteLocation::Hub {
            kind: HubKind::Models,
            repository,
            revision,
        })
    }

    /// The file name in a URL, without the query.
    pub fn file_name(url: &str) -> &str {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("file")
    }
}

/// Whether this is a valid repository name: `name` or `organization/name`.
pub fn is_repository(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(['.', '-'])
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split('/').count() <= 2 && text.split('/').all(word)
}

/// Whether this is a valid branch, tag or commit.
pub fn is_revision(text: &str) -> bool {
    !text.starts_with('/')
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
}

impl fmt::Display for RemoteLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteLocation::Hub { kind, repository, revision } => {
                let kind = if *kind == HubKind::Datasets { "datasets/" } else { "" };
                write!(f, "hf:{kind}{repository}@{revision}")
            }
            RemoteLocation::Osf { project } => write!(f, "osf:{project}"),
            RemoteLocation::Url { url, .. } => f.write_str(url),
        }
    }
}

/// The files that are selected from a tree, or from an archive in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSelection {
    /// Files whose paths match a glob.
    Files(String),
    /// A folder of evaluation files, or archives in its place; empty for the whole tree.
    Folder(String),
    /// The files of a model.
    Model,
}

/// A selection of files on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remote {
    /// The location of the tree.
    pub place: RemoteLocation,
    /// The zip archive in the tree to unpack and select files from, if any.
    pub archive: Option<String>,
    /// The selected files.
    pub pick: FileSelection,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        let is_url = matches!(self.place, RemoteLocation::Url { .. });
        if let Some(archive) = self.archive.as_ref().filter(|_| !is_url) {
            write!(f, " {archive}")?;
        }
        match &self.pick {
            FileSelection::Files(text) | FileSelection::Folder(text)
                if !(text.is_empty() || is_url && self.archive.is_none()) =>
            {
                write!(f, " {text}")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_models_are_distinguished_from_paths() {
        let id = |text| RemoteLocation::model(text).map(|place| place.to_string());
        assert_eq!(id("gpt2").as_deref(), Some("hf:gpt2@main"));
        assert_eq!(id("org/name@chck_10M").as_deref(), Some("hf:org/name@chck_10M"));
        for path in ["./gpt2", "../a/b", "/a/b", "a/b/c", "org/name@", "a b", "a/b@../../x", "a/b@v?1", ""] {
            assert_eq!(id(path), None, "{path}");
        }
    }

    #[test]
    fn urls_end_in_a_file_name() {
        for (url, name) in [
            ("https://x.org/a/b.zip", "b.zip"),
            ("https://x.org/a/b.zip?download=1#top", "b.zip"),
            ("https://x.org/a/", "a"),
        ] {
            assert_eq!(RemoteLocation::file_name(url), name);
        }
    }
}
