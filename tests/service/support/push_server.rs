//! A push server for one browser. It decrypts notifications with the browser's keys, verifies their signatures, and responds
//! as a test chooses.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Instant, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{LOCATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use web_push_native::Auth;
use web_push_native::p256::SecretKey;

use super::eventually;
use super::openssl::{self_signed, tls_acceptor};

/// The browser's secret.
const AUTH: [u8; 16] = [9; 16];

/// A response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Status 429, and the time after which the manager can try again, in seconds.
    TooMany(u64),
    /// No response.
    Hang,
}

/// A notification, as received.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    /// The path of the browser's URL.
    pub path: String,
    pub headers: HeaderMap,
    /// The decrypted content.
    pub content: Value,
    /// The claims of the signature.
    pub claims: Value,
    /// The public key of the signature.
    pub key: String,
    pub received_at: Instant,
}

#[derive(Default)]
struct State {
    pushed: Vec<Pushed>,
    /// The next responses by path. If there are none, the status is 201.
    answers: HashMap<String, VecDeque<Answer>>,
}

/// A push server at `https://localhost`.
pub(crate) struct PushServer {
    port: u16,
    state: Arc<Mutex<State>>,
    certificate: String,
    _dir: TempDir,
}

impl PushServer {
    /// Starts a push server on a free port.
    pub(crate) async fn start() -> Self {
        let dir = TempDir::new().expect("a directory");
        let (key, certificate) = self_signed(dir.path());
        let tls = tls_acceptor(&key, &certificate);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(respond(request, port, &state).await) }
                    });
                    let server = Builder::new(TokioExecutor::new()).http1_only();
                    // An error only means that the manager closed the connection.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port, state, certificate, _dir: dir }
    }

    /// Returns the settings of a manager that trusts the server's certificate and can connect to the server.
    pub(crate) fn settings(&self) -> [(&str, &str); 2] {
        [("SSL_CERT_FILE", &self.certificate), ("PUSH_ALLOW_NETS", "127.0.0.0/8 ::1")]
    }

    /// Returns a `PushSubscription` with this path, as a browser sends it.
    pub(crate) fn subscription(&self, path: &str) -> Value {
        let public = private_key().public_key().to_sec1_bytes();
        json!({
            "endpoint": format!("https://localhost:{}{path}", self.port),
            "expirationTime": null,
            "keys": { "p256dh": BASE64.encode(public), "auth": BASE64.encode(AUTH) },
        })
    }

    /// Sets the next responses to requests for a path.
    pub(crate) fn answer(&self, path: &str, answers: &[Answer]) {
        let mut state = self.state.lock().expect("the state");
        state.answers.insert(path.to_owned(), answers.iter().copied().collect());
    }

    /// Returns the notifications for a path so far.
    pub(crate) fn pushed(&self, path: &str) -> Vec<Pushed> {
        let pushed = self.state.lock().expect("the state").pushed.clone();
        pushed.into_iter().filter(|pushed| pushed.path == path).collect()
    }

    /// Returns the texts of the notifications for a path so far.
    pub(crate) fn texts(&self, path: &str) -> Vec<String> {
        let text = |pushed: &Pushed| pushed.content["body"].as_str().expect("a text").to_owned();
        self.pushed(path).iter().map(text).collect()
    }

    /// Waits until there are this many notifications for a path, and returns the last one.
    pub(crate) async fn receives(&self, path: &str, count: usize) -> Pushed {
        eventually(&format!("{count} notifications arrive for {path}"), || async {
            let pushed = self.pushed(path);
            (pushed.len() >= count).then(|| pushed.last().cloned()).flatten()
        })
        .await
    }
}

fn private_key() -> SecretKey {
    SecretKey::from_slice(&[7; 32]).expect("a key")
}

async fn respond(
    request: Request<Incoming>,
    port: u16,
    state: &Mutex<State>,
) -> Response<Full<Bytes>> {
    let received_at = Instant::now();
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    let body = body.collect().await.expect("a complete body").to_bytes();
    assert!(body.len() <= 4096, "{} bytes", body.len());
    let content = web_push_native::decrypt(body.to_vec(), &private_key(), &Auth::from(AUTH));
    let content = serde_json::from_slice(&content.expect("the browser's content")).expect("JSON");
    let signature = head.headers["authorization"].to_str().expect("text");
    let (claims, key) = verified(signature, &format!("https://localhost:{port}"));
    let path = head.uri.path().to_owned();
    let answer = {
        let mut state = state.lock().expect("the state");
        let answers = state.answers.get_mut(&path);
        let answer = answers.and_then(VecDeque::pop_front).unwrap_or(Answer::Status(201));
        let headers = head.headers;
        state.pushed.push(Pushed { path, headers, content, claims, key, received_at });
        answer
    };
    let mut response = Response::new(Full::default());
    match answer {
        Answer::Status(status) => *response.status_mut() = status.try_into().expect("a status"),
        Answer::TooMany(seconds) => {
            *response.status_mut() = 429.try_into().expect("a status");
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Answer::Hang => std::future::pending().await,
    }
    // A status such as 307 makes this a redirect, which the manager must not follow.
    let elsewhere = format!("https://localhost:{port}/elsewhere");
    response.headers_mut().insert(LOCATION, elsewhere.parse().expect("a value"));
    response
}

/// Verifies the header `Authorization` (RFC 8292). Returns the claims and the public key.
fn verified(header: &str, audience: &str) -> (Value, String) {
    let token_and_key = header.strip_prefix("vapid t=").and_then(|rest| rest.split_once(", k="));
    let (token, key) = token_and_key.expect(header);
    let point = BASE64.decode(key).expect("base64url");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    let claims =
        jsonwebtoken::decode::<Value>(token, &DecodingKey::from_ec_der(&point), &validation)
            .expect("a valid signature")
            .claims;
    let expires = claims["exp"].as_u64().expect("a time");
    let now = UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    assert!(expires > now && expires <= now + 24 * 3600, "{claims}");
    (claims, key.to_owned())
}
