//! The events of one stream: decides which of its transitions are reported.
//!
//! An interruption before the stream was live is reported only if the stream is kept. A further failed
//! attempt is reported only if its error differs from the error of the previous attempt.

use std::time::SystemTime;

use crate::base::error::{Error, ErrorKind};
use crate::camera::identity::Identity;
use crate::events::bus::Bus;
use crate::events::{Event, EventKind, StopReason, StreamEvent, StreamEventKind, Subject};

/// Publishes the events of one stream.
#[derive(Debug)]
pub(crate) struct EventReporter {
    bus: Bus,
    subject: Subject,
    /// The last event, and the kind of its error.
    last: Option<(StreamEventKind, Option<ErrorKind>)>,
    stop_reason: Option<StopReason>,
}

impl EventReporter {
    /// Creates the reporter of a new stream.
    pub(crate) fn new(bus: Bus, subject: Subject) -> Self {
        Self { bus, subject, last: None, stop_reason: None }
    }

    /// Notes that the camera was changed, so that its later events belong to its present owner.
    pub(crate) fn set_identity(&mut self, identity: Identity) {
        self.subject.identity = identity;
    }

    /// Reports the start of the stream if this run is the first one, or the first after a failed start.
    pub(crate) fn launched(&mut self, epoch: u64) {
        if matches!(self.last, None | Some((StreamEventKind::Failed, _))) {
            self.emit(StreamEventKind::Started, epoch, None);
        }
    }

    /// Reports that the stream is playable.
    pub(crate) fn live(&mut self, epoch: u64) {
        self.emit(StreamEventKind::Live, epoch, None);
    }

    /// Reports that the camera has stopped sending, or that its picture does not advance.
    pub(crate) fn stalled(&mut self, epoch: u64, error: Option<Error>) {
        self.emit(StreamEventKind::Stalled, epoch, error);
    }

    /// Reports that the stream waits for its next attempt, unless the cause is the same as before. If no attempt was
    /// successful yet, reports this only for a kept stream. For other streams, the callers of the start get the
    /// result instead. A live stream whose camera has stopped sending is reported as stalled.
    pub(crate) fn interrupted(&mut self, epoch: u64, error: Option<Error>, is_kept: bool) {
        let code = error.as_ref().map(|error| error.kind);
        let is_news = match self.last {
            Some((StreamEventKind::Live, _)) => true,
            Some((StreamEventKind::Started, _)) => is_kept,
            Some((StreamEventKind::Stalled | StreamEventKind::Interrupted, last)) => last != code,
            _ => false,
        };
        // FFmpeg may notice earlier than the supervisor that the camera has stopped sending.
        let is_stall = matches!(self.last, Some((StreamEventKind::Live, _)))
            && code == Some(ErrorKind::SourceTimeout);
        if is_stall {
            self.stalled(epoch, error);
        } else if is_news {
            self.emit(StreamEventKind::Interrupted, epoch, error);
        }
    }

    /// Reports that the start failed.
    pub(crate) fn failed(&mut self, epoch: u64, error: Error) {
        self.emit(StreamEventKind::Failed, epoch, Some(error));
    }

    /// Records the reason why the stream ends, unless a reason is already recorded.
    pub(crate) fn ending(&mut self, reason: StopReason) {
        self.stop_reason.get_or_insert(reason);
    }

    /// Reports that the stream has ended, with `last_error` if a failure is the reason. Reports nothing
    /// about a stream whose ingest was never started.
    pub(crate) fn stopped(&mut self, epoch: u64, last_error: Option<Error>) {
        use StreamEventKind::{Failed, Interrupted, Stalled};
        let Some((last, _)) = self.last else { return };
        let reason = match self.stop_reason {
            Some(StopReason::Idle) if matches!(last, Failed | Stalled | Interrupted) => {
                StopReason::Failed
            }
            Some(reason) => reason,
            // The stream was interrupted, and had no viewers who would justify a retry.
            None => StopReason::Failed,
        };
        let error = last_error.filter(|_| reason == StopReason::Failed);
        self.stop_reason = Some(reason);
        self.emit(StreamEventKind::Stopped, epoch, error);
    }

    fn emit(&mut self, kind: StreamEventKind, epoch: u64, error: Option<Error>) {
        self.last = Some((kind, error.as_ref().map(|error| error.kind)));
        let reason = self.stop_reason.filter(|_| kind == StreamEventKind::Stopped);
        let event = StreamEvent { kind, epoch, reason, error };
        self.bus.publish(Event {
            at: SystemTime::now(),
            subject: Some(self.subject.clone()),
            kind: EventKind::Stream(event),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::StreamId;
    use crate::events::bus::EventReceiver;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "why")
    }

    fn reporter() -> (EventReporter, EventReceiver) {
        let bus = Bus::default();
        let events = bus.subscribe();
        let stream = StreamId::parse("cam").expect("an id");
        (EventReporter::new(bus, Subject::stream(stream, Identity::default())), events)
    }

    fn reported(events: &mut EventReceiver) -> Vec<StreamEventKind> {
        let next = || events.try_next().expect("nothing is lost");
        std::iter::from_fn(next)
            .map(|event| match &event.kind {
                EventKind::Stream(event) => event.kind,
                _ => panic!("{event:?}"),
            })
            .collect()
    }

    #[test]
    fn an_interruption_is_reported_once_for_each_cause() {
        use StreamEventKind::{Failed, Interrupted, Live, Stalled, Started};
        let (mut reporter, mut events) = reporter();
        let unreachable = || Some(error(ErrorKind::SourceUnreachable));
        reporter.launched(1);
        reporter.interrupted(1, unreachable(), false);
        reporter.launched(2);
        reporter.live(2);
        reporter.interrupted(2, unreachable(), false);
        reporter.launched(3);
        reporter.interrupted(3, unreachable(), false);
        reporter.interrupted(4, Some(error(ErrorKind::SourceUnauthorized)), false);
        assert_eq!(reported(&mut events), [Started, Live, Interrupted, Interrupted]);
        reporter.live(5);
        reporter.stalled(5, Some(error(ErrorKind::SourceTimeout)));
        reporter.interrupted(5, Some(error(ErrorKind::SourceTimeout)), false);
        reporter.interrupted(6, unreachable(), false);
        assert_eq!(reported(&mut events), [Live, Stalled, Interrupted]);
        reporter.failed(7, error(ErrorKind::SourceNotFound));
        reporter.launched(8);
        assert_eq!(reported(&mut events), [Failed, Started]);
    }

    #[test]
    fn the_end_of_a_stream_that_never_started_is_not_reported() {
        let (mut reporter, mut events) = reporter();
        reporter.ending(StopReason::Idle);
        reporter.stopped(1, None);
        assert_eq!(reported(&mut events), []);
    }
}
