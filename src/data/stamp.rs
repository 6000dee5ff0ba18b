//! Whether a file is still the one whose content is known.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The age from which a stamp can be trusted: another write within the same clock tick would not be detected.
const MIN_AGE: Duration = Duration::from_secs(2);

/// What identifies the content of a file without reading it. Of a symbolic link, it describes the target.
///
/// Length and modification time alone are not enough: `cp -p`, `rsync -t` and archives with fixed times put another file
/// of the same length and time in its place. The kernel sets the time of the last change of the inode, and programs cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of a file.
    ///
    /// # Errors
    /// A file that does not exist or cannot be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        // Opening the file makes a network file system ask its server, whose answer may be newer than what stat(2) has.
        Ok(Self::from(&File::open(path)?.metadata()?))
    }

    /// Whether the stamp will differ after the next change of the file at this path: the file has not just been written,
    /// and its file system has inodes and times that can be trusted.
    pub fn is_reliable(&self, path: &Path) -> bool {
        let settled = |(seconds, _): (i64, i64)| {
            let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::now().duration_since(time).is_ok_and(|age| age > MIN_AGE)
        };
        settled(self.modified) && settled(self.changed) && has_stable_inodes(path)
    }

    /// The length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl From<&Metadata> for FileStamp {
    fn from(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
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
        let stamp = |name: &str| FileStamp::of(&path(name)).unwrap();
        let before = stamp("a");
        assert_eq!(before, stamp("a"));
        assert!(before.length() == 3 && before.modified == stamp("b").modified);

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
        assert!(FileStamp::of(&path("b")).is_err());
    }

    #[test]
    fn the_stamp_of_a_file_that_was_just_written_is_not_reliable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        set_old(&path);
        assert!(!FileStamp::of(&path).unwrap().is_reliable(&path), "its inode has just changed");
        let program = std::env::current_exe().unwrap();
        assert!(FileStamp { changed: (1_000, 0), ..FileStamp::of(&path).unwrap() }.is_reliable(&program));
        let future = FileStamp { changed: (i64::MAX / 2, 0), ..FileStamp::default() };
        assert!(!future.is_reliable(&program));
    }
}
