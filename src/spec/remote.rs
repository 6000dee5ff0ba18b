//! Data on other machines, wherever a spec names files.

use crate::domain::{FileSelection, HubKind, Remote, RemoteLocation, remote};

use super::fields::{Fault, Fields, Scalar};
use super::scalars::text;
use super::tree::Value;

/// The keys that name another machine.
const MACHINES: [&str; 3] = ["hf", "osf", "url"];

/// What is said of files on another machine, before it is known what is picked of them.
pub(super) struct Elsewhere {
    place: RemoteLocation,
    archive: Option<String>,
}

/// Decodes the keys of data on another machine; `None` where no machine is named, `Some(None)` where something is wrong.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `hf:` | a dataset of the Hugging Face hub, `ORGANISATION/NAME` | one of these |
/// | `osf:` | an OSF project: `ryjfm` of `https://osf.io/ryjfm` | |
/// | `url:` | the address of one file | |
/// | `revision:` | branch, tag or commit (`hf`); the lock file pins the commit | `main` |
/// | `archive:` | a zip archive in the tree, which is unpacked and looked into (`hf`, `osf`) | none |
/// | `sha256:` | digest of the file (`url`); the lock file pins it otherwise | what comes first |
pub(super) fn elsewhere(fields: &mut Fields) -> Option<Option<Elsewhere>> {
    let mut named = MACHINES.into_iter().filter_map(|key| Some((key, fields.take(key)?.mark)));
    let (first, second) = (named.next(), named.next());
    drop(named);
    let machine = match (first, second) {
        (None, _) => {
            for key in ["revision", "archive", "sha256"] {
                fields.forbid(key, "belongs to data on another machine: `hf:`, `osf:` or `url:`");
            }
            return None;
        }
        (Some((first, _)), Some((second, mark))) => {
            fields.log.add(mark, format!("both '{first}' and '{second}' are given"), Some("keep one of them".into()));
            for key in ["revision", "archive", "sha256"] {
                fields.take(key);
            }
            return Some(None);
        }
        (Some((machine, _)), None) => machine,
    };
    let archive = match machine {
        "url" => {
            fields.forbid("archive", "is for `hf` and `osf`; an address is of one file, which `files` looks into");
            None
        }
        _ => fields.get("archive", None, |value| archive(value).map(Some)),
    };
    match machine {
        "hf" => {}
        _ => fields.forbid("revision", "is for `hf`, whose data have commits"),
    }
    match machine {
        "url" => {}
        _ => fields.forbid("sha256", "is for `url`; the lock file has the digests of a tree"),
    }
    let place = match machine {
        "hf" => {
            let revision = fields.get("revision", remote::MAIN.to_owned(), revision);
            fields.need("hf", "", repository).map(|repository| RemoteLocation::Hub {
                kind: HubKind::Datasets,
                repository,
                revision,
            })
        }
        "osf" => fields.need("osf", "", project).map(|project| RemoteLocation::Osf { project }),
        _ => {
            let sha256 = fields.get("sha256", None, |value| sha256(value).map(Some));
            fields.need("url", "", address).map(|url| RemoteLocation::Url { url, sha256 })
        }
    };
    Some(place.map(|place| Elsewhere { place, archive }))
}

impl Elsewhere {
    /// Files of a pattern; of an address the file itself where there is none, or else those in the archive that it is.
    pub fn files(self, fields: &mut Fields) -> Option<Remote> {
        let pattern = |value: &Value| inside(value, "a pattern of paths in the tree", "such as train/*.txt");
        let Elsewhere { place, mut archive } = self;
        let files = match &place {
            RemoteLocation::Url { url, .. } => {
                let files = fields.get("files", None, |value| pattern(value).map(Some));
                archive = files.as_ref().map(|_| RemoteLocation::file_name(url).to_owned());
                files.unwrap_or_else(|| "*".to_owned())
            }
            _ => fields.need("files", "which files of it, such as `files: \"train/*.txt\"`", pattern)?,
        };
        Some(Remote { place, archive, pick: FileSelection::Files(files) })
    }

    /// Evaluation data, of which suites take folders and files; an address is of an archive.
    pub fn evaluation(self, fields: &mut Fields) -> EvaluationTree {
        let folder = |value: &Value| inside(value, "a folder in the tree", "such as evaluation_data");
        let Elsewhere { place, archive } = self;
        let archive = match &place {
            RemoteLocation::Url { url, .. } => Some(RemoteLocation::file_name(url).to_owned()),
            _ => archive,
        };
        let folder = fields.get("folder", String::new(), folder);
        EvaluationTree { place, archive, folder: folder.trim_end_matches('/').to_owned() }
    }
}

/// The official folder of evaluation data on another machine.
pub(super) struct EvaluationTree {
    place: RemoteLocation,
    archive: Option<String>,
    folder: String,
}

impl EvaluationTree {
    /// A folder in it.
    pub fn folder(&self, path: &str) -> Remote {
        self.remote(FileSelection::Folder(self.below(path)))
    }

    /// A file in it.
    pub fn file(&self, path: &str) -> Remote {
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
        Value::Text(text) if text.contains('@') => "write the revision apart: `revision: TAG`",
        Value::Text(text) if text.contains("://") => "without the address of the hub, which HF_ENDPOINT has",
        _ => "such as babylm/BabyLM-2026-Strict",
    };
    match text(value)? {
        text if remote::is_repository(&text) => Ok(text),
        _ => Err(Fault::expected("a repository of the hub, ORGANISATION/NAME").or_hint(hint)),
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

/// An address of the web.
pub(super) fn address(value: &Value) -> Scalar<String> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    match rest.filter(|rest| !rest.is_empty() && !text.contains(char::is_whitespace)) {
        Some(_) => Ok(text),
        None => Err(Fault::expected("an address").or_hint("such as https://example.org/corpus.zip")),
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
            Err(Fault::expected("64 hexadecimal digits").or_hint("`sha256sum FILE` prints them; put them in quotes"))
        }
    }
}

fn archive(value: &Value) -> Scalar<String> {
    match inside(value, "the path of a zip archive in the tree", "such as train_100M.zip")? {
        path if path.to_lowercase().ends_with(".zip") => Ok(path),
        _ => Err(Fault::expected("the path of a zip archive")
            .or_hint("other archives are not understood: unpack them, and give local files")),
    }
}

/// A path that stays in its tree.
fn inside(value: &Value, what: &str, hint: &str) -> Scalar<String> {
    let text = text(value)?;
    let inside = !text.is_empty() && !text.starts_with('/') && text.split('/').all(|part| part != "..");
    if inside { Ok(text) } else { Err(Fault::expected(what).or_hint(hint)) }
}
