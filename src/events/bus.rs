//! The bus that carries events from publishers to any number of subscribers.
//!
//! Publishing never waits. A subscriber that falls behind by more than [`CAPACITY`] events loses its
//! oldest events and receives their number; other subscribers lose nothing. Events that are stored take another way, the
//! journal (`super::journal`), so a full bus does not cost a stored event.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::Event;
use super::journal::{self, Journal, JournalSender};

/// The largest number of events that wait for a subscriber. If 1000 streams, the default limit, end at
/// the same time, they publish fewer events than this.
const CAPACITY: usize = 4096;

/// The bus on which events are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    subscribers: broadcast::Sender<Arc<Event>>,
    /// The queue of events to store; `None` if events are not stored.
    journal: Option<JournalSender>,
}

/// A subscriber's end of the bus.
#[derive(Debug)]
pub(crate) struct EventReceiver(broadcast::Receiver<Arc<Event>>);

/// The number of events that a subscriber lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed(pub(crate) u64);

impl Default for Bus {
    fn default() -> Self {
        Self { subscribers: broadcast::Sender::new(CAPACITY), journal: None }
    }
}

impl Bus {
    /// Creates a bus whose events are stored. They must be taken from the returned queue.
    pub(crate) fn with_journal() -> (Self, Journal) {
        let (sender, journal) = journal::new();
        (Self { journal: Some(sender), ..Self::default() }, journal)
    }

    /// Sends an event to all subscribers, and adds it to the queue of events to store. Never waits.
    pub(crate) fn publish(&self, event: Event) {
        let event = Arc::new(event);
        if let Some(journal) = &self.journal {
            journal.add(Arc::clone(&event));
        }
        self.announce(event);
    }

    /// Sends an event that is already stored to all subscribers. Never waits.
    pub(crate) fn announce(&self, event: Arc<Event>) {
        // Fails only if there are no subscribers, which is fine.
        let _ = self.subscribers.send(event);
    }

    /// Returns a receiver of the events that are published from now on.
    pub(crate) fn subscribe(&self) -> EventReceiver {
        EventReceiver(self.subscribers.subscribe())
    }
}

impl EventReceiver {
    /// Waits for the next event. Returns `None` when all clones of the bus were dropped, and [`Missed`] if
    /// this subscriber has lost events.
    pub(crate) async fn next(&mut self) -> Result<Option<Arc<Event>>, Missed> {
        match self.0.recv().await {
            Ok(event) => Ok(Some(event)),
            Err(RecvError::Lagged(missed)) => Err(Missed(missed)),
            Err(RecvError::Closed) => Ok(None),
        }
    }

    /// Returns the next event, or `None` if no event is waiting. Returns [`Missed`] if this subscriber has
    /// lost events.
    pub(crate) fn try_next(&mut self) -> Result<Option<Arc<Event>>, Missed> {
        match self.0.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Lagged(missed)) => Err(Missed(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::testing::{epoch, event};

    #[tokio::test]
    async fn a_slow_subscriber_loses_its_oldest_events_and_receives_their_number() {
        let bus = Bus::default();
        bus.publish(event(0));
        let (mut slow, mut quick) = (bus.subscribe(), bus.subscribe());
        let count = CAPACITY as u64 + 3;
        for number in 1..=count {
            bus.publish(event(number));
            let received = quick.next().await.expect("nothing is lost").expect("a bus");
            assert_eq!(epoch(&received), number);
        }
        assert_eq!(slow.next().await.expect_err("some are lost"), Missed(3));
        for number in 4..=count {
            let received = slow.try_next().expect("nothing is lost").expect("an event");
            assert_eq!(epoch(&received), number);
        }
        assert!(slow.try_next().expect("nothing is lost").is_none());
        drop(bus);
        assert!(slow.next().await.expect("nothing is lost").is_none(), "the bus was dropped");
    }

    #[tokio::test]
    async fn a_subscriber_that_loses_events_does_not_cost_a_stored_event() {
        let (bus, mut journal) = Bus::with_journal();
        let mut slow = bus.subscribe();
        let count = CAPACITY as u64 + 3;
        (0..count).for_each(|number| bus.publish(event(number)));
        bus.announce(Arc::new(event(count)));
        assert_eq!(slow.next().await.expect_err("some are lost"), Missed(4));
        let mut events = Vec::new();
        journal.take_waiting(&mut events, usize::MAX);
        assert!(
            events.iter().map(|event| epoch(event)).eq(0..count),
            "an announced event is not stored again"
        );
    }
}
