//! Requests to push servers, and the meaning of their responses.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tower_service::Service;
use web_push_native::Auth;

use super::networks::{ConnectError, PushNetworks};
use super::notification::Notification;
use super::subscription::{Browser, Subscription};
use super::vapid::VapidKey;
use crate::base::error::{Error, ErrorKind, chain};
use crate::base::https;
use crate::base::lock::lock;
use crate::base::time::SystemClock;

/// The time for which a push server keeps a notification for a device that is away, in seconds. Later, the news is old.
const TTL: &str = "14400";
/// The largest response body that is read, in bytes. The connection can be used again only after the whole body was read.
const MAX_RESPONSE: usize = 16 * 1024;
/// The longest time for which a response body is read.
const READ_RESPONSE_WITHIN: Duration = Duration::from_secs(1);
/// The longest time of a connection, including TLS.
const CONNECT_WITHIN: Duration = Duration::from_secs(9);
/// The time for which an idle connection is kept open.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// The largest number of idle connections to one push server.
const MAX_IDLE: usize = 4;
/// The largest number of push servers whose connections are kept open. Most browsers use one of three servers. Clients can
/// invent many others, and each open connection takes one of the files that the manager can open.
const MAX_KEPT: usize = 8;

const AGENT: &str = concat!("stream-manager/", env!("CARGO_PKG_VERSION"));

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The push server accepted the notification.
    Delivered,
    /// The push server does not know the subscription any more.
    Gone,
    /// The push server will never accept the notification, for this reason.
    Refused(String),
    /// There was no response, but another attempt may succeed. Subscribers must not learn the reason, because it describes
    /// what is at an address.
    NoResponse(String),
    /// The push server responded that another attempt may succeed.
    Retry {
        /// The reason why the attempt failed.
        cause: String,
        /// The pause that the push server requested with `Retry-After`.
        after: Option<Duration>,
    },
}

/// Sends notifications. [`PushClient`] implements this trait; tests have another implementation.
pub(super) trait Post: Send + Sync + 'static {
    /// Makes one attempt. The caller must limit the duration of the attempt.
    fn post(
        &self,
        to: &Subscription,
        notification: &Notification,
    ) -> impl Future<Output = Outcome> + Send;
}

/// The client of push servers.
pub(super) struct PushClient {
    key: VapidKey,
    /// The address at which the operators of push servers can reach the operator of the manager.
    contact: Option<String>,
    networks: PushNetworks,
    clock: SystemClock,
    /// Created for the first notification, because the trusted certificates take memory.
    http: OnceCell<HttpClients>,
    /// The push servers whose connections are kept open.
    kept: Mutex<HashSet<String>>,
}

type BoxError = Box<dyn StdError + Send + Sync>;
type HttpClient = Client<InTime<HttpsConnector<PushNetworks>>, Full<Bytes>>;

/// A client that keeps its connections open for further requests, and one that closes them.
struct HttpClients {
    keeping: HttpClient,
    closing: HttpClient,
}

impl PushClient {
    /// Creates the client.
    pub(super) fn new(
        key: VapidKey,
        contact: Option<String>,
        networks: PushNetworks,
        clock: SystemClock,
    ) -> Self {
        Self { key, contact, networks, clock, http: OnceCell::new(), kept: Mutex::default() }
    }

    /// Returns the public key that browsers need.
    pub(super) fn public_key(&self) -> &str {
        self.key.public()
    }

    /// Returns whether requests contain the address of the operator.
    pub(super) fn has_contact(&self) -> bool {
        self.contact.is_some()
    }

    /// Returns an error if the push server of a browser has an address that is not permitted. The address is checked again
    /// for each connection.
    pub(super) async fn ensure_permitted(&self, browser: &Browser) -> Result<(), Error> {
        let (host, port) = browser.host();
        match self.networks.resolve(host, port).await {
            Err(error @ ConnectError::NotPermitted) => {
                Err(Error::new(ErrorKind::PushForbidden, error.to_string()))
            }
            // A name may be unknown only for a while.
            _ => Ok(()),
        }
    }

    async fn http(&self, server: &str) -> Result<&HttpClient, Outcome> {
        let clients = self.http.get_or_try_init(|| http_clients(self.networks.clone())).await?;
        Ok(if self.is_kept(server) { &clients.keeping } else { &clients.closing })
    }

    /// Returns whether connections to a push server are kept open, like those to the first [`MAX_KEPT`] servers.
    fn is_kept(&self, server: &str) -> bool {
        let mut kept = lock(&self.kept);
        kept.contains(server) || (kept.len() < MAX_KEPT && kept.insert(server.to_owned()))
    }

    fn request(
        &self,
        browser: &Browser,
        notification: &Notification,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let content = notification.content.to_vec();
        let auth = Auth::from(browser.auth());
        let encrypted = web_push_native::encrypt(content, browser.public_key(), &auth);
        let encrypted = encrypted.map_err(|error| {
            let detail = "a push notification cannot be encrypted";
            Error::new(ErrorKind::Internal, detail).caused_by(error)
        })?;
        let mut request = Request::new(Full::new(encrypted.into()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = browser.uri().clone();
        let headers = request.headers_mut();
        let now = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = self.key.authorization(browser.server(), self.contact.as_deref(), now)?;
        headers.insert(AUTHORIZATION, signature);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(HeaderName::from_static("ttl"), HeaderValue::from_static(TTL));
        let urgency = HeaderValue::from_static(notification.urgency.name());
        headers.insert(HeaderName::from_static("urgency"), urgency);
        if let Ok(topic) = HeaderValue::from_str(&notification.topic) {
            headers.insert(HeaderName::from_static("topic"), topic);
        }
        Ok(request)
    }
}

impl Post for PushClient {
    async fn post(&self, to: &Subscription, notification: &Notification) -> Outcome {
        let request = match self.request(&to.browser, notification) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(chain(&error)),
        };
        let http = match self.http(to.browser.server()).await {
            Ok(http) => http,
            Err(outcome) => return outcome,
        };
        match http.request(request).await {
            Ok(response) => {
                let outcome = outcome(&response, (self.clock)());
                // The body is read in the background, so that the outcome does not wait for it.
                let body = Limited::new(response.into_body(), MAX_RESPONSE).collect();
                tokio::spawn(async move { drop(timeout(READ_RESPONSE_WITHIN, body).await) });
                outcome
            }
            Err(error) if is_not_permitted(&error) => {
                Outcome::Refused(ConnectError::NotPermitted.to_string())
            }
            Err(error) => Outcome::NoResponse(chain(&error)),
        }
    }
}

/// Creates clients that connect to permitted addresses only.
async fn http_clients(networks: PushNetworks) -> Result<HttpClients, Outcome> {
    let failed = Outcome::NoResponse;
    // Reading the trusted certificates blocks the thread.
    let create = tokio::task::spawn_blocking(|| https::connector_over(networks, true));
    let created = create.await.map_err(|error| failed(chain(&error)))?;
    let mut connector = created.map_err(|error| failed(chain(&error)))?;
    connector.enforce_https();
    let client = |idle| {
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION);
        client.pool_max_idle_per_host(idle).build(InTime(connector.clone()))
    };
    Ok(HttpClients { keeping: client(MAX_IDLE), closing: client(0) })
}

/// Limits the time of a connection, because a server can accept it and not respond to TLS. The client does not end a
/// connection that it no longer waits for.
#[derive(Debug, Clone)]
struct InTime<C>(C);

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.0.call(uri);
        Box::pin(async move {
            let connected = timeout(CONNECT_WITHIN, connection).await;
            connected.unwrap_or_else(|_| Err(ConnectError::TimedOut.into()))
        })
    }
}

/// Returns whether the request failed because the address of the push server is not permitted.
fn is_not_permitted(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ConnectError::NotPermitted) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the outcome that a response means. Redirects are not followed, because the address of the next server would
/// have to be checked as well, and no push server needs them.
fn outcome(response: &Response<Incoming>, now: SystemTime) -> Outcome {
    let (status, after) = (response.status(), response.headers().get(RETRY_AFTER));
    outcome_of(status, after.and_then(|value| value.to_str().ok()), now)
}

fn outcome_of(status: StatusCode, retry_after: Option<&str>, now: SystemTime) -> Outcome {
    let cause = format!("the push server responded with {status}");
    let is_worth_another = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_success() {
        Outcome::Delivered
    } else if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        Outcome::Gone
    } else if is_worth_another {
        Outcome::Retry { cause, after: retry_after.and_then(|text| pause(text, now)) }
    } else if status.is_redirection() {
        Outcome::Refused(format!("{cause}; redirects are not followed"))
    } else {
        Outcome::Refused(cause)
    }
}

/// Returns the pause that the value of `Retry-After` requests, in seconds or until a time.
fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(text.trim()).ok();
    seconds.or_else(|| until().map(|until| until.duration_since(now).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::super::notification;
    use super::super::subscription::testing::{preferences, private_key, subscription};
    use super::*;
    use crate::camera::networks::Networks;

    /// Returns a client with a new key.
    fn client(contact: Option<&str>) -> PushClient {
        let networks = PushNetworks::new(Networks::default());
        let key = VapidKey::generate().expect("a key");
        let clock: SystemClock = Arc::new(SystemTime::now);
        PushClient::new(key, contact.map(str::to_owned), networks, clock)
    }

    #[test]
    fn responses_have_the_meaning_of_the_standard() {
        let now = UNIX_EPOCH + Duration::from_secs(1_763_719_201);
        let retry = |status: &str, after: Option<u64>| Outcome::Retry {
            cause: format!("the push server responded with {status}"),
            after: after.map(Duration::from_secs),
        };
        let table = [
            (200, None, Outcome::Delivered),
            (201, None, Outcome::Delivered),
            (404, None, Outcome::Gone),
            (410, None, Outcome::Gone),
            (429, Some("7"), retry("429 Too Many Requests", Some(7))),
            (429, Some("Fri, 21 Nov 2025 10:00:11 GMT"), retry("429 Too Many Requests", Some(10))),
            (429, Some("Fri, 21 Nov 2025 09:00:00 GMT"), retry("429 Too Many Requests", Some(0))),
            (429, Some("soon"), retry("429 Too Many Requests", None)),
            (503, None, retry("503 Service Unavailable", None)),
        ];
        for (status, after, expected) in table {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(outcome_of(status, after, now), expected, "{status} {after:?}");
        }
        for status in [301, 302, 307, 400, 401, 403, 413] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(matches!(outcome_of(status, None, now), Outcome::Refused(_)), "{status}");
        }
    }

    #[tokio::test]
    async fn a_request_has_the_headers_of_the_standard_and_only_the_browser_can_read_it() {
        let client = client(Some("mailto:ops@example.com"));
        let to = subscription("a", "https://push.example.com/send/1", preferences(&["camera"]));
        let notification = notification::test(&to, UNIX_EPOCH);
        let request = client.request(&to.browser, &notification).expect("a request");
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/send/1"));
        let header = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        assert_eq!((header("ttl"), header("urgency")), ("14400".into(), "high".into()));
        assert_eq!(
            (header("content-encoding"), header("topic")),
            ("aes128gcm".into(), notification.topic.clone())
        );
        assert!(header("authorization").starts_with("vapid t="));
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        assert!(body.len() <= 4096, "{}", body.len());
        let auth = Auth::from(to.browser.auth());
        let content = web_push_native::decrypt(body.to_vec(), &private_key(), &auth);
        assert_eq!(content.expect("the content"), notification.content);
        web_push_native::decrypt(body.to_vec(), &private_key(), &Auth::from([0; 16]))
            .expect_err("another secret");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_addresses_that_are_not_permitted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let client = client(None);
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
            let url = format!("https://{host}:{port}/x");
            let to = subscription("a", &url, preferences(&["camera"]));
            let refused = client.ensure_permitted(&to.browser).await.expect_err(host);
            assert_eq!(refused.kind, ErrorKind::PushForbidden);
            let outcome = client.post(&to, &notification::test(&to, UNIX_EPOCH)).await;
            let expected = Outcome::Refused(ConnectError::NotPermitted.to_string());
            assert_eq!(outcome, expected, "{host}");
        }
        let accepted = timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(accepted.is_err(), "a connection to an address that is not permitted");
        let unknown = subscription("a", "https://no-such.invalid/", preferences(&["camera"]));
        client.ensure_permitted(&unknown.browser).await.expect("the name may become known");
        let outcome = client.post(&unknown, &notification::test(&unknown, UNIX_EPOCH)).await;
        assert!(matches!(outcome, Outcome::NoResponse(_)), "{outcome:?}");
    }

    #[test]
    fn connections_to_a_few_servers_are_kept() {
        let client = client(None);
        let kept = (0..100).filter(|number: &u32| client.is_kept(&number.to_string())).count();
        assert_eq!(kept, MAX_KEPT);
        assert!(client.is_kept("0") && !client.is_kept("99"));
    }

    #[test]
    fn the_cause_is_found_behind_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("a wrapper")]
        struct Wrapper(#[source] Box<dyn StdError + Send + Sync>);

        assert!(is_not_permitted(&Wrapper(Box::new(Wrapper(ConnectError::NotPermitted.into())))));
        assert!(!is_not_permitted(&Wrapper(ConnectError::UnknownName.into())));
        assert!(!is_not_permitted(&io::Error::other("something else")));
    }
}
