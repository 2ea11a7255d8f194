//! Turns events into notifications of the subscribers who want to get them, and can see them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::client::Post;
use super::counters::PushCounters;
use super::limiter::Limiter;
use super::notification;
use super::permission::Permission;
use super::queue::{GIVE_UP_AFTER, Queue};
use super::servers::Servers;
use super::subscription::Subscription;
use super::subscriptions::{SubscriptionMap, Subscriptions};
use crate::base::error::chain;
use crate::base::time::SystemClock;
use crate::events::bus::{Bus, Missed};
use crate::events::{Event, EventKind};

/// The interval at which expired subscriptions end, and old data is forgotten.
const UPKEEP: Duration = Duration::from_mins(1);

/// The delivery of events to subscribers.
pub(super) struct Delivery<S, R> {
    /// All subscriptions.
    pub(super) subscriptions: Arc<Subscriptions>,
    /// Sends the notifications.
    pub(super) sender: Arc<S>,
    /// Decides which subscribers can see an event.
    pub(super) permission: Arc<R>,
    /// The limits of requests at the same time.
    pub(super) servers: Servers,
    /// The counters.
    pub(super) counters: PushCounters,
    /// The clock for quiet hours.
    pub(super) clock: SystemClock,
    /// The events.
    pub(super) bus: Bus,
    /// The number of the last change of a stored event.
    pub(super) last: watch::Receiver<i64>,
}

/// What the delivery needs while there are subscriptions.
struct Running<S, R> {
    queue: Queue<S, R>,
    limiter: Limiter,
    /// The number of the newest reported event.
    newest: i64,
}

impl<S: Post, R: Permission> Delivery<S, R> {
    /// Delivers events while there are subscriptions. Returns only if the bus ends.
    pub(super) async fn run(self) {
        let mut changes = self.subscriptions.changes();
        // Without subscriptions, the task only waits.
        while changes.wait_for(|all| !all.is_empty()).await.is_ok() {
            if !self.deliver(&mut changes).await {
                return;
            }
        }
    }

    /// Delivers events until there are no subscriptions. Returns false if there will be no further events.
    async fn deliver(&self, changes: &mut watch::Receiver<Arc<SubscriptionMap>>) -> bool {
        let (sender, permission) = (Arc::clone(&self.sender), Arc::clone(&self.permission));
        let (servers, counters) = (self.servers.clone(), self.counters.clone());
        let clock = Arc::clone(&self.clock);
        let mut events = self.bus.subscribe();
        let mut running = Running {
            queue: Queue::new(sender, permission, servers, counters, changes.clone(), clock),
            limiter: Limiter::default(),
            newest: *self.last.borrow(),
        };
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                noticed = changes.changed() => {
                    if noticed.is_err() || changes.borrow().is_empty() {
                        return noticed.is_ok();
                    }
                }
                next = events.next() => match next {
                    Ok(Some(event)) => self.add(&mut running, event).await,
                    Ok(None) => return false,
                    Err(Missed(count)) => running.queue.note_missed(count),
                },
                Some(attempt) = running.queue.next() => {
                    if let Some(gone) = running.queue.finish(attempt) {
                        self.remove(&gone).await;
                    }
                }
                _ = upkeep.tick() => {
                    running.limiter.forget_old();
                    running.queue.log_if_due();
                    if let Err(error) = self.subscriptions.end_expired().await {
                        warn!(error = chain(&error), "cannot delete expired push subscriptions");
                    }
                }
            }
        }
    }

    /// Adds the notifications of an event to the queue.
    async fn add(&self, running: &mut Running<S, R>, event: Arc<Event>) {
        if let EventKind::Reported(reported) = &event.kind {
            // When an event gets an end, it is published again.
            if reported.number <= running.newest {
                return;
            }
            running.newest = reported.number;
        }
        let (all, now) = (self.subscriptions.all(), (self.clock)());
        // Back ends can report events of the past, for example when they import them.
        if now.duration_since(event.at).is_ok_and(|age| age > GIVE_UP_AFTER) {
            return;
        }
        let wants = |it: &&Arc<Subscription>| it.choice.contains(&event, now);
        let subscribers: Vec<_> = all.values().filter(wants).cloned().collect();
        if subscribers.is_empty() {
            return;
        }
        let count = subscribers.len();
        let permitted = match self.permission.permitted(&event, subscribers).await {
            Ok(permitted) => permitted,
            Err(error) => return running.queue.note_unchecked(count, &error),
        };
        for (to, can_replay) in &permitted.subscriptions {
            if !running.limiter.admit(to, event.camera()) {
                self.counters.limited();
                continue;
            }
            let name = permitted.camera_name.as_deref();
            let notification = notification::of_event(&event, to, name, *can_replay);
            running.queue.push(to, Arc::clone(&event), notification);
        }
    }

    /// Deletes a subscription that its push server does not know any more. If this fails, the next notification is another
    /// attempt.
    async fn remove(&self, id: &str) {
        if let Err(error) = self.subscriptions.remove(id).await {
            warn!(subscription = id, error = chain(&error), "cannot delete a push subscription");
        }
    }
}

#[cfg(test)]
mod tests;
