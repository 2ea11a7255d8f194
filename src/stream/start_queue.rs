//! The order in which streams start: a few at the same time, while the others wait in a queue.
//!
//! Starting FFmpeg and probing what a camera sends costs processor time, but waiting for the camera costs
//! none. So a start holds its slot until the stream is playable or has failed, but no longer than
//! [`MAX_HELD`], because cameras that do not respond must not delay other cameras. Starts that no caller
//! requested have a separate queue and separate slots. So requested starts are delayed neither by retries of
//! hundreds of unreachable cameras nor by kept streams, which start with the manager.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::{Error, ErrorKind};

/// The longest time that a start holds its slot.
pub(crate) const MAX_HELD: Duration = Duration::from_secs(1);
/// The longest time that a requested start waits for a slot.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(20);
/// The number of places in the queue for each slot. Even if every start holds its slot for [`MAX_HELD`], a slot serves
/// 20 starts within [`MAX_WAIT`]. There are more places than that, because most starts hold their slot for less time.
const PLACES_PER_SLOT: usize = 32;
/// The time after which a client should retry a start that was refused.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// The queue that a run of the ingest waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A start that a caller requested.
    Requested,
    /// A retry after an interruption, or the start of a kept stream that no caller requested.
    Low,
}

/// The start slots and their queues. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StartQueue {
    requested: Queue,
    low: Queue,
    max_waiting: usize,
}

/// The slots for one priority, and the number of starts that wait for them.
#[derive(Debug, Clone)]
struct Queue {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The right to start. Released when dropped.
#[derive(Debug)]
pub(crate) struct StartSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place in a queue, which resolves to a slot. Dropping it leaves the queue.
pub(crate) type QueuedSlot = Pin<Box<dyn Future<Output = StartSlot> + Send>>;

impl StartQueue {
    /// Creates `at_once` slots for requested starts, and half as many, rounded up, for the others.
    pub fn new(at_once: usize) -> Self {
        Self {
            requested: Queue::new(at_once),
            low: Queue::new(at_once.div_ceil(2)),
            max_waiting: at_once.saturating_mul(PLACES_PER_SLOT),
        }
    }

    /// Fails if the queue of requested starts is full.
    pub(crate) fn ensure_capacity(&self) -> Result<(), Error> {
        if self.requested.waiting() < self.max_waiting {
            return Ok(());
        }
        let detail = format!(
            "{} streams are waiting to start, which is the limit; try again in a few seconds",
            self.max_waiting
        );
        Err(Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL))
    }

    /// Returns the error of a start that has waited for [`MAX_WAIT`].
    pub(crate) fn took_too_long() -> Error {
        let seconds = MAX_WAIT.as_secs();
        let detail = format!(
            "too many streams are starting, and this one did not get a start slot within {seconds} s; \
             try again in a few seconds"
        );
        Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL)
    }

    /// Returns the number of waiting starts in both queues.
    pub(crate) fn waiting(&self) -> usize {
        self.requested.waiting() + self.low.waiting()
    }

    /// Returns a slot; `None` if no slot is free. While starts of this priority wait, no slot is free.
    pub(crate) fn try_slot(&self, priority: Priority) -> Option<StartSlot> {
        let permit = Arc::clone(&self.queue(priority).slots).try_acquire_owned().ok()?;
        Some(StartSlot { _permit: Some(permit) })
    }

    fn queue(&self, priority: Priority) -> &Queue {
        match priority {
            Priority::Requested => &self.requested,
            Priority::Low => &self.low,
        }
    }

    /// Adds a start to the end of a queue, and returns its place. First come, first served.
    pub(crate) fn enqueue(&self, priority: Priority) -> QueuedSlot {
        let Queue { slots, waiting } = self.queue(priority).clone();
        let place = Place::take(waiting);
        Box::pin(async move {
            // The semaphore is never closed.
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
    /// Creates a slot for an attempt that directly follows another attempt of the same start. The slot does
    /// not count towards the limit, because the start has already waited for a slot.
    pub(crate) fn for_next_attempt() -> Self {
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
    async fn starts_get_slots_in_order_and_can_leave_the_queue() {
        let starts = StartQueue::new(1);
        let held = starts.try_slot(Priority::Requested).expect("a free slot");
        assert!(starts.try_slot(Priority::Requested).is_none());
        let (mut first, mut second, mut third) = (
            starts.enqueue(Priority::Requested),
            starts.enqueue(Priority::Requested),
            starts.enqueue(Priority::Requested),
        );
        // A place enters the semaphore's queue only when it is polled for the first time.
        for turn in [&mut first, &mut second, &mut third] {
            assert!(turn.now_or_never().is_none());
        }
        assert_eq!(starts.waiting(), 3);
        drop(first);
        assert_eq!(starts.waiting(), 2);
        drop(held);
        assert!(
            (&mut third).now_or_never().is_none(),
            "the third start got a slot before its turn"
        );
        let held = second.now_or_never().expect("its turn");
        assert!(starts.try_slot(Priority::Requested).is_none());
        drop(held);
        third.now_or_never().expect("its turn");
        assert_eq!(starts.waiting(), 0);
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let starts = StartQueue::new(1);
        let _held = starts.try_slot(Priority::Requested).expect("a free slot");
        let turns: Vec<_> =
            (0..PLACES_PER_SLOT).map(|_| starts.enqueue(Priority::Requested)).collect();
        assert_eq!(starts.ensure_capacity().expect_err("full").kind, ErrorKind::TooManyStarts);
        drop(turns);
        starts.ensure_capacity().expect("a place");
    }

    #[test]
    fn retries_do_not_delay_requested_starts() {
        let starts = StartQueue::new(2);
        let retry = starts.try_slot(Priority::Low).expect("a slot");
        assert!(starts.try_slot(Priority::Low).is_none());
        let requested = [(); 2].map(|()| starts.try_slot(Priority::Requested).expect("a slot"));
        assert!(starts.try_slot(Priority::Requested).is_none());
        // Waiting retries do not fill the queue of requested starts either.
        let turns: Vec<_> =
            (0..3 * PLACES_PER_SLOT).map(|_| starts.enqueue(Priority::Low)).collect();
        assert_eq!(starts.waiting(), turns.len());
        starts.ensure_capacity().expect("a place");
        drop((retry, requested));
    }
}
