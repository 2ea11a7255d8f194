//! A session over go2rtc's WebSocket. A player requests MP4 or pictures, and can also negotiate WebRTC.
//!
//! As with go2rtc, an error of a request leaves the socket open, so that the player can request something else. The
//! session has no view of its own, so a request that cannot be served starts no stream.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::attempts::{Outcome, Pending, pause};
use super::messages::{self, OfferForm, Request};
use super::query::Parameters;
use super::sources::{Failure, Message, Mse, Pictures, Source};
use crate::api::media::live::{End, finish_with, next_text};
use crate::api::media::playlists::visitor;
use crate::api::media::whep::MAX_OFFER;
use crate::api::reply::Reply;
use crate::api::route::Call;
use crate::api::websocket::handshake::Handshake;
use crate::api::websocket::socket::{Lost, Socket, SocketReceiver, SocketSender};
use crate::base::error::{Error, ErrorKind};
use crate::pictures::live::PictureSpec;
use crate::service::core::Core;
use crate::service::live::{self, ViewRequest};
use crate::service::webrtc::{self, Opened};

/// The largest message of a player, in bytes: an offer, in which each line break is escaped.
const MAX_MESSAGE: usize = MAX_OFFER + 4 * 1024;
/// The largest number of requests in [`REQUESTS_WITHIN`]. A player sends one to three when it connects.
const MAX_REQUESTS: usize = 10;
/// See [`MAX_REQUESTS`].
const REQUESTS_WITHIN: Duration = Duration::from_secs(10);
/// The type in errors that do not belong to a request.
const NO_REQUEST: &str = "ws";

/// A player that is permitted to watch a stream.
struct Player {
    core: Arc<Core>,
    request: ViewRequest,
    /// The pictures that the player gets if it requests pictures.
    spec: PictureSpec,
}

/// The reason why a session ends, and the type of the request that it concerns.
type Ending = (&'static str, End);

/// Accepts a socket if the viewer is permitted to watch the camera.
pub(super) async fn open(mut call: Call<'_>) -> Result<Reply, Error> {
    let parameters = Parameters::of(&call);
    let (id, spec) = (parameters.source()?, parameters.pictures());
    let handshake = Handshake::check(&mut call)?.receiving(MAX_MESSAGE);
    let core = Arc::clone(&call.api.core);
    let request = live::request(&core, &id, visitor(&call)).await?;
    let player = Player { core, request, spec };
    Ok(handshake.accept(move |socket| session(player, socket)))
}

/// Serves one player until its end.
async fn session(player: Player, socket: Socket) {
    let _counted = player.core.registry.resources().counters.live_socket();
    let Socket { mut sender, mut receiver, mut closing } = socket;
    let (requests, waiting) = mpsc::channel(MAX_REQUESTS);
    let (kind, end) = tokio::select! {
        end = receive(&mut receiver, requests) => (NO_REQUEST, end),
        ending = serve(&player, &mut sender, waiting) => ending,
        _ = closing.changed() => (NO_REQUEST, End::Error(Error::shutting_down())),
    };
    finish_with(|error| messages::error(kind, error), end, sender, receiver).await;
}

/// Receives requests until the end.
async fn receive(receiver: &mut SocketReceiver, requests: Sender<Request>) -> End {
    let (mut since, mut count) = (Instant::now(), 0);
    loop {
        let request = match next_text(receiver).await {
            Ok(text) => Request::parse(&text).map_err(End::Error),
            Err(end) => Err(end),
        };
        match request {
            Ok(Some(request)) => {
                if since.elapsed() > REQUESTS_WITHIN {
                    (since, count) = (Instant::now(), 0);
                }
                count += 1;
                if count > MAX_REQUESTS || requests.try_send(request).is_err() {
                    let detail = "the player sends too many requests";
                    return End::Error(Error::new(ErrorKind::InvalidRequest, detail));
                }
            }
            Ok(None) => {}
            Err(end) => return end,
        }
    }
}

/// Serves requests until the permission or the session ends.
async fn serve(
    player: &Player,
    sender: &mut SocketSender,
    mut waiting: Receiver<Request>,
) -> Ending {
    let mut session = Session {
        player,
        source: Source::Nothing,
        kind: NO_REQUEST,
        negotiation: None,
        webrtc: None,
    };
    let end = tokio::select! {
        biased;
        error = player.request.refusal(&player.core) => End::Error(error),
        end = session.run(sender, &mut waiting) => end,
    };
    (session.kind, end)
}

/// A session.
struct Session<'a> {
    player: &'a Player,
    source: Source,
    /// The type of the request for the source.
    kind: &'static str,
    /// The offer that is being answered; `None` if there is no such offer.
    negotiation: Option<Negotiation>,
    /// The id of the player's WebRTC session.
    webrtc: Option<String>,
}

/// An offer that is being answered.
struct Negotiation {
    form: OfferForm,
    answer: Pending<Result<Opened, Error>>,
}

impl Session<'_> {
    /// Begins to serve a request. Returns a message to send at once, or `None`.
    fn start(&mut self, request: Request) -> Option<String> {
        let Player { core, request: viewer, spec } = self.player;
        match request {
            Request::Mse(codecs) => {
                self.source = Source::Mse(Box::new(Mse::open(core, viewer, codecs)));
                self.kind = messages::MSE;
            }
            Request::Mjpeg => {
                self.source = Source::Pictures(Box::new(Pictures::open(core, viewer, *spec)));
                self.kind = messages::MJPEG;
            }
            Request::Offer { sdp, form } => {
                let answer = Box::pin(negotiate(Arc::clone(core), viewer.clone(), sdp));
                self.negotiation = Some(Negotiation { form, answer });
            }
            Request::Unsupported(kind) => {
                let detail = "the manager does not support this request; use mse, mjpeg or webrtc";
                let error = Error::new(ErrorKind::InvalidRequest, detail);
                return Some(messages::error(kind, &error));
            }
        }
        None
    }

    /// Sends messages, and serves requests, until the end.
    async fn run(&mut self, sender: &mut SocketSender, waiting: &mut Receiver<Request>) -> End {
        let mut text = None;
        loop {
            let message = if let Some(text) = text.take() {
                Message::Text(text)
            } else {
                tokio::select! {
                    biased;
                    request = waiting.recv() => match request {
                        Some(request) => {
                            text = self.start(request);
                            continue;
                        }
                        // The receiver knows the reason.
                        None => return pending().await,
                    },
                    answer = answered(&mut self.negotiation) => Message::Text(self.note(answer)),
                    message = self.source.next() => match message {
                        Ok(message) => message,
                        Err(Failure::End(error)) => return End::Error(error),
                        Err(Failure::Error(error)) => {
                            Message::Text(messages::error(self.kind, &error))
                        }
                    },
                    _ = sender.keep_alive() => return End::Gone,
                }
            };
            let sending = async {
                match message {
                    Message::Text(text) => sender.send_text(text).await,
                    Message::Bytes(parts) => sender.send_bytes(parts).await,
                }
            };
            tokio::select! {
                biased;
                sent = sending => match sent {
                    Ok(()) => {}
                    // The receiver knows the reason.
                    Err(Lost::Connection) => return pending().await,
                    Err(Lost::Stalled) => return End::Gone,
                },
                error = self.source.discard_late() => return End::Error(error),
            }
        }
    }

    /// Notes the WebRTC session that was opened, and returns the message for the player. A player has one session, so that
    /// it cannot occupy the places of others.
    fn note(&mut self, (form, answer): (OfferForm, Result<Opened, Error>)) -> String {
        match answer {
            Ok(Opened { id, answer, .. }) => {
                if let Some(before) = self.webrtc.replace(id) {
                    webrtc::leave(&self.player.core, &self.player.request, &before);
                }
                form.answer(answer)
            }
            Err(error) => messages::error(form.kind(), &error),
        }
    }
}

/// Waits for the answer to the offer. Can be cancelled and called again.
async fn answered(negotiation: &mut Option<Negotiation>) -> (OfferForm, Result<Opened, Error>) {
    let Some(Negotiation { form, answer }) = negotiation else { return pending().await };
    let answered = (*form, answer.await);
    *negotiation = None;
    answered
}

/// Answers an offer. Waits for a camera that is away, because an error would end the player's attempt.
async fn negotiate(core: Arc<Core>, viewer: ViewRequest, offer: String) -> Result<Opened, Error> {
    loop {
        match webrtc::open(&core, &viewer, &offer).await {
            Err(error) if Outcome::of(error.kind) == Outcome::Retry => pause(&error).await,
            answered => return answered,
        }
    }
}
