//! The directories with recordings, of which each is usually on a disk of its own.
//!
//! Each directory contains a marker file with the id of the database and an id of the directory. Without this file, nothing
//! is written, added to the index or removed from it: the directory is probably the empty place where a disk is to be
//! mounted, and recordings would fill the disk of the system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::statvfs::FsFlags;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{error, info};

use super::layout::MARKER;
use crate::base::atomic_instant::AtomicInstant;
use crate::base::dirs;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::{own_file, random};
use crate::output::disk_budget::Disk;
use crate::store::db::Database;
use crate::store::db::recording_table::RecordingDir;
use crate::store::error::query_failed;

/// The length of a directory's id.
const ID_LENGTH: usize = 16;
/// The longest time that a check waits for a directory.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);
/// The longest time that work in a directory, such as deleting a group of files, waits for its disk.
const WORK_PATIENCE: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(10) };
/// A directory counts as slow until nothing has been slow for this time.
const SLOW_TIME: Duration = Duration::from_mins(1);

/// The time without progress after which a comparison of the index with a directory counts as stalled.
const HALTED: Duration = Duration::from_mins(3);

/// Locked while a marker is created.
static CREATING: Mutex<()> = Mutex::new(());

/// The directories of `RECORDINGS_DIRS`, in that order. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Directories(Arc<Vec<Directory>>);

/// A directory with recordings.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    state: Mutex<State>,
    /// How often the directory has become readable, or a file in it could not be completed.
    arrivals: AtomicU64,
    /// The time at which the disk was last too slow; `None` if it has never been.
    slow_at: Mutex<Option<Instant>>,
    /// The time at which the comparison of the index with the files has last advanced; `None` while there is no comparison.
    comparing: Mutex<Option<Arc<AtomicInstant>>>,
    /// True if the index was compared with the files since the directory became readable.
    is_compared: AtomicBool,
    /// The number of pieces of work, such as deleting files, that take too long. If there are any, the disk hangs.
    late: Arc<AtomicUsize>,
    /// The check that is running. If a disk hangs, no further check begins.
    checking: tokio::sync::Mutex<Option<JoinHandle<CheckResult>>>,
}

/// A comparison of the index with the files of a directory, which ends when this is dropped.
pub(super) struct Comparison<'a> {
    dir: Option<&'a Directory>,
    /// The time at which the comparison has last advanced.
    pub(super) advanced: Arc<AtomicInstant>,
}

impl Drop for Comparison<'_> {
    fn drop(&mut self) {
        if let Some(dir) = self.dir {
            *lock(&dir.comparing) = None;
        }
    }
}

/// The id of a directory, and the size of its disk in bytes.
type CheckResult = Result<(String, u64), Error>;

/// The reason why recordings cannot be stored in a directory, or can be incomplete.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The path of the directory.
    pub(crate) path: PathBuf,
    /// The reason.
    pub(crate) error: Error,
    /// True if recordings are stored, but too slowly.
    pub(crate) is_slow: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// The directory has the right marker.
    Usable(Claimed),
    /// The directory has the right marker, but the disk is full, and nothing in it can be deleted.
    Full(Claimed, Error),
    /// Nothing can be written, for this reason.
    Unusable(Error),
}

/// A directory with a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The id in the database.
    pub(crate) id: i64,
    /// The position in `RECORDINGS_DIRS`, which is part of the directory's URL for nginx.
    pub(crate) index: usize,
    /// The path.
    pub(crate) path: PathBuf,
    /// The size of the directory's disk in bytes; 0 if it is not known.
    pub(crate) size: u64,
    /// The text of the marker file.
    marker: String,
}

impl Directories {
    /// Creates the directories. None of them is usable before [`Directories::check`].
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let dir = |path: &PathBuf| {
            let state = State::Unusable(unusable(path, "it has not been checked yet"));
            Directory {
                path: path.clone(),
                state: Mutex::new(state),
                arrivals: AtomicU64::new(0),
                slow_at: Mutex::default(),
                comparing: Mutex::default(),
                is_compared: AtomicBool::new(false),
                late: Arc::default(),
                checking: tokio::sync::Mutex::default(),
            }
        };
        Self(Arc::new(paths.iter().map(dir).collect()))
    }

    /// Checks the markers of all directories. A directory that was never used gets a marker. Errors of directories are
    /// logged and kept for [`Directories::problems`]; an error of the database is returned.
    pub(crate) async fn check(&self, database: &Database) -> Result<(), Error> {
        let store = database.recording_marker().await.map_err(query_failed)?;
        let known = database.recording_dirs().await.map_err(query_failed)?;
        let check = |dir| Directory::check(dir, &store, &known);
        let checked = join_all(self.0.iter().map(check)).await;
        for ((index, dir), checked) in self.0.iter().enumerate().zip(checked) {
            let Some(claimed) = checked else {
                dir.note_no_answer();
                continue;
            };
            let state = match claimed {
                Ok((id, _)) if self.is_twice(index, &id) => {
                    State::Unusable(unusable(&dir.path, "it is in RECORDINGS_DIRS twice"))
                }
                Ok((id, size)) => {
                    let path = dir.path.to_string_lossy();
                    let same = known.iter().find(|known| known.marker == id && known.path == path);
                    let number = if let Some(same) = same {
                        same.id
                    } else {
                        let mut write = database.write().await.map_err(query_failed)?;
                        let put = write.put_recording_dir(&id, &path).await;
                        let number = put.map_err(query_failed)?;
                        write.commit().await.map_err(query_failed)?;
                        number
                    };
                    let (path, marker) = (dir.path.clone(), marker_text(&store, &id));
                    let claimed = Claimed { id: number, index, path, size, marker };
                    let before = lock(&dir.state).clone();
                    match before {
                        // Retention decides when the disk is not full any more.
                        State::Full(before, error) if before == claimed => {
                            State::Full(claimed, error)
                        }
                        _ => State::Usable(claimed),
                    }
                }
                Err(error) => State::Unusable(error),
            };
            dir.set(state);
        }
        Ok(())
    }

    /// Returns true if an earlier directory has the id `id`.
    fn is_twice(&self, index: usize, id: &str) -> bool {
        let earlier = self.0.iter().take(index).filter_map(Directory::present);
        earlier.into_iter().any(|claimed| marker_id(&claimed.marker) == Some(id))
    }

    /// Returns the paths of all directories.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|dir| dir.path.clone()).collect()
    }

    /// Returns the directories that can be used.
    pub(crate) fn usable(&self) -> Vec<Claimed> {
        self.0.iter().filter_map(Directory::claimed).collect()
    }

    /// Returns the directories that can be read, and in which files can be deleted.
    pub(crate) fn present(&self) -> Vec<Claimed> {
        self.0.iter().filter_map(Directory::present).collect()
    }

    /// Returns the directories that can be read, and whose disks respond.
    pub(super) fn responding(&self) -> Vec<Claimed> {
        let responds =
            |claimed: &Claimed| self.0.get(claimed.index).is_some_and(|dir| !dir.hangs());
        self.present().into_iter().filter(responds).collect()
    }

    /// Runs `work`, which can wait for a directory's disk. Returns `None` if the disk does not respond in time. In this case,
    /// the work continues, and no other work begins in the directory before it has ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        dir: &Claimed,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let directory = self.0.get(dir.index)?;
        if directory.hangs() {
            return None;
        }
        let mut work = tokio::task::spawn_blocking(work);
        if let Ok(done) = timeout(WORK_PATIENCE, &mut work).await {
            return done.ok();
        }
        *lock(&directory.slow_at) = Some(Instant::now());
        let late = Arc::clone(&directory.late);
        late.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            drop(work.await);
            late.fetch_sub(1, Ordering::Relaxed);
        });
        None
    }

    /// Returns a number that changes when the index must be compared with the files of the directory again: after it was
    /// away, or if a file could not be completed.
    pub(crate) fn arrivals(&self, dir: &Claimed) -> u64 {
        self.0.get(dir.index).map_or(0, |dir| dir.arrivals.load(Ordering::Relaxed))
    }

    /// Notes that the index is being compared with the files of a directory.
    pub(super) fn compare(&self, dir: &Claimed) -> Comparison<'_> {
        let (dir, advanced) = (self.0.get(dir.index), Arc::new(AtomicInstant::now()));
        if let Some(dir) = dir {
            *lock(&dir.comparing) = Some(Arc::clone(&advanced));
        }
        Comparison { dir, advanced }
    }

    /// Notes that the index agrees with the files of a directory.
    pub(super) fn note_compared(&self, dir: &Claimed) {
        if let Some(dir) = self.0.get(dir.index) {
            dir.is_compared.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if the index was compared with the files of a directory since it became readable.
    pub(super) fn is_compared(&self, dir: &Claimed) -> bool {
        self.0.get(dir.index).is_some_and(|dir| dir.is_compared.load(Ordering::Relaxed))
    }

    /// Notes that a file in the directory could not be completed, so that the index is compared with the files again.
    pub(super) fn note_incomplete(&self, dir: &Claimed) {
        if let Some(dir) = self.0.get(dir.index) {
            dir.arrivals.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes whether a directory is full, with this disk.
    pub(super) fn set_full(&self, dir: &Claimed, is_full: bool, disk: Disk) {
        let Some(directory) = self.0.get(dir.index) else { return };
        let is_present = directory.present().is_some_and(|present| present.id == dir.id);
        let was_full = matches!(&*lock(&directory.state), State::Full(..));
        if !is_present || is_full == was_full {
            return;
        }
        directory.set(if is_full {
            let detail = format!(
                "the disk of {} is full ({disk}), and no recording on it can be deleted; free space, or unlock recordings",
                dir.path.display()
            );
            State::Full(dir.clone(), Error::new(ErrorKind::StorageFull, detail))
        } else {
            State::Usable(dir.clone())
        });
    }

    /// Returns the directory with this id in the database; `None` if it cannot be used now.
    pub(crate) fn get(&self, id: i64) -> Option<Claimed> {
        self.0.iter().filter_map(Directory::claimed).find(|claimed| claimed.id == id)
    }

    /// Fails if the directory with this id in the database cannot be used now, but is still in `RECORDINGS_DIRS`.
    pub(crate) async fn ensure_gone(&self, id: i64, database: &Database) -> Result<(), Error> {
        let known = database.recording_dirs().await.map_err(query_failed)?;
        let path = known.into_iter().find(|known| known.id == id).map(|known| known.path);
        let present = self.0.iter().find(|dir| path.as_deref().map(Path::new) == Some(&dir.path));
        match present.map(|present| lock(&present.state).clone()) {
            Some(State::Unusable(error) | State::Full(_, error)) => Err(error),
            Some(State::Usable(_)) | None => Ok(()),
        }
    }

    /// Returns the problems of the directories, at most one for each.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.0.iter().filter_map(Directory::problem).collect()
    }

    /// Notes that the directory with this position in `RECORDINGS_DIRS` is slower than the cameras that are recorded
    /// there.
    pub(super) fn note_slow(&self, index: usize) {
        if let Some(dir) = self.0.get(index) {
            *lock(&dir.slow_at) = Some(Instant::now());
        }
    }

    /// Fails unless files can be written into the directory with this id in the database.
    pub(super) fn ensure_usable(&self, dir: &Claimed) -> Result<(), Error> {
        if self.get(dir.id).is_some() {
            return Ok(());
        }
        let problem = self.0.get(dir.index).and_then(|dir| lock(&dir.state).problem());
        Err(problem.unwrap_or_else(|| unusable(&dir.path, "it was replaced")))
    }
}

impl State {
    fn problem(&self) -> Option<Error> {
        match self {
            Self::Usable(_) => None,
            Self::Full(_, error) | Self::Unusable(error) => Some(error.clone()),
        }
    }
}

impl Directory {
    /// Reads or creates the marker. Returns `None` if the disk does not respond in time. The next check then waits for the
    /// same response.
    async fn check(&self, store: &str, known: &[RecordingDir]) -> Option<CheckResult> {
        let mut checking = self.checking.lock().await;
        let check = checking.get_or_insert_with(|| {
            let (path, store) = (self.path.clone(), store.to_owned());
            let is_known = known.iter().any(|known| Path::new(&known.path) == path.as_path());
            tokio::task::spawn_blocking(move || {
                let id = claim(&path, &store, is_known)?;
                Ok((id, Disk::of(&path).map_or(0, |disk| disk.size)))
            })
        });
        let checked = timeout(CHECK_PATIENCE, check).await.ok()?;
        *checking = None;
        let failed =
            |panic| Error::new(ErrorKind::Internal, "checking a directory failed").caused_by(panic);
        Some(checked.map_err(failed).flatten())
    }

    /// Notes that a check got no response. Recordings that are being written continue, because the disk may respond before
    /// too much data waits for it.
    fn note_no_answer(&self) {
        if self.present().is_some() {
            *lock(&self.slow_at) = Some(Instant::now());
        } else {
            self.set(State::Unusable(unusable(&self.path, "the disk does not respond")));
        }
    }

    fn problem(&self) -> Option<Problem> {
        let path = self.path.clone();
        if let Some(error) = lock(&self.state).problem() {
            return Some(Problem { path, error, is_slow: false });
        }
        let unavailable = |detail| {
            let error = Error::new(ErrorKind::StorageUnavailable, detail);
            Problem { path: path.clone(), error, is_slow: true }
        };
        let advanced = lock(&self.comparing).clone();
        if advanced.is_some_and(|advanced| advanced.age() > HALTED) {
            return Some(unavailable(format!(
                "{} has not responded for several minutes while the recordings there were compared with their index; check \
                 the disk, and restart the manager",
                path.display()
            )));
        }
        let slow_at = *lock(&self.slow_at);
        let is_slow = slow_at.is_some_and(|at| at.elapsed() < SLOW_TIME);
        if !is_slow && !self.hangs() {
            return None;
        }
        let detail = format!(
            "{} responds more slowly than the cameras send that are recorded there, so recordings can be incomplete; check \
             the disk, or record fewer cameras there",
            path.display()
        );
        Some(unavailable(detail))
    }

    fn claimed(&self) -> Option<Claimed> {
        match &*lock(&self.state) {
            State::Usable(claimed) => Some(claimed.clone()),
            State::Full(..) | State::Unusable(_) => None,
        }
    }

    fn hangs(&self) -> bool {
        self.late.load(Ordering::Relaxed) > 0
    }

    fn present(&self) -> Option<Claimed> {
        match &*lock(&self.state) {
            State::Usable(claimed) | State::Full(claimed, _) => Some(claimed.clone()),
            State::Unusable(_) => None,
        }
    }

    fn set(&self, state: State) {
        let (now, is_present) = (state.problem(), !matches!(state, State::Unusable(_)));
        let before = std::mem::replace(&mut *lock(&self.state), state);
        if is_present && matches!(before, State::Unusable(_)) {
            self.is_compared.store(false, Ordering::Relaxed);
            self.arrivals.fetch_add(1, Ordering::Relaxed);
        }
        let before = before.problem();
        let path = self.path.display();
        match now {
            Some(error) if before.as_ref() != Some(&error) => {
                error!(%path, %error, "recordings cannot be stored");
            }
            None if before.is_some() => info!(%path, "recordings are stored here"),
            Some(_) | None => {}
        }
    }
}

impl Claimed {
    /// Fails if the marker is not in the directory any more, for example because the disk is not mounted. Can block.
    pub(crate) fn ensure_present(&self) -> io::Result<()> {
        let text = dirs::text(&self.path, Path::new(MARKER))?;
        if text == self.marker {
            return Ok(());
        }
        Err(io::Error::other("the marker file belongs to another directory or database"))
    }
}

/// Reads or creates the marker of a directory. Returns the directory's id.
fn claim(path: &Path, store: &str, is_known: bool) -> Result<String, Error> {
    let file = path.join(MARKER);
    let is_missing = |read: &io::Result<String>| {
        read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let mut read = dirs::text(path, Path::new(MARKER));
    if is_missing(&read) && !is_known {
        // If a directory is listed twice, both checks must find the same marker.
        let _creating = lock(&CREATING);
        read = dirs::text(path, Path::new(MARKER));
        if is_missing(&read) {
            return create(path, &file, store);
        }
    }
    let text = match read {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = format!(
                "the marker file {} is missing; check that the disk is mounted. If the disk is new, create this file \
                 with the line {store}",
                file.display()
            );
            return Err(unusable(path, &reason));
        }
        Err(error) => {
            return Err(
                unusable(path, &format!("{} is not readable", file.display())).caused_by(error)
            );
        }
    };
    let status = nix::sys::statvfs::statvfs(path);
    if status.is_ok_and(|status| status.flags().contains(FsFlags::ST_RDONLY)) {
        let reason = "the disk is read-only; the system makes a disk read-only if it has errors";
        return Err(unusable(path, reason));
    }
    if text.lines().next() != Some(store) {
        let reason = "its marker file belongs to another database. Use the database of these recordings, or another \
                      directory";
        return Err(unusable(path, reason));
    }
    match marker_id(&text) {
        Some(id) => Ok(id.to_owned()),
        // An operator has created the file for a new disk.
        None => create(path, &file, store),
    }
}

/// Writes a new marker. Creates the directory if it does not exist.
fn create(path: &Path, file: &Path, store: &str) -> Result<String, Error> {
    let id = random::text(ID_LENGTH)?;
    let write = || {
        fs::create_dir_all(path)?;
        // Neither another check at the same time, nor the manager after a power cut, must read a part of the marker.
        own_file::replace(file, 0o644, &marker_text(store, &id))
    };
    let failed = |error| unusable(path, "it is not writable").caused_by(error);
    write().map_err(failed)?;
    Ok(id)
}

fn marker_text(store: &str, id: &str) -> String {
    format!("{store}\n{id}\n")
}

/// Returns the directory's id in the text of a marker.
fn marker_id(text: &str) -> Option<&str> {
    text.lines().nth(1).filter(|id| !id.is_empty())
}

fn unusable(path: &Path, reason: &str) -> Error {
    let detail =
        format!("the directory {} cannot be used for recordings: {reason}", path.display());
    Error::new(ErrorKind::StorageUnavailable, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::Location;

    struct Setup {
        files: tempfile::TempDir,
        database: Database,
    }

    impl Setup {
        async fn new() -> Self {
            let files = tempfile::tempdir().expect("a directory");
            let url = format!("sqlite:{}", files.path().join("index.db").display());
            let database = Database::open(Location::parse(&url).expect("a URL")).await;
            Self { files, database: database.expect("a database") }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.files.path().join(name)
        }

        async fn check(&self, names: &[&str]) -> Directories {
            let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
            let dirs = Directories::new(&paths);
            dirs.check(&self.database).await.expect("a database");
            dirs
        }
    }

    #[tokio::test]
    async fn a_directory_keeps_its_id_when_it_is_mounted_elsewhere() {
        let setup = Setup::new().await;
        let first = setup.check(&["a", "b"]).await.usable();
        assert_eq!(first.iter().map(|dir| dir.index).collect::<Vec<_>>(), [0, 1]);
        assert_ne!(first[0].id, first[1].id);
        fs::rename(setup.path("a"), setup.path("c")).expect("a rename");
        let second = setup.check(&["b", "c"]).await;
        assert_eq!(second.get(first[0].id).expect("a directory").path, setup.path("c"));
        assert_eq!(second.get(first[1].id).expect("a directory").index, 0);
        assert!(second.problems().is_empty());
    }

    #[tokio::test]
    async fn nothing_is_stored_in_the_empty_place_of_a_disk() {
        let setup = Setup::new().await;
        let claimed = setup.check(&["a"]).await.usable().remove(0);
        claimed.ensure_present().expect("a marker");
        let moved = setup.path("disk");
        fs::rename(setup.path("a"), &moved).expect("a rename");
        fs::create_dir(setup.path("a")).expect("an empty directory");
        claimed.ensure_present().expect_err("no marker");
        let dirs = setup.check(&["a"]).await;
        assert!(dirs.usable().is_empty());
        let problem = dirs.problems().remove(0).error;
        assert!(problem.detail.contains("check that the disk is mounted"), "{problem}");
        assert_eq!(fs::read_dir(setup.path("a")).expect("a directory").count(), 0);
        // The disk is mounted.
        fs::remove_dir(setup.path("a")).expect("a directory");
        fs::rename(&moved, setup.path("a")).expect("a rename");
        dirs.check(&setup.database).await.expect("a database");
        assert_eq!(dirs.usable()[0], claimed);
    }

    #[tokio::test]
    async fn an_operator_can_confirm_a_new_disk() {
        let setup = Setup::new().await;
        let before = setup.check(&["a"]).await.usable().remove(0);
        let store = setup.database.recording_marker().await.expect("a marker");
        fs::write(setup.path("a").join(MARKER), format!("{store}\n")).expect("a file");
        let after = setup.check(&["a"]).await.usable().remove(0);
        assert_ne!(after.id, before.id);
        before.ensure_present().expect_err("another marker");
        after.ensure_present().expect("a marker");
    }

    #[tokio::test]
    async fn the_directory_of_another_database_is_refused() {
        let (setup, other) = (Setup::new().await, Setup::new().await);
        setup.check(&["a"]).await;
        let dirs = Directories::new(&[setup.path("a"), other.path("b"), other.path("b")]);
        dirs.check(&other.database).await.expect("a database");
        let details: Vec<_> =
            dirs.problems().into_iter().map(|problem| problem.error.detail).collect();
        assert!(details[0].contains("another database") && details[1].contains("twice"));
        assert_eq!(dirs.usable().len(), 1);
    }

    #[tokio::test]
    async fn a_marker_that_is_no_file_is_refused_without_waiting() {
        let setup = Setup::new().await;
        let claimed = setup.check(&["a"]).await.usable().remove(0);
        let marker = setup.path("a").join(MARKER);
        fs::rename(&marker, setup.path("marker")).expect("a rename");
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&marker, mode).expect("a FIFO");
        claimed.ensure_present().expect_err("a FIFO");
        let problem = setup.check(&["a"]).await.problems().remove(0);
        assert!(problem.error.detail.contains("is not readable"), "{}", problem.error);
        fs::remove_file(&marker).expect("the FIFO");
        std::os::unix::fs::symlink(setup.path("marker"), &marker).expect("a link");
        claimed.ensure_present().expect_err("a link");
    }

    #[tokio::test]
    async fn a_comparison_that_does_not_advance_is_a_problem() {
        let setup = Setup::new().await;
        let dirs = setup.check(&["a"]).await;
        let claimed = dirs.usable().remove(0);
        tokio::time::pause();
        let comparison = dirs.compare(&claimed);
        for _ in 0..3 {
            tokio::time::advance(HALTED * 9 / 10).await;
            assert!(dirs.problems().is_empty());
            comparison.advanced.touch();
        }
        tokio::time::advance(HALTED + Duration::from_secs(1)).await;
        let problem = dirs.problems().remove(0);
        assert!(problem.is_slow && problem.error.detail.contains("compared with their index"));
        drop(comparison);
        assert!(dirs.problems().is_empty());
    }
}
