//! What a session sends to a player of go2rtc: MP4 or pictures.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use tracing::{debug, warn};

use super::attempts::{Outcome, Pending, pause};
use super::messages;
use super::mp4::Mp4;
use crate::base::error::{Error, ErrorKind, chain};
use crate::output::live_socket::feed::{Outgoing, Past};
use crate::pictures::live::PictureSpec;
use crate::service::core::Core;
use crate::service::live::{LiveView, ViewRequest};
use crate::service::live_pictures::{PictureRequest, PictureView};

/// The largest number of bytes that a player gets at once. go2rtc's player has a buffer of 2 MiB.
const MAX_BURST: usize = 1_500_000;

/// What a session sends.
pub(super) enum Source {
    /// Nothing.
    Nothing,
    /// MP4.
    Mse(Box<Mse>),
    /// Pictures.
    Pictures(Box<Pictures>),
}

/// A message for a player.
#[derive(Debug)]
pub(super) enum Message {
    /// A text message.
    Text(String),
    /// A binary message, in two parts.
    Bytes([Bytes; 2]),
}

/// An error of a source.
#[derive(Debug)]
pub(super) enum Failure {
    /// The player must know the error. Afterwards, the source tries again, or is silent.
    Error(Error),
    /// The socket must be closed.
    End(Error),
}

impl Source {
    /// Returns the next message. Can be cancelled and called again without losing a message.
    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        match self {
            Self::Nothing => pending().await,
            Self::Mse(mse) => mse.next().await,
            Self::Pictures(pictures) => pictures.next().await,
        }
    }

    /// Drops frames that become too old. Must run while a message is being sent. Returns the reason if the session must
    /// end although the message has not been sent, because nothing may hold the stream.
    pub(super) async fn discard_late(&mut self) -> Error {
        match self {
            Self::Mse(mse) => mse.discard_late().await,
            Self::Pictures(pictures) => pictures.end().await,
            Self::Nothing => pending().await,
        }
    }
}

/// Attempts to serve one request.
struct Attempts {
    core: Arc<Core>,
    request: ViewRequest,
    /// True if the player has got media, or an error.
    has_response: bool,
}

impl Attempts {
    /// Begins the next attempt to `open` a view: at once, or after a pause if an attempt has `failed`.
    fn next<T, F>(
        &self,
        failed: Option<Error>,
        open: impl FnOnce(Arc<Core>, ViewRequest) -> F + Send + 'static,
    ) -> Pending<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let (core, request) = (Arc::clone(&self.core), self.request.clone());
        Box::pin(async move {
            if let Some(error) = failed {
                pause(&error).await;
            }
            open(core, request).await
        })
    }

    /// Returns the error if the player must know it. Otherwise, the request can be tried again.
    fn after(&mut self, error: Error) -> Result<Error, Failure> {
        let camera = self.request.id();
        if error.source.is_some() {
            warn!(%camera, error = chain(&error), "a player of go2rtc gets nothing");
        } else {
            debug!(%camera, %error, "a player of go2rtc gets nothing");
        }
        match Outcome::of(error.kind) {
            Outcome::Close => Err(Failure::End(error)),
            Outcome::Refuse if self.has_response => Err(Failure::End(error)),
            Outcome::Refuse => Err(Failure::Error(error)),
            Outcome::Retry => Ok(error),
        }
    }

    /// Returns whether the player must know an error although the request is tried again: it concerns the camera, will
    /// probably last, and the player may have another way. A player that shows something already would not show the error.
    fn must_report(&mut self, error: &Error) -> bool {
        error.kind.is_permanent() && !std::mem::replace(&mut self.has_response, true)
    }
}

/// A stream as MP4 for Media Source Extensions.
pub(super) struct Mse {
    attempts: Attempts,
    codecs: Vec<String>,
    state: State,
    /// The MIME type that the player knows; `None` before the first one.
    mime: Option<String>,
}

enum State {
    /// The view is being opened.
    Opening { view: Pending<Result<LiveView, Error>>, past: Option<Box<Past>> },
    /// The view is open.
    Open(Box<Mp4>),
    /// The player gets nothing more.
    Ended,
}

impl Mse {
    /// Begins to open a view whose video and audio have some of these codecs.
    pub(super) fn open(core: &Arc<Core>, request: &ViewRequest, codecs: Vec<String>) -> Self {
        let (core, request) = (Arc::clone(core), request.clone());
        let attempts = Attempts { core, request, has_response: false };
        let state = State::Opening { view: attempts.next(None, open_view), past: None };
        Self { attempts, codecs, state, mime: None }
    }

    /// Returns the next message. A player cannot change the codecs of its buffer, but accepts further init segments.
    async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let error = match &mut self.state {
                State::Ended => pending().await,
                State::Opening { view, past } => match view.await {
                    Ok(view) => {
                        let (core, past) = (&self.attempts.core, past.take().map(|past| *past));
                        let mp4 = Mp4::new(core, view, &self.codecs, MAX_BURST, past);
                        self.state = State::Open(Box::new(mp4));
                        continue;
                    }
                    Err(error) => error,
                },
                State::Open(mp4) => match mp4.next().await {
                    Ok(Outgoing::Bytes(parts)) => return Ok(Message::Bytes(parts)),
                    Ok(Outgoing::Media { mime, .. }) => {
                        match self.note(&mime.unwrap_or_default())? {
                            Some(text) => return Ok(Message::Text(text)),
                            None => continue,
                        }
                    }
                    Ok(Outgoing::Text(_)) => continue,
                    Err(error) => error,
                },
            };
            self.try_again(error)?;
        }
    }

    /// Notes the MIME type of the frames that follow. Returns the message about it, if the player needs one.
    fn note(&mut self, mime: &str) -> Result<Option<String>, Failure> {
        self.attempts.has_response = true;
        match self.mime.replace(mime.to_owned()) {
            None => Ok(Some(messages::mse(mime))),
            Some(before) if families(&before).eq(families(mime)) => Ok(None),
            Some(_) => {
                let detail = "the codecs of the stream have changed; connect again";
                Err(Failure::End(Error::new(ErrorKind::StreamEnded, detail)))
            }
        }
    }

    /// Opens another view after an error, if that is useful.
    fn try_again(&mut self, error: Error) -> Result<(), Failure> {
        let past = match std::mem::replace(&mut self.state, State::Ended) {
            State::Opening { past, .. } => past,
            State::Open(mp4) => Some(Box::new(mp4.into_past())),
            State::Ended => None,
        };
        let error = self.attempts.after(error)?;
        let must_report = self.attempts.must_report(&error);
        self.state =
            State::Opening { view: self.attempts.next(Some(error.clone()), open_view), past };
        if must_report { Err(Failure::Error(error)) } else { Ok(()) }
    }

    async fn discard_late(&mut self) -> Error {
        match &mut self.state {
            State::Open(mp4) => mp4.discard_late().await,
            State::Opening { .. } | State::Ended => pending().await,
        }
    }
}

async fn open_view(core: Arc<Core>, request: ViewRequest) -> Result<LiveView, Error> {
    request.open(&core).await
}

/// Returns the codecs in a MIME type, without their parameters.
fn families(mime: &str) -> impl Iterator<Item = &str> {
    let codecs = mime.split('"').nth(1).unwrap_or_default();
    codecs.split(',').map(|codec| codec.split('.').next().unwrap_or_default())
}

/// Returns the function that opens a view of these pictures.
fn open_pictures(
    spec: PictureSpec,
) -> impl FnOnce(Arc<Core>, ViewRequest) -> Pending<Result<PictureView, Error>> + Send {
    move |core, request| {
        Box::pin(async move { PictureRequest::new(request, spec).open(&core).await })
    }
}

/// Pictures of a camera.
pub(super) struct Pictures {
    attempts: Attempts,
    spec: PictureSpec,
    state: PicturesState,
    /// True if the player knows that pictures follow.
    is_announced: bool,
}

enum PicturesState {
    Opening(Pending<Result<PictureView, Error>>),
    Open(Box<PictureView>),
    Ended,
}

impl Pictures {
    /// Begins to open a view of pictures.
    pub(super) fn open(core: &Arc<Core>, request: &ViewRequest, spec: PictureSpec) -> Self {
        let (core, request) = (Arc::clone(core), request.clone());
        let attempts = Attempts { core, request, has_response: false };
        let state = PicturesState::Opening(attempts.next(None, open_pictures(spec)));
        Self { attempts, spec, state, is_announced: false }
    }

    async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let error = match &mut self.state {
                PicturesState::Ended => pending().await,
                PicturesState::Opening(view) => match view.await {
                    Ok(view) => {
                        self.state = PicturesState::Open(Box::new(view));
                        self.attempts.has_response = true;
                        if !std::mem::replace(&mut self.is_announced, true) {
                            return Ok(Message::Text(messages::mjpeg()));
                        }
                        continue;
                    }
                    Err(error) => error,
                },
                PicturesState::Open(view) => match view.next().await {
                    Ok(picture) => return Ok(Message::Bytes([picture.data.clone(), Bytes::new()])),
                    Err(error) => error,
                },
            };
            self.state = PicturesState::Ended;
            let error = self.attempts.after(error)?;
            let must_report = self.attempts.must_report(&error);
            let view = self.attempts.next(Some(error.clone()), open_pictures(self.spec));
            self.state = PicturesState::Opening(view);
            if must_report {
                return Err(Failure::Error(error));
            }
        }
    }

    async fn end(&mut self) -> Error {
        match &mut self.state {
            PicturesState::Open(view) => view.end().await,
            PicturesState::Opening(_) | PicturesState::Ended => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codecs_of_mime_types_are_compared_without_their_parameters() {
        let is_same = |one: &str, other: &str| families(one).eq(families(other));
        let high = r#"video/mp4; codecs="avc1.64002A,mp4a.40.2""#;
        assert!(is_same(high, r#"video/mp4; codecs="avc1.4D001F,mp4a.40.2""#));
        assert!(!is_same(high, r#"video/mp4; codecs="avc1.64002A""#));
        assert!(!is_same(high, r#"video/mp4; codecs="hvc1.1.6.L93.B0,mp4a.40.2""#));
        assert!(!is_same(high, ""));
    }
}
