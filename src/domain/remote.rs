//! Data on other machines, as a spec names them, before anything was fetched.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The revision that a hub gives where none is asked for.
pub const MAIN: &str = "main";

/// What a repository of the Hugging Face hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubKind {
    /// A dataset.
    Datasets,
    /// A model.
    Models,
}

impl HubKind {
    /// The word in addresses and folders.
    pub fn name(self) -> &'static str {
        match self {
            HubKind::Datasets => "datasets",
            HubKind::Models => "models",
        }
    }
}

/// A tree of files on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteLocation {
    /// A repository of the Hugging Face hub, or of a mirror of it.
    Hub {
        /// Dataset or model.
        kind: HubKind,
        /// `organisation/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
    /// The files of an OSF project.
    Osf {
        /// Its id, as in <https://osf.io/ryjfm>.
        project: String,
    },
    /// One file, named by the last part of its address.
    Url {
        /// The address.
        url: String,
        /// SHA-256 of the file, in lower-case hexadecimal digits.
        sha256: Option<String>,
    },
}

impl RemoteLocation {
    /// A model of the hub by what people call it: `name`, `organisation/name`, or either with `@revision`.
    pub fn model(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (repository, revision) = (repository.to_owned(), revision.to_owned());
        (is_repository(&repository) && is_revision(&revision)).then_some(RemoteLocation::Hub {
            kind: HubKind::Models,
            repository,
            revision,
        })
    }

    /// The last part of an address, without its query.
    pub fn file_name(url: &str) -> &str {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("file")
    }
}

/// Whether this may be the name of a repository: `name` or `organisation/name`.
pub fn is_repository(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(['.', '-'])
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split('/').count() <= 2 && text.split('/').all(word)
}

/// Whether this may be a branch, a tag or a commit.
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

/// What is wanted of a tree, or of an archive in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSelection {
    /// Files by a glob over their paths.
    Files(String),
    /// A folder of evaluation files, and archives that may stand in its place; empty for the whole tree.
    Folder(String),
    /// The files that make a model.
    Model,
}

/// Files on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remote {
    /// The tree.
    pub place: RemoteLocation,
    /// The zip archive in the tree that is unpacked and looked into.
    pub archive: Option<String>,
    /// Which files.
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
    fn models_of_the_hub_are_told_from_paths() {
        let id = |text| RemoteLocation::model(text).map(|place| place.to_string());
        assert_eq!(id("gpt2").as_deref(), Some("hf:gpt2@main"));
        assert_eq!(id("org/name@chck_10M").as_deref(), Some("hf:org/name@chck_10M"));
        for path in ["./gpt2", "../a/b", "/a/b", "a/b/c", "org/name@", "a b", "a/b@../../x", "a/b@v?1", ""] {
            assert_eq!(id(path), None, "{path}");
        }
    }

    #[test]
    fn addresses_end_in_a_file_name() {
        for (url, name) in [
            ("https://x.org/a/b.zip", "b.zip"),
            ("https://x.org/a/b.zip?download=1#top", "b.zip"),
            ("https://x.org/a/", "a"),
        ] {
            assert_eq!(RemoteLocation::file_name(url), name);
        }
    }
}
