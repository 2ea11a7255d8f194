//! Disks that only one manager sees. Each disk is mounted in a separate mount namespace of the manager,
//! and disappears when that manager exits.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Shell script: mounts a tmpfs of size $1 at $2, then replaces itself with the manager, $0.
pub(super) const SMALL: &str = r#"mount -t tmpfs -o "size=$1" none "$2" && exec "$0""#;
/// Shell script: makes $2 read-only, then replaces itself with the manager, $0.
pub(super) const READ_ONLY: &str =
    r#"mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" && exec "$0""#;

/// A small disk, which the test can fill.
pub(crate) struct Disk {
    /// Process ID of the manager that sees the disk.
    pub manager_pid: u32,
    /// Path of the disk in the manager's mount namespace.
    pub path: PathBuf,
}

impl Disk {
    /// Returns the path under which the test can reach the disk.
    pub(crate) fn root(&self) -> PathBuf {
        let path = self.path.strip_prefix("/").unwrap_or(&self.path);
        Path::new(&format!("/proc/{}/root", self.manager_pid)).join(path)
    }

    /// Uses up all the free space.
    pub(crate) fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        let page = [0; 4096];
        while file.write_all(&page).is_ok() {}
    }

    /// Uses up `bytes` of the free space.
    pub(crate) fn fill_bytes(&self, bytes: usize) {
        fs::write(self.filler(), vec![1; bytes]).expect("enough free space");
    }

    /// Returns the free space in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        let status = nix::sys::statvfs::statvfs(&self.root()).expect("a disk");
        usize::try_from(status.blocks_available() * status.fragment_size()).expect("a small disk")
    }

    /// Frees the space that `fill` and `fill_bytes` used.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("a file");
    }

    fn filler(&self) -> PathBuf {
        self.root().join("filler")
    }
}
