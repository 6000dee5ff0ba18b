//! What identifies the content of a file without reading it.

use serde::{Deserialize, Serialize};

/// What identifies the content of a file without reading it. Of a symbolic link, it describes the target.
///
/// Length and modification time alone are not enough: `cp -p`, `rsync -t` and archives with fixed times put another file
/// of the same length and time in its place. The kernel sets the time of the last change of the inode, and programs cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// The device that contains the file.
    pub device: u64,
    /// The number of the file on its device.
    pub inode: u64,
    /// The length in bytes.
    pub length: u64,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// Seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
}

impl From<&std::fs::Metadata> for FileStamp {
    fn from(file: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
