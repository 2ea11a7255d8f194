//! The handshake of a WebSocket: a request that becomes a WebSocket with the response 101 (RFC 6455, 4.2).

use http_body_util::{BodyExt as _, Empty};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use super::origin;
use super::socket::{MAX_RECEIVED, Socket};
use crate::api::connection::Closing;
use crate::api::credentials::text;
use crate::api::reply::Reply;
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};

/// The only version of the protocol.
const VERSION: &str = "13";

/// A request that the manager can accept as a WebSocket.
pub(in crate::api) struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    accept: HeaderValue,
    upgrade: OnUpgrade,
    closing: Closing,
    max_received: usize,
}

impl Handshake {
    /// Checks a request. Error: the request is not the handshake of a WebSocket, or a page of another origin has
    /// caused the request and could use the cookie of a playback session.
    pub(in crate::api) fn check(call: &mut Call<'_>) -> Result<Self, Error> {
        origin::ensure_allowed(&call.head.headers, &call.shown(), &call.api.public_url)?;
        let accept = accept_key(&call.head.headers)?;
        let extensions = &mut call.head.extensions;
        match (extensions.remove::<OnUpgrade>(), extensions.remove::<Closing>()) {
            (Some(upgrade), Some(closing)) => {
                Ok(Self { accept, upgrade, closing, max_received: MAX_RECEIVED })
            }
            _ => Err(refused("this connection cannot be upgraded; use HTTP/1.1")),
        }
    }

    /// Changes the size of the largest message of the client, in bytes. The default is [`MAX_RECEIVED`].
    pub(in crate::api) fn receiving(self, max_received: usize) -> Self {
        Self { max_received, ..self }
    }

    /// Accepts the request. `session` gets the socket as soon as the response has been sent, and runs in a task of
    /// its own. The connection is closed when the session drops the socket.
    pub(in crate::api) fn accept<F>(
        self,
        session: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { accept, upgrade, closing, max_received } = self;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let upgraded = TokioIo::new(upgraded);
                    session(Socket::new(upgraded, closing, max_received).await).await;
                }
                Err(error) => debug!(%error, "a client left before its WebSocket was open"),
            }
        });
        let mut reply = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = reply.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        reply
    }
}

/// Returns the value of `Sec-WebSocket-Accept` for a request with these headers. Error: the headers are not those of
/// a handshake.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Error> {
    if !lists(headers, UPGRADE.as_str(), "websocket")
        || !lists(headers, CONNECTION.as_str(), "upgrade")
    {
        return Err(refused("this path is a WebSocket; connect with ws:// or wss://"));
    }
    if text(headers, SEC_WEBSOCKET_VERSION.as_str()).map(str::trim) != Some(VERSION) {
        return Err(refused("the version of the WebSocket protocol must be 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| refused("the header Sec-WebSocket-Key is missing"))?;
    let accept = derive_accept_key(key.as_bytes());
    HeaderValue::from_str(&accept).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot accept the WebSocket").caused_by(error)
    })
}

/// Returns whether the list in a header contains `token`, which is in lower case.
fn lists(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|entry| entry.trim().eq_ignore_ascii_case(token))
}

fn refused(detail: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = hyper::header::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn only_complete_handshakes_are_accepted() {
        let complete = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        // The example of RFC 6455, 1.3.
        let accepted = accept_key(&headers(&complete)).expect("a handshake");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for missing in 0..complete.len() {
            let mut rest = complete.to_vec();
            let (name, _) = rest.remove(missing);
            assert!(accept_key(&headers(&rest)).is_err(), "without {name}");
        }
        for (index, value) in [(0, "h2c"), (1, "close"), (2, "8"), (3, "")] {
            let mut changed = complete;
            changed[index].1 = value;
            let error = accept_key(&headers(&changed)).expect_err(value);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
        }
    }
}
