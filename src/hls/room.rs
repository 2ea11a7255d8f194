//! How much of the disk all streams take, and whether there is room for one more: a disk that is full
//! stops every stream, so new ones are refused before.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::error::{Error, ErrorKind};

/// What must be free on the disk for a new stream, in bytes: what one of 4 Mbit/s takes with the
/// usual settings, and a little more.
const FREE: u64 = 16 * 1024 * 1024;
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
    free: AtomicU64,
}

impl Room {
    /// The room under `root`, of which streams may take `max_bytes`; all of it, if unset.
    pub fn new(root: PathBuf, max_bytes: Option<u64>) -> Self {
        let (used, free) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        Self(Arc::new(Inner { root, max_bytes, used, free }))
    }

    /// Bytes that the segments of all streams take.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that were free on the disk when it was last looked at.
    pub fn free(&self) -> u64 {
        self.0.free.load(Ordering::Relaxed)
    }

    /// The part of one stream, which takes nothing yet.
    pub fn share(&self) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }

    /// Refuses a new stream when there is no room for it.
    pub fn check(&self) -> Result<(), Error> {
        let full = |detail| Err(Error::new(ErrorKind::StorageFull, detail).retry_after(RETRY));
        let (used, free) = (self.used(), self.free());
        match self.0.max_bytes {
            Some(max) if used >= max => {
                full(format!("streams take {used} bytes, and STREAM_DIR_MAX_BYTES is {max}"))
            }
            _ if free < FREE => {
                let directory = self.0.root.display();
                full(format!("only {free} bytes are free on the disk of STREAM_DIR {directory}"))
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
            let room = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || room.look()).await {
                warn!(%error, "nobody looks at the disk of STREAM_DIR any more");
                return;
            }
        }
    }

    fn look(&self) {
        // Without an answer there may be room: should there be none, the stream says so.
        let free = statvfs(&self.0.root)
            .map_or(u64::MAX, |stat| stat.blocks_available() * stat.fragment_size());
        self.0.free.store(free, Ordering::Relaxed);
    }
}

/// What one stream takes. Dropping it gives all of it back.
#[derive(Debug)]
pub struct Share {
    room: Room,
    bytes: u64,
}

impl Share {
    /// The stream has written this much.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.room.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The stream has deleted this much.
    pub fn remove(&mut self, bytes: u64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let room = Room::new(PathBuf::new(), Some(100));
        let (mut one, mut other) = (room.share(), room.share());
        one.add(60);
        room.check().expect("room");
        other.add(50);
        assert_eq!(room.used(), 110);
        assert_eq!(room.check().expect_err("full").kind, ErrorKind::StorageFull);
        one.remove(20);
        room.check().expect("room");
        // What was never written cannot be taken away from others.
        one.remove(1000);
        assert_eq!(room.used(), 50);
        drop(other);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn a_look_tells_what_is_free() {
        let disk = tempfile::tempdir().expect("a directory");
        let room = Room::new(disk.path().to_owned(), None);
        assert_eq!(room.free(), u64::MAX);
        room.look();
        assert!(room.free() < u64::MAX);
        room.0.free.store(FREE - 1, Ordering::Relaxed);
        assert_eq!(room.check().expect_err("full").kind, ErrorKind::StorageFull);
    }
}
