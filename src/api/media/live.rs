//! The live socket: a WebSocket that sends each frame of a stream in a message of its own.
//!
//! The permission is checked before the WebSocket is accepted. Later errors are sent as the message `end`, because
//! browsers do not show pages the response to a WebSocket that was refused. `docs/guide/live-socket.md` describes the
//! protocol.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::playlists::visitor;
use crate::api::reply::Reply;
use crate::api::route::Call;
use crate::api::websocket::handshake::Handshake;
use crate::api::websocket::socket::{
    self, CloseCode, Lost, Received, Silence, Socket, SocketReceiver, SocketSender,
};
use crate::base::error::{Error, ErrorKind, chain};
use crate::camera::id::StreamId;
use crate::output::live_socket::backlog::Acknowledged;
use crate::output::live_socket::feed::{LiveFeed, Outgoing};
use crate::output::live_socket::protocol::{ClientMessage, ServerMessage, Watch};
use crate::service::core::Core;
use crate::service::live::{self, LiveView, Liveness, ViewRequest};

/// The time within which a client must send its first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// The reason why a session ends.
pub(in crate::api) enum End {
    /// The client gets this error.
    Error(Error),
    /// The client is gone.
    Gone,
}

/// Accepts a live socket if the viewer is permitted to watch the camera.
pub(super) async fn open(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    let handshake = Handshake::check(&mut call)?;
    let core = Arc::clone(&call.api.core);
    let request = live::request(&core, &id, visitor(&call)).await?;
    Ok(handshake.accept(move |socket| session(core, request, socket)))
}

/// Serves one client until its end.
async fn session(core: Arc<Core>, request: ViewRequest, socket: Socket) {
    let _counted = core.registry.resources().counters.live_socket();
    let Socket { mut sender, mut receiver, mut closing } = socket;
    let end = tokio::select! {
        end = serve(&core, request, &mut sender, &mut receiver) => end,
        _ = closing.changed() => End::Error(Error::shutting_down()),
    };
    finish(end, sender, receiver).await;
}

/// Sends the reason of the end, unless the client is gone, and closes the socket.
pub(super) async fn finish(end: End, sender: SocketSender, receiver: SocketReceiver) {
    let text =
        |error: &Error| ServerMessage::End { code: error.kind, detail: &error.detail }.text();
    finish_with(text, end, sender, receiver).await;
}

/// Does the same as [`finish`], with another text of the last message.
pub(in crate::api) async fn finish_with(
    text: impl FnOnce(&Error) -> String,
    end: End,
    sender: SocketSender,
    receiver: SocketReceiver,
) {
    let End::Error(error) = end else { return };
    if error.source.is_some() {
        warn!(code = error.kind.code(), error = chain(&error), "a live socket has ended");
    }
    let kind = error.kind;
    socket::close((sender, receiver), Some(text(&error)), close_code(kind), kind.code()).await;
}

/// Receives and sends until the session must end. Returns the reason of the end.
async fn serve(
    core: &Arc<Core>,
    request: ViewRequest,
    sender: &mut SocketSender,
    receiver: &mut SocketReceiver,
) -> End {
    let acknowledged = Acknowledged::default();
    let (watch, watched) = oneshot::channel();
    tokio::select! {
        end = receive(receiver, watch, &acknowledged) => end,
        end = send(core, request, watched, &acknowledged, sender) => end,
    }
}

/// Receives the first message of the client, passes it on to `watch`, and then receives acknowledgements until the end.
async fn receive(
    receiver: &mut SocketReceiver,
    watch: oneshot::Sender<Watch>,
    acknowledged: &Acknowledged,
) -> End {
    let first = match timeout(FIRST_MESSAGE, next(receiver)).await {
        Ok(Ok(ClientMessage::Watch(first))) => first,
        Ok(Ok(ClientMessage::Ack { .. })) => return invalid("the first message must be watch"),
        Ok(Err(end)) => return end,
        Err(_) => {
            let detail = "the client has not sent the message watch in time";
            return End::Error(Error::new(ErrorKind::RequestTimeout, detail));
        }
    };
    if watch.send(first).is_err() {
        return End::Gone;
    }
    loop {
        match next(receiver).await {
            Ok(ClientMessage::Ack { number }) => acknowledged.set(number),
            Ok(ClientMessage::Watch(_)) => return invalid("watch must be sent only once"),
            Err(end) => return end,
        }
    }
}

/// Opens the view, and then sends the frames that `watched` requests, until the end. The camera starts while the first
/// message of the client arrives.
async fn send(
    core: &Arc<Core>,
    request: ViewRequest,
    watched: oneshot::Receiver<Watch>,
    acknowledged: &Acknowledged,
    sender: &mut SocketSender,
) -> End {
    let opening = async { request.open(core).await.map_err(End::Error) };
    let watched = async { watched.await.map_err(|_| End::Gone) };
    let opened = tokio::select! {
        opened = async { tokio::try_join!(opening, watched) } => opened,
        _ = sender.keep_alive() => Err(End::Gone),
    };
    let (view, watch) = match opened {
        Ok(both) => both,
        Err(end) => return end,
    };
    let counters = core.registry.resources().counters.clone();
    let media = &view.stream().shared().media;
    let feed = LiveFeed::new(media, &watch, acknowledged.clone(), counters);
    tokio::select! {
        end = send_frames(&view, feed, sender) => end,
        error = view.end(core) => End::Error(error),
    }
}

/// Returns the next message of the client.
async fn next(receiver: &mut SocketReceiver) -> Result<ClientMessage, End> {
    ClientMessage::parse(&next_text(receiver).await?).map_err(End::Error)
}

/// Returns the text of the next message of the client. Can be cancelled and called again without losing a message.
pub(in crate::api) async fn next_text<S: AsyncRead + AsyncWrite + Unpin>(
    receiver: &mut SocketReceiver<S>,
) -> Result<String, End> {
    let error = |kind, detail: &str| Err(End::Error(Error::new(kind, detail)));
    match receiver.next().await {
        Ok(Received::Text(text)) => Ok(text),
        Ok(Received::Binary(_)) => Err(invalid("messages to the server must be text")),
        Err(Silence::Gone) => Err(End::Gone),
        Err(Silence::Idle) => error(
            ErrorKind::RequestTimeout,
            "nothing has arrived from the client, not even a response to a ping",
        ),
        Err(Silence::TooLong) => {
            error(ErrorKind::BodyTooLarge, "the message of the client is too long")
        }
        Err(Silence::Broken) => {
            error(ErrorKind::InvalidRequest, "the client does not follow the WebSocket protocol")
        }
    }
}

fn invalid(detail: &str) -> End {
    End::Error(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Sends frames, and changes of the stream's state, until the end.
async fn send_frames(view: &LiveView, mut feed: LiveFeed, sender: &mut SocketSender) -> End {
    let mut liveness = view.liveness();
    let mut errors = view.stream().shared().media.errors();
    loop {
        let message = tokio::select! {
            biased;
            message = feed.next() => match message {
                Ok(Some(message)) => message,
                // The view ends as well, and knows the reason.
                Ok(None) => return std::future::pending().await,
                Err(error) => return End::Error(error),
            },
            now = liveness.next() => Outgoing::Text(state_message(&now)),
            error = errors.refusal() => return End::Error(error),
            _ = sender.keep_alive() => return End::Gone,
        };
        let sending = async {
            match message {
                Outgoing::Text(text) | Outgoing::Media { text, .. } => sender.send_text(text).await,
                Outgoing::Bytes(parts) => sender.send_bytes(parts).await,
            }
        };
        tokio::select! {
            biased;
            sent = sending => match sent {
                Ok(()) => {}
                // The receiver knows the reason.
                Err(Lost::Connection) => return std::future::pending().await,
                Err(Lost::Stalled) => {
                    debug!("a client has taken nothing for too long; the live socket is closed");
                    return End::Gone;
                }
            },
            never = feed.discard_late() => match never {},
        }
    }
}

/// Returns the message for a change of the stream's state.
pub(super) fn state_message(now: &Liveness) -> String {
    match now {
        Liveness::Live => ServerMessage::State { state: "live", detail: None },
        Liveness::Reconnecting(detail) => {
            ServerMessage::State { state: "reconnecting", detail: Some(detail) }
        }
    }
    .text()
}

/// Returns the close code (RFC 6455, 7.4.1) for the error that ends a socket.
fn close_code(kind: ErrorKind) -> CloseCode {
    match kind {
        ErrorKind::StreamEnded => CloseCode::Normal,
        ErrorKind::InvalidRequest
        | ErrorKind::RequestTimeout
        | ErrorKind::CodecUnsupported
        | ErrorKind::Unauthorized
        | ErrorKind::Forbidden
        | ErrorKind::UnknownCamera => CloseCode::Policy,
        ErrorKind::BodyTooLarge => CloseCode::Size,
        ErrorKind::Internal => CloseCode::Error,
        ErrorKind::ShuttingDown => CloseCode::Restart,
        _ => CloseCode::Again,
    }
}
