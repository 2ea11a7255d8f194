//! The content of a notification, and what a push server needs to know about it.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::subscription::Subscription;
use crate::base::error::ErrorKind;
use crate::base::time::{rfc3339_millis, unix_millis};
use crate::camera::id::CameraId;
use crate::events::kinds::MOTION;
use crate::events::{
    CameraEventKind, Event, EventKind, RecordingEventKind, StorageEventKind, StreamEventKind,
};

/// The greatest length of the title and of the text, in characters, so that every notification fits into the 4096 bytes that
/// push servers must accept (RFC 8030).
const MAX_TEXT: usize = 250;
/// The length of a topic, in bytes before it is encoded. RFC 8030 permits 32 characters.
const TOPIC: usize = 18;

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    /// The content as JSON.
    pub(super) content: Bytes,
    /// How soon a device that saves power should get the notification.
    pub(super) urgency: Urgency,
    /// Notifications with the same topic replace each other while the device is away.
    pub(super) topic: String,
}

/// How soon a device that saves power should get a notification (RFC 8030).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// For what people may want to know.
    Normal,
    /// For what people should look at.
    High,
}

impl Urgency {
    /// Returns the value of the header `Urgency`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The content of a notification.
#[derive(Serialize)]
struct Content<'a> {
    /// The type of the event; `test` for a test.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The title: the name of the camera.
    title: String,
    /// The text.
    body: String,
    /// Time of the event, in UTC.
    at: String,
    /// The camera's id.
    camera: Option<&'a str>,
    /// The stable code of the error that led to the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorKind>,
    /// The address to open, relative to the page.
    url: String,
    /// Notifications with the same tag replace each other on the device.
    tag: String,
}

/// Returns the notification of an event. `camera_name` is the name of the event's camera. With `can_replay`, the notification
/// opens the recording of the camera at the time of the event, otherwise the camera's live picture.
pub(super) fn of_event(
    event: &Event,
    subscription: &Subscription,
    camera_name: Option<&str>,
    can_replay: bool,
) -> Notification {
    let (text, urgency) = text_of(event);
    let at = rfc3339_millis(unix_millis(event.at));
    let camera = event.camera().map(CameraId::as_str);
    let url = match camera {
        Some(id) if can_replay => format!("#/recordings?cameras={id}&at={at}"),
        Some(id) => format!("#/?cameras={id}"),
        None => "#/events".to_owned(),
    };
    let kind = event.kind.name();
    let group = kind.split('.').next().unwrap_or_default();
    let content = Content {
        kind,
        title: shortened(camera_name.or(camera).unwrap_or("Stream manager")),
        body: shortened(&text),
        at,
        camera,
        error: event.kind.error().map(|error| error.kind),
        url,
        tag: format!("{} {group}", camera.unwrap_or_default()),
    };
    let topic = topic(subscription, &content.tag);
    Notification { content: json(&content), urgency, topic }
}

/// Returns a test notification.
pub(super) fn test(subscription: &Subscription, now: SystemTime) -> Notification {
    let content = Content {
        kind: "test",
        title: "Stream manager".to_owned(),
        body: "Notifications work".to_owned(),
        at: rfc3339_millis(unix_millis(now)),
        camera: None,
        error: None,
        url: "#/events".to_owned(),
        tag: "test".to_owned(),
    };
    let topic = topic(subscription, &content.tag);
    Notification { content: json(&content), urgency: Urgency::High, topic }
}

/// Returns the text and the urgency of an event.
fn text_of(event: &Event) -> (String, Urgency) {
    use Urgency::{High, Normal};

    let (text, urgency) = match &event.kind {
        EventKind::Stream(event) => match event.kind {
            StreamEventKind::Started => ("The stream is starting", Normal),
            StreamEventKind::Live => ("The stream is live", Normal),
            StreamEventKind::Stalled => ("The picture is frozen", High),
            StreamEventKind::Interrupted => ("The stream is interrupted", High),
            StreamEventKind::Failed => ("The stream could not be started", High),
            StreamEventKind::Stopped => ("The stream has ended", Normal),
        },
        EventKind::Camera(event) => match event.kind {
            CameraEventKind::Offline => ("The camera cannot be reached", High),
            CameraEventKind::Online => ("The camera can be reached again", Normal),
        },
        EventKind::Recording(event) => match event.kind {
            RecordingEventKind::Started => ("The recording has begun", Normal),
            RecordingEventKind::Interrupted => ("The recording is interrupted", High),
            RecordingEventKind::Resumed => ("The recording continues", Normal),
            RecordingEventKind::Stopped => ("The recording has ended", Normal),
        },
        EventKind::Storage(event) => {
            let (text, urgency) = match event.kind {
                StorageEventKind::Full => ("The disk for recordings is full", High),
                StorageEventKind::Failed => ("The disk for recordings cannot be used", High),
                StorageEventKind::Slow => ("The disk for recordings is too slow", High),
                StorageEventKind::Recovered => {
                    ("The disk for recordings can be used again", Normal)
                }
            };
            return (format!("{text}: {}", event.directory), urgency);
        }
        EventKind::Reported(event) => {
            return (event.label.clone().unwrap_or_else(|| text_of_type(&event.name)), High);
        }
    };
    (text.to_owned(), urgency)
}

/// Returns the text of an event without a label that was stored before it was published.
fn text_of_type(name: &str) -> String {
    match name.split_once('.') {
        Some((_, kind)) => kind.to_owned(),
        None if name == MOTION => "Something moves".to_owned(),
        None => name.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

fn json(content: &Content<'_>) -> Bytes {
    // Strings can always be serialized.
    serde_json::to_vec(content).unwrap_or_default().into()
}

/// Returns the topic for a tag. Push servers see the topic, so it reveals neither the camera nor the type, and two
/// subscriptions have different topics.
fn topic(subscription: &Subscription, tag: &str) -> String {
    let digest = Sha256::new().chain_update(subscription.browser.auth()).chain_update(tag);
    BASE64.encode(digest.finalize().get(..TOPIC).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Map, Value, json};

    use super::super::subscription::testing::{preferences, subscription};
    use super::*;
    use crate::base::error::Error;
    use crate::camera::identity::Identity;
    use crate::events::{CameraEvent, ReportedEvent, StorageEvent, Subject};

    /// The largest content, in bytes, before encryption, which adds 103 bytes.
    const MAX_CONTENT: usize = 4096 - 103;

    fn content(event: &Event, name: Option<&str>, can_replay: bool) -> (Value, Notification) {
        let subscription =
            subscription("a", "https://push.example.com/1", preferences(&["camera"]));
        let notification = of_event(event, &subscription, name, can_replay);
        (serde_json::from_slice(&notification.content).expect("JSON"), notification)
    }

    fn of_camera(kind: EventKind) -> Event {
        let id = CameraId::parse("front").expect("an id");
        let at = UNIX_EPOCH + Duration::from_millis(1_763_719_201_250);
        Event { at, subject: Some(Subject::camera(id, Identity::default())), kind }
    }

    fn offline() -> Event {
        let error = Some(Error::new(ErrorKind::SourceTimeout, "no response"));
        of_camera(EventKind::Camera(CameraEvent { kind: CameraEventKind::Offline, error }))
    }

    #[test]
    fn a_notification_names_the_camera_and_opens_the_recorded_second() {
        let (shown, notification) = content(&offline(), Some("Front door"), true);
        let expected = json!({
            "type": "camera.offline", "title": "Front door", "body": "The camera cannot be reached",
            "at": "2025-11-21T10:00:01.250Z", "camera": "front", "error": "source_timeout",
            "url": "#/recordings?cameras=front&at=2025-11-21T10:00:01.250Z", "tag": "front camera",
        });
        assert_eq!((shown, notification.urgency), (expected, Urgency::High));
        let (shown, _) = content(&offline(), None, false);
        assert_eq!((&shown["title"], &shown["url"]), (&json!("front"), &json!("#/?cameras=front")));
    }

    #[test]
    fn events_of_the_service_and_of_back_ends_have_their_own_texts() {
        let (kind, directory) = (StorageEventKind::Recovered, "/recordings".to_owned());
        let storage = EventKind::Storage(StorageEvent { kind, directory, error: None });
        let (shown, notification) =
            content(&Event { at: UNIX_EPOCH, subject: None, kind: storage }, None, true);
        assert_eq!(shown["body"], "The disk for recordings can be used again: /recordings");
        assert_eq!((&shown["camera"], &shown["url"]), (&Value::Null, &json!("#/events")));
        assert_eq!(notification.urgency, Urgency::Normal);
        let reported = |name: &str, label: Option<&str>| {
            let event = of_camera(EventKind::Reported(ReportedEvent {
                number: 9,
                name: name.to_owned(),
                until: None,
                label: label.map(str::to_owned),
                data: Arc::new(Map::new()),
            }));
            content(&event, None, true).0
        };
        assert_eq!(reported("reported.door", Some("Anna"))["body"], "Anna");
        assert_eq!(reported("reported.door", None)["body"], "door");
        let motion = reported(MOTION, None);
        assert_eq!(
            (&motion["type"], &motion["body"], &motion["tag"]),
            (&json!("motion"), &json!("Something moves"), &json!("front motion"))
        );
    }

    #[test]
    fn every_notification_fits() {
        let long = "\u{1f6aa}\"".repeat(1000);
        let event = of_camera(EventKind::Reported(ReportedEvent {
            number: 9,
            name: format!("reported.{}", "x".repeat(50)),
            until: None,
            label: Some(long.clone()),
            data: Arc::new(Map::new()),
        }));
        let (shown, notification) = content(&event, Some(&long), true);
        assert!(notification.content.len() <= MAX_CONTENT, "{}", notification.content.len());
        let title = shown["title"].as_str().expect("a title");
        assert!(title.chars().count() == MAX_TEXT && title.ends_with('…'));
    }

    #[test]
    fn a_topic_belongs_to_one_camera_and_subscription_and_reveals_neither() {
        let (_, first) = content(&offline(), None, true);
        let mut online = offline();
        online.kind = EventKind::Camera(CameraEvent { kind: CameraEventKind::Online, error: None });
        assert_eq!(content(&online, None, true).1.topic, first.topic, "it replaces the first one");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(first.topic.len() == 24 && first.topic.chars().all(is_allowed), "{}", first.topic);
        let mut other = offline();
        let id = CameraId::parse("back").expect("an id");
        other.subject = Some(Subject::camera(id, Identity::default()));
        assert_ne!(content(&other, None, true).1.topic, first.topic);
    }
}
