//! Fetching into the cache.

use std::fs;
use std::path::Path;

use crate::domain::{Digest, FileSelection, Remote, RemoteLocation};

use super::super::atomic::replace_file;
use super::cache::{CacheRecord, DataCache, StoredFile, fits, is_commit, named_digest, reference};
use super::disk::{file_stamp, is_inside, lock_home, some_names};
use super::error::{FetchError, Mismatch};
use super::listing::{ListedFile, Listing, Services, list};
use super::pick::{missing_model_file, select};
use super::transfer::{Client, Expected, RetryPolicy, fetch};
use super::unpack::{is_unpacked, unpack};

/// What happens while files come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchProgress<'a> {
    /// Another process fetches of the same place.
    Waiting(&'a RemoteLocation),
    /// So many bytes of a file are here, of so many where that is known.
    Bytes(&'a RemoteLocation, &'a str, u64, Option<u64>),
    /// The file is here, whole and of the right content.
    Whole(&'a RemoteLocation, &'a str, u64),
    /// An archive is being unpacked.
    Unpacking(&'a RemoteLocation, &'a str),
}

/// The way to other machines.
pub struct Network {
    services: Services,
    client: Client,
}

impl Network {
    /// A client of these services.
    pub fn new(services: Services, policy: RetryPolicy) -> Self {
        Self { services, client: Client::new(policy) }
    }
}

impl DataCache {
    /// Fetches what is not here yet, and unpacks its archive; how many files came. Files that somebody put into the
    /// folder of the place are taken as they are, if they are what the server or the lock file has. Without a network
    /// only that is done. `anew` asks the server what it has now, whatever was known before.
    ///
    /// # Errors
    /// Servers that refuse, break off too often, or send other content than they or the lock file promise; names that
    /// are not there; an archive that is none; a disk that cannot be written; [`FetchError::Offline`].
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
        // What lies in the folder before anything was listed is all there is only where nobody can be asked.
        let listed = known.is_some() && !refresh;
        let mut record = known.unwrap_or_default();
        self.adopt(place, &mut record)?;
        let mut came = 0;
        if listed && self.is_here(remote, &record)? {
            self.write(place, &record)?;
        } else {
            match network {
                Some(network) => came = self.fetch_listed(remote, network, refresh, progress)?,
                None if self.is_here(remote, &record)? => self.write(place, &record)?,
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
        Ok(came)
    }

    /// Whether all that is wanted of a record lies in its place, unchanged since it was recorded, and is what is locked.
    fn is_here(&self, remote: &Remote, record: &CacheRecord) -> Result<bool, FetchError> {
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
        // What is fetched later of a branch is of the commit that it was at first.
        let pinned = self.lock.place(place).and_then(|pinned| pinned.revision.clone());
        let known = Some(self.version(place)).filter(|version| !refresh && is_commit(version));
        let asked = pinned.or(known);
        let listing = list(client, services, place, asked.as_deref())?;
        if asked.is_some() && asked != listing.revision {
            let reason = format!("asked for commit {}, it gave another one", asked.unwrap_or_default());
            return Err(FetchError::Listing { url: place.to_string(), reason });
        }
        self.remember(place, &listing)?;
        // The folder may have become that of another commit.
        let mut record = CacheRecord { listing, received: self.record(place).unwrap_or_default().received };
        self.adopt(place, &mut record)?;
        self.write(place, &record)?;
        let entries: Vec<ListedFile> = select(&record.listing, remote)?.into_iter().cloned().collect();
        refuse_incomplete(remote, &record.listing, &entries)?;
        let tree = self.tree(place);
        let mut came = 0;
        for entry in &entries {
            let path = entry.path.as_str();
            let file = tree.join(path);
            if let Some(stored) = record.received.get(path)
                && file_stamp(&file).is_some()
                && StoredFile::of(&file, stored.received())? == *stored
                && fits(entry, stored)
                // Of a bare address nobody says whether it still has what it had.
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
            came += 1;
        }
        Ok(came)
    }

    /// Refuses content that the lock file does not have.
    fn compare(&self, place: &RemoteLocation, path: &str, found: &str) -> Result<(), FetchError> {
        match self.lock.file(place, path) {
            Some(locked) if locked.sha256 != found => {
                let (wanted, found) = (locked.sha256.clone(), found.to_owned());
                Err(self.refusal(place, Mismatch { path: path.to_owned(), wanted, found, by_lock: true }))
            }
            _ => Ok(()),
        }
    }

    /// Opens the folder of a place that was just listed, and remembers what its branch or tag stands for.
    fn remember(&self, place: &RemoteLocation, listing: &Listing) -> Result<(), FetchError> {
        let odd = |reason: String| FetchError::Listing { url: place.to_string(), reason };
        if let Some(entry) = listing.files.iter().find(|entry| !is_inside(&entry.path)) {
            return Err(odd(format!("the path '{}' leads out of its folder", entry.path.escape_debug())));
        }
        let RemoteLocation::Hub { revision, .. } = place else { return Ok(()) };
        let commit = listing.revision.as_ref().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| odd("the hub did not say which commit it is".to_owned()))?;
        if self.lock.place(place).is_none_or(|pinned| pinned.revision.is_none()) && !is_commit(revision) {
            let file = reference(&self.home(place), revision);
            let folder = file.parent().unwrap_or(Path::new(""));
            fs::create_dir_all(folder).map_err(FetchError::disk("make folder", folder))?;
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

/// Refuses a pick that picks nothing, or half a model.
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
