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

/// Unpacks a zip archive into a folder, atomically. If that fails, nothing remains of it.
///
/// # Errors
/// An invalid or encrypted archive, or one with paths outside of its folder, with more bytes than it declares, or with
/// more than the disk has free; a disk that cannot be written.
pub(super) fn unpack(archive: &Path, sha256: &str, folder: &Path) -> Result<(), FetchError> {
    let temporary = folder.with_extension("partial");
    for old in [&temporary, folder] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(FetchError::disk("remove", old))?;
        }
    }
    fs::create_dir_all(&temporary).map_err(FetchError::disk("create folder", &temporary))?;
    let unpacked = unpack_into(archive, &temporary).and_then(|()| {
        let complete = temporary.join(COMPLETE);
        fs::write(&complete, sha256).map_err(FetchError::disk("write", &complete))?;
        publish_folder(&temporary, folder).map_err(FetchError::disk("write", folder))
    });
    if unpacked.is_err() {
        // The first error is the one that matters.
        let _ = fs::remove_dir_all(&temporary);
    }
    unpacked
}

fn unpack_into(archive: &Path, folder: &Path) -> Result<(), FetchError> {
    let broken = |reason: String| FetchError::Archive { path: archive.to_owned(), reason };
    let file = File::open(archive).map_err(FetchError::disk("read", archive))?;
    let mut zip =
        zip::ZipArchive::new(file).map_err(|error| broken(format!("{error}; only zip archives are supported")))?;
    let mut needed = 0u64;
    for index in 0..zip.len() {
        let size = zip.by_index_raw(index).map_err(|error| broken(error.to_string()))?.size();
        needed = needed.saturating_add(size);
    }
    let free = free_bytes(folder)?;
    if needed > free {
        return Err(FetchError::NoSpace { path: archive.to_owned(), needed, folder: folder.to_owned(), free });
    }
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| broken(error.to_string()))?;
        let name =
            member.enclosed_name().ok_or_else(|| broken("it contains a path outside of its folder".to_owned()))?;
        if member.is_dir() || name.starts_with("__MACOSX") {
            continue;
        }
        let target = folder.join(&name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(FetchError::disk("create folder", parent))?;
        }
        let mut out = File::create(&target).map_err(FetchError::disk("write", &target))?;
        // The library reads no more bytes of a member than it declares, for which there was space.
        let mut written = 0;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = member.read(&mut buffer).map_err(|error| broken(format!("{}: {error}", name.display())))?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count]).map_err(FetchError::disk("write", &target))?;
            written += count as u64;
        }
        if written != member.size() {
            let (name, declared) = (name.display(), member.size());
            return Err(broken(format!(
                "{name} has {written} bytes, and not the {declared} that the archive declares"
            )));
        }
    }
    Ok(())
}

/// The bytes that this user may still write to the disk of a folder.
fn free_bytes(folder: &Path) -> Result<u64, FetchError> {
    let about = rustix::fs::statvfs(folder).map_err(|error| FetchError::disk("examine", folder)(error.into()))?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}
