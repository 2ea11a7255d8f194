//! Disks that a manager has for itself, in a mount namespace of its own, which goes with the process.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Mounts a tmpfs of size $1 at $2, then becomes the manager, $0.
pub const SMALL: &str = r#"mount -t tmpfs -o "size=$1" none "$2" && exec "$0""#;
/// Makes what is at $2 read-only, then becomes the manager.
pub const READ_ONLY: &str =
    r#"mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" && exec "$0""#;

/// A small disk, which can be filled from outside.
pub struct Disk {
    /// Of the process that sees it.
    pub manager: u32,
    /// Where that process sees it.
    pub path: PathBuf,
}

impl Disk {
    /// Where the test sees it.
    pub fn root(&self) -> PathBuf {
        let path = self.path.strip_prefix("/").unwrap_or(&self.path);
        Path::new(&format!("/proc/{}/root", self.manager)).join(path)
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let path = self.root().join("filler");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a filler");
        let page = [0; 4096];
        while file.write_all(&page).is_ok() {}
    }

    /// Gives it back.
    pub fn drain(&self) {
        fs::remove_file(self.root().join("filler")).expect("a filler");
    }
}
