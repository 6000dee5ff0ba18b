//! Data on other machines, which a spec may name wherever it names files.

use crate::domain::{FileSelection, HubKind, Remote, RemoteLocation, remote};

use super::fields::{Fault, Fields, Scalar};
use super::scalars::text;
use super::tree::Value;

/// The keys that name a remote source.
const REMOTE_KEYS: [&str; 3] = ["hf", "osf", "url"];

/// A remote source, before the files in it are selected.
pub(super) struct RemoteFiles {
    place: RemoteLocation,
    archive: Option<String>,
}

/// Decodes the keys of data on another machine; `None` if there are none, `Some(None)` if something is wrong with them.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `hf:` | a dataset on the Hugging Face Hub, `ORGANIZATION/NAME` | one of these |
/// | `osf:` | an OSF project: `ryjfm` of `https://osf.io/ryjfm` | |
/// | `url:` | the URL of one file | |
/// | `revision:` | branch, tag or commit (`hf`); the lock file pins the commit | `main` |
/// | `archive:` | a zip archive in the repository or project, whose files are used (`hf`, `osf`) | none |
/// | `sha256:` | digest of the file (`url`) | that of the first download, which the lock file pins |
pub(super) fn remote_files(fields: &mut Fields) -> Option<Option<RemoteFiles>> {
    let mut named = REMOTE_KEYS.into_iter().filter_map(|key| Some((key, fields.take(key)?.mark)));
    let (first, second) = (named.next(), named.next());
    drop(named);
    let machine = match (first, second) {
        (None, _) => {
            for key in ["revision", "archive", "sha256"] {
                fields.forbid(key, "is only for data on another machine: `hf:`, `osf:` or `url:`");
            }
            return None;
        }
        (Some((first, _)), Some((second, mark))) => {
            fields.log.add(mark, format!("both '{first}' and '{second}' are given"), Some("remove one of them".into()));
            for key in ["revision", "archive", "sha256"] {
                fields.take(key);
            }
            return Some(None);
        }
        (Some((machine, _)), None) => machine,
    };
    let archive = match machine {
        "url" => {
            fields
                .forbid("archive", "is only for `hf` and `osf`; if a `url` is an archive, `files` selects files in it");
            None
        }
        _ => fields.get("archive", None, |value| archive(value).map(Some)),
    };
    match machine {
        "hf" => {}
        _ => fields.forbid("revision", "is only for `hf`"),
    }
    match machine {
        "url" => {}
        _ => fields.forbid("sha256", "is only for `url`; the lock file has the digests of other files"),
    }
    let place = match machine {
        "hf" => {
            let revision = fields.get("revision", remote::MAIN.to_owned(), revision);
            fields.required("hf", "such as `hf: ORGANIZATION/NAME`", repository).map(|repository| RemoteLocation::Hub {
                kind: HubKind::Datasets,
                repository,
                revision,
            })
        }
        "osf" => fields.required("osf", "such as `osf: ryjfm`", project).map(|project| RemoteLocation::Osf { project }),
        _ => {
            let sha256 = fields.get("sha256", None, |value| sha256(value).map(Some));
            fields
                .required("url", "such as `url: https://example.org/corpus.zip`", url)
                .map(|url| RemoteLocation::Url { url, sha256 })
        }
    };
    Some(place.map(|place| RemoteFiles { place, archive }))
}

impl RemoteFiles {
    /// Selects files by the pattern of `files:`. Without a pattern a URL is the file itself; with one it is an archive.
    pub(super) fn files(self, fields: &mut Fields) -> Option<Remote> {
        let pattern = |value: &Value| relative_path(value, "a pattern of relative paths", "such as train/*.txt");
        let RemoteFiles { place, mut archive } = self;
        let files = match &place {
            RemoteLocation::Url { url, .. } => {
                let files = fields.get("files", None, |value| pattern(value).map(Some));
                archive = files.as_ref().map(|_| RemoteLocation::file_name(url).to_owned());
                files.unwrap_or_else(|| "*".to_owned())
            }
            _ => fields.required("files", "the files to use, such as `files: \"train/*.txt\"`", pattern)?,
        };
        Some(Remote { place, archive, pick: FileSelection::Files(files) })
    }

    /// The folder of the evaluation data, in which each suite has a folder; a URL is an archive.
    pub(super) fn evaluation(self, fields: &mut Fields) -> EvaluationTree {
        let folder = |value: &Value| relative_path(value, "the relative path of a folder", "such as evaluation_data");
        let RemoteFiles { place, archive } = self;
        let archive = match &place {
            RemoteLocation::Url { url, .. } => Some(RemoteLocation::file_name(url).to_owned()),
            _ => archive,
        };
        let folder = fields.get("folder", String::new(), folder);
        EvaluationTree { place, archive, folder: folder.trim_end_matches('/').to_owned() }
    }
}

/// The folder of the official evaluation data on another machine.
pub(super) struct EvaluationTree {
    place: RemoteLocation,
    archive: Option<String>,
    folder: String,
}

impl EvaluationTree {
    /// A folder in it, by its path below.
    pub(super) fn folder(&self, path: &str) -> Remote {
        self.remote(FileSelection::Folder(self.below(path)))
    }

    /// A file in it, by its path below.
    pub(super) fn file(&self, path: &str) -> Remote {
        self.remote(FileSelection::Files(self.below(path)))
    }

    fn below(&self, path: &str) -> String {
        if self.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", self.folder) }
    }

    fn remote(&self, pick: FileSelection) -> Remote {
        Remote { place: self.place.clone(), archive: self.archive.clone(), pick }
    }
}

fn repository(value: &Value) -> Scalar<String> {
    let hint = match value {
        Value::Text(text) if text.contains('@') => "write the revision as a key of its own: `revision: TAG`",
        Value::Text(text) if text.contains("://") => {
            "write only ORGANIZATION/NAME; HF_ENDPOINT sets the URL of the Hub"
        }
        _ => "such as babylm/BabyLM-2026-Strict",
    };
    match text(value)? {
        text if remote::is_repository(&text) => Ok(text),
        _ => Err(Fault::expected("a repository of the Hugging Face Hub, ORGANIZATION/NAME").or_hint(hint)),
    }
}

/// A branch, tag or commit.
pub(super) fn revision(value: &Value) -> Scalar<String> {
    match text(value)? {
        text if remote::is_revision(&text) => Ok(text),
        _ => Err(Fault::expected("a branch, a tag or a commit").or_hint("such as main or v1.0")),
    }
}

fn project(value: &Value) -> Scalar<String> {
    match text(value)? {
        text if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) => Ok(text),
        _ => Err(Fault::expected("the id of an OSF project").or_hint("such as ryjfm of https://osf.io/ryjfm")),
    }
}

/// An HTTP or HTTPS URL.
pub(super) fn url(value: &Value) -> Scalar<String> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    match rest.filter(|rest| !rest.is_empty() && !text.contains(char::is_whitespace)) {
        Some(_) => Ok(text),
        None => Err(Fault::expected("a URL").or_hint("such as https://example.org/corpus.zip")),
    }
}

fn sha256(value: &Value) -> Scalar<String> {
    let digits = match value {
        Value::Text(text) => text.to_lowercase(),
        _ => String::new(),
    };
    match digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(digits),
        false => {
            Err(Fault::expected("64 hexadecimal digits").or_hint("`sha256sum FILE` prints them; write them in quotes"))
        }
    }
}

fn archive(value: &Value) -> Scalar<String> {
    match relative_path(value, "the relative path of a zip archive", "such as train_100M.zip")? {
        path if path.to_lowercase().ends_with(".zip") => Ok(path),
        _ => Err(Fault::expected("the path of a zip archive")
            .or_hint("other formats are not supported: unpack the archive, and name local files")),
    }
}

/// A relative path without `..`.
fn relative_path(value: &Value, what: &str, hint: &str) -> Scalar<String> {
    let text = text(value)?;
    let is_valid = !text.is_empty() && !text.starts_with('/') && text.split('/').all(|part| part != "..");
    if is_valid { Ok(text) } else { Err(Fault::expected(what).or_hint(hint)) }
}
