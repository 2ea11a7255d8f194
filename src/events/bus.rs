//! The bus that carries events from publishers to any number of subscribers.
//!
//! Publishing never waits. A subscriber that falls behind by more than [`CAPACITY`] events loses its
//! oldest events and receives their number; other subscribers lose nothing.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::Event;

/// The largest number of events that wait for a subscriber. If 1000 streams, the default limit, end at
/// the same time, they publish fewer events than this.
const CAPACITY: usize = 4096;

/// The bus on which events are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Arc<Event>>);

/// A subscriber's end of the bus.
#[derive(Debug)]
pub(crate) struct EventReceiver(broadcast::Receiver<Arc<Event>>);

/// The number of events that a subscriber lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed(pub(crate) u64);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Bus {
    /// Sends an event to all subscribers. Never waits.
    pub(crate) fn publish(&self, event: Event) {
        // Fails only if there are no subscribers, which is fine.
        let _ = self.0.send(Arc::new(event));
    }

    /// Returns a receiver of the events that are published from now on.
    pub(crate) fn subscribe(&self) -> EventReceiver {
        EventReceiver(self.0.subscribe())
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
    use std::time::SystemTime;

    use super::*;
    use crate::camera::id::StreamId;
    use crate::events::{EventKind, StreamEvent, StreamEventKind};

    fn event(epoch: u64) -> Event {
        let kind = StreamEventKind::Live;
        let stream = StreamEvent { kind, epoch, reason: None, error: None };
        Event {
            at: SystemTime::now(),
            stream: StreamId::parse("cam").expect("an id"),
            kind: EventKind::Stream(stream),
        }
    }

    fn epoch(event: &Event) -> u64 {
        let EventKind::Stream(stream) = &event.kind else { panic!("{event:?}") };
        stream.epoch
    }

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
}
