//! A client of continuous pictures: of a response that never ends, and of a WebSocket.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Jpeg, TIMEOUT};

/// A picture, and when it was taken and received.
#[derive(Debug, Clone)]
pub(crate) struct LivePicture {
    pub(crate) jpeg: Jpeg,
    /// The time at which the camera took the picture, according to the manager.
    pub(crate) taken_at: SystemTime,
    pub(crate) received_at: SystemTime,
}

impl LivePicture {
    /// Returns the age that the picture had when it was received, in milliseconds, according to the clock in the
    /// picture.
    pub(crate) async fn age_by_clock(&self) -> i64 {
        self.jpeg.age_by_clock(self.received_at).await
    }

    fn new(jpeg: &[u8], taken_at: f64) -> Self {
        let taken_at = UNIX_EPOCH + Duration::from_secs_f64(taken_at);
        Self { jpeg: Jpeg::new(jpeg), taken_at, received_at: SystemTime::now() }
    }
}

/// A response that never ends.
pub(crate) struct Multipart {
    response: reqwest::Response,
    boundary: String,
    bytes: Vec<u8>,
}

impl Multipart {
    /// Requests pictures from this URL. Panics if the response is an error.
    pub(crate) async fn open(url: &str) -> Self {
        let response = Self::request(url).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.expect("text"));
        let content_type = response.headers()["content-type"].to_str().expect("text");
        let boundary = content_type.strip_prefix("multipart/x-mixed-replace; boundary=");
        let boundary = boundary.expect(content_type).to_owned();
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, boundary, bytes: Vec::new() }
    }

    /// Requests pictures from this URL, and returns the response.
    pub(crate) async fn request(url: &str) -> reqwest::Response {
        let client = reqwest::Client::builder().build().expect("a client");
        let response = timeout(TIMEOUT, client.get(url).send()).await;
        response.expect("a response in time").expect("a response")
    }

    /// Returns the text that separates the pictures.
    pub(crate) fn boundary(&self) -> &str {
        &self.boundary
    }

    /// Returns the next picture; `None` if the response has ended.
    pub(crate) async fn next(&mut self) -> Option<LivePicture> {
        let head = self.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head).expect("text");
        let lines: Vec<_> = head.trim_start().split("\r\n").collect();
        let boundary = format!("--{}", self.boundary);
        assert_eq!(lines[..2], [&boundary, "Content-Type: image/jpeg"], "{head}");
        let value = |line: usize, name: &str| lines[line].strip_prefix(name).expect(name);
        let length = value(2, "Content-Length: ").parse().expect("a length");
        let taken_at = value(3, "X-Timestamp: ").parse().expect("a time");
        while self.bytes.len() < length {
            self.receive().await?;
        }
        let rest = self.bytes.split_off(length);
        let jpeg = std::mem::replace(&mut self.bytes, rest);
        Some(LivePicture::new(&jpeg, taken_at))
    }

    /// Returns the pictures of the next seconds.
    pub(crate) async fn take(&mut self, time: Duration) -> Vec<LivePicture> {
        let end = SystemTime::now() + time;
        let mut pictures = Vec::new();
        while SystemTime::now() < end {
            pictures.push(self.next().await.expect("a picture"));
        }
        pictures
    }

    async fn read_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.bytes.windows(end.len()).position(|bytes| bytes == end) {
                let rest = self.bytes.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.bytes, rest));
            }
            self.receive().await?;
        }
    }

    /// Receives more bytes; `None` if the response has ended.
    async fn receive(&mut self) -> Option<()> {
        let chunk = timeout(TIMEOUT, self.response.chunk()).await.expect("pictures in time");
        self.bytes.extend(chunk.ok()??);
        Some(())
    }
}

/// A WebSocket with pictures.
pub(crate) struct PictureSocket(WebSocketStream<TcpStream>);

/// A message of the manager.
#[derive(Debug)]
pub(crate) enum PictureMessage {
    /// A picture and its number.
    Picture(u32, LivePicture),
    Text(Value),
    /// The close code and the reason.
    End(u16, String),
}

impl PictureSocket {
    /// Opens the WebSocket at this path of the server at `address`.
    pub(crate) async fn open(address: &str, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let url = format!("ws://{address}{path}");
        let opened = tokio_tungstenite::client_async(url, stream).await;
        Self(opened.expect("a WebSocket").0)
    }

    /// Returns the next message within this time; `None` if there is none.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Option<PictureMessage> {
        let next = async {
            loop {
                match self.0.next().await.expect("a message").expect("an open socket") {
                    Message::Binary(bytes) => {
                        let (number, rest) = bytes.split_first_chunk().expect("a number");
                        let (time, jpeg) = rest.split_first_chunk().expect("a time");
                        let picture = LivePicture::new(jpeg, f64::from_be_bytes(*time) / 1000.0);
                        return PictureMessage::Picture(u32::from_be_bytes(*number), picture);
                    }
                    Message::Text(text) => {
                        let text = serde_json::from_str(&text).expect("JSON");
                        return PictureMessage::Text(text);
                    }
                    Message::Close(Some(frame)) => {
                        let reason = frame.reason.as_str().to_owned();
                        return PictureMessage::End(frame.code.into(), reason);
                    }
                    _ => {}
                }
            }
        };
        timeout(time, next).await.ok()
    }

    /// Returns the next message.
    pub(crate) async fn next(&mut self) -> PictureMessage {
        self.next_within(TIMEOUT).await.expect("a message in time")
    }

    /// Returns the next picture and its number. Ignores text.
    pub(crate) async fn picture(&mut self) -> (u32, LivePicture) {
        loop {
            match self.next().await {
                PictureMessage::Picture(number, picture) => return (number, picture),
                PictureMessage::Text(_) => {}
                PictureMessage::End(code, reason) => {
                    panic!("the socket has ended: {code} {reason}")
                }
            }
        }
    }

    /// Acknowledges a picture.
    pub(crate) async fn acknowledge(&mut self, number: u32) {
        self.send(&json!({ "type": "ack", "number": number }).to_string()).await;
    }

    /// Sends text.
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("an open socket");
    }
}
