//! Events: notifications of what happens to cameras, their streams and recordings, and to the service.
//!
//! | Module | Owns |
//! |---|---|
//! | [`kinds`] | the types of events, and their names |
//! | [`bus`] | publishing events, and subscribing to them |
//! | [`journal`] | the queue of events that wait to be stored |
//! | [`counters`] | the numbers of events that were stored, summarized and lost |
//!
//! `crate::stream::reporter` decides which changes of a stream are published as events, and
//! `crate::reachability::monitor` which changes of a camera. `crate::store::event_log` stores events, and
//! `crate::webhooks` sends them to the back end.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::identity::Identity;
pub(crate) use kinds::{CameraEventKind, RecordingEventKind, StorageEventKind, StreamEventKind};

pub(crate) mod bus;
pub(crate) mod counters;
pub(crate) mod journal;
pub(crate) mod kinds;
#[cfg(test)]
pub(crate) mod testing;

/// A notification of what happened to a camera, one of its streams, or the service.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The time of the event.
    pub(crate) at: SystemTime,
    /// The camera or stream; `None` if the event is about the service.
    pub(crate) subject: Option<Subject>,
    /// The kind and details of the event.
    pub(crate) kind: EventKind,
}

/// The camera or stream that an event is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The stream, which also names the camera. The main stream if the event is about the camera itself.
    pub(crate) stream: StreamId,
    /// Which camera of which owner had this id at the time of the event.
    pub(crate) identity: Identity,
}

/// The group and the details of an event.
#[derive(Debug, Clone)]
pub(crate) enum EventKind {
    /// A change of a stream.
    Stream(StreamEvent),
    /// A change of a camera itself.
    Camera(CameraEvent),
    /// A change of a camera's recording. The subject is the stream that is recorded.
    Recording(RecordingEvent),
    /// A change of a directory for recordings. There is no subject.
    Storage(StorageEvent),
    /// An event that a back end has reported, or motion. It was stored before it is published.
    Reported(ReportedEvent),
}

/// A change of a stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamEvent {
    /// The type of the event.
    pub(crate) kind: StreamEventKind,
    /// The epoch in which the change happened.
    pub(crate) epoch: u64,
    /// The reason why the stream ended; only with `Stopped`.
    pub(crate) reason: Option<StopReason>,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// A change of a camera itself.
#[derive(Debug, Clone)]
pub(crate) struct CameraEvent {
    /// The type of the event.
    pub(crate) kind: CameraEventKind,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// A change of a camera's recording.
#[derive(Debug, Clone)]
pub(crate) struct RecordingEvent {
    /// The type of the event.
    pub(crate) kind: RecordingEventKind,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// A change of a directory for recordings.
#[derive(Debug, Clone)]
pub(crate) struct StorageEvent {
    /// The type of the event.
    pub(crate) kind: StorageEventKind,
    /// The directory, as the setting names it.
    pub(crate) directory: String,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// An event that a back end has reported, or motion.
#[derive(Debug, Clone)]
pub(crate) struct ReportedEvent {
    /// The number of the event in the store.
    pub(crate) number: i64,
    /// The type: `reported.` and the type that the back end has chosen, or [`kinds::MOTION`].
    pub(crate) name: String,
    /// The end of the event; `None` if the event has no duration, or has not ended yet. If the end is added later, the
    /// event is published again.
    pub(crate) until: Option<SystemTime>,
    /// The text for people.
    pub(crate) label: Option<String>,
    /// The details.
    pub(crate) data: Arc<Map<String, Value>>,
}

/// The reason why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StopReason {
    /// No client used the stream any more.
    Idle,
    /// The stream was stopped over the API: a client stopped it, deleted the camera, or removed the stream
    /// from the camera.
    Stop,
    /// The manager shut down.
    Shutdown,
    /// An internal error ended the stream; or no client used the stream any more after its start had failed
    /// or it had been interrupted.
    Failed,
}

impl Subject {
    /// Creates the subject of an event about a stream.
    pub(crate) fn stream(stream: StreamId, identity: Identity) -> Self {
        Self { stream, identity }
    }

    /// Creates the subject of an event about a camera itself.
    pub(crate) fn camera(camera: CameraId, identity: Identity) -> Self {
        Self { stream: StreamId::new(camera, Profile::Main), identity }
    }
}

impl Event {
    /// Returns the camera; `None` if the event is about the service.
    pub(crate) fn camera(&self) -> Option<&CameraId> {
        self.subject.as_ref().map(|subject| subject.stream.camera())
    }
}

impl EventKind {
    /// Returns the name of the event's type, for example `stream.live`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Stream(event) => event.kind.name(),
            Self::Camera(event) => event.kind.name(),
            Self::Recording(event) => event.kind.name(),
            Self::Storage(event) => event.kind.name(),
            Self::Reported(event) => &event.name,
        }
    }

    /// Returns the error that caused the event, if any.
    pub(crate) fn error(&self) -> Option<&Error> {
        match self {
            Self::Stream(event) => event.error.as_ref(),
            Self::Camera(event) => event.error.as_ref(),
            Self::Recording(event) => event.error.as_ref(),
            Self::Storage(event) => event.error.as_ref(),
            Self::Reported(_) => None,
        }
    }

    /// Returns the details of the event for the store, without its type and time. `profile` is the stream's profile.
    pub(crate) fn data(&self, profile: Option<Profile>) -> Map<String, Value> {
        let mut data = Map::new();
        let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
        match self {
            Self::Stream(event) => {
                add("profile", json!(profile));
                add("generation", json!(event.epoch));
                if let Some(reason) = event.reason {
                    add("reason", json!(reason));
                }
            }
            Self::Recording(_) => drop(add("profile", json!(profile))),
            Self::Storage(event) => drop(add("directory", json!(event.directory))),
            Self::Camera(_) => {}
            Self::Reported(event) => return event.data.as_ref().clone(),
        }
        if let Some(error) = self.error() {
            add("error", json!({ "code": error.kind, "detail": error.detail }));
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn details_contain_what_is_known_about_the_event() {
        let error = Some(Error::new(ErrorKind::SourceTimeout, "no picture"));
        let stopped = StreamEvent {
            kind: StreamEventKind::Stopped,
            epoch: 7,
            reason: Some(StopReason::Idle),
            error: None,
        };
        let camera = CameraEvent { kind: CameraEventKind::Offline, error: error.clone() };
        let recording = RecordingEvent { kind: RecordingEventKind::Interrupted, error: None };
        let directory = "/recordings".to_owned();
        let storage = StorageEvent { kind: StorageEventKind::Full, directory, error: None };
        let shown_error = json!({ "code": "source_timeout", "detail": "no picture" });
        let table = [
            (
                EventKind::Stream(stopped),
                "stream.stopped",
                json!({ "profile": "sub", "generation": 7, "reason": "idle" }),
            ),
            (EventKind::Camera(camera), "camera.offline", json!({ "error": shown_error })),
            (EventKind::Recording(recording), "recording.interrupted", json!({ "profile": "sub" })),
            (EventKind::Storage(storage), "storage.full", json!({ "directory": "/recordings" })),
        ];
        for (kind, name, data) in table {
            assert_eq!(kind.name(), name);
            assert_eq!(Value::Object(kind.data(Some(Profile::Sub))), data, "{name}");
            assert!(kinds::is_known(name));
        }
    }
}
