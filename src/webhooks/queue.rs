//! Order, retries, and what is given up. The events of one stream are sent one after the other, those
//! of different streams side by side, so that one event that the receiver cannot take holds up its
//! own stream alone.

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
use super::report::{self, Report, Trouble};
use crate::camera::id::StreamId;
use crate::events::Event;
use crate::events::bus::{EventReceiver, Missed};

/// Events that wait or are under way, of all streams; about 400 bytes each.
pub const MAX_QUEUED: usize = 10_000;
/// Requests at once.
pub const MAX_AT_ONCE: usize = 8;
/// The receiver must answer within this time.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts for one event.
pub const MAX_ATTEMPTS: u32 = 12;
/// No attempt is begun later than this after the event.
pub const GIVE_UP_AFTER: Duration = Duration::from_mins(5);
/// At the manager's end, what is queued is tried once more, within this time.
pub const LAST_WORDS: Duration = Duration::from_secs(3);

/// First pause between attempts at most, and the longest. The receiver may ask for a longer pause
/// than is due, up to the longest.
const BASE: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(30);

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

type Attempted = (StreamId, Message, Outcome);

/// What waits to be delivered, and is delivered.
pub struct Queue<P> {
    post: Arc<P>,
    events: EventReceiver,
    /// The streams of which a message is under way, with those that come after it.
    lanes: HashMap<StreamId, VecDeque<Message>>,
    attempts: JoinSet<Attempted>,
    at_once: Arc<Semaphore>,
    /// True at the manager's end: who waits for the next attempt goes at once.
    hurry: watch::Sender<bool>,
    queued: usize,
    report: Report,
}

impl<P: Post> Queue<P> {
    /// Creates the queue that delivers `events` to `post`.
    pub fn new(post: P, events: EventReceiver) -> Self {
        Self {
            post: Arc::new(post),
            events,
            lanes: HashMap::new(),
            attempts: JoinSet::new(),
            at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            hurry: watch::Sender::new(false),
            queued: 0,
            report: Report::default(),
        }
    }

    /// Delivers until `ended` is dropped, and then what is left, within [`LAST_WORDS`].
    pub async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut reports = interval(report::INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                next = self.events.next() => match next {
                    Ok(Some(event)) => self.take(&event),
                    Ok(None) => break,
                    Err(missed) => self.note_missed(missed),
                },
                Some(attempted) = self.attempts.join_next() => self.took(attempted),
                _ = reports.tick() => self.report.say_if_due(),
            }
        }
        self.hurry.send_replace(true);
        if timeout(LAST_WORDS, self.deliver_the_rest()).await.is_err() {
            let cause = "the receiver took too long at the manager's end";
            self.report.note(Trouble::GivenUp, self.queued as u64, cause);
        }
        self.report.say_rest();
    }

    async fn deliver_the_rest(&mut self) {
        loop {
            match self.events.try_next() {
                Ok(Some(event)) => self.take(&event),
                Ok(None) => break,
                Err(missed) => self.note_missed(missed),
            }
        }
        while let Some(attempted) = self.attempts.join_next().await {
            self.took(attempted);
        }
    }

    fn note_missed(&mut self, Missed(count): Missed) {
        self.report.note(Trouble::NoRoom, count, "too many events wait for the receiver");
    }

    fn take(&mut self, event: &Event) {
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
        let mut hurry = self.hurry.subscribe();
        self.attempts.spawn(async move {
            tokio::select! {
                () = sleep(delay) => {}
                _ = hurry.wait_for(|hurry| *hurry) => {}
            }
            // Never closed.
            let _turn = at_once.acquire().await;
            let outcome = if message.is_too_old() {
                Outcome::Again { cause: "the receiver is too slow".to_owned(), after: None }
            } else {
                answer(post, message.body.clone()).await
            };
            (stream, message, outcome)
        });
    }

    fn took(&mut self, attempted: Result<Attempted, JoinError>) {
        let (stream, message, outcome) = match attempted {
            Ok(attempted) => attempted,
            // Nothing in it can: the receiver is asked by a task of its own.
            Err(error) => return error!(%error, "an attempt to deliver a webhook failed"),
        };
        match outcome {
            Outcome::Delivered => {}
            Outcome::Refused(cause) => self.report.note(Trouble::Refused, 1, &cause),
            Outcome::Again { cause, after } => match self.pause(&message, after) {
                Some(pause) => {
                    self.report.note(Trouble::Attempt, 1, &cause);
                    return self.attempt(stream, message, pause);
                }
                None => self.report.note(Trouble::GivenUp, 1, &cause),
            },
        }
        self.go_on_with(stream);
    }

    /// The pause before another attempt, between half of the nominal pause and all of it. `None`
    /// when there shall be no other.
    fn pause(&self, message: &Message, after: Option<Duration>) -> Option<Duration> {
        let nominal = BASE.saturating_mul(2_u32.saturating_pow(message.attempts - 1)).min(CEILING);
        let pause = nominal.mul_f64(0.5 + fastrand::f64() / 2.0);
        let pause = pause.max(after.unwrap_or_default().min(CEILING));
        let is_over = *self.hurry.borrow()
            || message.attempts >= MAX_ATTEMPTS
            || message.since.elapsed() + pause > GIVE_UP_AFTER;
        (!is_over).then_some(pause)
    }

    /// The stream's message is done with: the next one's turn.
    fn go_on_with(&mut self, stream: StreamId) {
        self.queued -= 1;
        while let Some(message) = self.lanes.get_mut(&stream).and_then(VecDeque::pop_front) {
            if !message.is_too_old() {
                return self.attempt(stream, message, Duration::ZERO);
            }
            self.queued -= 1;
            self.report.note(Trouble::GivenUp, 1, "events before it could not be delivered");
        }
        self.lanes.remove(&stream);
    }
}

/// Asks the receiver in a task of its own, so that a panic there is one more attempt that failed, and
/// does not leave the stream's other messages waiting for this one for ever.
async fn answer(post: Arc<impl Post>, body: Bytes) -> Outcome {
    let asked = async move { timeout(ANSWER_WITHIN, post.post(body)).await };
    let cause = match tokio::spawn(asked).await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(_)) => {
            format!("the receiver does not answer within {} s", ANSWER_WITHIN.as_secs())
        }
        Err(_) => "a fault of the manager".to_owned(),
    };
    Outcome::Again { cause, after: None }
}

#[cfg(test)]
mod tests;
