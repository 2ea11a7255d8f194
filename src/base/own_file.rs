//! Files that only the manager writes, such as keys and locks. Another user may be able to create files in the
//! directory. So that this user cannot choose the file that the manager uses, symbolic links are not followed,
//! and files are not read if they belong to such a user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// The user id of root.
const ROOT: u32 = 0;

/// The reason why a file cannot be one that the manager has created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForeignFile {
    /// The file is a symbolic link, a directory, a FIFO, a socket or a device.
    #[error(
        "{} is not a regular file, but for example a symbolic link; replace it with a regular file",
        .0.display()
    )]
    Kind(PathBuf),
    /// The file belongs to another user.
    #[error(
        "{} belongs to the user with the id {owner}, who can read and change it; if you trust its content, run: \
         chown {user} {}",
        path.display(),
        path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// The id of the file's owner.
        owner: u32,
        /// The id of the manager's user.
        user: u32,
    },
}

/// The reason why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFileError {
    /// The manager cannot have created the file.
    #[error(transparent)]
    Foreign(ForeignFile),
    /// The file cannot be read.
    #[error(transparent)]
    Io(io::Error),
}

/// Opens a file to read it; returns `None` if it does not exist. Does not wait, even if the file is a FIFO. Fails
/// unless the file is a regular one that belongs to the manager's user, to root, or to the owner of the directory, who
/// can replace every file in it.
pub(crate) fn open(path: &Path) -> Result<Option<File>, OpenFileError> {
    let file = match open_with(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if is_of_special_file(&error) => {
            return Err(OpenFileError::Foreign(ForeignFile::Kind(path.to_owned())));
        }
        Err(error) => return Err(OpenFileError::Io(error)),
    };
    let metadata = file.metadata().map_err(OpenFileError::Io)?;
    if !metadata.is_file() {
        return Err(OpenFileError::Foreign(ForeignFile::Kind(path.to_owned())));
    }
    let directory = fs::metadata(directory_of(path)).map_err(OpenFileError::Io)?;
    let user = geteuid().as_raw();
    let owner = metadata.uid();
    if ![user, ROOT, directory.uid()].contains(&owner) {
        return Err(OpenFileError::Foreign(ForeignFile::Owner {
            path: path.to_owned(),
            owner,
            user,
        }));
    }
    Ok(Some(file))
}

/// Opens the file of a lock, or creates the file. Does not change its content, and does not wait.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let opened = open_with(OpenOptions::new().write(true).create(true).truncate(false), path);
    opened.map_err(|error| {
        if is_of_special_file(&error) {
            return io::Error::other(ForeignFile::Kind(path.to_owned()));
        }
        error
    })
}

/// Creates a file with this mode and content. Fails if the file exists. The file gets its name only when it
/// is complete, so that even a power cut leaves no incomplete file.
pub(crate) fn create(path: &Path, mode: u32, content: &str) -> io::Result<()> {
    // After this check, other managers cannot create the file, because a lock excludes them. Another process
    // may create a link. The rename in `replace` then replaces the link, and does not write to its target.
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    replace(path, mode, content)
}

/// Creates a file, or replaces it. Readers never see an incomplete file. A failure leaves no incomplete file, which could
/// contain a part of a key.
pub(crate) fn replace(path: &Path, mode: u32, content: &str) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    // A process that was killed may have left this file, or another user may have created it.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    // `create_new` follows no link, and creates a file that belongs to the manager's user.
    let mut file = options.write(true).create_new(true).mode(mode).open(&unfinished)?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
        // If this fails as well, the next call removes the file.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    File::open(directory_of(path))?.sync_all()
}

/// Opens a file without following a symbolic link, and without waiting for the other end of a FIFO.
fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}

/// Returns whether this is the error of opening a symbolic link or a socket.
fn is_of_special_file(error: &io::Error) -> bool {
    let special = [nix::errno::Errno::ELOOP, nix::errno::Errno::ENXIO];
    special.iter().any(|it| error.raw_os_error() == Some(*it as i32))
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    /// A directory, and the path of a file in it that does not exist.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        (dir, path)
    }

    fn make_fifo(path: &Path) {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    }

    #[test]
    fn only_regular_files_are_opened_and_a_fifo_is_refused_without_waiting() {
        let (dir, path) = directory();
        assert!(open(&path).expect("no file").is_none());
        let target = dir.path().join("target");
        fs::write(&target, "x").expect("a file");
        symlink(&target, &path).expect("a link");
        assert!(matches!(open(&path), Err(OpenFileError::Foreign(ForeignFile::Kind(_)))), "a link");
        fs::remove_file(&path).expect("the link");
        make_fifo(&path);
        let refused = open(&path).expect_err("a FIFO").to_string();
        assert!(refused.contains("key") && refused.contains("replace it"), "{refused}");
        fs::remove_file(&path).expect("the FIFO");
        let _socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        assert!(
            matches!(open(&path), Err(OpenFileError::Foreign(ForeignFile::Kind(_)))),
            "a socket"
        );
        fs::remove_file(&path).expect("the socket");
        fs::create_dir(&path).expect("a directory");
        assert!(
            matches!(open(&path), Err(OpenFileError::Foreign(ForeignFile::Kind(_)))),
            "a folder"
        );
        open(&target).expect("a regular file").expect("a file");
    }

    #[test]
    fn a_file_of_another_user_is_refused_unless_the_user_owns_the_directory() {
        if !geteuid().is_root() {
            return; // Only root can change the owner of a file.
        }
        let (dir, path) = directory();
        fs::write(&path, "x").expect("a file");
        chown(&path, Some(4711), None).expect("another owner");
        let refused = open(&path).expect_err("another user's file").to_string();
        assert!(refused.contains("id 4711") && refused.contains("chown 0 "), "{refused}");
        chown(dir.path(), Some(4711), None).expect("another owner");
        open(&path).expect("the file of the directory's owner").expect("a file");
    }

    #[test]
    fn an_unfinished_file_of_another_user_is_replaced_and_not_written_to() {
        let (dir, path) = directory();
        let unfinished = dir.path().join("key.unfinished");
        let victim = dir.path().join("victim");
        fs::write(&victim, "unchanged").expect("a file");
        symlink(&victim, &unfinished).expect("a link");
        create(&path, 0o600, "secret").expect("a file");
        assert_eq!(fs::read_to_string(&victim).expect("a file"), "unchanged");
        assert!(fs::symlink_metadata(&path).expect("a file").is_file());
        fs::remove_file(&path).expect("the file");

        fs::write(&unfinished, "").expect("a file");
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o666)).expect("a mode");
        let reader = File::open(&unfinished).expect("a reader");
        create(&path, 0o600, "secret").expect("a file");
        let created = fs::metadata(&path).expect("a file");
        assert_eq!(created.permissions().mode() & 0o777, 0o600);
        assert_ne!(created.ino(), reader.metadata().expect("a file").ino());
        fs::remove_file(&path).expect("the file");

        make_fifo(&unfinished);
        create(&path, 0o600, "secret").expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "secret");
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_failure_leaves_no_unfinished_file() {
        let (dir, path) = directory();
        // A file cannot replace a directory.
        fs::create_dir(&path).expect("a directory");
        replace(&path, 0o600, "secret").expect_err("a directory with this name");
        let names = fs::read_dir(dir.path()).expect("a directory").count();
        assert_eq!(names, 1, "the unfinished file is left");
    }

    #[test]
    fn create_does_not_replace_a_link_even_if_its_target_is_missing() {
        let (dir, path) = directory();
        symlink(dir.path().join("missing"), &path).expect("a link");
        let refused = create(&path, 0o600, "secret").expect_err("the name exists");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(!dir.path().join("missing").exists());
    }

    #[test]
    fn a_lock_changes_no_file() {
        let (dir, path) = directory();
        let victim = dir.path().join("victim");
        fs::write(&victim, "unchanged").expect("a file");
        symlink(&victim, &path).expect("a link");
        let refused = open_lock(&path).expect_err("a link").to_string();
        assert!(refused.contains("not a regular file"), "{refused}");
        fs::remove_file(&path).expect("the link");
        fs::hard_link(&victim, &path).expect("a hard link");
        open_lock(&path).expect("a lock");
        assert_eq!(fs::read_to_string(&victim).expect("a file"), "unchanged");
    }
}
