//! Acts as go2rtc's player: a WebSocket with text messages that have a `type` and a `value`, and binary messages.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::TIMEOUT;

/// An open socket.
pub(crate) struct Go2rtcSocket(WebSocketStream<TcpStream>);

/// A message of the server.
#[derive(Debug)]
pub(crate) enum Go2rtcMessage {
    Text(Value),
    Bytes(Vec<u8>),
    /// The end, with its code.
    Closed(Option<u16>),
}

/// A fragment of MP4 with one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub is_video: bool,
    pub is_keyframe: bool,
    /// The time of decoding, and the duration, in ticks of the track.
    pub decode_time: u64,
    pub duration: u32,
}

impl Go2rtcSocket {
    /// Connects to a path at `host:port`, with these headers. If the server refuses, returns the status and the body.
    pub(crate) async fn connect(
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        match timeout(TIMEOUT, client_async(request, tcp)).await.expect("a response") {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8(body).expect("text")))
            }
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }

    /// Connects, and requests MP4 with the codecs that browsers play.
    pub(crate) async fn watch(address: &str, path: &str) -> Self {
        let mut socket = Self::connect(address, path, &[]).await.expect("a socket");
        socket.request("mse", "avc1.640029,avc1.64002A,hvc1.1.6.L153.B0,mp4a.40.2,flac,opus").await;
        socket
    }

    /// Sends a message with a type and a value.
    pub(crate) async fn request(&mut self, kind: &str, value: &str) {
        self.send(&json!({ "type": kind, "value": value }).to_string()).await;
    }

    /// Sends text.
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("an open socket");
    }

    /// Sends a binary message.
    pub(crate) async fn send_bytes(&mut self, bytes: &'static [u8]) {
        self.0.send(Message::binary(bytes)).await.expect("an open socket");
    }

    /// Returns the next message.
    pub(crate) async fn next(&mut self) -> Go2rtcMessage {
        loop {
            return match timeout(TIMEOUT, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => {
                    Go2rtcMessage::Text(serde_json::from_str(text.as_str()).expect("JSON"))
                }
                Some(Ok(Message::Binary(bytes))) => Go2rtcMessage::Bytes(bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    Go2rtcMessage::Closed(frame.map(|frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Go2rtcMessage::Closed(None),
            };
        }
    }

    /// Returns the next text message, and skips all others.
    pub(crate) async fn text(&mut self) -> Value {
        loop {
            match self.next().await {
                Go2rtcMessage::Text(message) => return message,
                Go2rtcMessage::Bytes(_) => {}
                Go2rtcMessage::Closed(code) => panic!("the socket is closed: {code:?}"),
            }
        }
    }

    /// Returns the next binary message, which must come before any text.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        match self.next().await {
            Go2rtcMessage::Bytes(bytes) => bytes,
            other => panic!("not a binary message: {other:?}"),
        }
    }

    /// Waits for the end. Returns the last error and the close code.
    pub(crate) async fn end(&mut self) -> (String, u16) {
        let mut error = String::new();
        loop {
            match self.next().await {
                Go2rtcMessage::Text(message) if message["type"] == "error" => {
                    message["value"].as_str().expect("text").clone_into(&mut error);
                }
                Go2rtcMessage::Closed(code) => return (error, code.expect("a close frame")),
                _ => {}
            }
        }
    }
}

impl Fragment {
    /// Returns the end of the frame.
    pub(crate) fn end(&self) -> u64 {
        self.decode_time + u64::from(self.duration)
    }

    /// Reads the boxes of a message, whose offsets follow from ISO/IEC 14496-12; `None` for an init segment.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        if &message[4..8] == b"ftyp" {
            return None;
        }
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("bytes"));
        for (at, kind) in [(36, b"moof"), (68, b"tfhd"), (84, b"tfdt"), (104, b"trun")] {
            assert_eq!(&message[at..at + 4], kind);
        }
        let is_video = number(76) == 1;
        Some(Self {
            is_video,
            is_keyframe: is_video && number(128) & 0x1_0000 == 0,
            decode_time: u64::from_be_bytes(message[92..100].try_into().expect("bytes")),
            duration: number(120),
        })
    }
}
