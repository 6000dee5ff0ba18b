//! What a power failure loses: the parts of files that no program has made sure are on disk.
//!
//! Linux tells how many pages of a file are not on disk (`cachestat`, since Linux 6.5). A file loses everything from the
//! first such page on, as a file does that was renamed or appended to shortly before the power fails. Entries of folders
//! are not lost here.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::scene::files;

/// The size of a page in bytes, or a part of it.
const PAGE: u64 = 4096;

/// The number of the system call, which is the same on all processors and which libc does not name.
const CACHESTAT: libc::c_long = 451;

/// The files that SQLite writes in place. A loss of unsynced pages restores what they were before, which nothing here can.
const IN_PLACE: [&str; 2] = ["runs.db", "runs.db-shm"];

/// Cuts the files below a folder as a power failure would; returns how many files lost something, or `None` if this system
/// does not tell what is on disk.
///
/// # Errors
/// A file that cannot be cut.
pub(super) fn lose(folder: &Path) -> io::Result<Option<u64>> {
    let mut lost = 0;
    let in_place = |path: &Path| path.file_name().is_some_and(|name| IN_PLACE.iter().any(|own| name == *own));
    for path in files(folder).into_iter().filter(|path| !in_place(path)) {
        let file = File::options().read(true).write(true).open(&path)?;
        let Some(kept) = length_on_disk(&file)? else { return Ok(None) };
        if kept < file.metadata()?.len() {
            file.set_len(kept)?;
            lost += 1;
        }
    }
    Ok(Some(lost))
}

/// The number of bytes before the first page that is not on disk; `None` if this system does not tell.
fn length_on_disk(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    // The first of `pages` prefixes with a page that is not on disk.
    let (mut synced, mut pages) = (0, length.div_ceil(PAGE));
    match is_synced(file, length) {
        None => return Ok(None),
        Some(true) => return Ok(Some(length)),
        Some(false) => {}
    }
    while synced + 1 < pages {
        let middle = (synced + pages) / 2;
        match is_synced(file, middle * PAGE) {
            None => return Ok(None),
            Some(true) => synced = middle,
            Some(false) => pages = middle,
        }
    }
    Ok(Some(synced * PAGE))
}

/// Whether the first `length` bytes of a file are on disk.
fn is_synced(file: &File, length: u64) -> Option<bool> {
    #[repr(C)]
    struct Range {
        offset: u64,
        length: u64,
    }
    #[derive(Default)]
    #[repr(C)]
    struct Pages {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    if length == 0 {
        return Some(true);
    }
    let (range, mut pages) = (Range { offset: 0, length }, Pages::default());
    // SAFETY: the system call reads one structure and writes the other, and both have the layout that the kernel defines.
    let result = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &range, &mut pages, 0) };
    (result == 0).then_some(pages.dirty + pages.writeback == 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_not_synced_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (synced, part) = (path("synced"), path("part"));
        let text = vec![7; 3 * PAGE as usize + 10];
        File::create(&synced).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all())).unwrap();
        fs::write(path("whole"), &text).unwrap();
        let mut file = File::create(&part).unwrap();
        file.write_all(&text).and_then(|()| file.sync_all()).unwrap();
        file.write_all(&text).unwrap();
        fs::write(path("runs.db"), &text).unwrap();
        let length = |path: &Path| fs::metadata(path).unwrap().len();
        let lost = lose(folder.path()).unwrap();
        assert_eq!([&synced, &path("runs.db")].map(|path| length(path)), [text.len() as u64; 2]);
        // The kernel may write files to disk at any time, and not all filesystems tell.
        let cut = |path: &Path, synced: u64, whole: u64| {
            let length = length(path);
            assert!(synced <= length && (length == whole || length.is_multiple_of(PAGE)), "{length}");
            u64::from(length < whole)
        };
        let whole = text.len() as u64;
        assert_eq!(lost.unwrap_or(0), cut(&path("whole"), 0, whole) + cut(&part, 3 * PAGE, 2 * whole));
    }
}
