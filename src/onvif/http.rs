//! HTTP requests to a device, with or without TLS, and the certificates that are accepted from the device. Each
//! request uses its own connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::error::OnvifError;
use crate::base::error::connect_failure;
use crate::base::fingerprint::Fingerprint;
use crate::base::tls::{self, TlsError};
use crate::camera::onvif_address::OnvifAddress;

/// The largest body of a response, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// The certificates that are accepted from a device.
#[derive(Debug, Clone)]
pub(crate) struct TrustedCertificates {
    /// The name or address of the device. Certificates from certificate authorities must be for this host.
    host: Arc<str>,
    /// The fingerprint of the only accepted certificate. Without it, certificates from certificate
    /// authorities that the system trusts are accepted.
    only: Option<Fingerprint>,
}

/// The confirmed certificates of the ONVIF services of known cameras, by host and port.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfirmedCertificates(HashMap<(Arc<str>, u16), Fingerprint>);

/// The response of a device.
pub(super) struct HttpResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl TrustedCertificates {
    /// Returns the certificates that are accepted from the device at `address` if no certificate is confirmed.
    pub(crate) fn of_address(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), only: None }
    }

    /// Returns the fingerprint of the only accepted certificate; `None` if certificates from certificate
    /// authorities are accepted.
    pub(crate) fn only(&self) -> Option<Fingerprint> {
        self.only
    }

    /// Makes a TLS connection to the device at `address`, and verifies the device's certificate. Callers
    /// limit the time.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, OnvifError> {
        let stream = connect(address).await?;
        let name = ServerName::try_from(self.host.trim_matches(['[', ']']).to_owned());
        let name = name.unwrap_or_else(|_| address.ip().into());
        let stream = tls::connect(stream, name.clone()).await.map_err(|error| match error {
            TlsError::NotTls => OnvifError::NotHttps,
            TlsError::Closed(_) | TlsError::Unsupported(_) => OnvifError::Tls(error.to_string()),
        })?;
        let certificates = tls::certificates(&stream);
        let actual = tls::fingerprint(&certificates);
        let actual = actual.ok_or_else(|| OnvifError::Tls("no certificate".into()))?;
        match self.only {
            Some(only) if only == actual => Ok(stream),
            Some(_) => Err(OnvifError::CertificateChanged(actual)),
            None if tls::is_trusted(certificates, name).await => Ok(stream),
            None => Err(OnvifError::CertificateUnknown(actual)),
        }
    }
}

impl ConfirmedCertificates {
    /// Returns the certificates that are accepted from the device at `address`: the certificate that was confirmed
    /// for the service at this address, or else certificates from certificate authorities.
    pub(super) fn trusted(&self, address: SocketAddr) -> TrustedCertificates {
        let trusted = TrustedCertificates::of_address(address);
        TrustedCertificates { only: self.of(&trusted.host, address.port()), ..trusted }
    }

    /// Returns the certificate that was confirmed for the service at this host and port.
    pub(super) fn of(&self, host: &Arc<str>, port: u16) -> Option<Fingerprint> {
        self.0.get(&(Arc::clone(host), port)).copied()
    }
}

impl FromIterator<OnvifAddress> for ConfirmedCertificates {
    fn from_iter<All: IntoIterator<Item = OnvifAddress>>(all: All) -> Self {
        let confirmed = |one: OnvifAddress| Some(((one.host, one.port), one.certificate?));
        Self(all.into_iter().filter_map(confirmed).collect())
    }
}

impl From<&OnvifAddress> for TrustedCertificates {
    fn from(address: &OnvifAddress) -> Self {
        Self { host: Arc::clone(&address.host), only: address.certificate }
    }
}

/// Sends a request to the device at `address`, with TLS if `certificates` are given, and returns the response.
pub(super) async fn send(
    address: SocketAddr,
    certificates: Option<&TrustedCertificates>,
    request: Request<Full<Bytes>>,
) -> Result<HttpResponse, OnvifError> {
    match certificates {
        Some(certificates) => exchange(certificates.connect(address).await?, request).await,
        None => exchange(connect(address).await?, request).await,
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, OnvifError> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| {
        let reason = connect_failure(&error).map(str::to_owned);
        OnvifError::Unreachable(reason.unwrap_or_else(|| error.to_string()))
    })
}

async fn exchange(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<HttpResponse, OnvifError> {
    // The device accepted the connection. If it does not use HTTP on this connection, it is not an ONVIF device.
    let not_http = |_| OnvifError::NotOnvif;
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(not_http)?;
    // Dropping the set at the end of this function aborts the task.
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let (head, body) = sender.send_request(request).await.map_err(not_http)?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { OnvifError::TooLarge } else { OnvifError::NotOnvif }
    })?;
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(HttpResponse { status: head.status, headers: head.headers, text })
}
