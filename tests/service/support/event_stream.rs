//! A client that follows events (server-sent events).

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::time::timeout;

use super::TIMEOUT;

/// A message of the stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamedEvent {
    /// The type of the message; empty for an event of a camera.
    pub(crate) name: String,
    /// The id of the message, with which the client can connect again.
    pub(crate) id: i64,
    pub(crate) data: Value,
}

/// A response that never ends.
pub(crate) struct EventStream {
    response: reqwest::Response,
    text: String,
    /// The id of the last message.
    pub(crate) last_id: i64,
}

impl EventStream {
    /// Follows events at this URL, after the message with the id `last_id`. Panics if the response is an error.
    pub(crate) async fn open(client: &Client, url: &str, last_id: Option<&str>) -> Self {
        let mut request = client.get(url);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response =
            timeout(TIMEOUT, request.send()).await.expect("in time").expect("a response");
        assert_eq!(response.status(), 200, "{}", response.text().await.expect("text"));
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut stream = Self { response, text: String::new(), last_id: 0 };
        // The first message has the position only, unless it is a reset.
        if stream.peek().await.contains("event: reset") {
            return stream;
        }
        let (name, ..) = stream.message().await.expect("a message");
        assert_eq!(name, "");
        stream
    }

    /// Returns the next event or reset; `None` if the response has ended.
    pub(crate) async fn next(&mut self) -> Option<StreamedEvent> {
        timeout(TIMEOUT, self.receive()).await.expect("an event in time")
    }

    /// Returns the next event or reset; `None` if there is none within this time.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Option<StreamedEvent> {
        timeout(time, self.receive()).await.ok().flatten()
    }

    /// Returns the ids and types of this many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<(i64, String)> {
        let mut events = Vec::new();
        for _ in 0..count {
            let StreamedEvent { data, .. } = self.next().await.expect("an event");
            let kind = data["type"].as_str().expect("a type").to_owned();
            events.push((data["id"].as_i64().expect("an id"), kind));
        }
        events
    }

    async fn receive(&mut self) -> Option<StreamedEvent> {
        loop {
            let (name, data) = self.message().await?;
            if !data.is_empty() {
                let data = serde_json::from_str(&data).expect("JSON");
                return Some(StreamedEvent { name, id: self.last_id, data });
            }
        }
    }

    /// Returns the type and the data of the next message.
    async fn message(&mut self) -> Option<(String, String)> {
        while !self.text.contains("\n\n") {
            self.read().await?;
        }
        let (message, rest) = self.text.split_once("\n\n").expect("a message");
        let (message, rest) = (message.to_owned(), rest.to_owned());
        self.text = rest;
        let field = |name: &str| {
            let line = message.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().to_owned()
        };
        self.last_id = field("id: ").parse().expect("an id");
        Some((field("event: "), field("data: ")))
    }

    /// Returns the text of the next message, which is not taken.
    async fn peek(&mut self) -> String {
        while !self.text.contains("\n\n") {
            self.read().await.expect("a message");
        }
        self.text.clone()
    }

    async fn read(&mut self) -> Option<()> {
        let chunk = self.response.chunk().await.ok().flatten()?;
        self.text += std::str::from_utf8(&chunk).expect("ASCII");
        Some(())
    }
}
