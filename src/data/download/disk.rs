//! Files and folders of the cache.

use std::fs::{self, File};
use std::path::{Component, Path};

use walkdir::WalkDir;

use crate::domain::FileStamp;

use super::error::FetchError;

/// Whether a relative path stays within its folder.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The stamp of a file; `None` if it does not exist.
pub(super) fn file_stamp(file: &Path) -> Option<FileStamp> {
    let metadata = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    Some(FileStamp::from(&metadata))
}

/// The first few of these names, for messages.
pub(super) fn some_names(names: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = names.iter().map(AsRef::as_ref).take(20).collect();
    match first.len() {
        0 => "no files".to_owned(),
        shown if shown < names.len() => format!("{}, ...", first.join(", ")),
        _ => first.join(", "),
    }
}

/// The paths of all files below a folder, relative to it, with `/`; symbolic links are followed.
pub(super) fn files_below(folder: &Path) -> Vec<String> {
    let entries = WalkDir::new(folder).follow_links(true).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| entry.path().strip_prefix(folder).ok()?.to_str().map(str::to_owned)).collect()
}

/// Locks the folder of a location if no other process holds the lock.
pub(super) fn try_lock_home(home: &Path) -> Option<File> {
    use rustix::fs::{FlockOperation, flock};
    let file = File::options().write(true).open(home.join(".lock")).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok().map(|()| file)
}

/// Locks the folder of a location, so that only one process at a time fetches into it. `waiting` is called if another
/// process holds the lock.
pub(super) fn lock_home(home: &Path, waiting: impl FnOnce()) -> Result<File, FetchError> {
    use rustix::fs::{FlockOperation, flock};
    fs::create_dir_all(home).map_err(FetchError::disk("create folder", home))?;
    let path = home.join(".lock");
    let file = File::create(&path).map_err(FetchError::disk("write", &path))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        waiting();
        flock(&file, FlockOperation::LockExclusive).map_err(|error| FetchError::disk("lock", &path)(error.into()))?;
    }
    Ok(file)
}
