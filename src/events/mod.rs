//! What happens to streams, told to whoever is interested outside of the manager.
//!
//! A supervisor tells an event and goes on: nothing here waits. Which transition is worth an event
//! is decided here; who hears of it, and how it gets there, is `crate::webhooks`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;

/// Events that may wait for their reader, which never waits itself: room for every stream to end at
/// once.
const CAPACITY: usize = 4096;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
pub enum EventKind {
    /// FFmpeg is being started for a camera that had no stream, or one that had failed.
    #[serde(rename = "stream.started")]
    Started,
    /// The stream is playable; also after an interruption, or with another source.
    #[serde(rename = "stream.live")]
    Live,
    /// The camera sent no video for `stale_timeout`. It is tried again while somebody watches.
    #[serde(rename = "stream.stalled")]
    Stalled,
    /// A stream that was live broke off. It is tried again while somebody watches.
    #[serde(rename = "stream.interrupted")]
    Interrupted,
    /// The stream could not be started. Only another start tries again.
    #[serde(rename = "stream.failed")]
    Failed,
    /// All of the stream has gone.
    #[serde(rename = "stream.stopped")]
    Stopped,
}

/// Why a stream has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// Nobody watched any more.
    Idle,
    /// Somebody asked for it.
    Stop,
    /// The manager ended.
    Shutdown,
    /// The camera had refused or was away, and nobody watched any more.
    Failed,
}

/// One event of one stream.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: SystemTime,
    /// To which stream.
    pub stream: StreamId,
    /// In which run of FFmpeg.
    pub generation: u64,
    /// Why, with `Stopped`.
    pub reason: Option<StopReason>,
    /// What went wrong, where something did.
    pub error: Option<Error>,
}

/// Where events are told. Cheap to clone; the default is nobody.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<Sender>);

#[derive(Debug, Clone)]
struct Sender {
    events: mpsc::Sender<StreamEvent>,
    missed: Arc<AtomicU64>,
}

/// Where events are heard.
#[derive(Debug)]
pub struct EventReceiver {
    events: mpsc::Receiver<StreamEvent>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// A teller and its listener.
    pub fn new() -> (Self, EventReceiver) {
        let (send, events) = mpsc::channel(CAPACITY);
        let missed = Arc::<AtomicU64>::default();
        (
            Self(Some(Sender { events: send, missed: Arc::clone(&missed) })),
            EventReceiver { events, missed },
        )
    }

    /// Tells an event without waiting. One that finds no room is counted.
    fn tell(&self, event: StreamEvent) {
        let Some(sender) = &self.0 else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = sender.events.try_send(event) {
            sender.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl EventReceiver {
    /// The next event; `None` after [`EventReceiver::close`], when all that were told are heard.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        self.events.recv().await
    }

    /// Hears nothing that is told from now on.
    pub fn close(&mut self) {
        self.events.close();
    }

    /// How many events found no room since this was last asked.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// The events of one stream. Leaves out what would only repeat the one before: an interruption of
/// a stream that is not live yet, or attempt after attempt with the same error.
#[derive(Debug)]
pub struct EventReporter {
    events: Events,
    stream: StreamId,
    last: Option<(EventKind, Option<ErrorKind>)>,
    stop_reason: Option<StopReason>,
}

impl EventReporter {
    /// Tells nothing yet.
    pub fn new(events: Events, stream: StreamId) -> Self {
        Self { events, stream, last: None, stop_reason: None }
    }

    /// A run of FFmpeg begins. Told when there was none, or after a failure.
    pub fn launched(&mut self, generation: u64) {
        if matches!(self.last, None | Some((EventKind::Failed, _))) {
            self.tell(EventKind::Started, generation, None);
        }
    }

    /// The stream is playable.
    pub fn live(&mut self, generation: u64) {
        self.tell(EventKind::Live, generation, None);
    }

    /// The camera went silent.
    pub fn stalled(&mut self, generation: u64, error: Option<Error>) {
        self.tell(EventKind::Stalled, generation, error);
    }

    /// The stream waits for its next attempt. Told once for each cause.
    pub fn interrupted(&mut self, generation: u64, error: Option<Error>) {
        let code = error.as_ref().map(|error| error.kind);
        let is_news = match self.last {
            Some((EventKind::Live, _)) => true,
            Some((EventKind::Stalled | EventKind::Interrupted, last)) => last != code,
            _ => false,
        };
        if is_news {
            self.tell(EventKind::Interrupted, generation, error);
        }
    }

    /// The start failed.
    pub fn failed(&mut self, generation: u64, error: Error) {
        self.tell(EventKind::Failed, generation, Some(error));
    }

    /// The stream was told to end. The first reason counts.
    pub fn ending(&mut self, reason: StopReason) {
        self.stop_reason.get_or_insert(reason);
    }

    /// All of the stream has gone. `last_error` counts if that was why. Not told of a stream that
    /// never came to its turn to start.
    pub fn stopped(&mut self, generation: u64, last_error: Option<Error>) {
        if self.last.is_none() {
            return;
        }
        let is_away = matches!(
            self.last,
            Some((EventKind::Failed | EventKind::Stalled | EventKind::Interrupted, _))
        );
        let reason = match self.stop_reason {
            Some(StopReason::Idle) if is_away => StopReason::Failed,
            Some(reason) => reason,
            // It ended by itself, and nobody was there for whom to try again.
            None => StopReason::Failed,
        };
        let error = last_error.filter(|_| reason == StopReason::Failed);
        self.stop_reason = Some(reason);
        self.tell(EventKind::Stopped, generation, error);
    }

    fn tell(&mut self, kind: EventKind, generation: u64, error: Option<Error>) {
        self.last = Some((kind, error.as_ref().map(|error| error.kind)));
        let reason = self.stop_reason.filter(|_| kind == EventKind::Stopped);
        let (at, stream) = (SystemTime::now(), self.stream.clone());
        self.events.tell(StreamEvent { kind, at, stream, generation, reason, error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "why")
    }

    fn teller() -> (EventReporter, EventReceiver) {
        let (events, listener) = Events::new();
        (EventReporter::new(events, StreamId::parse("cam").expect("an id")), listener)
    }

    fn heard(listener: &mut EventReceiver) -> Vec<EventKind> {
        std::iter::from_fn(|| listener.events.try_recv().ok()).map(|event| event.kind).collect()
    }

    #[test]
    fn an_interruption_is_told_once_for_each_cause() {
        use EventKind::{Failed, Interrupted, Live, Stalled, Started};
        let (mut teller, mut listener) = teller();
        let unreachable = || Some(error(ErrorKind::SourceUnreachable));
        teller.launched(1);
        teller.interrupted(1, unreachable());
        teller.launched(2);
        teller.live(2);
        teller.interrupted(2, unreachable());
        teller.launched(3);
        teller.interrupted(3, unreachable());
        teller.interrupted(4, Some(error(ErrorKind::SourceUnauthorized)));
        assert_eq!(heard(&mut listener), [Started, Live, Interrupted, Interrupted]);
        teller.live(5);
        teller.stalled(5, Some(error(ErrorKind::SourceTimeout)));
        teller.interrupted(5, Some(error(ErrorKind::SourceTimeout)));
        teller.interrupted(6, unreachable());
        assert_eq!(heard(&mut listener), [Live, Stalled, Interrupted]);
        teller.failed(7, error(ErrorKind::SourceNotFound));
        teller.launched(8);
        assert_eq!(heard(&mut listener), [Failed, Started]);
    }

    #[test]
    fn a_stream_that_was_never_started_never_stops() {
        let (mut teller, mut listener) = teller();
        teller.ending(StopReason::Idle);
        teller.stopped(1, None);
        assert_eq!(heard(&mut listener), []);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (mut teller, mut listener) = teller();
        for generation in 0..CAPACITY as u64 + 3 {
            teller.live(generation);
        }
        assert_eq!((listener.take_missed(), listener.take_missed()), (3, 0));
        assert_eq!(heard(&mut listener).len(), CAPACITY);
    }
}
