//! Acts as a client of the live socket.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::TIMEOUT;

/// An open live socket.
pub(crate) struct LiveSocket {
    stream: WebSocketStream<TcpStream>,
    is_raw: bool,
    /// True if the next binary message is an init segment.
    awaits_init: bool,
}

/// A message of the server.
#[derive(Debug)]
pub(crate) enum LiveMessage {
    /// A text message.
    Text(Value),
    /// An init segment.
    Init(Vec<u8>),
    /// A frame.
    Frame(LiveFrame),
    /// The end, with its code and its reason.
    Closed(Option<(u16, String)>),
}

/// A message with a frame.
#[derive(Debug)]
pub(crate) struct LiveFrame {
    pub is_video: bool,
    pub is_keyframe: bool,
    /// True if a newer frame arrives at the same time. Only with the format `raw`.
    pub is_old: bool,
    pub number: u32,
    /// The wall-clock time at which the camera took the frame.
    pub taken_at: SystemTime,
    /// The time of arrival.
    pub received_at: SystemTime,
    /// The whole message with the format `mp4`, the bytes after the header with `raw`.
    pub data: Vec<u8>,
}

impl LiveFrame {
    /// Returns the age that the frame had when it arrived, in seconds; negative if its time was in the future.
    pub(crate) fn age(&self) -> f64 {
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("now").as_secs_f64();
        seconds(self.received_at) - seconds(self.taken_at)
    }
}

impl LiveSocket {
    /// Connects to a path at `host:port`, with these headers. If the server refuses, returns the status and the body.
    pub(crate) async fn connect(
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let tcp = TcpStream::connect(address).await.expect("a connection");
        Self::over(tcp, address, path, headers).await
    }

    /// Connects like `connect`, with a small buffer for what the socket receives.
    pub(crate) async fn connect_with_small_buffer(address: &str, path: &str) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = tcp.connect(address.parse().expect("an address")).await.expect("a connection");
        Self::over(tcp, address, path, &[]).await.expect("a socket")
    }

    async fn over(
        tcp: TcpStream,
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        match timeout(TIMEOUT, client_async(request, tcp)).await.expect("a response") {
            Ok((stream, _)) => Ok(Self { stream, is_raw: false, awaits_init: false }),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8(body).expect("text")))
            }
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }

    /// Connects, and requests MP4 with H.264 and AAC.
    pub(crate) async fn watch(address: &str, id: &str) -> Self {
        let path = format!("/streams/{id}/live");
        let mut socket = Self::connect(address, &path, &[]).await.expect("a socket");
        socket.request(json!({ "codecs": ["avc1.640029", "mp4a.40.2"] })).await;
        socket
    }

    /// Sends the message `watch` with these fields.
    pub(crate) async fn request(&mut self, fields: Value) {
        self.is_raw = fields["format"] == "raw";
        self.send(super::merged(json!({ "type": "watch" }), fields)).await;
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    /// Sends text.
    pub(crate) async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.expect("an open socket");
    }

    /// Sends a binary message.
    pub(crate) async fn send_bytes(&mut self, bytes: &'static [u8]) {
        self.stream.send(Message::binary(bytes)).await.expect("an open socket");
    }

    /// Sends a ping, unless the socket is closed.
    pub(crate) async fn ping(&mut self) {
        let _ = self.stream.send(Message::Ping(bytes::Bytes::new())).await;
    }

    /// Acknowledges a message.
    pub(crate) async fn acknowledge(&mut self, number: u32) {
        self.send(json!({ "type": "ack", "number": number })).await;
    }

    /// Returns the next message.
    pub(crate) async fn next(&mut self) -> LiveMessage {
        self.next_within(TIMEOUT).await.expect("a message")
    }

    /// Returns the next message, or `None` if none arrives within this time.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Option<LiveMessage> {
        loop {
            return Some(match timeout(time, self.stream.next()).await.ok()? {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(text.as_str()).expect("JSON");
                    self.awaits_init |= message["type"] == "media" && !self.is_raw;
                    LiveMessage::Text(message)
                }
                Some(Ok(Message::Binary(bytes))) if std::mem::take(&mut self.awaits_init) => {
                    LiveMessage::Init(bytes.to_vec())
                }
                Some(Ok(Message::Binary(bytes))) if self.is_raw => LiveMessage::Frame(raw(&bytes)),
                Some(Ok(Message::Binary(bytes))) => LiveMessage::Frame(mp4(&bytes)),
                Some(Ok(Message::Close(frame))) => LiveMessage::Closed(
                    frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
                ),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => LiveMessage::Closed(None),
            });
        }
    }

    /// Returns the next text message, and skips all frames.
    pub(crate) async fn next_text(&mut self) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "no text message in {TIMEOUT:?}");
            match self.next().await {
                LiveMessage::Text(message) => return message,
                LiveMessage::Closed(end) => panic!("the socket is closed: {end:?}"),
                LiveMessage::Init(_) | LiveMessage::Frame(_) => {}
            }
        }
    }

    /// Returns the next frame, and skips all other messages.
    pub(crate) async fn next_frame(&mut self) -> LiveFrame {
        loop {
            match self.next().await {
                LiveMessage::Frame(frame) => return frame,
                LiveMessage::Closed(end) => panic!("the socket is closed: {end:?}"),
                LiveMessage::Init(_) | LiveMessage::Text(_) => {}
            }
        }
    }

    /// Ends the socket, and waits until the server confirms the end. Returns the close code of the server.
    pub(crate) async fn close(&mut self) -> Option<u16> {
        self.stream.close(None).await.expect("an open socket");
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "the end is not confirmed after {TIMEOUT:?}");
            match timeout(TIMEOUT, self.stream.next()).await.expect("an end") {
                Some(Ok(Message::Close(frame))) => {
                    return Some(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits for the end. Returns the code in the message `end`, the close code, and the reason.
    pub(crate) async fn end(&mut self) -> (String, u16, String) {
        let mut code = String::new();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "the socket is still open after {TIMEOUT:?}");
            match self.next().await {
                LiveMessage::Text(message) if message["type"] == "end" => {
                    assert_ne!(message["detail"], "", "{message}");
                    message["code"].as_str().expect("a code").clone_into(&mut code);
                }
                LiveMessage::Closed(end) => {
                    let (close_code, reason) = end.expect("a close frame");
                    return (code, close_code, reason);
                }
                _ => {}
            }
        }
    }
}

/// Reads the header of a raw frame.
fn raw(message: &[u8]) -> LiveFrame {
    let (header, data) = message.split_at(24);
    let micros = u64::from_be_bytes(header[16..].try_into().expect("8 bytes"));
    LiveFrame {
        is_video: header[0] == 0,
        is_keyframe: header[1] & 1 != 0,
        is_old: header[1] & 2 != 0,
        number: u32::from_be_bytes(header[4..8].try_into().expect("4 bytes")),
        taken_at: UNIX_EPOCH + Duration::from_micros(micros),
        received_at: SystemTime::now(),
        data: data.to_vec(),
    }
}

/// Reads the boxes of a fragment, whose offsets follow from ISO/IEC 14496-12.
fn mp4(message: &[u8]) -> LiveFrame {
    let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("4 bytes"));
    let boxes = [(4, b"prft"), (36, b"moof"), (44, b"mfhd"), (60, b"traf"), (68, b"tfhd")];
    for (at, kind) in boxes {
        assert_eq!(&message[at..at + 4], kind);
    }
    // Seconds since 1900, and the fraction of a second.
    let since_1970 = u64::from(number(16)) - 2_208_988_800;
    let fraction = f64::from(number(20)) / f64::from(1 << 16) / f64::from(1 << 16);
    let is_video = number(76) == 1;
    // The flags of the sample in `trun`, which only the video track has.
    let flags = if is_video { number(128) } else { 0 };
    LiveFrame {
        is_video,
        is_keyframe: flags & 0x1_0000 == 0,
        is_old: false,
        number: number(52),
        taken_at: UNIX_EPOCH + Duration::from_secs(since_1970) + Duration::from_secs_f64(fraction),
        received_at: SystemTime::now(),
        data: message.to_vec(),
    }
}
