//! The order in which streams start: a few at the same time, the others in a queue.
//!
//! Starting FFmpeg and probing what a camera sends costs processor time; waiting for the camera costs
//! none. So a start holds its slot until the stream is playable or has failed, but no longer than
//! [`HELD`]: cameras that do not answer must not delay those that do. Retries have a queue and slots
//! of their own: hundreds of cameras that are away must not delay others.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::{Error, ErrorKind};

/// The longest time that a start holds its slot.
pub(crate) const HELD: Duration = Duration::from_secs(1);
/// The longest time that a start waits for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Places in the queue for each slot: what can be served within [`PATIENCE`], and a little more.
const PLACES_A_SLOT: usize = 32;
/// When a caller who was refused can try again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

/// The queue that a run of the ingest waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A caller has asked for the stream.
    Asked,
    /// The camera is tried again after an interruption.
    Retry,
}

/// The start slots and their queues. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StartQueue {
    asked: Queue,
    retries: Queue,
    most_waiting: usize,
}

/// A queue, and the slots that it waits for.
#[derive(Debug, Clone)]
struct Queue {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The right to start, given back when dropped.
#[derive(Debug)]
pub(crate) struct StartSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place in a queue, given up when dropped.
pub(crate) type QueuedSlot = Pin<Box<dyn Future<Output = StartSlot> + Send>>;

impl StartQueue {
    /// Creates `at_once` slots, and half as many for retries.
    pub fn new(at_once: usize) -> Self {
        Self {
            asked: Queue::new(at_once),
            retries: Queue::new(at_once.div_ceil(2)),
            most_waiting: at_once.saturating_mul(PLACES_A_SLOT),
        }
    }

    /// Refuses a new stream when the queue of those that were asked for is full.
    pub(crate) fn ensure_capacity(&self) -> Result<(), Error> {
        if self.asked.waiting() < self.most_waiting {
            return Ok(());
        }
        let detail =
            format!("{} streams are waiting to start, which is the limit", self.most_waiting);
        Err(Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL))
    }

    /// Returns the error of a start that has waited for [`PATIENCE`].
    pub(crate) fn took_too_long() -> Error {
        let seconds = PATIENCE.as_secs();
        let detail = format!(
            "too many streams are starting: the turn of this one did not come in {seconds} s"
        );
        Error::new(ErrorKind::TooManyStarts, detail).retry_after(RETRY_WHEN_FULL)
    }

    /// Returns how many starts wait, in both queues together.
    pub(crate) fn waiting(&self) -> usize {
        self.asked.waiting() + self.retries.waiting()
    }

    /// Returns a slot if one is free, which is so only while no start waits.
    pub(crate) fn try_slot(&self, priority: Priority) -> Option<StartSlot> {
        let permit = Arc::clone(&self.queue(priority).slots).try_acquire_owned().ok()?;
        Some(StartSlot { _permit: Some(permit) })
    }

    fn queue(&self, priority: Priority) -> &Queue {
        match priority {
            Priority::Asked => &self.asked,
            Priority::Retry => &self.retries,
        }
    }

    /// Returns the last place in a queue. First come, first served.
    pub(crate) fn turn(&self, priority: Priority) -> QueuedSlot {
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
    /// Returns a slot for an attempt that follows another one directly: its turn has come already.
    pub(crate) fn of_a_further_attempt() -> Self {
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
    async fn the_queue_is_served_in_order_and_forgets_starts_that_leave() {
        let starts = StartQueue::new(1);
        let held = starts.try_slot(Priority::Asked).expect("a free slot");
        assert!(starts.try_slot(Priority::Asked).is_none());
        let (mut first, mut second, mut third) = (
            starts.turn(Priority::Asked),
            starts.turn(Priority::Asked),
            starts.turn(Priority::Asked),
        );
        // The semaphore knows of a place from its first poll on.
        for turn in [&mut first, &mut second, &mut third] {
            assert!(turn.now_or_never().is_none());
        }
        assert_eq!(starts.waiting(), 3);
        drop(first);
        assert_eq!(starts.waiting(), 2);
        drop(held);
        assert!((&mut third).now_or_never().is_none(), "before its turn");
        let held = second.now_or_never().expect("its turn");
        assert!(starts.try_slot(Priority::Asked).is_none());
        drop(held);
        third.now_or_never().expect("its turn");
        assert_eq!(starts.waiting(), 0);
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let starts = StartQueue::new(1);
        let _held = starts.try_slot(Priority::Asked).expect("a free slot");
        let turns: Vec<_> = (0..PLACES_A_SLOT).map(|_| starts.turn(Priority::Asked)).collect();
        assert_eq!(starts.ensure_capacity().expect_err("full").kind, ErrorKind::TooManyStarts);
        drop(turns);
        starts.ensure_capacity().expect("a place");
    }

    #[test]
    fn retries_do_not_delay_starts_that_were_asked_for() {
        let starts = StartQueue::new(2);
        let retry = starts.try_slot(Priority::Retry).expect("a slot");
        assert!(starts.try_slot(Priority::Retry).is_none());
        let asked = [(); 2].map(|()| starts.try_slot(Priority::Asked).expect("a slot"));
        assert!(starts.try_slot(Priority::Asked).is_none());
        // Nor do waiting retries fill the queue of those that were asked for.
        let turns: Vec<_> = (0..3 * PLACES_A_SLOT).map(|_| starts.turn(Priority::Retry)).collect();
        assert_eq!(starts.waiting(), turns.len());
        starts.ensure_capacity().expect("a place");
        drop((retry, asked));
    }
}
