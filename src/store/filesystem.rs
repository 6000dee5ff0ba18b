//! Detecting filesystems on which SQLite's locks and shared memory do not work.

use std::path::Path;

/// The name of the network filesystem that a folder is on; `None` if it is local, or if this cannot be determined.
pub(super) fn network_filesystem(folder: &Path) -> Option<String> {
    let magic = rustix::fs::statfs(folder).ok()?.f_type as u32;
    if magic == FUSE {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        return remote_fuse(mount_type(&mounts, folder)?).map(str::to_owned);
    }
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| (*name).to_owned())
}

/// The type of every filesystem in user space, including local ones such as `fuse-overlayfs`.
const FUSE: u32 = 0x6573_5546;

/// `f_type` of statfs(2), from its manual page and the headers of the filesystems.
const NETWORK: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0xaad7_aaea, "PanFS"),
    (0x0131_11a8, "IBRIX"),
];

/// Substrings of the types of FUSE mounts that are remote.
const REMOTE_FUSE: [&str; 9] =
    ["sshfs", "glusterfs", "ceph", "s3fs", "gcsfuse", "rclone", "davfs", "juicefs", "moosefs"];

fn remote_fuse(mount_type: &str) -> Option<&str> {
    let remote = REMOTE_FUSE.iter().any(|name| mount_type.contains(name));
    remote.then(|| mount_type.strip_prefix("fuse.").unwrap_or(mount_type))
}

/// The filesystem type of the mount that holds `folder`, in the format of proc(5) `mountinfo`.
fn mount_type<'a>(mountinfo: &'a str, folder: &Path) -> Option<&'a str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            // Spaces and tabs in a mount point are written as octal escapes.
            let point = mount.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t");
            folder.starts_with(&point).then_some((point.len(), filesystem.split(' ').next()?))
        })
        // Of equal mount points the last one hides the others, and `max_by_key` returns the last.
        .max_by_key(|(length, _)| *length)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_folder_is_local() {
        assert_eq!(network_filesystem(&std::env::temp_dir()), None);
    }

    #[test]
    fn the_innermost_mount_counts() {
        let mountinfo = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /home/a\\040b rw shared:2 - fuse.sshfs host:/x rw
41 22 0:36 / /home/local rw - fuse.fuse-overlayfs overlay rw";
        assert_eq!(mount_type(mountinfo, Path::new("/home/a b/runs")), Some("fuse.sshfs"));
        assert_eq!(mount_type(mountinfo, Path::new("/home/other")), Some("ext4"));
        assert_eq!(remote_fuse("fuse.sshfs"), Some("sshfs"));
        assert_eq!(remote_fuse("fuse.fuse-overlayfs"), None);
    }
}
