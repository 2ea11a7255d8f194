//! Requests of commands to the API of the running service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::base::error::connect_failure;
use crate::base::secret::Secret;
use crate::config::Config;

/// The time within which a connection must be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which the service must respond. An import of 100,000 cameras takes several seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(2);
/// The largest response, in bytes: enough for the preview of 100,000 cameras.
const MAX_RESPONSE: usize = 128 * 1024 * 1024;

/// Sends requests to the API of one service.
pub(super) struct Client {
    /// The host and the port of the URL, such as `127.0.0.1:8088`.
    authority: String,
    /// The path of the API, without a slash at the end.
    base: String,
    /// The addresses to try, one after the other. If the list is empty, the addresses of the host in `authority`
    /// are tried.
    addresses: Vec<SocketAddr>,
}

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The URL cannot be used.
    #[error("--url must be a URL such as http://127.0.0.1:8088")]
    Url,
    /// `PORT` is 0, so the port of the service is unknown.
    #[error("PORT is 0, so the port of the service is unknown; specify its URL with --url")]
    NoPort,
    /// The API key cannot be sent in a header.
    #[error("API_KEY contains characters that an API key cannot have")]
    ApiKey,
    /// The service cannot be reached.
    #[error(
        "cannot connect to the service at {0}: {1}; start the service, or specify its URL with --url"
    )]
    Unreachable(String, String),
    /// The connection ended before the response was complete, or the response was too late or too long.
    #[error("no complete response from the service at {0}; check --url and the service's log")]
    NoResponse(String),
    /// The response does not have the format of the API.
    #[error("the response is not from a stream-manager; check --url")]
    NotManager,
    /// The service requires an API key, and has received none or a wrong one.
    #[error("the service requires a valid API key; set API_KEY to a key with the role admin")]
    Unauthorized,
    /// The service refused the request.
    #[error("{0}")]
    Refused(String),
}

/// The response to a request that failed.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Client {
    /// Creates a client for the service at `url`.
    pub(super) fn new(url: &str) -> Result<Self, ClientError> {
        let uri: Uri = url.parse().map_err(|_| ClientError::Url)?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(ClientError::Url)?;
        let port = authority.port_u16().unwrap_or(80);
        let base = uri.path().trim_end_matches('/').to_owned();
        let authority = format!("{}:{port}", authority.host());
        Ok(Self { authority, base, addresses: Vec::new() })
    }

    /// Creates a client for the service on this machine, at the address in its settings.
    pub(super) fn of_service(config: &Config) -> Result<Self, ClientError> {
        if config.port == 0 {
            return Err(ClientError::NoPort);
        }
        // With `BIND_ADDR=::`, the service usually listens on IPv4 as well. In a container without IPv6, it listens
        // only on IPv4.
        let addresses = match config.bind_addr {
            IpAddr::V4(address) if address.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
            IpAddr::V6(address) if address.is_unspecified() => {
                vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
            }
            address => vec![address],
        };
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, config.port));
        let addresses: Vec<_> = addresses.collect();
        let authority = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
        Ok(Self { authority, base: String::new(), addresses })
    }

    /// Sends a PUT request with a JSON body. Returns the body of the response.
    pub(super) async fn put_json(
        &self,
        path: &str,
        key: Option<Secret>,
        body: String,
    ) -> Result<Bytes, ClientError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() =
            format!("{}{path}", self.base).parse().map_err(|_| ClientError::Url)?;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&self.authority).map_err(|_| ClientError::Url)?;
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            let value = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            let mut value = value.map_err(|_| ClientError::ApiKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let stream = self.connect().await?;
        let no_response = || ClientError::NoResponse(self.authority.clone());
        let answer = timeout(RESPONSE_TIMEOUT, exchange(stream, request)).await;
        let (status, body) = answer.ok().flatten().ok_or_else(no_response)?;
        if status.is_success() {
            return Ok(body);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Unauthorized);
        }
        let problem: Result<Problem, _> = serde_json::from_slice(&body);
        Err(problem.map_or(ClientError::NotManager, |problem| ClientError::Refused(problem.detail)))
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        let failed =
            |reason: &str| ClientError::Unreachable(self.authority.clone(), reason.to_owned());
        let connect = async {
            if self.addresses.is_empty() {
                TcpStream::connect(&self.authority).await
            } else {
                TcpStream::connect(&*self.addresses).await
            }
        };
        match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                let reason =
                    connect_failure(&error).map_or_else(|| error.to_string(), str::to_owned);
                Err(failed(&reason))
            }
            Err(_) => Err(failed("it did not accept the connection in time")),
        }
    }
}

/// Sends a request. Returns the status and the body of the response; `None` if there is no complete response.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    // Dropping the set at the end of this function aborts the task.
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await.ok()?;
    Some((head.status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_path() {
        let table = [
            ("http://127.0.0.1:8088", Some(("127.0.0.1:8088", ""))),
            ("http://[::1]:8088/", Some(("[::1]:8088", ""))),
            ("http://cams.example/manager/", Some(("cams.example:80", "/manager"))),
            ("https://cams.example", None),
            ("http://user:secret@cams.example", None),
            ("cams.example", None),
            ("", None),
        ];
        for (url, expected) in table {
            let client = Client::new(url).ok();
            let found = client.as_ref().map(|client| (&*client.authority, &*client.base));
            assert_eq!(found, expected, "{url}");
        }
    }
}
