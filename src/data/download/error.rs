//! Errors of downloads and of the cache.

use std::io;
use std::path::{Path, PathBuf};

/// A file whose content differs from the expected content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The path of the file in its tree.
    pub path: String,
    /// The expected SHA-256.
    pub wanted: String,
    /// The actual SHA-256.
    pub found: String,
    /// Whether the expected SHA-256 comes from the lock file.
    pub by_lock: bool,
}

/// An error while fetching data, or in the cache. Messages name the source and a remedy, and continue "failed to".
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server refuses the request, and a retry would not help.
    #[error("fetch {url}: the server responded with status {status}: {advice}")]
    Refused {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The remedy.
        advice: String,
    },
    /// The host is unknown, or there is no network.
    #[error(
        "fetch {url}: {reason}; check the network connection, or use `--offline` to list the missing files and where to put them"
    )]
    Unreachable {
        /// The URL.
        url: String,
        /// The error of the system.
        reason: String,
    },
    /// The transfer failed too many times.
    #[error(
        "fetch {url}: {reason} (no progress in {attempts} attempts); {}",
        if *.keeps_part { "the received part is kept, run the command again to resume" } else { "run the command again later" }
    )]
    Broken {
        /// The URL.
        url: String,
        /// The number of consecutive attempts without progress.
        attempts: u32,
        /// The error of the last attempt.
        reason: String,
        /// Whether the next command continues the transfer.
        keeps_part: bool,
    },
    /// The received content was wrong twice.
    #[error("fetch {url}: the {what} should be {wanted}, but is {found}; check the URL and the digest in the spec")]
    Wrong {
        /// The URL.
        url: String,
        /// What is wrong: the length or a digest.
        what: &'static str,
        /// The expected value.
        wanted: String,
        /// The actual value.
        found: String,
    },
    /// A service returned an unexpected response.
    #[error("list {url}: {reason}")]
    Listing {
        /// The URL of the request.
        url: String,
        /// The problem with the response.
        reason: String,
    },
    /// There is no file of this name.
    #[error("find {remote}: {place} has no such file; it has {there}")]
    NotListed {
        /// The requested files.
        remote: String,
        /// The location.
        place: String,
        /// The first of the existing files.
        there: String,
    },
    /// A repository without a usable model.
    #[error(
        "use {place}: it has no {wanted}; a model needs safetensors weights, config.json and tokenizer.json (or vocab.json and \
         merges.txt), but the files are {there}"
    )]
    NoModel {
        /// The repository.
        place: String,
        /// The missing file.
        wanted: &'static str,
        /// The first of the existing files.
        there: String,
    },
    /// The content differs from that in the lock file.
    #[error(
        "use {} of {place}: the lock file {} has SHA-256 {}, but the content has {}; `grid data lock SPEC` accepts the \
         current version of the server, or delete {} to fetch the locked version again, if the server still has it",
        difference.path, lock.display(), difference.wanted, difference.found, file.display()
    )]
    Changed {
        /// The location of the file.
        place: String,
        /// The file, with both digests.
        difference: Box<Mismatch>,
        /// The lock file.
        lock: PathBuf,
        /// The path of the file in the cache.
        file: PathBuf,
    },
    /// A cached file that has changed since it was fetched.
    #[error("use {}: its SHA-256 is {found} instead of {wanted}, as fetched or given in the spec; delete it, and `grid data fetch` fetches it again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The expected digest.
        wanted: String,
        /// The actual digest.
        found: String,
    },
    /// A lock file that cannot be parsed.
    #[error("read the lock file {}: {reason}; delete it, and `grid data lock` on the spec writes a new one", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// An archive that cannot be unpacked.
    #[error("unpack {}: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// An archive that does not fit on the disk.
    #[error(
        "unpack {}: it needs {needed} bytes, and {} has {free} bytes free; free some space, or set GRID_CACHE to a folder with \
         enough space", path.display(), folder.display()
    )]
    NoSpace {
        /// The archive.
        path: PathBuf,
        /// The sum of the sizes of its files, as it declares them.
        needed: u64,
        /// The folder on whose disk it would be unpacked.
        folder: PathBuf,
        /// The free space of that disk.
        free: u64,
    },
    /// The data are missing, and the network is disabled.
    #[error("find {remote}: it has not been fetched, and grid is offline")]
    Offline {
        /// The requested files.
        remote: String,
        /// Where to download it manually.
        from: String,
        /// The folder for the files, under the same paths.
        folder: PathBuf,
    },
    /// An invalid glob pattern.
    #[error("parse the file pattern '{pattern}': {reason}; enclose literal brackets and stars in [ ]")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: String,
    },
    /// An operation on a file of the cache, or on a lock file, failed.
    #[error("{action} {}: {source}{}", path.display(), advice(source))]
    Disk {
        /// The operation: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl FetchError {
    /// Adds the operation and the file to an I/O error; for `map_err`.
    pub(super) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| FetchError::Disk { action, path, source }
    }
}

/// The remedy for a disk that is full or not writable.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; free some space, or set GRID_CACHE to a folder with enough space (the received part is kept)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
            "; set GRID_CACHE to a writable folder"
        }
        _ => "",
    }
}
