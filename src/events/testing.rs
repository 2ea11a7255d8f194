//! Events for tests.

use std::time::SystemTime;

use super::{Event, EventKind, StreamEvent, StreamEventKind, Subject};
use crate::camera::id::StreamId;
use crate::camera::identity::Identity;

/// Returns the event `stream.live` of the camera `cam` in this epoch.
pub(crate) fn event(epoch: u64) -> Event {
    stream_event(StreamEventKind::Live, epoch, Identity::default(), SystemTime::now())
}

/// Returns an event of the main stream of the camera `cam`.
pub(crate) fn stream_event(
    kind: StreamEventKind,
    epoch: u64,
    identity: Identity,
    at: SystemTime,
) -> Event {
    let stream = StreamEvent { kind, epoch, reason: None, error: None };
    let id = StreamId::parse("cam").expect("an id");
    Event { at, subject: Some(Subject::stream(id, identity)), kind: EventKind::Stream(stream) }
}

/// Returns the epoch of such an event.
pub(crate) fn epoch(event: &Event) -> u64 {
    let EventKind::Stream(stream) = &event.kind else { panic!("{event:?}") };
    stream.epoch
}
