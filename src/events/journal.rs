//! The queue of events that wait to be stored.
//!
//! The queue is separate from the [bus](super::bus), because a subscriber of the bus that falls behind loses events.
//! The queue is bounded as well, because the database may fail for a long time. Events that do not fit are counted.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Event;
use super::counters::EventCounters;

/// The largest number of events that wait to be stored. Each takes about 400 bytes. If 1000 streams, the default limit,
/// are interrupted and live again, they publish 2000 events.
const CAPACITY: usize = 10_000;

/// The end of the queue from which events are stored.
#[derive(Debug)]
pub(crate) struct Journal {
    events: mpsc::Receiver<Arc<Event>>,
    counters: EventCounters,
}

/// The end of the queue to which events are added.
#[derive(Debug, Clone)]
pub(super) struct JournalSender {
    events: mpsc::Sender<Arc<Event>>,
    counters: EventCounters,
}

/// Creates a queue.
pub(super) fn new() -> (JournalSender, Journal) {
    let (send, receive) = mpsc::channel(CAPACITY);
    let counters = EventCounters::default();
    let sender = JournalSender { events: send, counters: counters.clone() };
    (sender, Journal { events: receive, counters })
}

impl JournalSender {
    /// Adds an event. Counts the event as lost if the queue is full. Never waits.
    pub(super) fn add(&self, event: Arc<Event>) {
        match self.events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.counters.add_lost(1),
        }
    }
}

impl Journal {
    /// Returns the counters of events.
    pub(crate) fn counters(&self) -> &EventCounters {
        &self.counters
    }

    /// Waits for events, and adds at most `limit` of them to `to`. Returns false if there will be no more events. Can be
    /// cancelled without losing events.
    pub(crate) async fn next(&mut self, to: &mut Vec<Arc<Event>>, limit: usize) -> bool {
        self.events.recv_many(to, limit).await > 0
    }

    /// Adds at most `limit` waiting events to `to`. Does not wait.
    pub(crate) fn take_waiting(&mut self, to: &mut Vec<Arc<Event>>, limit: usize) {
        to.extend(std::iter::from_fn(|| self.events.try_recv().ok()).take(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::testing::{epoch, event};

    #[tokio::test]
    async fn events_are_kept_in_order_and_those_that_do_not_fit_are_counted() {
        let (sender, mut journal) = new();
        for number in 0..CAPACITY as u64 + 3 {
            sender.add(Arc::new(event(number)));
        }
        assert_eq!(journal.counters().lost(), 3);
        let mut events = Vec::new();
        assert!(journal.next(&mut events, 5).await);
        journal.take_waiting(&mut events, CAPACITY);
        assert_eq!(events.len(), CAPACITY);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(epoch(event), number as u64);
        }
        drop(sender);
        assert!(!journal.next(&mut events, 5).await);
    }
}
