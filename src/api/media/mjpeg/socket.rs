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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

use super::pace::Pace;
use crate::api::media::live::{self, End};
use crate::api::websocket::socket::{Lost, Socket, SocketReceiver, SocketSender};
use crate::base::error::{Error, ErrorKind};
use crate::pictures::picture::Picture;
use crate::service::core::Core;
use crate::service::live_pictures::{News, PictureRequest, PictureView};

/// The size of the header of a picture, in bytes.
const HEADER: usize = 12;
/// A rate is reported again if it differs from the last one by more than this.
const REPORTED_CHANGE: f64 = 0.05;

/// A message to the client, in addition to the messages of the live socket that report the state and the end.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message {
    /// The largest number of pictures per second from now on.
    Rate { value: f64 },
}

/// A message from the client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Input {
    /// The client has shown the picture with this number.
    Ack { number: u32 },
}

/// Serves one client until its end.
pub(super) async fn serve(core: Arc<Core>, request: PictureRequest, mut socket: Socket) {
    let end = tokio::select! {
        end = session(&core, request, &mut socket.sender, &mut socket.receiver) => end,
        _ = socket.closing.changed() => End::Error(Error::shutting_down()),
    };
    live::finish(end, socket.sender, socket.receiver).await;
}

/// Opens the view, and sends pictures. Returns the reason of the end.
async fn session(
    core: &Arc<Core>,
    request: PictureRequest,
    sender: &mut SocketSender,
    receiver: &mut SocketReceiver,
) -> End {
    let opened = tokio::select! {
        opened = request.open(core) => opened,
        end = refuse(receiver) => return end,
        _ = sender.keep_alive() => return End::Gone,
    };
    let mut view = match opened {
        Ok(view) => view,
        Err(error) => return End::Error(error),
    };
    let mut client =
        Client { sender, receiver, pace: Pace::new(view.wanted_rate(), Instant::now()) };
    match run(&mut client, &mut view).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// Waits for the end of a client that must not send anything yet.
async fn refuse(receiver: &mut SocketReceiver) -> End {
    match live::next_text(receiver).await {
        Ok(_) => invalid("there was no picture to acknowledge yet"),
        Err(end) => end,
    }
}

/// A client that gets pictures.
struct Client<'a> {
    sender: &'a mut SocketSender,
    receiver: &'a mut SocketReceiver,
    pace: Pace,
}

/// Sends pictures. Returns only with the reason of the end.
async fn run(client: &mut Client<'_>, view: &mut PictureView) -> Result<Infallible, End> {
    let mut reported = None;
    let mut last: Option<Arc<Picture>> = None;
    let mut was_slow = false;
    loop {
        let rate = view.rate();
        if reported.is_none_or(|reported: f64| (rate - reported).abs() > REPORTED_CHANGE) {
            reported = Some(rate);
            let value = (rate * 10.0).round() / 10.0;
            client.send_text(view, text(&Message::Rate { value })).await?;
        }
        let (picture, has_waited) = client.next_picture(view).await?;
        let interval = Duration::from_secs(1).div_f64(rate);
        // A picture replaces another one if more than one and a half intervals have passed since the last one.
        let is_late = (was_slow || has_waited)
            && last.is_some_and(|last| picture.taken_at > last.taken_at + interval * 3 / 2);
        let began_at = Instant::now();
        client.send(view, &picture).await?;
        was_slow = began_at.elapsed() > interval;
        last = Some(picture);
        let before = client.pace.rate();
        client.pace.note_sent(is_late, Instant::now());
        if (client.pace.rate() - before).abs() > REPORTED_CHANGE {
            view.set_rate(client.pace.rate());
        }
    }
}

impl Client<'_> {
    /// Sends text. Waits as long as the client is slow, unless the view ends.
    async fn send_text(&mut self, view: &mut PictureView, text: String) -> Result<(), End> {
        let Self { sender, receiver, pace } = self;
        while_sending(sender.send_text(text), view.end(), receiver, pace).await
    }

    /// Waits until a picture can be sent, and returns the newest one, and whether it had to wait for the client. Reports
    /// changes of the camera's state in the meantime.
    async fn next_picture(&mut self, view: &mut PictureView) -> Result<(Arc<Picture>, bool), End> {
        let mut has_waited = false;
        loop {
            let can_send = self.pace.can_send();
            has_waited |= !can_send;
            tokio::select! {
                news = next_if(view, can_send) => match news.map_err(End::Error)? {
                    News::Picture(picture) => return Ok((picture, has_waited)),
                    News::State(now) => self.send_text(view, live::state_message(&now)).await?,
                },
                text = live::next_text(self.receiver) => take(&text?, &mut self.pace)?,
                _ = self.sender.keep_alive() => return Err(End::Gone),
            }
        }
    }

    /// Sends a picture. Waits as long as the client is slow, unless the view ends.
    async fn send(&mut self, view: &mut PictureView, picture: &Picture) -> Result<(), End> {
        let Self { sender, receiver, pace } = self;
        let message = [header(pace.next_number(), picture), picture.data.clone()];
        while_sending(sender.send_bytes(message), view.end(), receiver, pace).await
    }
}

/// Waits until a message was sent. Takes the messages of the client in the meantime. Fails if the view ends, or if the
/// client is gone or takes nothing.
async fn while_sending<S: AsyncRead + AsyncWrite + Unpin>(
    sending: impl Future<Output = Result<(), Lost>>,
    view_end: impl Future<Output = Error>,
    receiver: &mut SocketReceiver<S>,
    pace: &mut Pace,
) -> Result<(), End> {
    tokio::pin!(sending, view_end);
    let mut is_lost = false;
    loop {
        tokio::select! {
            sent = &mut sending, if !is_lost => match sent {
                Ok(()) => return Ok(()),
                // The receiver knows the reason.
                Err(Lost::Connection) => is_lost = true,
                Err(Lost::Stalled) => {
                    debug!("a client has taken nothing for too long; its pictures end");
                    return Err(End::Gone);
                }
            },
            error = &mut view_end => return Err(End::Error(error)),
            text = live::next_text(receiver) => take(&text?, pace)?,
        }
    }
}

/// Returns the next picture if one can be sent, or the next change of the camera's state. Error: the view has ended.
async fn next_if(view: &mut PictureView, can_send: bool) -> Result<News, Error> {
    if can_send { view.news().await } else { Err(view.end().await) }
}

/// Takes a message of the client.
fn take(text: &str, pace: &mut Pace) -> Result<(), End> {
    match serde_json::from_str(text) {
        Ok(Input::Ack { number }) => pace.acknowledge(number),
        Err(_) => return Err(invalid(r#"the message must be {"type":"ack","number":N}"#)),
    }
    Ok(())
}

fn invalid(detail: &str) -> End {
    End::Error(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Returns the header of a binary message.
fn header(number: u32, picture: &Picture) -> Bytes {
    let taken_at = picture.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_u32(number);
    header.put_f64(taken_at.as_secs_f64() * 1000.0);
    header.freeze()
}

fn text(message: &Message) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;
    use tokio::io::DuplexStream;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message as ClientMessage;

    use super::*;
    use crate::api::websocket::socket::testing::sockets;
    use crate::pictures::picture::testing;

    #[test]
    fn a_header_has_number_and_time() {
        let picture = testing::picture(Duration::from_millis(1_763_719_201_025));
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
        assert!(take(r#"{"type":"ack","number":1,"more":[]}"#, &mut pace).is_ok());
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
            let end = take(hostile, &mut pace);
            assert!(matches!(end, Err(End::Error(_))), "{hostile}");
        }
    }

    /// Sends a picture that is much larger than what the connection holds, to a client that reads nothing.
    async fn send_to_slow(
        view_end: impl Future<Output = Error>,
        client: impl AsyncFnOnce(WebSocketStream<DuplexStream>),
    ) -> Result<(), End> {
        let (Socket { mut sender, mut receiver, .. }, theirs) = sockets(1000).await;
        let mut pace = Pace::new(10.0, Instant::now());
        let sending = sender.send_bytes([Bytes::from(vec![0; 100_000])]);
        let sent = while_sending(sending, view_end, &mut receiver, &mut pace);
        tokio::join!(sent, client(theirs)).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_does_not_delay_the_end_of_the_view() {
        let began_at = Instant::now();
        let view_end = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Error::new(ErrorKind::Unauthorized, "the session has ended")
        };
        let sent = send_to_slow(view_end, async |_theirs| {
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        let sent = sent.await;
        assert!(matches!(sent, Err(End::Error(error)) if error.kind == ErrorKind::Unauthorized));
        assert_eq!(began_at.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_or_takes_nothing_is_gone() {
        let never = std::future::pending;
        let sent = send_to_slow(never(), async |theirs| drop(theirs)).await;
        assert!(matches!(sent, Err(End::Gone)));
        let sent = send_to_slow(never(), async |mut theirs: WebSocketStream<DuplexStream>| {
            // The client is alive, but does not read.
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                let ack = ClientMessage::text(r#"{"type":"ack","number":0}"#);
                drop(theirs.send(ack).await);
            }
        });
        assert!(matches!(sent.await, Err(End::Gone)));
    }
}
