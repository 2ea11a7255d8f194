//! Counters of the events that were stored, summarized and lost since the manager started.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventCounters {
    stored: Counter,
    summarized: Counter,
    lost: Counter,
}

impl EventCounters {
    /// Registers the counters in `to`, with their names and help texts.
    pub(crate) fn register(&self, to: &mut Registry) {
        to.register("events_stored", "Events stored in the database", self.stored.clone());
        let help = "Events that only increased the number of repetitions of a stored event, because the camera had many events of the type within an hour";
        to.register("events_summarized", help, self.summarized.clone());
        let help = "Events that were not stored, because too many of them were waiting for the database or the manager ended; webhooks are not affected, except those about motion";
        to.register("events_lost", help, self.lost.clone());
    }

    /// Counts events that were stored.
    pub(crate) fn stored(&self, count: u64) {
        self.stored.inc_by(count);
    }

    /// Counts events that only increased the number of repetitions of a stored event.
    pub(crate) fn summarized(&self, count: u64) {
        self.summarized.inc_by(count);
    }

    /// Counts events that will not be stored.
    pub(crate) fn add_lost(&self, count: u64) {
        self.lost.inc_by(count);
    }

    /// Returns the number of events that were not stored.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.get()
    }
}
