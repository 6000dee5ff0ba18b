//! The cache of fetched data, one for all experiments.
//!
//! ```text
//! <root>/data/hf/datasets/<organization>--<name>/    the home folder of a location
//!             osf/<project>/
//!             url/<host>-<digest of the URL>/
//!             made/<digest>/                         generated data; not a location
//!             answers/<digest>/                      answers of teachers; not a location
//! <home>/<version>/          the files; the version is a commit on the Hub, and `files` elsewhere
//!        <version>.json      the listing of the server, and the received files
//!        refs/<revision>     the commit of a branch or tag
//!        unpacked/<version>/<archive>/
//!        parts/              partial files
//!        .lock               locked by the process that fetches
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::{Digest, FileSelection, Remote, RemoteLocation};

use super::super::atomic::replace_file;
use super::disk::{file_stamp, files_below, some_names, try_lock_home};
use super::error::{FetchError, Mismatch};
use super::listing::{ListedFile, Listing, Services};
use super::lock::{Content, Lock, Pinned};
use super::pick::{select, select_names};
use super::record::{CacheRecord, StoredFile, matches_listing};
use super::status::{CacheState, CacheStatus, CachedData};
use super::unpack::is_unpacked;

/// The cache, together with the lock of one spec.
#[derive(Debug, Clone, Default)]
pub struct DataCache {
    pub(super) root: PathBuf,
    /// The lock of the spec.
    pub lock: Lock,
}

impl DataCache {
    /// A cache in this folder, which need not exist, with the lock of a spec.
    pub fn new(root: &Path, lock: Lock) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { root: root.join("data"), lock }
    }

    /// The cache of the user: `GRID_CACHE`, `grid` in `XDG_CACHE_HOME`, or `~/.cache/grid`.
    pub fn of_user(lock: Lock) -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let root = folder("GRID_CACHE").or_else(|| Some(caches()?.join("grid")));
        Self::new(&root.unwrap_or_else(|| PathBuf::from(".grid-cache")), lock)
    }

    /// The folder of generated data, by the digest of the recipe.
    pub fn generated(&self, recipe: Digest) -> PathBuf {
        self.root.join("made").join(&recipe.to_string()[..32])
    }

    /// The folder of the answers of teachers.
    pub fn answers(&self) -> PathBuf {
        self.root.join("answers")
    }

    /// The folder of everything that was fetched from a location.
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

    /// The name of the folder of the files: the commit of the location if it is known, or else its revision.
    pub(super) fn version(&self, place: &RemoteLocation) -> String {
        let RemoteLocation::Hub { revision, .. } = place else { return "files".to_owned() };
        if let Some(commit) = self.lock.place(place).and_then(|pinned| pinned.revision.clone()) {
            return commit;
        }
        let known = fs::read_to_string(reference(&self.home(place), revision)).ok();
        let known = known.map(|text| text.trim().to_owned()).filter(|commit| is_commit(commit));
        known.unwrap_or_else(|| revision.replace('/', "--"))
    }

    /// The folder of the files of a location, also for files that are downloaded manually.
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

    /// Finds fetched data, without using the network.
    ///
    /// # Errors
    /// Content that differs from the lock file or from what was fetched; an invalid pattern.
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

    /// The status of data, without using the network. Files with an unchanged [stamp](crate::domain::FileStamp) are not read.
    ///
    /// # Errors
    /// An invalid pattern; files that cannot be read.
    pub fn status(&self, remote: &Remote) -> Result<CacheStatus, FetchError> {
        self.examine_files(remote, false)
    }

    /// As [`Self::status`], but reads every file again.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn verify(&self, remote: &Remote) -> Result<CacheStatus, FetchError> {
        self.examine_files(remote, true)
    }

    fn examine_files(&self, remote: &Remote, all: bool) -> Result<CacheStatus, FetchError> {
        let place = &remote.place;
        let mut status = CacheStatus { files: BTreeMap::new(), state: CacheState::Missing };
        let Some(record) = self.record(place) else { return Ok(status) };
        let entries = select(&record.listing, remote)?;
        let (mut complete, mut locked) = (!entries.is_empty(), true);
        let mut same = BTreeMap::new();
        // The lock file may have files that the listing lacks, if the listing was made from manually downloaded files.
        let known = |name: &String| entries.iter().any(|entry| entry.path == *name);
        complete &= self.locked_names(remote)?.iter().all(known);
        for entry in &entries {
            let file = self.tree(place).join(&entry.path);
            let (Some(stored), Some(seen)) = (record.received.get(&entry.path), file_stamp(&file)) else {
                complete = false;
                continue;
            };
            let content = match seen == stored.stamp() && !all {
                true => stored.clone(),
                false => StoredFile::read(&file)?,
            };
            if content != *stored && content.sha256 == stored.sha256 {
                same.insert(entry.path.clone(), content.clone());
            }
            let StoredFile { bytes, sha256, .. } = content;
            let content = Content { bytes, sha256 };
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
        if !same.is_empty() {
            self.remember(place, same);
        }
        if let Some(archive) = &remote.archive {
            let sha256 = status.files.get(archive).map(|content| content.sha256.as_str());
            complete &= sha256.is_some_and(|sha256| is_unpacked(&self.unpacked(place, archive), sha256));
        }
        if complete && status.state == CacheState::Missing {
            status.state = if locked { CacheState::Locked } else { CacheState::Fetched };
        }
        Ok(status)
    }

    /// Updates the stamps of files that were read again and have the recorded content, such as after the cache was copied.
    /// Where the cache cannot be written, or another process fetches, they are read again next time.
    fn remember(&self, place: &RemoteLocation, same: BTreeMap<String, StoredFile>) {
        let Some(_lock) = try_lock_home(&self.home(place)) else { return };
        let Some(mut record) = self.record(place) else { return };
        for (path, read) in same {
            if record.received.get(&path).is_some_and(|stored| stored.sha256 == read.sha256) {
                record.received.insert(path, read);
            }
        }
        let _ = self.write(place, &record);
    }

    /// The selected files that are in the lock file.
    pub(super) fn locked_names(&self, remote: &Remote) -> Result<Vec<String>, FetchError> {
        let Some(pinned) = self.lock.place(&remote.place) else { return Ok(vec![]) };
        let names: Vec<&str> = pinned.files.keys().map(String::as_str).collect();
        Ok(select_names(&names, remote)?.into_iter().map(str::to_owned).collect())
    }

    /// The content of the lock file for data in the cache.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn pinned(&self, remote: &Remote) -> Result<Pinned, FetchError> {
        let record = self.record(&remote.place).unwrap_or_default();
        let Listing { revision, licence, .. } = record.listing;
        Ok(Pinned { revision, licence, files: self.status(remote)?.files })
    }

    /// The licence, as reported by the server.
    pub fn licence(&self, place: &RemoteLocation) -> Option<String> {
        self.record(place)?.listing.licence
    }

    /// The error for a selection that matches nothing in an unpacked archive.
    pub fn nothing_in(&self, remote: &Remote) -> FetchError {
        let archive = remote.archive.clone().unwrap_or_default();
        let mut names = files_below(&self.unpacked(&remote.place, &archive));
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        let there = some_names(&names);
        FetchError::NotListed { remote: remote.to_string(), place: archive, there }
    }

    /// The error for content that differs from the expected content.
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

    /// The address from which a location can be downloaded manually.
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

    /// Records files that were put into the folder of a location manually.
    pub(super) fn adopt(&self, place: &RemoteLocation, record: &mut CacheRecord) -> Result<(), FetchError> {
        let tree = self.tree(place);
        for path in files_below(&tree) {
            let file = tree.join(&path);
            let (known, seen) = (record.received.get(&path), file_stamp(&file));
            if known.is_some_and(|stored| Some(stored.stamp()) == seen) {
                continue;
            }
            let stored = StoredFile::read(&file)?;
            match record.listing.files.iter().find(|entry| entry.path == path) {
                Some(entry) if !matches_listing(entry, &stored) => continue,
                _ if named_digest(place).is_some_and(|sha256| *sha256 != stored.sha256) => continue,
                // A file that has changed since it was fetched will be fetched again.
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

/// The digest given in the spec.
pub(super) fn named_digest(place: &RemoteLocation) -> Option<&String> {
    if let RemoteLocation::Url { sha256, .. } = place { sha256.as_ref() } else { None }
}

/// The file with the commit of a branch or tag.
pub(super) fn reference(home: &Path, revision: &str) -> PathBuf {
    home.join("refs").join(revision.replace('/', "--"))
}

pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
