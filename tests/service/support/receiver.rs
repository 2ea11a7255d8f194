//! A back end that takes webhooks, and answers as the test wants.

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
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{eventually, openssl};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub path: String,
    pub headers: HeaderMap,
    pub raw: Bytes,
    pub body: Value,
    /// What it was answered with.
    pub status: u16,
}

impl Webhook {
    /// Type, and code of the error or reason where there is one.
    pub fn summary(&self) -> String {
        let text = |value: &Value| value.as_str().map(|text| format!(" {text}"));
        let kind = self.body["type"].as_str().expect("a type").to_owned();
        let kind = kind + &text(&self.body["reason"]).unwrap_or_default();
        kind + &text(&self.body["error"]["code"]).unwrap_or_default()
    }
}

#[derive(Default)]
struct Seen {
    webhooks: Vec<Webhook>,
    /// What the next requests are answered with; 204 when empty.
    answers: VecDeque<u16>,
}

pub struct Receiver {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    /// A receiver on a free port, whose first requests are answered with `answers`.
    pub async fn start(answers: &[u16]) -> Self {
        Self::listen(answers, None).await
    }

    /// The same with https. Returns the file of the certificate too.
    pub async fn start_tls(dir: &Path) -> (Self, String) {
        let path = |name: &str| dir.join(name).to_str().expect("a path").to_owned();
        let (key, certificate) = (path("key.pem"), path("certificate.pem"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&certificate).expect("a certificate")],
                PrivateKeyDer::from_pem_file(&key).expect("a key"),
            );
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")));
        (Self::listen(&[], Some(acceptor)).await, certificate)
    }

    async fn listen(answers: &[u16], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Seen { answers: answers.iter().copied().collect(), ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (seen, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, seen).await,
                        // Whoever does not trust the certificate goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// http://127.0.0.1:port and `path`
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// All requests until now.
    pub fn all(&self) -> Vec<Webhook> {
        self.seen.lock().expect("requests").webhooks.clone()
    }

    /// The events of a camera that were taken, in short.
    pub fn told(&self, camera: &str) -> Vec<String> {
        let webhooks = self.all();
        let taken = webhooks.iter().filter(|w| w.body["camera"] == camera && w.status == 204);
        taken.map(Webhook::summary).collect()
    }

    /// Waits until exactly these events of a camera were taken, in this order.
    pub async fn hears(&self, camera: &str, expected: &[&str]) {
        let told = eventually(&format!("{camera} tells {expected:?}"), || async {
            let told = self.told(camera);
            (told.len() >= expected.len()).then_some(told)
        })
        .await;
        assert_eq!(told, expected);
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seen: Arc<Mutex<Seen>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(take(request, &seen).await) }
    });
    // A connection that breaks is the manager's end.
    let _ = Builder::new(TokioExecutor::new())
        .http1_only()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn take(request: Request<Incoming>, seen: &Mutex<Seen>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    let raw = body.collect().await.expect("a whole body").to_bytes();
    let body = serde_json::from_slice(&raw).expect("JSON");
    let mut seen = seen.lock().expect("requests");
    let status = seen.answers.pop_front().unwrap_or(204);
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    seen.webhooks.push(Webhook { path, headers: head.headers, raw, body, status });
    let mut response = Response::new(Full::default());
    *response.status_mut() = status.try_into().expect("a status");
    response.headers_mut().insert(LOCATION, "/elsewhere".parse().expect("a value"));
    response
}
