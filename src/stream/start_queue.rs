//! Whose turn it is to start FFmpeg: so many at once, the others in line.
//!
//! To start FFmpeg and to look at what a camera sends costs processor time; to wait for the camera
//! costs none. So a start has its slot until the stream is playable or has failed, but not for
//! longer than [`HELD`]: cameras that do not answer must not hold up those that do. Cameras that are
//! tried again have a line and slots of their own: hundreds that are away must not hold up others.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::{Error, ErrorKind};

/// A start has its slot for this long at most.
pub const HELD: Duration = Duration::from_secs(1);
/// A start waits in line for this long at most.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Places in line for each slot: what can be served within [`PATIENCE`], and a little more.
const PLACES_A_SLOT: usize = 32;
/// When a caller who found the line full may try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// In which line a run of FFmpeg stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody has asked for the stream.
    Asked,
    /// The camera is tried again by itself.
    Retry,
}

/// The slots and the lines before them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StartQueue {
    asked: Queue,
    retries: Queue,
    most_waiting: usize,
}

/// One line, and the slots that it leads to.
#[derive(Debug, Clone)]
struct Queue {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The right to start FFmpeg, given back when dropped.
#[derive(Debug)]
pub struct StartSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place in line, given up when dropped.
pub type QueuedSlot = Pin<Box<dyn Future<Output = StartSlot> + Send>>;

impl StartQueue {
    /// `at_once` slots, and half as many for retries.
    pub fn new(at_once: usize) -> Self {
        Self {
            asked: Queue::new(at_once),
            retries: Queue::new(at_once.div_ceil(2)),
            most_waiting: at_once.saturating_mul(PLACES_A_SLOT),
        }
    }

    /// Refuses a new stream when the line of those that were asked for is full.
    pub fn ensure_capacity(&self) -> Result<(), Error> {
        if self.asked.waiting() < self.most_waiting {
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

    /// How many stand in line, in both together.
    pub fn waiting(&self) -> usize {
        self.asked.waiting() + self.retries.waiting()
    }

    /// A slot, if one is free; then nobody stands in line.
    pub fn try_slot(&self, line: Priority) -> Option<StartSlot> {
        let permit = Arc::clone(&self.queue(line).slots).try_acquire_owned().ok()?;
        Some(StartSlot { _permit: Some(permit) })
    }

    fn queue(&self, line: Priority) -> &Queue {
        match line {
            Priority::Asked => &self.asked,
            Priority::Retry => &self.retries,
        }
    }

    /// A place in line. First come, first served.
    pub fn turn(&self, line: Priority) -> QueuedSlot {
        let Queue { slots, waiting } = self.queue(line).clone();
        let place = Place::take(waiting);
        Box::pin(async move {
            // Nobody closes the semaphore.
            let permit = slots.acquire_owned().await.ok();
            drop(place);
            StartSlot { _permit: permit }
        })
    }
}

impl Queue {
    fn new(slots: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)), waiting: Arc::default() }
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl StartSlot {
    /// For an attempt that goes on where another one left off: it has had its turn.
    pub fn of_a_further_attempt() -> Self {
        Self { _permit: None }
    }
}

struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
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
        let starts = StartQueue::new(1);
        let held = starts.try_slot(Priority::Asked).expect("a free slot");
        assert!(starts.try_slot(Priority::Asked).is_none());
        let (mut first, mut second, mut third) = (
            starts.turn(Priority::Asked),
            starts.turn(Priority::Asked),
            starts.turn(Priority::Asked),
        );
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
        assert!(starts.try_slot(Priority::Asked).is_none());
        drop(held);
        third.now_or_never().expect("its turn");
        assert_eq!(starts.waiting(), 0);
    }

    #[tokio::test]
    async fn the_line_is_bounded() {
        let starts = StartQueue::new(1);
        let _held = starts.try_slot(Priority::Asked).expect("a free slot");
        let turns: Vec<_> = (0..PLACES_A_SLOT).map(|_| starts.turn(Priority::Asked)).collect();
        assert_eq!(starts.ensure_capacity().expect_err("full").kind, ErrorKind::TooManyStarts);
        drop(turns);
        starts.ensure_capacity().expect("room");
    }

    #[test]
    fn retries_do_not_stand_in_the_way_of_who_asks() {
        let starts = StartQueue::new(2);
        let retry = starts.try_slot(Priority::Retry).expect("a slot");
        assert!(starts.try_slot(Priority::Retry).is_none());
        let asked = [(); 2].map(|()| starts.try_slot(Priority::Asked).expect("a slot"));
        assert!(starts.try_slot(Priority::Asked).is_none());
        // Nor do those that wait to be tried again fill the line of who asks.
        let turns: Vec<_> = (0..3 * PLACES_A_SLOT).map(|_| starts.turn(Priority::Retry)).collect();
        assert_eq!(starts.waiting(), turns.len());
        starts.ensure_capacity().expect("room");
        drop((retry, asked));
    }
}
