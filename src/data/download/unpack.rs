//! Unpacking of fetched zip archives.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::super::atomic::publish_folder;
use super::error::FetchError;

/// The file that is written into the folder last, with the digest of the archive.
const COMPLETE: &str = ".complete";
/// The size of the copy buffer, in bytes.
const BUFFER: usize = 1 << 16;

/// Whether this archive, with this digest, has been unpacked into this folder.
pub(super) fn is_unpacked(folder: &Path, sha256: &str) -> bool {
    fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|digest| digest == sha256)
}

/// Unpacks a zip archive into a folder, atomically.
///
/// # Errors
/// An invalid or encrypted archive, or one with paths outside of its folder; a disk that cannot be written.
pub(super) fn unpack(archive: &Path, sha256: &str, folder: &Path) -> Result<(), FetchError> {
    let broken = |reason: String| FetchError::Archive { path: archive.to_owned(), reason };
    let temporary = folder.with_extension("partial");
    for old in [&temporary, folder] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(FetchError::disk("remove", old))?;
        }
    }
    fs::create_dir_all(&temporary).map_err(FetchError::disk("create folder", &temporary))?;
    let file = File::open(archive).map_err(FetchError::disk("read", archive))?;
    let mut zip =
        zip::ZipArchive::new(file).map_err(|error| broken(format!("{error}; only zip archives are supported")))?;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| broken(error.to_string()))?;
        let name =
            member.enclosed_name().ok_or_else(|| broken("it contains a path outside of its folder".to_owned()))?;
        let target = temporary.join(&name);
        if member.is_dir() || name.starts_with("__MACOSX") {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(FetchError::disk("create folder", parent))?;
        }
        let mut out = File::create(&target).map_err(FetchError::disk("write", &target))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match member.read(&mut buffer).map_err(|error| broken(format!("{}: {error}", name.display())))? {
                0 => break,
                count => out.write_all(&buffer[..count]).map_err(FetchError::disk("write", &target))?,
            }
        }
    }
    let complete = temporary.join(COMPLETE);
    fs::write(&complete, sha256).map_err(FetchError::disk("write", &complete))?;
    publish_folder(&temporary, folder).map_err(FetchError::disk("write", folder))
}
