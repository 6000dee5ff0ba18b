//! Listings of the files at a location: a Hugging Face Hub repository, an OSF project, or a URL.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::domain::{HubKind, RemoteLocation};

use super::error::FetchError;
use super::http::{Client, get};

/// A file in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListedFile {
    /// The path in the tree, with `/`.
    pub path: String,
    /// The URL; empty for a file that was put into the cache manually.
    pub url: String,
    /// The length in bytes, if known.
    pub bytes: Option<u64>,
    /// The SHA-256, if the server reports it.
    pub sha256: Option<String>,
    /// The MD5, if the server reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

/// The files at a location, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    /// The commit, for Hub repositories.
    pub revision: Option<String>,
    /// The licence, if the server reports it.
    pub licence: Option<String>,
    /// The files.
    pub files: Vec<ListedFile>,
}

/// The endpoints of the services and the access token.
#[derive(Debug, Clone)]
pub struct Services {
    /// `HF_ENDPOINT`, by default <https://huggingface.co>.
    pub hub: String,
    /// `HF_TOKEN`, or what `hf auth login` left in `$HF_HOME/token` or `~/.cache/huggingface/token`.
    pub token: Option<String>,
    /// `OSF_ENDPOINT`, by default <https://api.osf.io>.
    pub osf: String,
}

impl Services {
    /// Reads the endpoints and the token from the environment.
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = |name: &str, default: &str| {
            set(name).unwrap_or_else(|| default.to_owned()).trim_end_matches('/').to_owned()
        };
        Self {
            hub: endpoint("HF_ENDPOINT", "https://huggingface.co"),
            token: set("HF_TOKEN").or_else(token_file).map(|token| token.trim().to_owned()),
            osf: endpoint("OSF_ENDPOINT", "https://api.osf.io"),
        }
    }

    /// The token for a URL. The token of the Hub is never sent to other hosts.
    pub fn token_for(&self, url: &str) -> Option<&str> {
        let rest = url.strip_prefix(&self.hub)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(self.token.as_deref()).flatten()
    }
}

/// The token saved by the Hugging Face tools.
fn token_file() -> Option<String> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = folder("HF_HOME")
        .or_else(|| folder("XDG_CACHE_HOME").map(|caches| caches.join("huggingface")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface")))?;
    let path = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
    std::fs::read_to_string(path).ok().filter(|token| !token.trim().is_empty())
}

/// Lists the files at a location. A pinned revision takes precedence over that of the location.
///
/// # Errors
/// Requests that are refused or fail; unexpected responses.
pub(super) fn list(
    client: &Client,
    services: &Services,
    place: &RemoteLocation,
    pinned: Option<&str>,
) -> Result<Listing, FetchError> {
    let mut listing = match place {
        RemoteLocation::Hub { kind, repository, revision } => {
            hub(client, services, *kind, repository, pinned.unwrap_or(revision))?
        }
        RemoteLocation::Osf { project } => osf(client, services, project)?,
        RemoteLocation::Url { url, sha256 } => {
            let path = RemoteLocation::file_name(url).to_owned();
            let files = vec![ListedFile { path, url: url.clone(), bytes: None, sha256: sha256.clone(), md5: None }];
            Listing { revision: None, licence: None, files }
        }
    };
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

/// The response to `GET /api/{datasets,models}/{repository}/revision/{revision}?blobs=true`.
#[derive(Deserialize)]
struct Repository {
    sha: String,
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData", default)]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    license: serde_json::Value,
}

#[derive(Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    path: String,
    size: Option<u64>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

fn hub(
    client: &Client,
    services: &Services,
    kind: HubKind,
    repository: &str,
    revision: &str,
) -> Result<Listing, FetchError> {
    let (endpoint, kind_name) = (&services.hub, kind.name());
    let url = format!("{endpoint}/api/{kind_name}/{repository}/revision/{}?blobs=true", percent_encode(revision));
    let found: Repository = json(client, &url, services.token.as_deref())?;
    let prefix = if kind == HubKind::Datasets { "datasets/" } else { "" };
    let files = found.siblings.into_iter().map(|sibling| {
        let path = sibling.path.split('/').map(percent_encode).collect::<Vec<_>>().join("/");
        ListedFile {
            url: format!("{endpoint}/{prefix}{repository}/resolve/{}/{path}", found.sha),
            path: sibling.path,
            bytes: sibling.lfs.as_ref().map(|file| file.size).or(sibling.size),
            sha256: sibling.lfs.map(|file| file.sha256.to_lowercase()),
            md5: None,
        }
    });
    let licence = found.card.and_then(|card| match card.license {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Array(all) => Some(all.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join(", ")),
        _ => None,
    });
    Ok(Listing { files: files.collect(), revision: Some(found.sha), licence })
}

/// A page of `GET /v2/nodes/{project}/files/osfstorage/`, or of a folder in it.
#[derive(Deserialize)]
struct Page {
    data: Vec<Item>,
    #[serde(default)]
    links: PageLinks,
}

#[derive(Deserialize, Default)]
struct PageLinks {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    attributes: Attributes,
    #[serde(default)]
    links: ItemLinks,
    #[serde(default)]
    relationships: Relationships,
}

#[derive(Deserialize)]
struct Attributes {
    kind: String,
    materialized_path: String,
    size: Option<u64>,
    #[serde(default)]
    extra: Extra,
}

#[derive(Deserialize, Default)]
struct Extra {
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Deserialize, Default)]
struct Hashes {
    sha256: Option<String>,
    md5: Option<String>,
}

#[derive(Deserialize, Default)]
struct ItemLinks {
    download: Option<String>,
}

#[derive(Deserialize, Default)]
struct Relationships {
    files: Option<Related>,
}

#[derive(Deserialize)]
struct Related {
    links: RelatedLinks,
}

#[derive(Deserialize)]
struct RelatedLinks {
    related: Address,
}

#[derive(Deserialize)]
struct Address {
    href: String,
}

fn osf(client: &Client, services: &Services, project: &str) -> Result<Listing, FetchError> {
    let mut open =
        vec![format!("{}/v2/nodes/{}/files/osfstorage/?page[size]=100", services.osf, percent_encode(project))];
    let mut files = vec![];
    while let Some(url) = open.pop() {
        let page: Page = json(client, &url, None)?;
        open.extend(page.links.next);
        for item in page.data {
            match item.attributes.kind.as_str() {
                "folder" => open.extend(item.relationships.files.map(|files| files.links.related.href)),
                _ => files.extend(item.links.download.map(|url| ListedFile {
                    path: item.attributes.materialized_path.trim_start_matches('/').to_owned(),
                    url,
                    bytes: item.attributes.size,
                    sha256: item.attributes.extra.hashes.sha256.map(|digits| digits.to_lowercase()),
                    md5: item.attributes.extra.hashes.md5.map(|digits| digits.to_lowercase()),
                })),
            }
        }
    }
    Ok(Listing { revision: None, licence: None, files })
}

fn json<T: serde::de::DeserializeOwned>(client: &Client, url: &str, token: Option<&str>) -> Result<T, FetchError> {
    let response = get(client, url, token)?;
    let failed = |reason: String| FetchError::Listing { url: url.to_owned(), reason };
    let mut body = response.into_body();
    let bytes = body.with_config().limit(1 << 28).read_to_vec().map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(super) fn percent_encode(text: &str) -> String {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &RESERVED).to_string()
}
