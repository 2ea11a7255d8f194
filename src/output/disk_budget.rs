//! How much of the disk all streams take, and whether there is room for one more: a disk that is full
//! stops every stream, so new ones are refused before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::base::error::{Error, ErrorKind};

/// What must be free on the disk for a new stream, in bytes: what one of 4 Mbit/s takes with the
/// usual settings, and a little more.
pub const FREE: u64 = 16 * 1024 * 1024;
/// What a stream that has just begun is reckoned with, in bytes, until it has written as much or
/// deletes for the first time: what one of 2.5 Mbit/s takes.
const PLEDGE: u64 = 8 * 1024 * 1024;
/// And no longer than this: cameras that are away write nothing, and take no room from others.
const PLEDGED_FOR: Duration = Duration::from_secs(20);
/// How often the disk is looked at. In this time 100 streams of 4 Mbit/s write 50 MB.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When a caller may try again.
const RETRY: Duration = Duration::from_secs(10);

/// The room under `STREAM_DIR`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    max_bytes: Option<u64>,
    used: AtomicU64,
    /// What streams that have just begun are going to take.
    pledged: AtomicU64,
    /// The pledges that it is made of, and when they were made, the oldest first.
    young: Mutex<VecDeque<(Instant, Pledge)>>,
    /// As it was when it was last looked at.
    disk: Mutex<Option<Disk>>,
}

impl Room {
    /// The room under `root`, of which streams may take `max_bytes`; all of it, if unset.
    pub fn new(root: PathBuf, max_bytes: Option<u64>) -> Self {
        let [used, pledged] = [0, 0].map(AtomicU64::new);
        let (young, disk) = (Mutex::default(), Mutex::new(Disk::of(&root)));
        Self(Arc::new(Inner { root, max_bytes, used, pledged, young, disk }))
    }

    /// Bytes that the segments of all streams take.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The disk as it was when it was last looked at; `None` when it has no size or cannot be asked.
    pub fn disk(&self) -> Option<Disk> {
        *self.0.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part of one stream, which takes nothing yet, but will.
    pub fn share(&self) -> Share {
        let pledge = Arc::new(AtomicU64::new(PLEDGE));
        self.0.pledged.fetch_add(PLEDGE, Ordering::Relaxed);
        let mut young = self.0.young.lock().unwrap_or_else(PoisonError::into_inner);
        young.push_back((Instant::now(), Arc::clone(&pledge)));
        Share { room: self.clone(), bytes: 0, pledge }
    }

    /// Refuses a new stream when there is no room for it.
    pub fn check(&self) -> Result<(), Error> {
        let full = |detail| Err(Error::new(ErrorKind::StorageFull, detail).retry_after(RETRY));
        // Without an answer, or a size, there may be room: should there be none, the stream says so.
        let free = self.disk().map_or(u64::MAX, |disk| disk.available);
        let used = self.used();
        let wanted = self.0.pledged.load(Ordering::Relaxed) + FREE;
        match self.0.max_bytes {
            Some(max) if used + wanted > max => full(format!(
                "streams take {used} bytes, with one more soon {wanted} more, and \
                 STREAM_DIR_MAX_BYTES is {max}"
            )),
            _ if free < wanted => {
                let directory = self.0.root.display();
                full(format!(
                    "{free} bytes are free on the disk of STREAM_DIR {directory}; with one more \
                     stream {wanted} are wanted"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Looks at the disk now and then, for ever. A disk that hangs is none that is full.
    pub async fn watch(self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.forget_old_pledges();
            let room = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || room.look()).await {
                warn!(%error, "nobody looks at the disk of STREAM_DIR any more");
                return;
            }
        }
    }

    fn forget_old_pledges(&self) {
        let mut young = self.0.young.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, pledge)) = young.pop_front_if(|(at, _)| at.elapsed() >= PLEDGED_FOR) {
            self.redeem(&pledge, PLEDGE);
        }
    }

    /// Takes up to `bytes` from a pledge, which is a part of the sum.
    fn redeem(&self, pledge: &Pledge, bytes: u64) {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let before = pledge.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let taken = before.unwrap_or_default().min(bytes);
        self.0.pledged.fetch_sub(taken, Ordering::Relaxed);
    }

    fn look(&self) {
        let disk = Disk::of(&self.0.root);
        *self.0.disk.lock().unwrap_or_else(PoisonError::into_inner) = disk;
    }
}

/// What is left of a pledge.
type Pledge = Arc<AtomicU64>;

/// What one stream takes. Dropping it gives all of it back.
#[derive(Debug)]
pub struct Share {
    room: Room,
    bytes: u64,
    pledge: Pledge,
}

impl Share {
    /// The stream has written this much.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.room.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.room.redeem(&self.pledge, bytes);
    }

    /// The stream has deleted this much: it takes no more than before from now on.
    pub fn remove(&mut self, bytes: u64) {
        self.room.redeem(&self.pledge, PLEDGE);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.room.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.remove(self.bytes);
    }
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// All that it may hold.
    pub size: u64,
    /// What can still be written to it.
    pub available: u64,
}

impl Disk {
    /// The file system that `path` is on. `None` when it cannot be asked, or has no size, as a ramfs.
    /// Takes as long as the disk takes.
    pub fn of(path: &Path) -> Option<Self> {
        let status = nix::sys::statvfs::statvfs(path).ok().filter(|status| status.blocks() > 0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(status.fragment_size());
        Some(Self { size: bytes(status.blocks()), available: bytes(status.blocks_available()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let room = Room::new(PathBuf::new(), Some(3 * FREE));
        let (mut one, mut other) = (room.share(), room.share());
        room.check().expect("room for a third");
        one.add(2 * FREE);
        assert_eq!(room.check().expect_err("full").kind, ErrorKind::StorageFull);
        other.add(FREE);
        assert_eq!(room.used(), 3 * FREE);
        one.remove(FREE);
        room.check().expect("room");
        // What was never written cannot be taken away from others.
        one.remove(10 * FREE);
        assert_eq!(room.used(), FREE);
        drop(other);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn a_storm_of_starts_does_not_take_more_than_there_is() {
        let room = Room::new(PathBuf::new(), Some(FREE + 9 * PLEDGE));
        let mut shares = Vec::new();
        while room.check().is_ok() {
            shares.push(room.share());
        }
        assert_eq!(shares.len(), 10);
        shares.pop();
        room.check().expect("room");
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_nothing_takes_no_room_for_long() {
        let room = Room::new(PathBuf::new(), Some(FREE + PLEDGE));
        let mut away = room.share();
        let _second = room.share();
        assert_eq!(room.check().expect_err("full").kind, ErrorKind::StorageFull);
        let watching = tokio::spawn(room.clone().watch());
        tokio::time::sleep(PLEDGED_FOR + LOOK_EVERY).await;
        room.check().expect("room");
        assert_eq!(room.0.pledged.load(Ordering::Relaxed), 0);
        // What was forgotten is not redeemed once more.
        away.add(PLEDGE);
        drop(away);
        assert_eq!((room.used(), room.0.pledged.load(Ordering::Relaxed)), (0, 0));
        watching.abort();
    }

    #[test]
    fn a_look_tells_what_is_free() {
        let directory = tempfile::tempdir().expect("a directory");
        let room = Room::new(directory.path().to_owned(), None);
        let size = room.disk().expect("a disk").size;
        let full = Disk { size, available: FREE - 1 };
        *room.0.disk.lock().expect("a disk") = Some(full);
        assert_eq!(room.check().expect_err("full").kind, ErrorKind::StorageFull);
        room.look();
        assert_ne!(room.disk().expect("a disk").available, full.available);
    }
}
