//! Connections to HTTP servers, with or without TLS. Servers must have a certificate of an authority that the system trusts,
//! so operators can add their own authority there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};

/// The longest time of the connection to one address of a server.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The reason why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    /// The system has no trusted certificates.
    #[error("https requires trusted certificates; install the package ca-certificates")]
    Certificates(#[source] io::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Creates a connector. Without `is_https`, no certificate is trusted.
pub(crate) fn connector(is_https: bool) -> Result<HttpsConnector<HttpConnector>, HttpsError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_WITHIN));
    connector_over(http, is_https)
}

/// Creates a connector that uses TCP connections of `tcp`. Without `is_https`, no certificate is trusted. Blocks while it
/// reads the trusted certificates.
pub(crate) fn connector_over<C>(tcp: C, is_https: bool) -> Result<HttpsConnector<C>, HttpsError> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(HttpsError::Tls)?;
    let builder = if is_https {
        builder.with_native_roots().map_err(HttpsError::Certificates)?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(builder.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(connector)
}
