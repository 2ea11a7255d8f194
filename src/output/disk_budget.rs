//! The disk space that the files of all streams use, and the check of whether one more stream fits. Only
//! streams with HLS have files. A full disk interrupts HLS of every stream, so HLS of a further stream is
//! refused before the disk is full.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;

const MIB: u64 = 1024 * 1024;
/// The bytes that must be free for a new stream, in addition to all reservations. They are a little more than a
/// stream of 4 Mbit/s uses with the default settings.
pub(crate) const FREE: u64 = 16 * MIB;
/// The bytes that are reserved for a new stream: about as many as a stream of 2.5 Mbit/s uses. The reservation ends
/// when the stream has written as many bytes, or deletes a file for the first time.
const RESERVATION: u64 = 8 * MIB;
/// The longest time that bytes stay reserved. Without this limit, the stream of an unreachable camera, which writes
/// nothing, would keep its reservation.
const RESERVED_FOR: Duration = Duration::from_secs(20);
/// The time between checks of the disk. In this time, 100 streams of 4 Mbit/s write 50 MB.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The time after which a client should retry a start that was refused.
const RETRY: Duration = Duration::from_secs(10);

/// The budget of `STREAM_DIR`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    max_bytes: Option<u64>,
    used: AtomicU64,
    /// The sum of all reservations.
    reserved: AtomicU64,
    /// The bytes in `used` whose files can be deleted if other streams need the space.
    reclaimable: AtomicU64,
    /// Notified when the files in reclaimable space should be deleted.
    reclaim: Notify,
    /// The reservations and the times at which they were made, oldest first.
    reservations: Mutex<VecDeque<(Instant, Reservation)>>,
    /// The size and the free space of the disk at the last check; `None` if they are unknown.
    disk: Mutex<Option<Disk>>,
}

impl DiskBudget {
    /// Creates the budget of the directory `root`. Streams can use `max_bytes`, or the whole disk if `max_bytes` is
    /// `None`.
    pub fn new(root: PathBuf, max_bytes: Option<u64>) -> Self {
        let [used, reserved, reclaimable] = [0, 0, 0].map(AtomicU64::new);
        let reclaim = Notify::new();
        let (reservations, disk) = (Mutex::default(), Mutex::new(Disk::of(&root)));
        Self(Arc::new(Inner {
            root,
            max_bytes,
            used,
            reserved,
            reclaimable,
            reclaim,
            reservations,
            disk,
        }))
    }

    /// Returns the bytes that the files of all streams use.
    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the size and the free space of the disk at the last check; `None` if they are unknown.
    pub(crate) fn disk(&self) -> Option<Disk> {
        *lock(&self.0.disk)
    }

    /// Returns the share of a new stream, and reserves space for the stream.
    pub(crate) fn share(&self) -> DiskShare {
        let reservation = Arc::new(AtomicU64::new(RESERVATION));
        self.0.reserved.fetch_add(RESERVATION, Ordering::Relaxed);
        lock(&self.0.reservations).push_back((Instant::now(), Arc::clone(&reservation)));
        self.share_with(reservation)
    }

    /// Returns the share of `bytes` that an earlier stream has written. Reserves no further space.
    pub(crate) fn share_of(&self, bytes: u64) -> DiskShare {
        let mut share = self.share_with(Arc::default());
        share.add(bytes);
        share
    }

    /// Returns an empty share with this reservation.
    fn share_with(&self, reservation: Arc<AtomicU64>) -> DiskShare {
        DiskShare { budget: self.clone(), bytes: 0, reservation, is_reclaimable: false }
    }

    /// Waits until the files in reclaimable space should be deleted.
    pub(crate) async fn reclaimed(&self) {
        self.0.reclaim.notified().await;
    }

    /// Returns whether the disk had less free space than [`FREE`] at the last check.
    pub(crate) fn is_full(&self) -> bool {
        self.disk().is_some_and(|disk| disk.available < FREE)
    }

    /// Returns the error of a stream whose segments could not be written because of `cause`.
    pub(crate) fn write_error(&self, cause: &io::Error) -> Error {
        let directory = self.0.root.display();
        if !matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let detail = format!("cannot write segments to STREAM_DIR {directory}: {cause}");
            return Error::new(ErrorKind::StorageUnavailable, detail);
        }
        // The last check was up to CHECK_EVERY ago, so the free space is read again.
        let free = Disk::of(&self.0.root).map_or_else(String::new, |disk| format!(" ({disk})"));
        let detail = format!(
            "STREAM_DIR {directory} is full{free}, so HLS is interrupted: {cause}; free some space or enlarge \
             STREAM_DIR; HLS then continues with the camera's next keyframe"
        );
        Error::new(ErrorKind::StorageFull, detail).retry_after(RETRY)
    }

    /// Fails if another stream would not fit, even without the files in reclaimable space. If the stream does not fit
    /// while these files exist, causes them to be deleted.
    pub(crate) fn ensure_space(&self) -> Result<(), Error> {
        let full = |detail| Err(Error::new(ErrorKind::StorageFull, detail).retry_after(RETRY));
        // A disk of unknown size counts as large enough. If the disk is full, the stream fails later.
        let free = self.disk().map_or(u64::MAX, |disk| disk.available);
        let used = self.used();
        let needed = self.0.reserved.load(Ordering::Relaxed) + FREE;
        let reclaimable = self.0.reclaimable.load(Ordering::Relaxed);
        if free < needed || self.0.max_bytes.is_some_and(|max| used + needed > max) {
            self.0.reclaim.notify_waiters();
        }
        let (free, used) = (free.saturating_add(reclaimable), used.saturating_sub(reclaimable));
        match self.0.max_bytes {
            Some(max) if used + needed > max => full(format!(
                "streams use {used} bytes and new streams need {needed} more, but \
                 STREAM_DIR_MAX_BYTES is {max}; stop a stream or raise the limit"
            )),
            _ if free < needed => {
                let directory = self.0.root.display();
                full(format!(
                    "new streams need {needed} bytes, but only {free} are free on the disk of \
                     STREAM_DIR {directory}; stop a stream or free some space"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Checks the disk regularly. Returns only if a check panics. While a check hangs, the result of
    /// the previous one counts.
    pub(crate) async fn watch(self) {
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.drop_old_reservations();
            let budget = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || budget.check()).await {
                warn!(%error, "disk monitoring for STREAM_DIR has stopped");
                return;
            }
        }
    }

    fn drop_old_reservations(&self) {
        let mut reservations = lock(&self.0.reservations);
        let is_old = |(at, _): &mut (Instant, _)| at.elapsed() >= RESERVED_FOR;
        while let Some((_, reservation)) = reservations.pop_front_if(is_old) {
            self.release(&reservation, RESERVATION);
        }
    }

    /// Releases up to `bytes` of a reservation.
    fn release(&self, reservation: &Reservation, bytes: u64) {
        let reduced = |left: u64| Some(left.saturating_sub(bytes));
        let before = reservation.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reduced);
        let released = before.unwrap_or_default().min(bytes);
        self.0.reserved.fetch_sub(released, Ordering::Relaxed);
    }

    /// Reads the free space of the disk again. Blocks while the disk hangs.
    pub(crate) fn check(&self) {
        let disk = Disk::of(&self.0.root);
        *lock(&self.0.disk) = disk;
        if self.is_full() {
            self.0.reclaim.notify_waiters();
        }
    }
}

/// The bytes that are still reserved for one stream.
type Reservation = Arc<AtomicU64>;

/// The part of the budget that one stream uses. Released when dropped.
#[derive(Debug)]
pub(crate) struct DiskShare {
    budget: DiskBudget,
    bytes: u64,
    reservation: Reservation,
    is_reclaimable: bool,
}

impl DiskShare {
    /// Returns the budget to which this share belongs.
    pub(crate) fn budget(&self) -> &DiskBudget {
        &self.budget
    }

    /// Records that the stream has written this many bytes.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.release(&self.reservation, bytes);
    }

    /// Declares that the files of this share can be deleted if other streams need the space. Releases the reservation.
    /// No file may be written before [`DiskShare::make_permanent`] is called.
    pub(crate) fn make_reclaimable(&mut self) {
        self.budget.release(&self.reservation, RESERVATION);
        self.is_reclaimable = true;
        self.budget.0.reclaimable.fetch_add(self.bytes, Ordering::Relaxed);
    }

    /// Declares that the files of this share must not be deleted for other streams any more.
    pub(crate) fn make_permanent(&mut self) {
        if std::mem::take(&mut self.is_reclaimable) {
            self.budget.0.reclaimable.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }

    /// Takes over the files of another share.
    pub(crate) fn absorb(&mut self, other: Self) {
        let bytes = other.bytes;
        drop(other);
        self.add(bytes);
    }

    /// Records that the stream has deleted all but this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        self.remove(self.bytes.saturating_sub(bytes));
    }

    /// Records that the stream has deleted this many bytes. The reservation ends, because after its
    /// first deletion a stream writes about as much as it deletes.
    pub(crate) fn remove(&mut self, bytes: u64) {
        self.budget.release(&self.reservation, RESERVATION);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for DiskShare {
    fn drop(&mut self) {
        self.make_permanent();
        self.remove(self.bytes);
    }
}

/// The size and the free space of a file system. Displayed in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    /// Size in bytes.
    pub(crate) size: u64,
    /// Bytes that can still be written.
    pub(crate) available: u64,
}

impl fmt::Display for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} MiB are free", self.available / MIB, self.size / MIB)
    }
}

impl Disk {
    /// Returns the size and the free space of the file system that `path` is on. Returns `None` if the file
    /// system cannot be read or, like a ramfs, has no size. Blocks while the disk hangs.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let status = nix::sys::statvfs::statvfs(path).ok().filter(|status| status.blocks() > 0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(status.fragment_size());
        Some(Self { size: bytes(status.blocks()), available: bytes(status.blocks_available()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_released() {
        let budget = DiskBudget::new(PathBuf::new(), Some(3 * FREE));
        let (mut one, mut other) = (budget.share(), budget.share());
        budget.ensure_space().expect("space for a third");
        one.add(2 * FREE);
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        other.add(FREE);
        assert_eq!(budget.used(), 3 * FREE);
        one.remove(FREE);
        budget.ensure_space().expect("space");
        // Removing more than was written does not reduce the use of other streams.
        one.remove(10 * FREE);
        assert_eq!(budget.used(), FREE);
        other.shrink_to(2 * FREE);
        assert_eq!(budget.used(), FREE);
        other.shrink_to(FREE / 2);
        assert_eq!(budget.used(), FREE / 2);
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn simultaneous_starts_reserve_no_more_than_the_limit() {
        let budget = DiskBudget::new(PathBuf::new(), Some(FREE + 9 * RESERVATION));
        let mut shares = Vec::new();
        while budget.ensure_space().is_ok() {
            shares.push(budget.share());
        }
        assert_eq!(shares.len(), 10);
        shares.pop();
        budget.ensure_space().expect("space");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_writes_nothing_loses_its_reservation() {
        let budget = DiskBudget::new(PathBuf::new(), Some(FREE + RESERVATION));
        let mut silent = budget.share();
        let _second = budget.share();
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        let watching = tokio::spawn(budget.clone().watch());
        tokio::time::sleep(RESERVED_FOR + CHECK_EVERY).await;
        budget.ensure_space().expect("space");
        assert_eq!(budget.0.reserved.load(Ordering::Relaxed), 0);
        // The reservation is not released a second time.
        silent.add(RESERVATION);
        drop(silent);
        assert_eq!((budget.used(), budget.0.reserved.load(Ordering::Relaxed)), (0, 0));
        watching.abort();
    }

    #[test]
    fn a_check_updates_the_free_space() {
        let directory = tempfile::tempdir().expect("a directory");
        let budget = DiskBudget::new(directory.path().to_owned(), None);
        let size = budget.disk().expect("a disk").size;
        let full = Disk { size, available: FREE - 1 };
        *budget.0.disk.lock().expect("a disk") = Some(full);
        assert_eq!(budget.ensure_space().expect_err("full").kind, ErrorKind::StorageFull);
        budget.check();
        assert_ne!(budget.disk().expect("a disk").available, full.available);
    }
}
