//! Whose turn it is to start FFmpeg: so many at once, the others in line.
//!
//! To start FFmpeg and to look at what a camera sends costs processor time; to wait for the camera
//! costs none. So a start has its slot until the stream is playable or has failed, but not for
//! longer than [`HELD`]: cameras that do not answer must not hold up those that do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind};

/// A start has its slot for this long at most.
pub const HELD: Duration = Duration::from_secs(1);
/// A start waits in line for this long at most.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Places in line for each slot: what can be served within [`PATIENCE`], and a little more.
const PLACES_A_SLOT: usize = 32;
/// When a caller who found the line full may try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// The slots and the line before them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Starts {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
}

/// The right to start FFmpeg, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place in line, given up when dropped.
pub type Turn = Pin<Box<dyn Future<Output = Slot> + Send>>;

impl Starts {
    /// `at_once` slots.
    pub fn new(at_once: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::default(),
            most_waiting: at_once.saturating_mul(PLACES_A_SLOT),
        }
    }

    /// Refuses a new stream when the line is full.
    pub fn check(&self) -> Result<(), Error> {
        if self.waiting() < self.most_waiting {
            return Ok(());
        }
        let detail = format!("{} streams wait to be started already", self.most_waiting);
        Err(Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL))
    }

    /// Why a start that stood in line for [`PATIENCE`] ends.
    pub fn took_too_long() -> Error {
        let seconds = PATIENCE.as_secs();
        let detail =
            format!("too many streams start at once: its turn did not come in {seconds} s");
        Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL)
    }

    /// How many stand in line.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A slot, if one is free; then nobody stands in line.
    pub fn try_slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Slot { _permit: Some(permit) })
    }

    /// A place in line. First come, first served.
    pub fn turn(&self) -> Turn {
        let slots = Arc::clone(&self.slots);
        let place = Place::take(&self.waiting);
        Box::pin(async move {
            // Nobody closes the semaphore.
            let permit = slots.acquire_owned().await.ok();
            drop(place);
            Slot { _permit: permit }
        })
    }
}

struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_line_is_served_in_order_and_forgets_who_leaves() {
        let starts = Starts::new(1);
        let held = starts.try_slot().expect("a free slot");
        assert!(starts.try_slot().is_none());
        let (mut first, mut second, mut third) = (starts.turn(), starts.turn(), starts.turn());
        // A place counts from when it is first asked after.
        for turn in [&mut first, &mut second, &mut third] {
            assert!(turn.now_or_never().is_none());
        }
        assert_eq!(starts.waiting(), 3);
        drop(first);
        assert_eq!(starts.waiting(), 2);
        drop(held);
        assert!((&mut third).now_or_never().is_none(), "out of turn");
        let held = second.now_or_never().expect("its turn");
        assert!(starts.try_slot().is_none());
        drop(held);
        third.now_or_never().expect("its turn");
        assert_eq!(starts.waiting(), 0);
    }

    #[tokio::test]
    async fn the_line_is_bounded() {
        let starts = Starts::new(1);
        let _held = starts.try_slot().expect("a free slot");
        let turns: Vec<_> = (0..PLACES_A_SLOT).map(|_| starts.turn()).collect();
        assert_eq!(starts.check().expect_err("full").kind, ErrorKind::TooManyStarts);
        drop(turns);
        starts.check().expect("room");
    }
}
