//! The receiver of webhooks: its URL, requests to it, and the meaning of its responses. User name,
//! password, path and query of the URL may be secret and are never shown.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderValue, InvalidHeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;

use super::signature::{self, Signer};
use crate::base::error::chain;
use crate::base::https::{self, HttpsError};
use crate::base::secret::Secret;

/// The largest response body that is read, in bytes. The connection can be used again only after
/// the whole body was read.
const MAX_RESPONSE: usize = 64 * 1024;
/// The longest time for which a response body is read.
const READ_RESPONSE_WITHIN: Duration = Duration::from_secs(1);
/// The time for which an idle connection is kept open.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("stream-manager/", env!("CARGO_PKG_VERSION"));

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver accepted the event.
    Delivered,
    /// The receiver will never accept the event, for this reason.
    Refused(String),
    /// The attempt failed, but another one may succeed.
    Retry {
        /// The reason why the attempt failed.
        cause: String,
        /// The pause that the receiver requested with `Retry-After`.
        after: Option<Duration>,
    },
}

/// Sends webhooks. [`Receiver`] implements this trait; tests have another implementation.
pub(super) trait Post: Send + Sync + 'static {
    /// Makes one attempt. The caller must limit the duration of the attempt.
    fn post(&self, body: Bytes) -> impl Future<Output = Outcome> + Send;
}

/// The receiver at `WEBHOOK_URL`.
pub(super) struct Receiver {
    client: HttpClient,
    uri: Uri,
    authorization: Option<HeaderValue>,
    signer: Option<Signer>,
    shown: String,
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The reason why a URL cannot be used. The texts do not contain the URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UrlError {
    /// The URL cannot be parsed.
    #[error("it is not a URL")]
    Syntax(#[source] url::ParseError),
    /// The scheme is neither `http` nor `https`.
    #[error("it must begin with http:// or https://")]
    Scheme,
    /// The URL has no host.
    #[error("it has no host")]
    NoHost,
    /// The URL cannot be used in an HTTP request.
    #[error("it is not a valid HTTP URL")]
    Http(#[source] InvalidUri),
    /// The user name and password do not fit into a header.
    #[error("its user name and password cannot be sent")]
    Credentials(#[source] InvalidHeaderValue),
    /// TLS cannot be used.
    #[error(transparent)]
    Https(#[from] HttpsError),
}

impl Receiver {
    /// Creates the receiver at `url`. Webhooks to it are signed if there is a `signer`.
    pub(super) fn new(url: &Secret, signer: Option<Signer>) -> Result<Self, UrlError> {
        let mut url = Url::parse(url.expose()).map_err(UrlError::Syntax)?;
        let is_https = url.scheme() == "https";
        if !is_https && url.scheme() != "http" {
            return Err(UrlError::Scheme);
        }
        let authorization = basic(&url)?;
        let shown = shown(&url);
        let without_user = url.set_username("").and_then(|()| url.set_password(None));
        without_user.map_err(|()| UrlError::NoHost)?;
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(UrlError::Http)?;
        Ok(Self { client: client(is_https)?, uri, authorization, signer, shown })
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
                // The body is read in the background, so that the outcome does not wait for it.
                let body = Limited::new(response.into_body(), MAX_RESPONSE).collect();
                tokio::spawn(async move { drop(timeout(READ_RESPONSE_WITHIN, body).await) });
                outcome
            }
            Err(error) => Outcome::Retry { cause: chain(&error), after: None },
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

/// Returns the outcome that a response means. A redirect counts as a refusal, because a webhook that
/// was signed for one receiver must not be sent to another.
fn outcome(response: &Response<Incoming>) -> Outcome {
    let status = response.status();
    let cause = format!("the receiver responded with {status}");
    let is_worth_another = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_success() {
        Outcome::Delivered
    } else if is_worth_another {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Outcome::Retry { cause, after }
    } else if status.is_redirection() {
        Outcome::Refused(format!("{cause}; redirects are not followed"))
    } else {
        Outcome::Refused(cause)
    }
}

/// Creates a client.
fn client(is_https: bool) -> Result<HttpClient, UrlError> {
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION);
    Ok(client.build(https::connector(is_https)?))
}

/// Returns the `Authorization` header with the URL's user name and password; `None` if the URL has
/// neither.
fn basic(url: &Url) -> Result<Option<HeaderValue>, UrlError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair)));
    let mut value = value.map_err(UrlError::Credentials)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Returns the URL without user name and password, and with `***` in place of path and query.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path() == "/" && url.query().is_none() { "" } else { "***" };
    format!("{}://{host}{port}/{path}", url.scheme())
}
