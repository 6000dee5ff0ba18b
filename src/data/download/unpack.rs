//! Zip archives that were fetched, unpacked beside what was fetched.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::super::atomic::publish_folder;
use super::error::FetchError;

/// Written into the folder last.
const COMPLETE: &str = ".complete";
/// Bytes at a time.
const PIECE: usize = 1 << 16;

/// Whether this archive, with this digest, has been unpacked into this folder.
pub(super) fn is_unpacked(folder: &Path, sha256: &str) -> bool {
    fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|digest| digest == sha256)
}

/// Unpacks a zip archive into a folder: whole, or not at all.
///
/// # Errors
/// An archive that is none, is locked, or leads out of its folder; a disk that cannot be written.
pub(super) fn unpack(archive: &Path, sha256: &str, folder: &Path) -> Result<(), FetchError> {
    let broken = |reason: String| FetchError::Archive { path: archive.to_owned(), reason };
    let aside = folder.with_extension("partial");
    for old in [&aside, folder] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(FetchError::disk("remove", old))?;
        }
    }
    fs::create_dir_all(&aside).map_err(FetchError::disk("make folder", &aside))?;
    let file = File::open(archive).map_err(FetchError::disk("read", archive))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| broken(format!("{error}; only zip is understood")))?;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| broken(error.to_string()))?;
        let name = member.enclosed_name().ok_or_else(|| broken("a path in it leads out of it".to_owned()))?;
        let target = aside.join(&name);
        if member.is_dir() || name.starts_with("__MACOSX") {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(FetchError::disk("make folder", parent))?;
        }
        let mut out = File::create(&target).map_err(FetchError::disk("write", &target))?;
        let mut piece = vec![0; PIECE];
        loop {
            match member.read(&mut piece).map_err(|error| broken(format!("{}: {error}", name.display())))? {
                0 => break,
                count => out.write_all(&piece[..count]).map_err(FetchError::disk("write", &target))?,
            }
        }
    }
    let complete = aside.join(COMPLETE);
    fs::write(&complete, sha256).map_err(FetchError::disk("write", &complete))?;
    publish_folder(&aside, folder).map_err(FetchError::disk("write", folder))
}
