//! The queue of events: their order, retries, and dropping events that cannot be delivered. Events
//! of one stream, and events about the service, are sent one after the other, events of different streams at the same time. An
//! event that cannot be delivered delays only later events of the same stream. Events about a camera
//! itself count as events of its main stream.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::error;

use super::message;
use super::receiver::{Outcome, Post};
use super::report::{self, Problem, Report};
use crate::base::backoff::Exponential;
use crate::camera::id::StreamId;
use crate::events::Event;
use crate::events::bus::{EventReceiver, Missed};

/// The largest number of events of all streams that are waiting or being sent. Each takes about 400
/// bytes.
const MAX_QUEUED: usize = 10_000;
/// The largest number of requests at the same time.
const MAX_CONCURRENT: usize = 8;
/// The time within which the receiver must respond.
const RESPOND_WITHIN: Duration = Duration::from_secs(10);
/// The largest number of attempts to deliver one event.
const MAX_ATTEMPTS: u32 = 12;
/// The largest age of an event at which an attempt to deliver it begins.
const GIVE_UP_AFTER: Duration = Duration::from_mins(5);
/// When the manager shuts down, each queued event gets one more attempt. All of these attempts must
/// end within this time.
pub(super) const DELIVER_AT_END_WITHIN: Duration = Duration::from_secs(3);

/// The pauses between attempts to deliver one event. With `Retry-After` the receiver can request a
/// longer pause, up to `ceiling`.
const PAUSES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(30) };

/// An event that is waiting or being sent.
struct Message {
    body: Bytes,
    since: Instant,
    attempts: u32,
}

impl Message {
    fn is_too_old(&self) -> bool {
        self.since.elapsed() > GIVE_UP_AFTER
    }
}

/// The events that are sent one after the other: those of one stream, or those about the service.
type Lane = Option<StreamId>;

/// A finished attempt.
type Attempt = (Lane, Message, Outcome);

/// The queue of events that have not been delivered yet.
pub(super) struct Queue<P> {
    post: Arc<P>,
    events: EventReceiver,
    /// For each lane with a message in delivery: the messages that wait until that message is
    /// delivered or dropped.
    lanes: HashMap<Lane, VecDeque<Message>>,
    attempts: JoinSet<Attempt>,
    at_once: Arc<Semaphore>,
    /// Becomes true when the manager shuts down, which ends the pauses between attempts.
    is_ending: watch::Sender<bool>,
    queued: usize,
    report: Report,
}

impl<P: Post> Queue<P> {
    /// Creates the queue that delivers `events` with `post`.
    pub(super) fn new(post: P, events: EventReceiver) -> Self {
        Self {
            post: Arc::new(post),
            events,
            lanes: HashMap::new(),
            attempts: JoinSet::new(),
            at_once: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            is_ending: watch::Sender::new(false),
            queued: 0,
            report: Report::new("WEBHOOK_URL"),
        }
    }

    /// Delivers events until the sender of `ended` is dropped. Then delivers the events that have
    /// been published by that time, and gives up after [`DELIVER_AT_END_WITHIN`].
    pub(super) async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut reports = interval(report::INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                next = self.events.next() => match next {
                    Ok(Some(event)) => self.push(&event),
                    Ok(None) => break,
                    Err(missed) => self.note_missed(missed),
                },
                Some(attempt) = self.attempts.join_next() => self.finish_attempt(attempt),
                _ = reports.tick() => self.report.log_if_due(),
            }
        }
        self.is_ending.send_replace(true);
        if timeout(DELIVER_AT_END_WITHIN, self.deliver_remainder()).await.is_err() {
            let cause = "the manager shut down before the event was delivered";
            self.report.note(Problem::GivenUp, self.queued as u64, cause);
        }
        self.report.log_remainder();
    }

    async fn deliver_remainder(&mut self) {
        loop {
            match self.events.try_next() {
                Ok(Some(event)) => self.push(&event),
                Ok(None) => break,
                Err(missed) => self.note_missed(missed),
            }
        }
        while let Some(attempt) = self.attempts.join_next().await {
            self.finish_attempt(attempt);
        }
    }

    fn note_missed(&mut self, Missed(count): Missed) {
        self.report.note(Problem::QueueFull, count, "too many events are waiting to be delivered");
    }

    fn push(&mut self, event: &Event) {
        if self.queued >= MAX_QUEUED {
            return self.note_missed(Missed(1));
        }
        self.queued += 1;
        let message = Message { body: message::body(event), since: Instant::now(), attempts: 0 };
        let lane = event.subject.as_ref().map(|subject| subject.stream.clone());
        match self.lanes.entry(lane.clone()) {
            Entry::Occupied(mut messages) => messages.get_mut().push_back(message),
            Entry::Vacant(messages) => {
                messages.insert(VecDeque::new());
                self.attempt(lane, message, Duration::ZERO);
            }
        }
    }

    /// Starts the next attempt to deliver a message after `delay`, in the background.
    fn attempt(&mut self, lane: Lane, mut message: Message, delay: Duration) {
        message.attempts += 1;
        let (post, at_once) = (Arc::clone(&self.post), Arc::clone(&self.at_once));
        let mut is_ending = self.is_ending.subscribe();
        self.attempts.spawn(async move {
            tokio::select! {
                () = sleep(delay) => {}
                _ = is_ending.wait_for(|is_ending| *is_ending) => {}
            }
            // The semaphore is never closed.
            let _permit = at_once.acquire().await;
            let outcome = if message.is_too_old() {
                Outcome::Retry {
                    cause: "the event became too old before it could be sent".to_owned(),
                    after: None,
                }
            } else {
                send(post, message.body.clone()).await
            };
            (lane, message, outcome)
        });
    }

    fn finish_attempt(&mut self, attempt: Result<Attempt, JoinError>) {
        let (lane, message, outcome) = match attempt {
            Ok(attempt) => attempt,
            // Cannot happen, because code that may panic runs in a separate task.
            Err(error) => return error!(%error, "an attempt to deliver a webhook failed"),
        };
        match outcome {
            Outcome::Delivered => {}
            Outcome::Refused(cause) => self.report.note(Problem::Refused, 1, &cause),
            Outcome::Retry { cause, after } => match self.pause(&message, after) {
                Some(pause) => {
                    self.report.note(Problem::FailedAttempt, 1, &cause);
                    return self.attempt(lane, message, pause);
                }
                None => self.report.note(Problem::GivenUp, 1, &cause),
            },
        }
        self.continue_with(lane);
    }

    /// Returns the pause before the next attempt; `None` if there is no further attempt. `after` is
    /// the pause that the receiver requested.
    fn pause(&self, message: &Message, after: Option<Duration>) -> Option<Duration> {
        let pause = PAUSES.delay(message.attempts - 1);
        let pause = pause.max(after.unwrap_or_default().min(PAUSES.ceiling));
        let is_over = *self.is_ending.borrow()
            || message.attempts >= MAX_ATTEMPTS
            || message.since.elapsed() + pause > GIVE_UP_AFTER;
        (!is_over).then_some(pause)
    }

    /// Sends the next message of a lane after a message was delivered or dropped. Drops waiting
    /// messages that have become too old.
    fn continue_with(&mut self, lane: Lane) {
        self.queued -= 1;
        while let Some(message) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) {
            if !message.is_too_old() {
                return self.attempt(lane, message, Duration::ZERO);
            }
            self.queued -= 1;
            self.report.note(
                Problem::GivenUp,
                1,
                "earlier events of the same stream delayed the event until it was too old",
            );
        }
        self.lanes.remove(&lane);
    }
}

/// Makes one attempt, and returns the outcome. The attempt runs in a separate task, so that a panic
/// fails only this attempt, and does not block the stream's other messages forever.
async fn send(post: Arc<impl Post>, body: Bytes) -> Outcome {
    let sent = async move { timeout(RESPOND_WITHIN, post.post(body)).await };
    let cause = match tokio::spawn(sent).await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(_)) => {
            format!("the receiver did not respond within {} s", RESPOND_WITHIN.as_secs())
        }
        Err(_) => "an internal error of the manager".to_owned(),
    };
    Outcome::Retry { cause, after: None }
}

#[cfg(test)]
mod tests;
