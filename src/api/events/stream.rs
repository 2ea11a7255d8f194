//! Events as a response that never ends (server-sent events), which browsers read with `EventSource`.
//!
//! The id of each message is the number of the last change that the client has got, so a client that connects again
//! continues there. A message is sent only after the connection has taken the previous one. Further events wait in the
//! database, not in memory.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{Instrument as _, debug};

use super::wire::StoredEventOutput;
use crate::api::credentials::text;
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::service::events::{EventChanges, EventView};
use crate::store::db::event_table::EventRow;

/// The content type.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// The header with the id of the last message that the client has got.
const LAST_ID: &str = "last-event-id";
/// Tells nginx to pass on each message at once.
const NOT_BUFFERED: (&str, &str) = ("x-accel-buffering", "no");
/// The time between two messages without events, so that neither clients nor proxies close the connection. nginx waits
/// 60 s by default.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The time within which a client must take a message.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);
/// The time within which a client must take the last events when the manager shuts down.
const LAST_TAKEN_WITHIN: Duration = Duration::from_secs(1);
/// The time after which a browser connects again, in milliseconds.
const RETRY: u32 = 2000;

/// Returns the id of the last message that the client has got; `None` if it has got none.
pub(super) fn last_id<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    text(&call.head.headers, LAST_ID).filter(|id| !id.is_empty())
}

/// Returns the response with the events of `view`.
pub(super) fn reply(view: EventView) -> Reply {
    let (messages, body) = mpsc::channel(1);
    let send = async move {
        let error = send_all(view, &messages).await;
        debug!(reason = error.map(|error| error.detail), "a client's events have ended");
    };
    tokio::spawn(send.in_current_span());
    let mut reply = reply::streaming(HeaderValue::from_static(EVENT_STREAM), body);
    let (name, value) = NOT_BUFFERED;
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
    reply
}

/// Sends events until the view ends, and returns the reason; `None` if the client has left or does not read.
async fn send_all(view: EventView, messages: &mpsc::Sender<Bytes>) -> Option<Error> {
    let EventView { mut events, mut end, is_reset, place } = view;
    let _place = place;
    let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut message = beginning(events.position(), is_reset);
    loop {
        tokio::select! {
            // If the connection can take the message, the message is sent even if the view has ended.
            biased;
            sent = timeout(TAKEN_WITHIN, messages.send(message.into())) => sent.ok()?.ok()?,
            error = &mut end => return Some(last_events(&mut events, messages, error).await),
        }
        message = tokio::select! {
            rows = events.next() => match rows {
                Ok(rows) => rows.into_iter().map(event).collect(),
                Err(error) => return Some(error),
            },
            _ = beats.tick() => heartbeat(events.position()),
            error = &mut end => return Some(last_events(&mut events, messages, error).await),
            () = messages.closed() => return None,
        };
    }
}

/// Sends the events that are already stored when the manager shuts down. Returns the reason of the end.
async fn last_events(
    events: &mut EventChanges,
    messages: &mpsc::Sender<Bytes>,
    reason: Error,
) -> Error {
    let is_shutdown = reason == Error::shutting_down();
    let send = async {
        while is_shutdown && let Ok(Some(rows)) = events.read().await {
            let message = rows.into_iter().map(event).collect::<String>();
            if messages.send(message.into()).await.is_err() {
                break;
            }
        }
    };
    let _ = timeout(LAST_TAKEN_WITHIN, send).await;
    reason
}

/// Returns the first message: the id from which a client continues that connects again before there is an event. A
/// client that has missed events is told so.
fn beginning(position: i64, is_reset: bool) -> String {
    let retry = format!("retry: {RETRY}\n");
    if !is_reset {
        return format!("{retry}id: {position}\n\n");
    }
    let data = json!({ "last_event_id": position });
    format!("{retry}id: {position}\nevent: reset\ndata: {data}\n\n")
}

/// Returns a message without an event. Its id skips what is not for this client.
fn heartbeat(position: i64) -> String {
    format!(": heartbeat\nid: {position}\n\n")
}

/// Returns the message for an event, or for a change of an event.
fn event(row: EventRow) -> String {
    let change = row.change;
    // JSON has no line breaks outside of strings, and escapes them in strings.
    let data = serde_json::to_string(&StoredEventOutput::new(row)).unwrap_or_default();
    format!("id: {change}\ndata: {data}\n\n")
}
