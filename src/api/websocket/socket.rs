//! An open WebSocket: its messages, the pings that keep it open, its limits, and its end.
//!
//! The memory for one socket is bounded. A client's message is limited, usually to [`MAX_RECEIVED`], and a message to
//! the client is sent in pieces of [`PIECE`], of which at most two wait for a slow client. While they wait, `send` waits.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::progress::{Progress, Watched};
use crate::api::connection::Closing;

pub(in crate::api) use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The largest message of a client, in bytes, unless a session needs longer ones.
pub(in crate::api) const MAX_RECEIVED: usize = 4 * 1024;
/// The interval between two pings. Proxies close connections on which nothing is sent; the usual limit is 60 s.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// The time after which a client from which nothing has arrived counts as gone, unless it has taken data that waited for
/// it. Browsers respond to pings, but the ping to a client whose line is slow can arrive late.
const SILENCE: Duration = Duration::from_secs(30);
/// The size of the pieces in which a long message is sent, in bytes.
const PIECE: usize = 32 * 1024;
/// The size of the buffer for reading, in bytes.
const READ_BUFFER: usize = 1024;
/// The time within which the last messages must be sent, and the client must confirm the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An open WebSocket, over a connection of type `S`.
pub(in crate::api) struct Socket<S = TokioIo<Upgraded>> {
    /// Sends messages to the client.
    pub(in crate::api) sender: SocketSender<S>,
    /// Receives messages from the client.
    pub(in crate::api) receiver: SocketReceiver<S>,
    /// The signal that the manager is shutting down, and that the session must end.
    pub(in crate::api) closing: Closing,
}

/// Sends messages to the client.
pub(in crate::api) struct SocketSender<S = TokioIo<Upgraded>> {
    sink: SplitSink<WebSocketStream<Watched<S>>, Message>,
    pings: Interval,
    progress: Progress,
    /// True while only some pieces of a message have been sent.
    is_within_message: bool,
}

/// Receives messages from the client.
pub(in crate::api) struct SocketReceiver<S = TokioIo<Upgraded>> {
    stream: SplitStream<WebSocketStream<Watched<S>>>,
    progress: Progress,
    /// When something arrived from the client last.
    heard_at: Instant,
    /// True if the library has given up reading, because the client does not follow the protocol.
    has_given_up: bool,
}

/// A message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum Received {
    /// Text, which is valid UTF-8.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// The reason why no further message can be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Silence {
    /// The client has closed the socket, or its connection is lost.
    Gone,
    /// Nothing has arrived for [`SILENCE`].
    Idle,
    /// A message is longer than permitted.
    TooLong,
    /// The bytes do not follow the protocol.
    Broken,
}

/// The reason why nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Lost {
    /// The connection is lost. The receiver reports the reason.
    Connection,
    /// The client has taken nothing for `progress::STALLED`.
    Stalled,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Creates the server's end of a WebSocket whose handshake is complete. A message of the client can have at most
    /// `max_received` bytes.
    pub(super) async fn new(connection: S, closing: Closing, max_received: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Smaller pieces wait for more in the buffer. So a piece and the one before it need one system call.
            .write_buffer_size(PIECE)
            .max_message_size(Some(max_received))
            .max_frame_size(Some(max_received));
        let (connection, progress) = Watched::new(connection);
        let stream = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
        let (sink, stream) = stream.split();
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            sender: SocketSender {
                sink,
                pings,
                progress: progress.clone(),
                is_within_message: false,
            },
            receiver: SocketReceiver {
                stream,
                progress,
                heard_at: Instant::now(),
                has_given_up: false,
            },
            closing,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SocketSender<S> {
    /// Sends text. Waits as long as the client is slow.
    pub(in crate::api) async fn send_text(&mut self, text: String) -> Result<(), Lost> {
        let progress = self.progress.clone();
        unless_stalled(&progress, self.feed_text(text)).await
    }

    /// Sends a message that consists of these bytes, one after the other. Waits as long as the client is slow. If the
    /// future is dropped, the socket can only be closed.
    pub(in crate::api) async fn send_bytes<const N: usize>(
        &mut self,
        parts: [Bytes; N],
    ) -> Result<(), Lost> {
        let progress = self.progress.clone();
        unless_stalled(&progress, self.feed_bytes(parts)).await
    }

    async fn feed_text(&mut self, text: String) -> Result<(), tungstenite::Error> {
        self.feed_due_ping().await?;
        self.sink.send(Message::text(text)).await
    }

    async fn feed_bytes<const N: usize>(
        &mut self,
        parts: [Bytes; N],
    ) -> Result<(), tungstenite::Error> {
        self.feed_due_ping().await?;
        self.is_within_message = true;
        let mut kind = Data::Binary;
        let mut parts = parts.into_iter().filter(|part| !part.is_empty()).peekable();
        while let Some(mut part) = parts.next() {
            while !part.is_empty() {
                let piece = part.split_to(part.len().min(PIECE));
                let is_last = part.is_empty() && parts.peek().is_none();
                let frame = Frame::message(piece, OpCode::Data(kind), is_last);
                self.sink.feed(Message::Frame(frame)).await?;
                kind = Data::Continue;
            }
        }
        self.sink.flush().await?;
        self.is_within_message = false;
        Ok(())
    }

    /// Sends a ping before the next message if a ping is due. Otherwise, a client that messages always wait for would get
    /// no pings.
    async fn feed_due_ping(&mut self) -> Result<(), tungstenite::Error> {
        if self.pings.tick().now_or_never().is_some() {
            self.sink.feed(Message::Ping(Bytes::new())).await?;
        }
        Ok(())
    }

    /// Sends pings at the right times. Returns only if nothing more can be sent. A session runs this while it has nothing
    /// else to send, and can drop the future at any time.
    pub(in crate::api) async fn keep_alive(&mut self) -> Lost {
        let progress = self.progress.clone();
        loop {
            self.pings.tick().await;
            let ping = self.sink.send(Message::Ping(Bytes::new()));
            if let Err(lost) = unless_stalled(&progress, ping).await {
                return lost;
            }
        }
    }
}

/// Completes `sending`, unless the client stops taking data.
async fn unless_stalled(
    progress: &Progress,
    sending: impl Future<Output = Result<(), tungstenite::Error>>,
) -> Result<(), Lost> {
    tokio::select! {
        biased;
        sent = sending => sent.map_err(|_| Lost::Connection),
        () = progress.stalled() => Err(Lost::Stalled),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SocketReceiver<S> {
    /// Returns the next message. Can be cancelled and called again without losing a message.
    pub(in crate::api) async fn next(&mut self) -> Result<Received, Silence> {
        loop {
            let next = timeout_at(self.heard_at + SILENCE, self.stream.next());
            let message = match next.await {
                Err(_) => match self.progress.taken_at().filter(|at| *at > self.heard_at) {
                    Some(at) => {
                        self.heard_at = at;
                        continue;
                    }
                    None => return Err(Silence::Idle),
                },
                Ok(None) => return Err(Silence::Gone),
                Ok(Some(Ok(Message::Close(_)))) => {
                    self.confirm_close().await;
                    return Err(Silence::Gone);
                }
                Ok(Some(Err(error))) => {
                    self.has_given_up = true;
                    return Err(Silence::of(&error));
                }
                Ok(Some(Ok(message))) => message,
            };
            self.heard_at = Instant::now();
            match message {
                Message::Text(text) => return Ok(Received::Text(text.as_str().to_owned())),
                Message::Binary(bytes) => return Ok(Received::Binary(bytes)),
                // The library responds to pings.
                _ => {}
            }
        }
    }

    /// Confirms the end that the client has requested, for at most [`CLOSE_TIMEOUT`].
    async fn confirm_close(&mut self) {
        // The library sends the confirmation when it is asked for the next message, and then has no further message.
        let confirming = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(CLOSE_TIMEOUT, confirming).await;
    }
}

impl Silence {
    fn of(error: &tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLong,
            tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )
            | tungstenite::Error::Io(_) => Self::Gone,
            _ => Self::Broken,
        }
    }
}

/// Sends `text` and then the end of the socket with a close code and a short reason, and waits until the client confirms
/// the end. Gives up after [`CLOSE_TIMEOUT`]. Leaves out the text if a message has been sent only in part.
pub(in crate::api) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    (mut sender, mut receiver): (SocketSender<S>, SocketReceiver<S>),
    text: Option<String>,
    code: CloseCode,
    reason: &'static str,
) {
    // If the time is over, the connection is closed without the rest.
    let _ = timeout(CLOSE_TIMEOUT, async {
        if let Some(text) = text.filter(|_| !sender.is_within_message) {
            sender.send_text(text).await?;
        }
        let frame = CloseFrame { code, reason: reason.into() };
        let closing = sender.sink.send(Message::Close(Some(frame))).await;
        closing.map_err(|_| Lost::Connection)?;
        // If the connection were closed while data from the client is unread, the client would get a reset and might
        // lose the last messages.
        if receiver.has_given_up {
            if let Ok(mut stream) = receiver.stream.reunite(sender.sink) {
                discard(stream.get_mut()).await;
            }
        } else {
            while receiver.stream.next().await.is_some_and(|message| message.is_ok()) {}
        }
        Ok::<_, Lost>(())
    })
    .await;
}

/// Reads and discards everything until the client closes the connection.
async fn discard(connection: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; READ_BUFFER];
    while connection.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}

#[cfg(test)]
pub(in crate::api) mod testing {
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::watch;

    use super::*;

    /// Returns both ends of a socket whose connection holds this many bytes.
    pub(in crate::api) async fn sockets(
        buffer: usize,
    ) -> (Socket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = duplex(buffer);
        let socket = Socket::new(ours, watch::channel(()).1, MAX_RECEIVED).await;
        (socket, WebSocketStream::from_raw_socket(theirs, Role::Client, None).await)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::sockets;
    use super::*;
    use crate::api::websocket::progress::STALLED;

    #[tokio::test]
    async fn messages_arrive_in_one_piece_whatever_their_length() {
        let (mut socket, mut client) = sockets(1000).await;
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
            let body = Bytes::from(vec![7; length]);
            let parts = [Bytes::from_static(b"head"), Bytes::new(), body.clone()];
            let (sent, received) = tokio::join!(socket.sender.send_bytes(parts), client.next());
            sent.expect("sent");
            let received = received.expect("open").expect("a message").into_data();
            assert_eq!(received, [b"head", &*body].concat());
        }
    }

    #[tokio::test]
    async fn a_client_gets_the_reason_of_the_end() {
        let (socket, mut client) = sockets(1000).await;
        let Socket { sender, receiver, .. } = socket;
        let closing = close((sender, receiver), Some("bye".into()), CloseCode::Policy, "forbidden");
        let reading = async {
            assert_eq!(client.next().await.expect("open").expect("text"), Message::text("bye"));
            let end = client.next().await.expect("open").expect("the end");
            assert!(client.next().await.is_none(), "the connection is closed");
            end
        };
        let began = std::time::Instant::now();
        let ((), end) = tokio::join!(closing, reading);
        assert!(began.elapsed() < CLOSE_TIMEOUT, "the client has confirmed the end");
        let frame = CloseFrame { code: CloseCode::Policy, reason: "forbidden".into() };
        assert_eq!(end, Message::Close(Some(frame)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_cannot_delay_the_end() {
        let (mut socket, _client) = sockets(1000).await;
        let sending = socket.sender.send_bytes([Bytes::from(vec![0; 100_000])]);
        assert!(timeout(Duration::from_secs(5), sending).await.is_err(), "the client is slow");
        let Socket { sender, receiver, .. } = socket;
        let began = Instant::now();
        close((sender, receiver), Some("bye".into()), CloseCode::Restart, "shutting_down").await;
        assert_eq!(began.elapsed(), CLOSE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_gone_after_some_time() {
        let (Socket { mut sender, mut receiver, .. }, mut client) = sockets(1000).await;
        let sending = sender.send_bytes([Bytes::from(vec![0; 100_000])]);
        // The client is alive, but does not read.
        let pinging = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                client.send(Message::Ping(Bytes::new())).await.expect("sent");
            }
        };
        let receiving = receiver.next();
        let began = Instant::now();
        tokio::select! {
            sent = sending => assert_eq!(sent, Err(Lost::Stalled)),
            silence = receiving => panic!("the client sends pings: {silence:?}"),
            () = pinging => unreachable!(),
        }
        assert_eq!(began.elapsed(), STALLED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_pings_between_messages_and_is_not_idle() {
        let (Socket { mut sender, mut receiver, .. }, mut client) = sockets(1000).await;
        let sending = async {
            for _ in 0..6 {
                let sent = sender.send_bytes([Bytes::from(vec![0; 2000])]).await;
                sent.expect("the client reads");
            }
        };
        // A line so slow that no response to a ping arrives in time.
        let reading = async {
            let mut bytes = Vec::new();
            loop {
                tokio::time::sleep(Duration::from_secs(7)).await;
                let mut some = vec![0; 1000];
                let count = client.get_mut().read(&mut some).await.expect("bytes");
                bytes.extend_from_slice(&some[..count]);
                if bytes.len() > 12_000 {
                    return bytes;
                }
            }
        };
        let bytes = tokio::select! {
            (bytes, ()) = async { tokio::join!(reading, sending) } => bytes,
            silence = receiver.next() => panic!("{silence:?}"),
        };
        assert!(bytes.windows(2).any(|pair| pair == [0x89, 0]), "a ping between messages");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_keep_a_socket_open_and_silence_ends_it() {
        let (mut socket, mut client) = sockets(1000).await;
        let began = Instant::now();
        let reading = async {
            // Reading responds to pings.
            let _ =
                timeout(Duration::from_secs(95), async { while client.next().await.is_some() {} })
                    .await;
            std::future::pending::<()>().await;
        };
        let silence = tokio::select! {
            silence = socket.receiver.next() => silence,
            _ = socket.sender.keep_alive() => panic!("the connection is open"),
            () = reading => unreachable!(),
        };
        assert_eq!(silence, Err(Silence::Idle));
        assert_eq!(began.elapsed(), Duration::from_secs(90) + SILENCE);
    }

    #[tokio::test]
    async fn the_end_that_a_client_requests_is_confirmed() {
        let (mut socket, mut client) = sockets(1000).await;
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        client.close(Some(frame.clone())).await.expect("sent");
        assert_eq!(socket.receiver.next().await, Err(Silence::Gone));
        drop(socket);
        let reply = client.next().await.expect("a reply").expect("a reply");
        assert_eq!(reply, Message::Close(Some(frame)));
    }

    #[tokio::test]
    async fn what_a_client_still_sends_after_a_message_that_is_too_long_is_read() {
        let (mut socket, mut client) = sockets(1000).await;
        let sending = async {
            let text = Message::text("x".repeat(MAX_RECEIVED + 1));
            for _ in 0..20 {
                client.feed(text.clone()).await.expect("the server reads");
            }
            client.flush().await.expect("the server reads");
            while let Some(Ok(message)) = client.next().await {
                if message.is_close() {
                    return Some(message);
                }
            }
            None
        };
        let ending = async {
            assert_eq!(socket.receiver.next().await, Err(Silence::TooLong));
            let Socket { sender, receiver, .. } = socket;
            close((sender, receiver), Some("bye".into()), CloseCode::Size, "body_too_large").await;
        };
        let (end, ()) = tokio::join!(sending, ending);
        let frame = CloseFrame { code: CloseCode::Size, reason: "body_too_large".into() };
        assert_eq!(end, Some(Message::Close(Some(frame))));
    }

    #[tokio::test]
    async fn long_and_broken_messages_are_reported() {
        let text = |length| Message::text("x".repeat(length));
        let (mut socket, mut client) = sockets(10_000).await;
        client.send(text(MAX_RECEIVED)).await.expect("sent");
        assert!(matches!(socket.receiver.next().await, Ok(Received::Text(_))));
        client.send(text(MAX_RECEIVED + 1)).await.expect("sent");
        assert_eq!(socket.receiver.next().await, Err(Silence::TooLong));

        let (mut socket, mut client) = sockets(10_000).await;
        // A client must mask its frames, and a frame of kind 3 does not exist.
        for broken in [b"\x81\x01x".as_slice(), b"\x83\x80\0\0\0\0"] {
            use tokio::io::AsyncWriteExt as _;
            client.get_mut().write_all(broken).await.expect("sent");
            assert_eq!(socket.receiver.next().await, Err(Silence::Broken), "{broken:?}");
            (socket, client) = sockets(10_000).await;
        }
        drop(client);
        assert_eq!(socket.receiver.next().await, Err(Silence::Gone));
    }
}
