//! The order of events, retries, and when an event is given up. The events of one stream are sent one
//! after the other, those of different streams side by side: an event that the receiver cannot
//! accept delays its own stream's events only.

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

/// Events that wait or are being sent, of all streams; about 400 bytes each.
const MAX_QUEUED: usize = 10_000;
/// Requests at the same time.
const MAX_AT_ONCE: usize = 8;
/// The receiver must answer within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts for one event.
const MAX_ATTEMPTS: u32 = 12;
/// No attempt begins later than this after the event.
const GIVE_UP_AFTER: Duration = Duration::from_mins(5);
/// At the manager's end, what is queued is tried once more, within this time.
pub(super) const DELIVER_AT_END_WITHIN: Duration = Duration::from_secs(3);

/// Pauses between attempts. The receiver can ask for a longer pause, up to the longest of these.
const PAUSES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(30) };

/// An event that waits or is being sent.
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

/// A finished attempt.
type Attempt = (StreamId, Message, Outcome);

/// Delivers events.
pub(super) struct Queue<P> {
    post: Arc<P>,
    events: EventReceiver,
    /// For each stream of which a message is being sent: the messages after it.
    lanes: HashMap<StreamId, VecDeque<Message>>,
    attempts: JoinSet<Attempt>,
    at_once: Arc<Semaphore>,
    /// True at the manager's end: pauses between attempts end early.
    is_ending: watch::Sender<bool>,
    queued: usize,
    report: Report,
}

impl<P: Post> Queue<P> {
    /// Creates the queue that delivers `events` by way of `post`.
    pub(super) fn new(post: P, events: EventReceiver) -> Self {
        Self {
            post: Arc::new(post),
            events,
            lanes: HashMap::new(),
            attempts: JoinSet::new(),
            at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            is_ending: watch::Sender::new(false),
            queued: 0,
            report: Report::default(),
        }
    }

    /// Delivers until `ended` is dropped, and then what has been published by then, within
    /// [`DELIVER_AT_END_WITHIN`].
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
            let cause = "the receiver took too long at the manager's end";
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
        self.report.note(Problem::QueueFull, count, "too many events wait for the receiver");
    }

    fn push(&mut self, event: &Event) {
        if self.queued >= MAX_QUEUED {
            return self.note_missed(Missed(1));
        }
        self.queued += 1;
        let message = Message { body: message::body(event), since: Instant::now(), attempts: 0 };
        match self.lanes.entry(event.stream.clone()) {
            Entry::Occupied(mut lane) => lane.get_mut().push_back(message),
            Entry::Vacant(lane) => {
                lane.insert(VecDeque::new());
                self.attempt(event.stream.clone(), message, Duration::ZERO);
            }
        }
    }

    /// Makes the next attempt in the background.
    fn attempt(&mut self, stream: StreamId, mut message: Message, delay: Duration) {
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
                Outcome::Again { cause: "the receiver is too slow".to_owned(), after: None }
            } else {
                send(post, message.body.clone()).await
            };
            (stream, message, outcome)
        });
    }

    fn finish_attempt(&mut self, attempt: Result<Attempt, JoinError>) {
        let (stream, message, outcome) = match attempt {
            Ok(attempt) => attempt,
            // Cannot happen: what can panic runs in a task of its own.
            Err(error) => return error!(%error, "an attempt to deliver a webhook failed"),
        };
        match outcome {
            Outcome::Delivered => {}
            Outcome::Refused(cause) => self.report.note(Problem::Refused, 1, &cause),
            Outcome::Again { cause, after } => match self.pause(&message, after) {
                Some(pause) => {
                    self.report.note(Problem::FailedAttempt, 1, &cause);
                    return self.attempt(stream, message, pause);
                }
                None => self.report.note(Problem::GivenUp, 1, &cause),
            },
        }
        self.continue_with(stream);
    }

    /// Returns the pause before the next attempt; `None` when this was the last one.
    fn pause(&self, message: &Message, after: Option<Duration>) -> Option<Duration> {
        let pause = PAUSES.delay(message.attempts - 1);
        let pause = pause.max(after.unwrap_or_default().min(PAUSES.ceiling));
        let is_over = *self.is_ending.borrow()
            || message.attempts >= MAX_ATTEMPTS
            || message.since.elapsed() + pause > GIVE_UP_AFTER;
        (!is_over).then_some(pause)
    }

    /// A message of the stream is delivered or dropped: sends the next one.
    fn continue_with(&mut self, stream: StreamId) {
        self.queued -= 1;
        while let Some(message) = self.lanes.get_mut(&stream).and_then(VecDeque::pop_front) {
            if !message.is_too_old() {
                return self.attempt(stream, message, Duration::ZERO);
            }
            self.queued -= 1;
            self.report.note(Problem::GivenUp, 1, "earlier events could not be delivered");
        }
        self.lanes.remove(&stream);
    }
}

/// Sends in a task of its own, so that a panic there is one failed attempt, and does not block the
/// stream's other messages for ever.
async fn send(post: Arc<impl Post>, body: Bytes) -> Outcome {
    let sent = async move { timeout(ANSWER_WITHIN, post.post(body)).await };
    let cause = match tokio::spawn(sent).await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(_)) => {
            format!("the receiver did not answer within {} s", ANSWER_WITHIN.as_secs())
        }
        Err(_) => "an internal error".to_owned(),
    };
    Outcome::Again { cause, after: None }
}

#[cfg(test)]
mod tests;
