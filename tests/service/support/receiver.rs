//! A back end that receives webhooks and responds with the status codes that a test chooses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::LOCATION;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::eventually;
use super::openssl::{self_signed, tls_acceptor};

/// A webhook request, as received.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub path: String,
    pub headers: HeaderMap,
    /// The body before parsing.
    pub raw: Bytes,
    pub body: Value,
    /// The status code of the response.
    pub status: u16,
}

impl Webhook {
    /// Returns the event type, followed by the reason and the error code if the event has them, such
    /// as `stream.stopped failed source_unauthorized`.
    pub(crate) fn summary(&self) -> String {
        let text = |value: &Value| value.as_str().map(|text| format!(" {text}"));
        let kind = self.body["type"].as_str().expect("a type").to_owned();
        let kind = kind + &text(&self.body["reason"]).unwrap_or_default();
        kind + &text(&self.body["error"]["code"]).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    webhooks: Vec<Webhook>,
    /// Status codes of the next responses. When empty, the status code is 204.
    statuses: VecDeque<u16>,
}

/// A server that receives webhooks.
pub(crate) struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Starts a receiver on a free port. Its first responses have these status codes, in this order.
    /// All later responses have 204.
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        Self::listen(statuses, None).await
    }

    /// Starts a receiver that uses HTTPS. Also returns the path of its certificate.
    pub(crate) async fn start_tls(dir: &Path) -> (Self, String) {
        let (key, certificate) = self_signed(dir);
        let acceptor = tls_acceptor(&key, &certificate);
        (Self::listen(&[], Some(acceptor)).await, certificate)
    }

    async fn listen(statuses: &[u16], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = State { statuses: statuses.iter().copied().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, state).await,
                        // The handshake fails when the client does not trust the certificate.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, state }
    }

    /// Returns `http://127.0.0.1:PORT` followed by `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns all requests so far.
    pub(crate) fn webhooks(&self) -> Vec<Webhook> {
        self.state.lock().expect("requests").webhooks.clone()
    }

    /// Returns the summaries of a camera's events that the receiver accepted with 204.
    pub(crate) fn accepted(&self, camera: &str) -> Vec<String> {
        let webhooks = self.webhooks();
        let accepted = webhooks.iter().filter(|w| w.body["camera"] == camera && w.status == 204);
        accepted.map(Webhook::summary).collect()
    }

    /// Waits until the receiver has accepted as many events of a camera as expected, and compares their
    /// summaries.
    pub(crate) async fn receives(&self, camera: &str, expected: &[&str]) {
        let accepted = eventually(&format!("{camera} reports {expected:?}"), || async {
            let accepted = self.accepted(camera);
            (accepted.len() >= expected.len()).then_some(accepted)
        })
        .await;
        assert_eq!(accepted, expected);
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<Mutex<State>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(respond(request, &state).await) }
    });
    // An error only means that the manager closed the connection.
    let _ = Builder::new(TokioExecutor::new())
        .http1_only()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: Request<Incoming>, state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    let raw = body.collect().await.expect("a complete body").to_bytes();
    let body = serde_json::from_slice(&raw).expect("JSON");
    let mut state = state.lock().expect("requests");
    let status = state.statuses.pop_front().unwrap_or(204);
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    state.webhooks.push(Webhook { path, headers: head.headers, raw, body, status });
    let mut response = Response::new(Full::default());
    *response.status_mut() = status.try_into().expect("a status");
    // A status such as 307 makes this a redirect, which the manager must not follow.
    response.headers_mut().insert(LOCATION, "/elsewhere".parse().expect("a value"));
    response
}
