//! Files and directories below a mount point, such as a disk with recordings or a share. Other programs can create files
//! there. So symbolic links below the mount point are not followed, and only regular files are opened: opening a FIFO would
//! wait for its other end. All functions can block.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open as open_path, openat};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// The flags for a directory on the way to a file. Its entries need not be readable.
const ON_THE_WAY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// The flags for a file, in addition to those of the access.
const NO_WAIT: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);
/// The largest text that is read, in bytes.
const MAX_TEXT: u64 = 64 * 1024;

/// Opens a file to read it.
pub(crate) fn open(root: &Path, path: &Path) -> io::Result<File> {
    open_with(root, path, OFlag::O_RDONLY)
}

/// Opens a file to change it.
pub(crate) fn open_to_change(root: &Path, path: &Path) -> io::Result<File> {
    open_with(root, path, OFlag::O_WRONLY)
}

/// Opens a file to read it. Links on the way to its directory are followed.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let root = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    open(root, Path::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?))
}

/// Reads a small text.
pub(crate) fn text(root: &Path, path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(root, path)?.take(MAX_TEXT).read_to_string(&mut text)?;
    Ok(text)
}

/// Creates a file that does not exist, and its directories, but not `root`, at which a disk or a share is mounted.
pub(crate) fn create(root: &Path, path: &Path) -> io::Result<File> {
    // Another thread may delete the directories while they are empty.
    match try_create(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => try_create(root, path),
        created => created,
    }
}

fn try_create(root: &Path, path: &Path) -> io::Result<File> {
    let (parent, name) = split(path)?;
    let mut dir = open_path(root, ON_THE_WAY, Mode::empty())?;
    for part in parent {
        match mkdirat(&dir, part, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        dir = openat(&dir, part, ON_THE_WAY | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | NO_WAIT;
    Ok(openat(&dir, name, flags, Mode::from_bits_truncate(0o666))?.into())
}

/// Returns whether there is something with this name, even if it is not a file.
pub(crate) fn exists(root: &Path, path: &Path) -> io::Result<bool> {
    let find = || -> io::Result<()> {
        let (parent, name) = split(path)?;
        fstatat(dir(root, parent)?, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(())
    };
    match find() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a file, or a link itself.
pub(crate) fn remove_file(root: &Path, path: &Path) -> io::Result<()> {
    remove(root, path, UnlinkatFlags::NoRemoveDir)
}

/// Deletes an empty directory.
pub(crate) fn remove_dir(root: &Path, path: &Path) -> io::Result<()> {
    remove(root, path, UnlinkatFlags::RemoveDir)
}

/// Deletes the directories of a file below `root` that are empty.
pub(crate) fn remove_empty_parents(root: &Path, path: &Path) {
    for dir in path.ancestors().skip(1) {
        // A directory usually contains more files.
        if remove_dir(root, dir).is_err() {
            break;
        }
    }
}

fn remove(root: &Path, path: &Path, flags: UnlinkatFlags) -> io::Result<()> {
    let (parent, name) = split(path)?;
    Ok(unlinkat(dir(root, parent)?, name, flags)?)
}

fn open_with(root: &Path, path: &Path, access: OFlag) -> io::Result<File> {
    let (parent, name) = split(path)?;
    let special = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    match openat(dir(root, parent)?, name, access | NO_WAIT, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            if file.metadata()?.is_file() { Ok(file) } else { Err(special()) }
        }
        Err(Errno::ELOOP | Errno::ENXIO) => Err(special()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory below `root`.
fn dir(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let mut dir = open_path(root, ON_THE_WAY, Mode::empty())?;
    for part in path {
        dir = openat(&dir, part, ON_THE_WAY | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    Ok(dir)
}

/// Returns the directory and the name of a path that leads down from a root.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let is_down = path.iter().all(|part| part != "..") && path.is_relative();
    let name = path.file_name().filter(|_| is_down).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((path.parent().unwrap_or(Path::new("")), name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn mkfifo(path: &Path) {
        nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("a FIFO");
    }

    #[test]
    fn files_are_created_read_and_deleted() {
        let root = tempfile::tempdir().expect("a directory");
        let (root, path) = (root.path(), Path::new("a/b/file"));
        assert!(!exists(root, path).expect("a directory"));
        create(root, path).expect("a file");
        create(root, path).expect_err("it exists");
        fs::write(root.join(path), "text").expect("a file");
        assert!(exists(root, path).expect("a directory"));
        assert_eq!(text(root, path).expect("a text"), "text");
        open_to_change(root, path).expect("a file").set_len(1).expect("a change");
        assert_eq!(open_file(&root.join(path)).expect("a file").metadata().expect("it").len(), 1);
        remove_dir(root, Path::new("a/b")).expect_err("a file in it");
        remove_file(root, path).expect("the file");
        remove_dir(root, Path::new("a/b")).expect("an empty directory");
        for outside in ["../x", "a/../../x", "/x", ""] {
            open(root, Path::new(outside)).expect_err(outside);
            create(root, Path::new(outside)).expect_err(outside);
        }
        create(&root.join("missing"), path).expect_err("the root is not created");
    }

    #[test]
    fn nothing_waits_for_a_fifo_and_no_link_is_followed() {
        let (root, outside) = (tempfile::tempdir(), tempfile::tempdir());
        let (root, outside) = (root.expect("a directory"), outside.expect("a directory"));
        let (root, outside) = (root.path(), outside.path());
        fs::write(outside.join("file"), "text").expect("a file");
        symlink(outside.join("file"), root.join("link")).expect("a link");
        symlink(outside, root.join("dir")).expect("a link");
        symlink(root.join("loop"), root.join("loop")).expect("a link");
        mkfifo(&root.join("fifo"));
        for path in ["link", "dir/file", "loop", "loop/file", "fifo", "dir"] {
            let path = Path::new(path);
            open(root, path).expect_err("not a file");
            open_to_change(root, path).expect_err("not a file");
            create(root, path).expect_err("not a new file");
            text(root, path).expect_err("not a file");
        }
        create(root, Path::new("dir/new/file")).expect_err("a link on the way");
        remove_file(root, Path::new("dir/file")).expect_err("a link on the way");
        exists(root, Path::new("dir/file")).expect_err("a link on the way");
        assert!(exists(root, Path::new("loop")).expect("a link"));
        remove_file(root, Path::new("link")).expect("the link itself");
        assert_eq!(fs::read_to_string(outside.join("file")).expect("a file"), "text");
        assert_eq!(fs::read_dir(outside).expect("a directory").count(), 1);
    }
}
