//! Fetching into the cache.

use std::fs;
use std::path::Path;

use crate::domain::{Digest, FileSelection, Remote, RemoteLocation};

use super::super::atomic::replace_file;
use super::cache::{DataCache, is_commit, named_digest, reference};
use super::disk::{file_stamp, is_inside, lock_home, some_names};
use super::error::{FetchError, Mismatch};
use super::http::{Client, RetryPolicy};
use super::listing::{ListedFile, Listing, Services, list};
use super::pick::{missing_model_file, select};
use super::record::{CacheRecord, StoredFile, matches_listing};
use super::transfer::{Expected, fetch};
use super::unpack::{is_unpacked, unpack};

/// The progress of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchProgress<'a> {
    /// Another process is fetching from the same location.
    Waiting(&'a RemoteLocation),
    /// The bytes of a file received so far, and in total if known.
    Bytes(&'a RemoteLocation, &'a str, u64, Option<u64>),
    /// A file is complete, with this length.
    Whole(&'a RemoteLocation, &'a str, u64),
    /// An archive is being unpacked.
    Unpacking(&'a RemoteLocation, &'a str),
}

/// Access to the network.
pub struct Network {
    services: Services,
    client: Client,
}

impl Network {
    /// Access to these services.
    pub fn new(services: Services, policy: RetryPolicy) -> Self {
        Self { services, client: Client::new(policy) }
    }
}

impl DataCache {
    /// Fetches missing files and unpacks their archive. Returns the number of fetched files.
    ///
    /// Files that were put into the folder of the location manually are accepted if they match the listing of the server
    /// and the lock file. Without `network`, nothing else is done. `refresh` requests a new listing from the server.
    ///
    /// # Errors
    /// Requests that are refused or fail too many times; content that differs from the listing or the lock file; names
    /// that do not exist; an invalid archive; a disk that cannot be written; [`FetchError::Offline`].
    pub fn fetch(
        &self,
        remote: &Remote,
        network: Option<&Network>,
        refresh: bool,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<usize, FetchError> {
        let place = &remote.place;
        let _lock = lock_home(&self.home(place), || progress(FetchProgress::Waiting(place)))?;
        let known = self.record(place);
        // Without a listing, the files in the folder count as complete only if there is no network to get one.
        let listed = known.is_some() && !refresh;
        let mut record = known.unwrap_or_default();
        self.adopt(place, &mut record)?;
        let mut fetched = 0;
        if listed && self.is_complete(remote, &record)? {
            self.write(place, &record)?;
        } else {
            match network {
                Some(network) => fetched = self.fetch_listed(remote, network, refresh, progress)?,
                None if self.is_complete(remote, &record)? => self.write(place, &record)?,
                None => return Err(self.offline(remote)),
            }
        }
        if let Some(archive) = &remote.archive {
            let (path, folder) = (self.tree(place).join(archive), self.unpacked(place, archive));
            let record = self.record(place).unwrap_or_default();
            let sha256 = record.received.get(archive).map_or("", |stored| stored.sha256.as_str());
            if !is_unpacked(&folder, sha256) {
                progress(FetchProgress::Unpacking(place, archive));
                unpack(&path, sha256, &folder)?;
            }
        }
        self.find(remote)?;
        Ok(fetched)
    }

    /// Whether all selected files are present, unchanged since they were recorded, and match the lock file.
    fn is_complete(&self, remote: &Remote, record: &CacheRecord) -> Result<bool, FetchError> {
        let place = &remote.place;
        let entries = select(&record.listing, remote)?;
        for entry in &entries {
            let Some(stored) = record.received.get(&entry.path) else { return Ok(false) };
            let file = self.tree(place).join(&entry.path);
            if file_stamp(&file).is_none() || StoredFile::of(&file, stored.received())? != *stored {
                return Ok(false);
            }
            self.compare(place, &entry.path, &stored.sha256)?;
            if named_digest(place).is_some_and(|sha256| *sha256 != stored.sha256) {
                return Ok(false);
            }
        }
        let known = |name: &String| entries.iter().any(|entry| entry.path == *name);
        let model = remote.pick == FileSelection::Model;
        let lacks =
            model && missing_model_file(&entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>()).is_some();
        Ok(!entries.is_empty() && !lacks && self.locked_names(remote)?.iter().all(known))
    }

    fn fetch_listed(
        &self,
        remote: &Remote,
        network: &Network,
        refresh: bool,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<usize, FetchError> {
        let Network { services, client } = network;
        let place = &remote.place;
        // Later files of a branch come from the commit that was first fetched.
        let pinned = self.lock.place(place).and_then(|pinned| pinned.revision.clone());
        let known = Some(self.version(place)).filter(|version| !refresh && is_commit(version));
        let asked = pinned.or(known);
        let listing = list(client, services, place, asked.as_deref())?;
        if asked.is_some() && asked != listing.revision {
            let reason =
                format!("commit {} was requested, but the response is for another one", asked.unwrap_or_default());
            return Err(FetchError::Listing { url: place.to_string(), reason });
        }
        self.accept_listing(place, &listing)?;
        // The folder may now be that of another commit.
        let mut record = CacheRecord { listing, received: self.record(place).unwrap_or_default().received };
        self.adopt(place, &mut record)?;
        self.write(place, &record)?;
        let entries: Vec<ListedFile> = select(&record.listing, remote)?.into_iter().cloned().collect();
        refuse_incomplete(remote, &record.listing, &entries)?;
        let tree = self.tree(place);
        let mut fetched = 0;
        for entry in &entries {
            let path = entry.path.as_str();
            let file = tree.join(path);
            if let Some(stored) = record.received.get(path)
                && file_stamp(&file).is_some()
                && StoredFile::of(&file, stored.received())? == *stored
                && matches_listing(entry, stored)
                // For a plain URL, no listing shows whether its content has changed.
                && !(refresh && entry.sha256.is_none() && entry.bytes.is_none())
            {
                self.compare(place, path, &stored.sha256)?;
                continue;
            }
            if let Some(sha256) = &entry.sha256 {
                self.compare(place, path, sha256)?;
            }
            if entry.url.is_empty() {
                return Err(self.offline(remote));
            }
            let locked = self.lock.file(place, path);
            let expected = Expected {
                bytes: entry.bytes,
                sha256: entry.sha256.clone().or_else(|| locked.map(|content| content.sha256.clone())),
                md5: entry.md5.clone(),
            };
            let part = self.home(place).join("parts").join(format!("{}.part", Digest::of(path.as_bytes())));
            let token = services.token_for(&entry.url);
            let mut bytes = |done, total| progress(FetchProgress::Bytes(place, path, done, total));
            let received = fetch(client, &entry.url, &file, &part, &expected, token, &mut bytes);
            let received = received.map_err(|error| match error {
                FetchError::Wrong { what: "SHA-256", wanted, found, .. } if entry.sha256.is_none() => {
                    self.refusal(place, Mismatch { path: path.to_owned(), wanted, found, by_lock: true })
                }
                error => error,
            })?;
            progress(FetchProgress::Whole(place, path, received.bytes));
            record.received.insert(path.to_owned(), StoredFile::of(&file, received)?);
            self.write(place, &record)?;
            fetched += 1;
        }
        Ok(fetched)
    }

    /// Rejects content that differs from the lock file.
    fn compare(&self, place: &RemoteLocation, path: &str, found: &str) -> Result<(), FetchError> {
        match self.lock.file(place, path) {
            Some(locked) if locked.sha256 != found => {
                let (wanted, found) = (locked.sha256.clone(), found.to_owned());
                Err(self.refusal(place, Mismatch { path: path.to_owned(), wanted, found, by_lock: true }))
            }
            _ => Ok(()),
        }
    }

    /// Checks a new listing and stores the commit of its branch or tag.
    fn accept_listing(&self, place: &RemoteLocation, listing: &Listing) -> Result<(), FetchError> {
        let invalid = |reason: String| FetchError::Listing { url: place.to_string(), reason };
        if let Some(entry) = listing.files.iter().find(|entry| !is_inside(&entry.path)) {
            return Err(invalid(format!("the path '{}' is outside of its folder", entry.path.escape_debug())));
        }
        let RemoteLocation::Hub { revision, .. } = place else { return Ok(()) };
        let commit = listing.revision.as_ref().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| invalid("the response has no commit".to_owned()))?;
        if self.lock.place(place).is_none_or(|pinned| pinned.revision.is_none()) && !is_commit(revision) {
            let file = reference(&self.home(place), revision);
            let folder = file.parent().unwrap_or(Path::new(""));
            fs::create_dir_all(folder).map_err(FetchError::disk("create folder", folder))?;
            replace_file(&file, commit.as_bytes()).map_err(FetchError::disk("write", &file))?;
        }
        Ok(())
    }

    fn offline(&self, remote: &Remote) -> FetchError {
        let services = Services::from_environment();
        FetchError::Offline {
            remote: remote.to_string(),
            from: self.address(&remote.place, &services),
            folder: self.tree(&remote.place),
        }
    }
}

/// Rejects a selection without files, or an incomplete model.
fn refuse_incomplete(remote: &Remote, listing: &Listing, entries: &[ListedFile]) -> Result<(), FetchError> {
    let first = || some_names(&listing.files.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>());
    let names: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    if remote.pick == FileSelection::Model
        && let Some(wanted) = missing_model_file(&names)
    {
        return Err(FetchError::NoModel { place: remote.place.to_string(), wanted, there: first() });
    }
    if entries.is_empty() {
        return Err(FetchError::NotListed {
            remote: remote.to_string(),
            place: remote.place.to_string(),
            there: first(),
        });
    }
    Ok(())
}
