//! `WEBHOOK_URL`: what may stand there, how it is asked, and what its answers mean. User name,
//! password, path and query of the URL may be secret, so that none of them is ever shown.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use url::Url;

use super::signature::{self, Signer};
use crate::base::secret::Secret;

/// An answer's body is read, so that the connection can be used again, up to here and no longer.
const MAX_ANSWER: usize = 64 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("stream-manager/", env!("CARGO_PKG_VERSION"));

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want it, now or later; why.
    Refused(String),
    /// Another attempt may do better.
    Again {
        /// What went wrong.
        cause: String,
        /// When the receiver asked to be tried again.
        after: Option<Duration>,
    },
}

/// Whoever takes messages. In the service a [`Receiver`].
pub trait Post: Send + Sync + 'static {
    /// Makes one attempt. The caller limits its time.
    fn post(&self, body: Bytes) -> impl Future<Output = Outcome> + Send;
}

/// The receiver that `WEBHOOK_URL` names.
pub struct Receiver {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
    signer: Option<Signer>,
    shown: String,
}

impl Receiver {
    /// Checks `url` and `secret`. The error is one line for the operator, and repeats neither.
    pub fn new(url: &Secret, secret: Option<&Secret>) -> Result<Self, String> {
        let unusable = |reason: &str| format!("WEBHOOK_URL cannot be used: {reason}");
        let mut url = Url::parse(url.expose())
            .map_err(|error| unusable(&format!("it is no URL: {error}")))?;
        let is_https = url.scheme() == "https";
        if !is_https && url.scheme() != "http" {
            return Err(unusable("http:// or https:// is wanted"));
        }
        let authorization = basic(&url).map_err(|error| unusable(&error))?;
        let shown = shown(&url);
        let no_user = url.set_username("").and_then(|()| url.set_password(None));
        no_user.map_err(|()| unusable("it names no host"))?;
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| unusable("it is no URL of HTTP"))?;
        let signer = secret.map(|secret| Signer::new(secret.expose().as_bytes())).transpose()?;
        let client = client(is_https).map_err(|error| unusable(&error))?;
        Ok(Self { client, uri, authorization, signer, shown })
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let signature = self.signer.as_ref().map(|signer| signer.sign(SystemTime::now(), &body));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(signature) = signature.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(signature::HEADER, signature);
        }
        request
    }
}

impl Post for Receiver {
    async fn post(&self, body: Bytes) -> Outcome {
        match self.client.request(self.request(body)).await {
            Ok(response) => {
                let outcome = outcome(&response);
                // What it says besides is of no interest.
                let rest = Limited::new(response.into_body(), MAX_ANSWER).collect();
                // The outcome is known and does not wait for it.
                tokio::spawn(async move { drop(timeout(ANSWER_WITHIN, rest).await) });
                outcome
            }
            Err(error) => Outcome::Again { cause: causes(&error), after: None },
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({self})")
    }
}

/// What an answer means. A redirect is not followed: what was signed for one receiver is not
/// handed to another.
fn outcome(response: &Response<Incoming>) -> Outcome {
    let status = response.status();
    let cause = format!("the receiver answers {status}");
    let is_worth_another = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_success() {
        Outcome::Delivered
    } else if is_worth_another {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Outcome::Again { cause, after }
    } else if status.is_redirection() {
        Outcome::Refused(format!("{cause}; redirects are not followed"))
    } else {
        Outcome::Refused(cause)
    }
}

/// Trusts what the system trusts, so that a back end's own certificate authority can be added as for
/// every other program.
fn client(is_https: bool) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if is_https {
        builder.with_native_roots().map_err(|error| {
            format!(
                "https needs the system's certificates, e.g. the package ca-certificates: {error}"
            )
        })?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(builder.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .build();
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION);
    Ok(client.build(connector))
}

/// User name and password of a URL as every HTTP client sends them.
fn basic(url: &Url) -> Result<Option<HeaderValue>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair)));
    let mut value = value.map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The URL as people may see it.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest = if url.path() == "/" && url.query().is_none() { "" } else { "***" };
    format!("{}://{host}{port}/{rest}", url.scheme())
}

/// An error with all that caused it.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
