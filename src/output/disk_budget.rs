//! How much of the disk all streams take, and whether there is budget for one more: a disk that is full
//! stops every stream, so new ones are refused before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;

/// What must be free on the disk for a new stream, in bytes: what one of 4 Mbit/s takes with the
/// usual settings, and a little more.
pub const FREE: u64 = 16 * 1024 * 1024;
/// What a stream that has just begun is reckoned with, in bytes, until it has written as much or
/// deletes for the first time: what one of 2.5 Mbit/s takes.
const RESERVATION: u64 = 8 * 1024 * 1024;
/// And no longer than this: cameras that are away write nothing, and take no budget from others.
const RESERVED_FOR: Duration = Duration::from_secs(20);
/// How often the disk is looked at. In this time 100 streams of 4 Mbit/s write 50 MB.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When a caller may try again.
const RETRY: Duration = Duration::from_secs(10);

/// The budget under `STREAM_DIR`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    max_bytes: Option<u64>,
    used: AtomicU64,
    /// What streams that have just begun are going to take.
    pledged: AtomicU64,
    /// The pledges that it is made of, and when they were made, the oldest first.
    young: Mutex<VecDeque<(Instant, Reservation)>>,
    /// As it was when it was last looked at.
    disk: Mutex<Option<Disk>>,
}

impl DiskBudget {
    /// The budget under `root`, of which streams may take `max_bytes`; all of it, if unset.
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
        *lock(&self.0.disk)
    }

    /// The part of one stream, which takes nothing yet, but will.
    pub fn share(&self) -> DiskShare {
        let pledge = Arc::new(AtomicU64::new(RESERVATION));
        self.0.pledged.fetch_add(RESERVATION, Ordering::Relaxed);
        let mut young = lock(&self.0.young);
        young.push_back((Instant::now(), Arc::clone(&pledge)));
        DiskShare { budget: self.clone(), bytes: 0, pledge }
    }

    /// Refuses a new stream when there is no budget for it.
    pub fn ensure_space(&self) -> Result<(), Error> {
        let full = |detail| Err(Error::new(ErrorKind::StorageFull, detail).retry_after(RETRY));
        // Without an answer, or a size, there may be budget: should there be none, the stream says so.
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
            let budget = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || budget.look()).await {
                warn!(%error, "nobody looks at the disk of STREAM_DIR any more");
                return;
            }
        }
    }

    fn forget_old_pledges(&self) {
        let mut young = lock(&self.0.young);
        while let Some((_, pledge)) = young.pop_front_if(|(at, _)| at.elapsed() >= RESERVED_FOR) {
            self.release(&pledge, RESERVATION);
        }
    }

    /// Takes up to `bytes` from a pledge, which is a part of the sum.
    fn release(&self, pledge: &Reservation, bytes: u64) {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let before = pledge.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let taken = before.unwrap_or_default().min(bytes);
        self.0.pledged.fetch_sub(taken, Ordering::Relaxed);
    }

    fn look(&self) {
        let disk = Disk::of(&self.0.root);
        *lock(&self.0.disk) = disk;
    }
}

/// What is left of a pledge.
type Reservation = Arc<AtomicU64>;

/// What one stream takes. Dropping it gives all of it back.
#[derive(Debug)]
pub struct DiskShare {
    budget: DiskBudget,
    bytes: u64,
    pledge: Reservation,
}

impl DiskShare {
    /// The stream has written this much.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.release(&self.pledge, bytes);
    }

    /// The stream has deleted this much: it takes no more than before from now on.
    pub fn remove(&mut self, bytes: u64) {
        self.budget.release(&self.pledge, RESERVATION);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for DiskShare {
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
        let budget = DiskBudget::new(PathBuf::new(), Some(3 * FREE));
        let (mut one, mut other) = (budget.share(), budget.share());
        budget.ensure_space().expect("budget for a third");
        one.add(2 * FREE);
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        other.add(FREE);
        assert_eq!(budget.used(), 3 * FREE);
        one.remove(FREE);
        budget.ensure_space().expect("budget");
        // What was never written cannot be taken away from others.
        one.remove(10 * FREE);
        assert_eq!(budget.used(), FREE);
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_storm_of_starts_does_not_take_more_than_there_is() {
        let budget = DiskBudget::new(PathBuf::new(), Some(FREE + 9 * RESERVATION));
        let mut shares = Vec::new();
        while budget.ensure_space().is_ok() {
            shares.push(budget.share());
        }
        assert_eq!(shares.len(), 10);
        shares.pop();
        budget.ensure_space().expect("budget");
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_nothing_takes_no_room_for_long() {
        let budget = DiskBudget::new(PathBuf::new(), Some(FREE + RESERVATION));
        let mut away = budget.share();
        let _second = budget.share();
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        let watching = tokio::spawn(budget.clone().watch());
        tokio::time::sleep(RESERVED_FOR + LOOK_EVERY).await;
        budget.ensure_space().expect("budget");
        assert_eq!(budget.0.pledged.load(Ordering::Relaxed), 0);
        // What was forgotten is not releaseed once more.
        away.add(RESERVATION);
        drop(away);
        assert_eq!((budget.used(), budget.0.pledged.load(Ordering::Relaxed)), (0, 0));
        watching.abort();
    }

    #[test]
    fn a_look_tells_what_is_free() {
        let directory = tempfile::tempdir().expect("a directory");
        let budget = DiskBudget::new(directory.path().to_owned(), None);
        let size = budget.disk().expect("a disk").size;
        let full = Disk { size, available: FREE - 1 };
        *budget.0.disk.lock().expect("a disk") = Some(full);
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        budget.look();
        assert_ne!(budget.disk().expect("a disk").available, full.available);
    }
}
