//! What can go wrong between this machine and another.

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

/// Data of another machine that did not come, or are not what they should be: what, from where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not give it, however often it is asked.
    #[error("fetch {url}: the server answers {status}: {advice}")]
    Refused {
        /// Its address.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What to do.
        advice: String,
    },
    /// There is no such machine, or no network.
    #[error("fetch {url}: {reason}; is there a network? `--offline` names what is missing and where to put it by hand")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The server or the line broke too often.
    #[error(
        "fetch {url}: {reason} ({attempts} attempts brought nothing new); what came is kept, try again to go on from there"
    )]
    Broken {
        /// Its address.
        url: String,
        /// Attempts in a row that brought nothing.
        attempts: u32,
        /// What happened to the last one.
        reason: String,
    },
    /// What came is not what was promised, twice.
    #[error(
        "fetch {url}: its {what} should be {wanted}, but what came has {found}; is the address, or the digest in the spec, right?"
    )]
    Wrong {
        /// Its address.
        url: String,
        /// Length or digest.
        what: &'static str,
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// A service that answered something else than it documents.
    #[error("list {url}: {reason}")]
    Listing {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Nothing there is called so.
    #[error("find {remote}: {place} has no such file; it has {there}")]
    NotListed {
        /// What was wanted.
        remote: String,
        /// Where.
        place: String,
        /// The first of the files that are there.
        there: String,
    },
    /// A model without weights that can be read safely.
    #[error(
        "use {place}: it has no {wanted}, but {there}; a model needs safetensors weights, config.json and tokenizer.json"
    )]
    NoModel {
        /// The repository.
        place: String,
        /// The file that is not there.
        wanted: &'static str,
        /// The first of the files that are there.
        there: String,
    },
    /// Other content than the lock file has.
    #[error(
        "use {} of {place}: the lock file {} has sha256 {}, but the content is {}; `grid data lock SPEC` accepts what the \
         server has now, and without {} what is locked is fetched again, if the server still has it",
        difference.path, lock.display(), difference.wanted, difference.found, file.display()
    )]
    Changed {
        /// The tree.
        place: String,
        /// The file in it.
        difference: Box<Mismatch>,
        /// The lock file.
        lock: PathBuf,
        /// Where the file is or would be on this machine.
        file: PathBuf,
    },
    /// A file of the cache that is not what came.
    #[error("use {}: its sha256 is {found}, but {wanted} was fetched or is what the spec names; delete it, and `grid data fetch` fetches it again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The digest of what was fetched.
        wanted: String,
        /// The digest of what there is.
        found: String,
    },
    /// A lock file that cannot be understood.
    #[error("read the lock file {}: {reason}; delete it, and `grid data lock` on the spec writes a new one", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive that cannot be unpacked.
    #[error("unpack {}: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not there, and the network must not be asked.
    #[error("find {remote}: it is not here, and grid is offline")]
    Offline {
        /// What was wanted.
        remote: String,
        /// Where it can be got by hand.
        from: String,
        /// The folder to put it into, under the same paths.
        folder: PathBuf,
    },
    /// A path that is no valid pattern.
    #[error("understand the file pattern '{pattern}': {reason}; put literal brackets and stars in [ ]")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the pattern library says.
        reason: String,
    },
    /// The operating system refused something in the cache, or to write a lock file.
    #[error("{action} {}: {source}{}", path.display(), advice(source))]
    Disk {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FetchError {
    /// Says what was being done to which file when the operating system refused; for `map_err`.
    pub(super) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| FetchError::Disk { action, path, source }
    }
}

/// What helps against a disk that is full or closed.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; free some space, or set GRID_CACHE to a folder that has room (what came is kept)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
            "; set GRID_CACHE to a folder that you may write to"
        }
        _ => "",
    }
}
