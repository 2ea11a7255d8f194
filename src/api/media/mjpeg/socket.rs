//! Pictures over a WebSocket: one binary message per picture, and text messages as JSON.
//!
//! A binary message begins with a header of 12 bytes: the number of the picture (32 bits), and the time at which the
//! camera took it, in milliseconds since 1970 (a floating-point number of 64 bits). Both have the most significant byte
//! first. The rest is the JPEG.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::pace::Pace;
use crate::api::websocket::socket::{self, CloseCode, Lost, Received, Silence, Socket};
use crate::base::error::{Error, ErrorKind};
use crate::pictures::picture::Picture;
use crate::service::live_pictures::PictureView;

/// The size of the header of a picture, in bytes.
const HEADER: usize = 12;
/// A rate is reported again if it differs from the last one by more than this.
const REPORTED_CHANGE: f64 = 0.05;
/// The time within which a client must take a picture.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// A message to the client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    /// The largest number of pictures per second from now on.
    Rate { value: f64 },
    /// The reason why the socket ends.
    Error { code: ErrorKind, detail: &'a str },
}

/// A message from the client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Input {
    /// The client has shown the picture with this number.
    Ack { number: u32 },
}

/// The reason why a session ends.
enum End {
    /// The client has left, or the connection is lost.
    Gone,
    /// The view has ended for this reason.
    View(Error),
    /// The client has sent something that is not permitted.
    Message(&'static str),
    /// The manager shuts down.
    Closing,
}

/// Sends pictures until the view or the client ends the session.
pub(super) async fn serve(mut socket: Socket, mut view: PictureView) {
    let Err(end) = run(&mut socket, &mut view).await;
    drop(view);
    let pair = (socket.sender, socket.receiver);
    match end {
        End::Gone => {}
        End::View(error) => {
            debug!(reason = error.detail, "a viewer's pictures have ended");
            let text = text(&Message::Error { code: error.kind, detail: &error.detail });
            let code = match error.kind {
                ErrorKind::Unauthorized | ErrorKind::Forbidden => CloseCode::Policy,
                _ => CloseCode::Again,
            };
            socket::close(pair, Some(text), code, error.kind.code()).await;
        }
        End::Message(detail) => {
            let code = ErrorKind::InvalidRequest;
            let text = text(&Message::Error { code, detail });
            socket::close(pair, Some(text), CloseCode::Policy, code.code()).await;
        }
        End::Closing => {
            let code = ErrorKind::ShuttingDown.code();
            socket::close(pair, None, CloseCode::Restart, code).await;
        }
    }
}

/// Returns only with the reason why the session ends.
async fn run(socket: &mut Socket, view: &mut PictureView) -> Result<Infallible, End> {
    let mut pace = Pace::new(view.wanted_rate(), Instant::now());
    let mut reported = None;
    let mut last: Option<Arc<Picture>> = None;
    let mut was_slow = false;
    loop {
        let rate = view.rate();
        if reported.is_none_or(|reported: f64| (rate - reported).abs() > REPORTED_CHANGE) {
            reported = Some(rate);
            let text = text(&Message::Rate { value: (rate * 10.0).round() / 10.0 });
            let sent = timeout(TAKEN_WITHIN, socket.sender.send_text(text)).await;
            sent.map_err(|_| End::Gone)?.map_err(|Lost| End::Gone)?;
        }
        let (picture, has_waited) = next_picture(socket, view, &mut pace).await?;
        let interval = Duration::from_secs(1).div_f64(rate);
        // A picture replaces another one if more than one and a half intervals have passed since the last one.
        let is_late = last.is_some_and(|last| picture.received_at > last.received_at + interval * 3 / 2)
            && (was_slow || has_waited);
        let began_at = Instant::now();
        send(socket, view, &mut pace, &picture).await?;
        was_slow = began_at.elapsed() > interval;
        last = Some(picture);
        let before = pace.rate();
        pace.note_sent(is_late, Instant::now());
        if (pace.rate() - before).abs() > REPORTED_CHANGE {
            view.set_rate(pace.rate());
        }
    }
}

/// Waits until a picture can be sent, and returns the newest one, and whether it had to wait for the client.
async fn next_picture(
    socket: &mut Socket,
    view: &mut PictureView,
    pace: &mut Pace,
) -> Result<(Arc<Picture>, bool), End> {
    let mut has_waited = false;
    loop {
        let can_send = pace.can_send();
        has_waited |= !can_send;
        tokio::select! {
            picture = next_if(view, can_send) => {
                return picture.map(|picture| (picture, has_waited)).map_err(End::View);
            }
            message = socket.receiver.next() => take(message, pace)?,
            Lost = socket.sender.keep_alive() => return Err(End::Gone),
            _ = socket.closing.changed() => return Err(End::Closing),
        }
    }
}

/// Returns the next picture if one can be sent. Otherwise, waits only for the end of the view.
async fn next_if(view: &mut PictureView, can_send: bool) -> Result<Arc<Picture>, Error> {
    if can_send { view.next().await } else { Err(view.end().await) }
}

/// Sends a picture. Waits as long as the client is slow, but at most for [`TAKEN_WITHIN`].
async fn send(
    socket: &mut Socket,
    view: &mut PictureView,
    pace: &mut Pace,
    picture: &Picture,
) -> Result<(), End> {
    let message = [header(pace.next_number(), picture), picture.jpeg.clone()];
    let sending = timeout(TAKEN_WITHIN, socket.sender.send_bytes(message));
    tokio::pin!(sending);
    loop {
        tokio::select! {
            sent = &mut sending => return sent.map_err(|_| End::Gone)?.map_err(|Lost| End::Gone),
            error = view.end() => return Err(End::View(error)),
            message = socket.receiver.next() => take(message, pace)?,
            _ = socket.closing.changed() => return Err(End::Closing),
        }
    }
}

/// Takes a message of the client, or the reason why there are no more messages.
fn take(message: Result<Received, Silence>, pace: &mut Pace) -> Result<(), End> {
    let text = match message {
        Ok(Received::Text(text)) => text,
        Ok(Received::Binary(_)) => return Err(End::Message("messages must be text")),
        Err(Silence::TooLong) => return Err(End::Message("the message is too long")),
        Err(Silence::Broken) => return Err(End::Message("the message is not valid")),
        Err(Silence::Gone | Silence::Idle) => return Err(End::Gone),
    };
    match serde_json::from_str(&text) {
        Ok(Input::Ack { number }) => pace.acknowledge(number),
        Err(_) => {
            return Err(End::Message(r#"the message must be {"type":"ack","number":N}"#));
        }
    }
    Ok(())
}

/// Returns the header of a binary message.
fn header(number: u32, picture: &Picture) -> Bytes {
    let taken_at = picture.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_u32(number);
    header.put_f64(taken_at.as_secs_f64() * 1000.0);
    header.freeze()
}

fn text(message: &Message<'_>) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_number_and_time() {
        let taken_at = UNIX_EPOCH + Duration::from_millis(1_763_719_201_025);
        let jpeg = Bytes::from_static(b"jpeg");
        let picture = Picture { jpeg, full_width: 640, received_at: Instant::now(), taken_at };
        let header = header(7, &picture);
        let (number, time) = header.split_at(4);
        assert_eq!((number, header.len()), (&[0, 0, 0, 7][..], HEADER));
        let time = f64::from_be_bytes(time.try_into().expect("eight bytes"));
        assert!((time - 1_763_719_201_025.0).abs() < 0.01, "{time}");
    }

    #[test]
    fn only_acknowledgements_are_accepted() {
        let mut pace = Pace::new(10.0, Instant::now());
        pace.next_number();
        let received = |text: &str| Ok(Received::Text(text.to_owned()));
        assert!(take(received(r#"{"type":"ack","number":1,"more":[]}"#), &mut pace).is_ok());
        for hostile in [
            "",
            "ack",
            "[]",
            "null",
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","number":-1}"#,
            r#"{"type":"ack","number":4294967296}"#,
            r#"{"type":"ack","number":"1"}"#,
            r#"{"type":"rate","value":1}"#,
            r#"{"type":"ack","number":1}{}"#,
            &"[".repeat(4000),
        ] {
            let end = take(received(hostile), &mut pace);
            assert!(matches!(end, Err(End::Message(_))), "{hostile}");
        }
        let binary = Ok(Received::Binary(Bytes::new()));
        assert!(matches!(take(binary, &mut pace), Err(End::Message(_))));
    }
}
