//! Whether a file is still the one whose content is known.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::FileStamp;

/// The age from which a stamp can be trusted: another write within the same clock tick would not be detected.
const MIN_AGE: Duration = Duration::from_secs(2);

/// The stamp of a file.
///
/// # Errors
/// A file that does not exist or cannot be examined.
pub fn stamp_of(path: &Path) -> io::Result<FileStamp> {
    // Opening the file makes a network file system ask its server, whose answer may be newer than what stat(2) has.
    Ok(FileStamp::from(&File::open(path)?.metadata()?))
}

/// Whether the stamp will differ after the next change of the file at this path: the file has not just been written, and
/// its file system has inodes and times that can be trusted.
pub(super) fn is_reliable(stamp: &FileStamp, path: &Path) -> bool {
    let settled = |(seconds, _): (i64, i64)| {
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        SystemTime::now().duration_since(time).is_ok_and(|age| age > MIN_AGE)
    };
    settled(stamp.modified) && settled(stamp.changed) && has_stable_inodes(path)
}

/// `f_type` of statfs(2) of file systems that invent inodes or change times: those in user space, of virtual machines and
/// of Windows. Their files are read again every time.
const UNSTABLE: [u32; 11] = [
    0x6573_5546, // FUSE, such as sshfs; also virtiofs
    0x0102_1997, // 9P
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x786f_4256, // VirtualBox
    0xbacb_acbc, // VMware
    0x7c7c_6673, // Parallels
    0x5346_414f, // AFS
    0x4d44,      // FAT
    0x2011_bab0, // exFAT
];

fn has_stable_inodes(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|system| !UNSTABLE.contains(&(system.f_type as u32)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// Sets the modification time of a file to a fixed time, as unpacking an archive does.
    pub(crate) fn set_old(path: &Path) {
        File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
    }

    /// Waits until a change of a file has another time.
    pub(crate) fn next_tick() {
        std::thread::sleep(Duration::from_millis(20));
    }

    #[test]
    fn another_file_with_the_same_length_and_time_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [("a", "one"), ("b", "two")] {
            fs::write(path(name), text).unwrap();
            set_old(&path(name));
        }
        let stamp = |name: &str| stamp_of(&path(name)).unwrap();
        let before = stamp("a");
        assert_eq!(before, stamp("a"));
        assert!(before.length == 3 && before.modified == stamp("b").modified);

        // A symbolic link has the stamp of its target.
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        assert_eq!(stamp("link"), before);
        fs::remove_file(path("link")).unwrap();
        std::os::unix::fs::symlink(path("b"), path("link")).unwrap();
        assert_ne!(stamp("link"), before);

        // Written in place, with the time restored.
        next_tick();
        fs::write(path("a"), "1ne").unwrap();
        set_old(&path("a"));
        assert_ne!(stamp("a"), before);
        // Replaced by a rename.
        let before = stamp("a");
        fs::rename(path("b"), path("a")).unwrap();
        assert_ne!(stamp("a"), before);
        assert!(stamp_of(&path("b")).is_err());
    }

    #[test]
    fn the_stamp_of_a_file_that_was_just_written_is_not_reliable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        set_old(&path);
        assert!(!is_reliable(&stamp_of(&path).unwrap(), &path), "its inode has just changed");
        let program = std::env::current_exe().unwrap();
        assert!(is_reliable(&FileStamp { changed: (1_000, 0), ..stamp_of(&path).unwrap() }, &program));
        let future = FileStamp { changed: (i64::MAX / 2, 0), ..FileStamp::default() };
        assert!(!is_reliable(&future, &program));
    }
}
