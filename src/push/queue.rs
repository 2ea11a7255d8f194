//! The queue of notifications: their order, retries, and dropping those that cannot be delivered. Notifications of one
//! subscription are sent one after the other, those of different subscriptions at the same time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info};

use super::client::{Outcome, Post};
use super::counters::PushCounters;
use super::notification::Notification;
use super::permission::Permission;
use super::servers::{RequestSlot, Servers};
use super::subscription::Subscription;
use super::subscriptions::SubscriptionMap;
use crate::base::backoff::Exponential;
use crate::base::error::{Error, chain};
use crate::base::time::SystemClock;
use crate::events::Event;
use crate::webhooks::report::{Problem, Report};

/// The largest number of notifications of all subscriptions that are waiting or being sent. Each takes about a kilobyte. If
/// there are more, the oldest of the subscription with the most is dropped, so that no subscription
/// uses up the space of others.
const MAX_QUEUED: usize = 10_000;
/// The largest number of notifications of one subscription that are waiting. If there are more, the oldest are dropped.
const MAX_WAITING: usize = 20;
/// The time within which a push server must accept a notification.
const RESPOND_WITHIN: Duration = Duration::from_secs(10);
/// The duration of an attempt above which the push server counts as slow, whatever the reason is: a look-up of the name, the
/// connection, or the response.
const SLOW: Duration = Duration::from_secs(3);
/// The largest number of attempts to deliver one notification.
const MAX_ATTEMPTS: u32 = 8;
/// The largest age of a notification at which an attempt to deliver it begins.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_mins(5);
/// The time from an event to the acceptance of its notification above which the notification counts as late.
const LATE: Duration = Duration::from_secs(1);

/// The pauses between attempts to deliver one notification. With `Retry-After` the push server can request a longer pause.
const PAUSES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_mins(1) };

/// A notification that is waiting or being sent.
struct Message {
    /// The subscription when the event happened.
    to: Arc<Subscription>,
    event: Arc<Event>,
    notification: Notification,
    since: Instant,
    attempts: u32,
}

/// A finished attempt: the id of the subscription, the message, and the outcome. Without an outcome, nothing was sent,
/// because the holder of the subscription cannot see the event any more.
pub(super) struct Attempt(String, Message, Option<Outcome>);

/// The queue of notifications that have not been delivered yet.
pub(super) struct Queue<S, R> {
    sender: Arc<S>,
    permission: Arc<R>,
    servers: Servers,
    counters: PushCounters,
    /// The present subscriptions.
    all: watch::Receiver<Arc<SubscriptionMap>>,
    /// The clock for quiet hours.
    clock: SystemClock,
    /// For each subscription with a notification in delivery: the notifications that wait until that one is delivered or
    /// dropped.
    lanes: HashMap<String, VecDeque<Message>>,
    attempts: JoinSet<Attempt>,
    queued: usize,
    report: Report,
}

impl Message {
    fn is_too_old(&self) -> bool {
        self.since.elapsed() > GIVE_UP_AFTER
    }
}

impl<S: Post, R: Permission> Queue<S, R> {
    /// Creates a queue that sends notifications with `sender`.
    pub(super) fn new(
        sender: Arc<S>,
        permission: Arc<R>,
        servers: Servers,
        counters: PushCounters,
        all: watch::Receiver<Arc<SubscriptionMap>>,
        clock: SystemClock,
    ) -> Self {
        Self {
            sender,
            permission,
            servers,
            counters,
            all,
            clock,
            lanes: HashMap::new(),
            attempts: JoinSet::new(),
            queued: 0,
            report: Report::new("push servers"),
        }
    }

    /// Adds the notification of an event.
    pub(super) fn push(
        &mut self,
        to: &Arc<Subscription>,
        event: Arc<Event>,
        notification: Notification,
    ) {
        if self.queued >= MAX_QUEUED && !self.drop_of_longest_lane() {
            return self.note_missed(1);
        }
        self.queued += 1;
        let (since, recipient) = (Instant::now(), Arc::clone(to));
        let message = Message { to: recipient, event, notification, since, attempts: 0 };
        let Some(waiting) = self.lanes.get_mut(&to.id) else {
            self.lanes.insert(to.id.clone(), VecDeque::new());
            return self.attempt(message, Duration::ZERO);
        };
        waiting.push_back(message);
        if waiting.len() > MAX_WAITING {
            waiting.pop_front();
            self.queued -= 1;
            self.note_missed(1);
        }
    }

    /// Drops the oldest notification that waits in the lane with the most. Returns false if none waits.
    fn drop_of_longest_lane(&mut self) -> bool {
        let longest = self.lanes.values_mut().max_by_key(|waiting| waiting.len());
        let is_dropped = longest.and_then(VecDeque::pop_front).is_some();
        if is_dropped {
            self.queued -= 1;
            self.note_missed(1);
        }
        is_dropped
    }

    /// Notes that an event was not pushed to `count` subscriptions, because the permission of their holders could not be
    /// checked.
    pub(super) fn note_unchecked(&mut self, count: usize, error: &Error) {
        let cause =
            format!("the permission of the subscribers cannot be checked: {}", chain(error));
        self.drop_for(Problem::GivenUp, count as u64, &cause);
    }

    /// Notes that notifications were dropped, because too many were waiting.
    pub(super) fn note_missed(&mut self, count: u64) {
        self.drop_for(Problem::QueueFull, count, "too many notifications are waiting to be sent");
    }

    /// Logs problems, if it is time to do so.
    pub(super) fn log_if_due(&mut self) {
        self.report.log_if_due();
    }

    /// Waits for the end of an attempt. Returns `None` if no attempt is in progress. Can be cancelled without losing an
    /// attempt, which the caller must pass to [`Queue::finish`].
    pub(super) async fn next(&mut self) -> Option<Result<Attempt, JoinError>> {
        self.attempts.join_next().await
    }

    /// Handles the end of an attempt. Returns the id of the subscription to delete, if the push server does not know the
    /// subscription any more.
    pub(super) fn finish(&mut self, attempt: Result<Attempt, JoinError>) -> Option<String> {
        let Attempt(id, message, outcome) = match attempt {
            Ok(attempt) => attempt,
            // Cannot happen, because code that may panic runs in a separate task.
            Err(error) => {
                error!(%error, "an attempt to deliver a push notification failed");
                return None;
            }
        };
        let to = self.all.borrow().get(&id).cloned();
        let Some(to) = to else {
            self.drop_lane(&id);
            return None;
        };
        match outcome {
            None => {}
            Some(Outcome::Delivered) => {
                let took = message.since.elapsed();
                self.counters.delivered(took > LATE);
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                debug!(subscription = id, took_ms, "push notification delivered");
            }
            Some(Outcome::Gone) => {
                let server = to.browser.server();
                info!(
                    subscription = id,
                    server,
                    "the push server does not know a subscription any more, so it is deleted"
                );
                self.drop_lane(&id);
                return Some(id);
            }
            Some(Outcome::Refused(cause)) => {
                self.drop_for(Problem::Refused, 1, &with_server(&to, &cause));
            }
            Some(Outcome::NoResponse(cause)) => {
                self.retry(message, None, &cause);
                return None;
            }
            Some(Outcome::Retry { cause, after }) => {
                self.retry(message, after, &cause);
                return None;
            }
        }
        self.continue_with(&id);
        None
    }

    /// Sends a notification again after a pause, or gives it up.
    fn retry(&mut self, message: Message, after: Option<Duration>, cause: &str) {
        let cause = with_server(&message.to, cause);
        if let Some(pause) = pause(&message, after) {
            self.report.note(Problem::FailedAttempt, 1, &cause);
            self.attempt(message, pause);
        } else {
            self.drop_for(Problem::GivenUp, 1, &cause);
            self.continue_with(&message.to.id);
        }
    }

    fn drop_for(&mut self, problem: Problem, count: u64, cause: &str) {
        self.counters.dropped(count);
        self.report.note(problem, count, cause);
    }

    /// Drops the waiting notifications of a subscription that does not exist any more.
    fn drop_lane(&mut self, id: &str) {
        let waiting = self.lanes.remove(id).map_or(0, |waiting| waiting.len());
        self.queued -= waiting + 1;
    }

    /// Sends the next notification of a subscription after one was delivered or dropped.
    fn continue_with(&mut self, id: &str) {
        self.queued -= 1;
        let waiting = self.lanes.get_mut(id);
        if let Some(message) = waiting.and_then(VecDeque::pop_front) {
            return self.attempt(message, Duration::ZERO);
        }
        self.lanes.remove(id);
    }

    /// Starts the next attempt to deliver a notification after `delay`, in the background.
    fn attempt(&mut self, mut message: Message, delay: Duration) {
        message.attempts += 1;
        let (sender, permission) = (Arc::clone(&self.sender), Arc::clone(&self.permission));
        let (servers, all) = (self.servers.clone(), self.all.clone());
        let clock = Arc::clone(&self.clock);
        self.attempts.spawn(async move {
            sleep(delay).await;
            let (id, to) = (message.to.id.clone(), Arc::clone(&message.to));
            let slot = servers.slot(to.browser.server(), &to.holder.made_by).await;
            if message.is_too_old() {
                let cause = "the notification became too old before it could be sent".to_owned();
                return Attempt(id, message, Some(Outcome::NoResponse(cause)));
            }
            // The subscription may have been deleted or changed in the meantime.
            let present = all.borrow().get(&id).cloned();
            let is_of_same =
                |now: &Arc<Subscription>| now.holder == to.holder && now.browser == to.browser;
            let Some(present) = present.filter(is_of_same) else {
                return Attempt(id, message, None);
            };
            // The first attempt follows the check of all subscriptions, except after a wait.
            let is_changed = !Arc::ptr_eq(&present, &to);
            if is_changed || message.attempts > 1 || message.since.elapsed() > LATE {
                if !present.choice.contains(&message.event, clock()) {
                    return Attempt(id, message, None);
                }
                match is_permitted(permission, &message.event, &present).await {
                    Ok(true) => {}
                    Ok(false) => return Attempt(id, message, None),
                    Err(cause) => return Attempt(id, message, Some(Outcome::NoResponse(cause))),
                }
            }
            let outcome = send(sender, present, message.notification.clone(), slot).await;
            Attempt(id, message, Some(outcome))
        });
    }
}

/// The cause of an outcome after a panic.
const INTERNAL: &str = "an internal error of the manager";

/// Makes one attempt, in time. The attempt runs in a separate task, which keeps the slot until the request ends, although the
/// caller may stop waiting. A panic fails only this attempt, and does not block the subscription's other notifications forever.
pub(super) async fn send<S: Post>(
    sender: Arc<S>,
    to: Arc<Subscription>,
    notification: Notification,
    slot: RequestSlot,
) -> Outcome {
    let sent = tokio::spawn(async move {
        let began = Instant::now();
        let outcome = timeout(RESPOND_WITHIN, sender.post(&to, &notification)).await;
        slot.set_quick(began.elapsed() < SLOW);
        outcome
    });
    let cause = match sent.await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(_)) => {
            format!("the push server did not respond within {} s", RESPOND_WITHIN.as_secs())
        }
        Err(_) => INTERNAL.to_owned(),
    };
    Outcome::NoResponse(cause)
}

/// Returns whether the holder of a subscription can see an event, or the reason why this cannot be checked. The check runs in
/// a separate task, so that a panic does not block the subscription's other notifications forever.
async fn is_permitted<R: Permission>(
    permission: Arc<R>,
    event: &Arc<Event>,
    to: &Arc<Subscription>,
) -> Result<bool, String> {
    let (event, to) = (Arc::clone(event), Arc::clone(to));
    let check = tokio::spawn(async move { permission.permitted(&event, vec![to]).await });
    match check.await {
        Ok(Ok(permitted)) => Ok(!permitted.subscriptions.is_empty()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(INTERNAL.to_owned()),
    }
}

/// Returns the pause before the next attempt; `None` if there is no further attempt. `after` is the pause that the push server
/// requested.
fn pause(message: &Message, after: Option<Duration>) -> Option<Duration> {
    let pause = PAUSES.delay(message.attempts - 1).max(after.unwrap_or_default());
    let is_over = message.attempts >= MAX_ATTEMPTS
        || message.since.elapsed().saturating_add(pause) > GIVE_UP_AFTER;
    (!is_over).then_some(pause)
}

fn with_server(to: &Subscription, cause: &str) -> String {
    format!("{}: {cause}", to.browser.server())
}

#[cfg(test)]
mod tests;
