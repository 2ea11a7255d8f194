//! The HTTP client for buckets. It limits the bandwidth of request bodies, and ends requests that make no progress.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt as _, Empty, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, HeaderValue, USER_AGENT};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::time::timeout;

use super::counters::OffsiteCounters;
use super::pace::Pace;
use crate::base::https::{self, HttpsError};

/// The longest time in which a request makes no progress.
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
/// The time for which an idle connection is kept open.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("stream-manager/", env!("CARGO_PKG_VERSION"));

type Body = UnsyncBoxBody<Bytes, HttpError>;

/// The client.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    pace: Pace,
    counters: OffsiteCounters,
}

#[derive(Debug, thiserror::Error)]
#[error("no progress for {} s", PROGRESS_WITHIN.as_secs())]
struct NoProgress;

impl Http {
    /// Creates the client.
    pub(super) fn new(
        is_https: bool,
        pace: Pace,
        counters: OffsiteCounters,
    ) -> Result<Self, HttpsError> {
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION);
        Ok(Self { client: client.build(https::connector(is_https)?), pace, counters })
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let progress = Arc::new(AtomicU64::new(0));
        let size = body.content_length();
        let body = if size == 0 {
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else {
            // Servers refuse bodies without this header.
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
            self.paced(body, Arc::clone(&progress))
        };
        let mut response = pin!(self.client.request(Request::from_parts(parts, body)));
        let response = loop {
            let before = progress.load(Ordering::Relaxed);
            match timeout(PROGRESS_WITHIN, &mut response).await {
                Ok(response) => break response,
                Err(_) if progress.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(HttpError::new(HttpErrorKind::Timeout, NoProgress)),
            }
        };
        let response = response.map_err(|error| {
            let is_connect = error.is_connect();
            let kind = if is_connect { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, error)
        })?;
        let (parts, body) = response.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }

    /// Returns the body, whose bytes are sent within the limit of the bandwidth.
    fn paced(&self, body: HttpRequestBody, progress: Arc<AtomicU64>) -> Body {
        let (pace, counters) = (self.pace.clone(), self.counters.clone());
        let chunks = BodyDataStream::new(body).then(move |chunk| {
            let (pace, counters, progress) =
                (pace.clone(), counters.clone(), Arc::clone(&progress));
            async move {
                let chunk = chunk?;
                pace.take(chunk.len()).await;
                progress.fetch_add(1, Ordering::Relaxed);
                counters.sent(chunk.len());
                Ok(Frame::data(chunk))
            }
        });
        StreamBody::new(chunks).boxed_unsync()
    }
}

impl HttpService for Http {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.clone().send(request))
    }
}

/// Gives this client to `object_store`.
#[derive(Debug)]
pub(super) struct Connector(pub(super) Http);

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
