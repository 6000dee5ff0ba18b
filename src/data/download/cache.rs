//! The cache of fetched data, one for all experiments.
//!
//! ```text
//! <root>/data/hf/datasets/<organisation>--<name>/    the home of a place
//!             osf/<project>/
//!             url/<host>-<digest of the address>/
//!             made/<digest>/                         what was made of other data, not a place
//! <home>/<version>/          the files: of a commit on the hub, `files` elsewhere
//!        <version>.json      what the server had, and what was received
//!        refs/<revision>     the commit that a branch or tag stood for
//!        unpacked/<version>/<archive>/
//!        parts/              what broke off
//!        .lock               held by whoever fetches
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, FileSelection, Remote, RemoteLocation};

use super::super::atomic::replace_file;
use super::disk::{file_stamp, files_below, some_names};
use super::error::{FetchError, Mismatch};
use super::listing::{ListedFile, Listing, Services};
use super::lock::{Content, Lock, Pinned};
use super::pick::{select, select_names};
use super::transfer::{Received, examine};
use super::unpack::is_unpacked;

/// The cache, as one spec and its lock see it.
#[derive(Debug, Clone, Default)]
pub struct DataCache {
    pub(super) root: PathBuf,
    /// The lock of the spec.
    pub lock: Lock,
}

/// Data of another machine, found on this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachedData {
    /// These files.
    Files(Vec<PathBuf>),
    /// The files of this pattern.
    Pattern(PathBuf),
    /// A folder of evaluation files, or of a model.
    Folder(PathBuf),
}

/// How things stand with data of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// The files that are here: of an archive only the archive.
    pub files: BTreeMap<String, Content>,
    /// The state of all of them.
    pub state: CacheState,
}

/// See [`CacheStatus`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheState {
    /// Not all of it is here.
    Missing,
    /// It is here; the lock file does not have all of it.
    Fetched,
    /// It is here, and as the lock file has it.
    Locked,
    /// A file is not what the lock file has, or not what was fetched.
    Differs(Mismatch),
}

/// What the server of a place had, and what was received of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    pub listing: Listing,
    pub received: BTreeMap<String, StoredFile>,
}

/// A file that was received, and what it looked like then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredFile {
    pub bytes: u64,
    pub sha256: String,
    modified_ns: u64,
}

impl StoredFile {
    /// A file in its place.
    pub fn of(file: &Path, received: Received) -> Result<Self, FetchError> {
        let (_, modified_ns) = file_stamp(file).ok_or_else(|| {
            FetchError::disk("read", file)(std::io::Error::other("it went away while it was looked at"))
        })?;
        Ok(Self { bytes: received.bytes, sha256: received.sha256, modified_ns })
    }

    /// Its content.
    pub fn received(&self) -> Received {
        Received { bytes: self.bytes, sha256: self.sha256.clone() }
    }
}

impl DataCache {
    /// A cache in this folder, which need not exist, with the lock of a spec.
    pub fn new(root: &Path, lock: Lock) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { root: root.join("data"), lock }
    }

    /// The user's cache: `GRID_CACHE`, `grid` in `XDG_CACHE_HOME`, or `~/.cache/grid`.
    pub fn of_user(lock: Lock) -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let root = folder("GRID_CACHE").or_else(|| Some(caches()?.join("grid")));
        Self::new(&root.unwrap_or_else(|| PathBuf::from(".grid-cache")), lock)
    }

    /// The folder of what was made of other data, by the digest of how it was made.
    pub fn made(&self, recipe: Digest) -> PathBuf {
        self.root.join("made").join(&recipe.to_string()[..32])
    }

    /// The folder of everything that was fetched of a place.
    pub(super) fn home(&self, place: &RemoteLocation) -> PathBuf {
        match place {
            RemoteLocation::Hub { kind, repository, .. } => {
                self.root.join("hf").join(kind.name()).join(repository.replace('/', "--"))
            }
            RemoteLocation::Osf { project } => self.root.join("osf").join(project),
            RemoteLocation::Url { url, .. } => {
                let host = url.split("//").nth(1).unwrap_or(url).split(['/', ':', '?', '@']).next().unwrap_or_default();
                self.root.join("url").join(format!("{host}-{}", &Digest::of(url.as_bytes()).to_string()[..16]))
            }
        }
    }

    /// The name of the folder of files: the commit that a place stands for, as far as it is known.
    pub(super) fn version(&self, place: &RemoteLocation) -> String {
        let RemoteLocation::Hub { revision, .. } = place else { return "files".to_owned() };
        if let Some(commit) = self.lock.place(place).and_then(|pinned| pinned.revision.clone()) {
            return commit;
        }
        let known = fs::read_to_string(reference(&self.home(place), revision)).ok();
        let known = known.map(|text| text.trim().to_owned()).filter(|commit| is_commit(commit));
        known.unwrap_or_else(|| revision.replace('/', "--"))
    }

    /// The folder of the files of a place: where to put them by hand.
    pub fn tree(&self, place: &RemoteLocation) -> PathBuf {
        self.home(place).join(self.version(place))
    }

    pub(super) fn unpacked(&self, place: &RemoteLocation, archive: &str) -> PathBuf {
        self.home(place).join("unpacked").join(self.version(place)).join(archive)
    }

    pub(super) fn record(&self, place: &RemoteLocation) -> Option<CacheRecord> {
        serde_json::from_slice(&fs::read(self.record_path(place)).ok()?).ok()
    }

    fn record_path(&self, place: &RemoteLocation) -> PathBuf {
        self.home(place).join(format!("{}.json", self.version(place)))
    }

    pub(super) fn write(&self, place: &RemoteLocation, record: &CacheRecord) -> Result<(), FetchError> {
        let path = self.record_path(place);
        let json = serde_json::to_vec_pretty(record).expect("a listing has string keys");
        replace_file(&path, &json).map_err(FetchError::disk("write", &path))
    }

    /// Finds what was fetched; the network is not asked.
    ///
    /// # Errors
    /// Content that is not what the lock file has, or not what was fetched; a pattern that is none.
    pub fn find(&self, remote: &Remote) -> Result<Option<CachedData>, FetchError> {
        let status = self.status(remote)?;
        match status.state {
            CacheState::Missing => return Ok(None),
            CacheState::Differs(difference) => return Err(self.refusal(&remote.place, difference)),
            CacheState::Fetched | CacheState::Locked => {}
        }
        let tree = self.tree(&remote.place);
        Ok(Some(match (&remote.archive, &remote.pick) {
            (Some(archive), FileSelection::Files(pattern)) => {
                CachedData::Pattern(self.unpacked(&remote.place, archive).join(pattern))
            }
            (Some(archive), FileSelection::Folder(folder)) => {
                CachedData::Folder(self.unpacked(&remote.place, archive).join(folder))
            }
            (None, FileSelection::Folder(folder)) => CachedData::Folder(tree.join(folder)),
            (None, FileSelection::Files(_)) => {
                CachedData::Files(status.files.keys().map(|path| tree.join(path)).collect())
            }
            (_, FileSelection::Model) => CachedData::Folder(tree),
        }))
    }

    /// How things stand with data; the network is not asked. Files that look as they did when they came are not read.
    ///
    /// # Errors
    /// A pattern that is none; files that cannot be read.
    pub fn status(&self, remote: &Remote) -> Result<CacheStatus, FetchError> {
        self.examined(remote, false)
    }

    /// The same, with every file read again.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn verify(&self, remote: &Remote) -> Result<CacheStatus, FetchError> {
        self.examined(remote, true)
    }

    fn examined(&self, remote: &Remote, all: bool) -> Result<CacheStatus, FetchError> {
        let place = &remote.place;
        let mut status = CacheStatus { files: BTreeMap::new(), state: CacheState::Missing };
        let Some(record) = self.record(place) else { return Ok(status) };
        let entries = select(&record.listing, remote)?;
        let (mut whole, mut locked) = (!entries.is_empty(), true);
        // What the lock file has and the listing has not, as with a listing made of files put there by hand.
        let known = |name: &String| entries.iter().any(|entry| entry.path == *name);
        whole &= self.locked_names(remote)?.iter().all(known);
        for entry in &entries {
            let file = self.tree(place).join(&entry.path);
            let (Some(stored), Some(seen)) = (record.received.get(&entry.path), file_stamp(&file)) else {
                whole = false;
                continue;
            };
            let content = match seen == (stored.bytes, stored.modified_ns) && !all {
                true => Content { bytes: stored.bytes, sha256: stored.sha256.clone() },
                false => examine(&file).map(|Received { bytes, sha256 }| Content { bytes, sha256 })?,
            };
            let pinned = self.lock.file(place, &entry.path);
            locked &= pinned.is_some();
            let wanted = pinned.map(|pinned| &pinned.sha256).or(named_digest(place)).unwrap_or(&stored.sha256);
            if content.sha256 != *wanted {
                status.state = CacheState::Differs(Mismatch {
                    path: entry.path.clone(),
                    wanted: wanted.clone(),
                    found: content.sha256.clone(),
                    by_lock: pinned.is_some(),
                });
            }
            status.files.insert(entry.path.clone(), content);
        }
        if let Some(archive) = &remote.archive {
            let sha256 = status.files.get(archive).map(|content| content.sha256.as_str());
            whole &= sha256.is_some_and(|sha256| is_unpacked(&self.unpacked(place, archive), sha256));
        }
        if whole && status.state == CacheState::Missing {
            status.state = if locked { CacheState::Locked } else { CacheState::Fetched };
        }
        Ok(status)
    }

    /// The files of the lock file that are wanted.
    pub(super) fn locked_names(&self, remote: &Remote) -> Result<Vec<String>, FetchError> {
        let Some(pinned) = self.lock.place(&remote.place) else { return Ok(vec![]) };
        let names: Vec<&str> = pinned.files.keys().map(String::as_str).collect();
        Ok(select_names(&names, remote)?.into_iter().map(str::to_owned).collect())
    }

    /// What the lock file should have of data that are here.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn pinned(&self, remote: &Remote) -> Result<Pinned, FetchError> {
        let record = self.record(&remote.place).unwrap_or_default();
        let Listing { revision, licence, .. } = record.listing;
        Ok(Pinned { revision, licence, files: self.status(remote)?.files })
    }

    /// What the server said of the licence.
    pub fn licence(&self, place: &RemoteLocation) -> Option<String> {
        self.record(place)?.listing.licence
    }

    /// The error for a pick that picks nothing of an archive that is here.
    pub fn nothing_in(&self, remote: &Remote) -> FetchError {
        let archive = remote.archive.clone().unwrap_or_default();
        let mut names = files_below(&self.unpacked(&remote.place, &archive));
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        let there = some_names(&names);
        FetchError::NotListed { remote: remote.to_string(), place: archive, there }
    }

    /// The error for content that is not what it should be.
    pub(super) fn refusal(&self, place: &RemoteLocation, difference: Mismatch) -> FetchError {
        let file = self.tree(place).join(&difference.path);
        match difference.by_lock {
            true => {
                let (place, lock) = (place.to_string(), self.lock.path());
                FetchError::Changed { place, difference: Box::new(difference), lock, file }
            }
            false => FetchError::Altered { path: file, wanted: difference.wanted, found: difference.found },
        }
    }

    /// Where a place can be had by hand.
    pub fn address(&self, place: &RemoteLocation, services: &Services) -> String {
        match place {
            RemoteLocation::Hub { kind, repository, revision } => {
                let commit = self.lock.place(place).and_then(|pinned| pinned.revision.as_ref()).unwrap_or(revision);
                let prefix = if *kind == crate::domain::HubKind::Datasets { "datasets/" } else { "" };
                format!("{}/{prefix}{repository}/tree/{commit}", services.hub)
            }
            RemoteLocation::Osf { project } => format!("https://osf.io/{project}"),
            RemoteLocation::Url { url, .. } => url.clone(),
        }
    }

    /// Makes files that somebody put into the folder of a place known, whatever the server has.
    pub(super) fn adopt(&self, place: &RemoteLocation, record: &mut CacheRecord) -> Result<(), FetchError> {
        let tree = self.tree(place);
        for path in files_below(&tree) {
            let file = tree.join(&path);
            let (known, seen) = (record.received.get(&path), file_stamp(&file));
            if known.is_some_and(|stored| Some((stored.bytes, stored.modified_ns)) == seen) {
                continue;
            }
            let stored = StoredFile::of(&file, examine(&file)?)?;
            match record.listing.files.iter().find(|entry| entry.path == path) {
                Some(entry) if !fits(entry, &stored) => continue,
                _ if named_digest(place).is_some_and(|sha256| *sha256 != stored.sha256) => continue,
                // What was changed since it came will come again.
                Some(_) if known.is_some_and(|known| known.sha256 != stored.sha256) => continue,
                Some(_) => {}
                None => {
                    let (bytes, sha256) = (Some(stored.bytes), Some(stored.sha256.clone()));
                    record.listing.files.push(ListedFile {
                        path: path.clone(),
                        url: String::new(),
                        bytes,
                        sha256,
                        md5: None,
                    });
                }
            }
            record.received.insert(path, stored);
        }
        record.listing.files.sort_by(|a, b| a.path.cmp(&b.path));
        if record.listing.revision.is_none()
            && let (RemoteLocation::Hub { .. }, version) = (place, self.version(place))
        {
            record.listing.revision = Some(version).filter(|version| is_commit(version));
        }
        Ok(())
    }
}

/// The digest that the spec itself gives.
pub(super) fn named_digest(place: &RemoteLocation) -> Option<&String> {
    if let RemoteLocation::Url { sha256, .. } = place { sha256.as_ref() } else { None }
}

/// Whether a file is what the server has, as far as it tells.
pub(super) fn fits(entry: &ListedFile, stored: &StoredFile) -> bool {
    entry.bytes.is_none_or(|bytes| bytes == stored.bytes)
        && entry.sha256.as_ref().is_none_or(|sha256| *sha256 == stored.sha256)
}

/// The file that remembers what a branch or tag stood for.
pub(super) fn reference(home: &Path, revision: &str) -> PathBuf {
    home.join("refs").join(revision.replace('/', "--"))
}

pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
