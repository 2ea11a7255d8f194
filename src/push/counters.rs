//! Counters of push notifications since the manager started.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct PushCounters {
    subscriptions: Gauge<i64, AtomicI64>,
    delivered: Counter,
    dropped: Counter,
    limited: Counter,
    late: Counter,
}

impl PushCounters {
    /// Adds the counters to a registry of metrics.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let push = registry.sub_registry_with_prefix("push");
        push.register("subscriptions", "Push subscriptions", self.subscriptions.clone());
        let help = "Push notifications that push servers have accepted";
        push.register("delivered", help, self.delivered.clone());
        let help =
            "Accepted push notifications that were accepted more than a second after their events";
        push.register("delivered_late", help, self.late.clone());
        let help = "Push notifications that were not delivered";
        push.register("dropped", help, self.dropped.clone());
        let help = "Push notifications that were not sent, because a subscription has a limit for each camera and minute";
        push.register("limited", help, self.limited.clone());
    }

    /// Sets the number of subscriptions.
    pub(super) fn set_subscriptions(&self, count: usize) {
        self.subscriptions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a notification that a push server has accepted, and whether this was late.
    pub(super) fn delivered(&self, is_late: bool) {
        self.delivered.inc();
        self.late.inc_by(u64::from(is_late));
    }

    /// Counts notifications that were not delivered.
    pub(super) fn dropped(&self, count: u64) {
        self.dropped.inc_by(count);
    }

    /// Counts a notification that the limit of its subscription has prevented.
    pub(super) fn limited(&self) {
        self.limited.inc();
    }
}
