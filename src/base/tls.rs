//! TLS connections to cameras. Nearly all cameras have self-signed certificates, so [`connect`] accepts every
//! certificate. Before callers send secrets, they compare the certificate's [`Fingerprint`] with the fingerprint
//! that a person has confirmed, or check with [`is_trusted`] that a certificate authority issued the certificate.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use super::fingerprint::Fingerprint;

/// The reason why a TLS connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The connection ended during the handshake.
    #[error("the connection ended during the TLS handshake")]
    Closed(#[source] std::io::Error),
    /// The device does not use TLS on this port.
    #[error("the device does not use TLS on this port")]
    NotTls,
    /// The device uses TLS, but the handshake failed, for example because the device requires a version or an
    /// algorithm that is not supported.
    #[error("the device uses TLS in a way that is not supported: {0}")]
    Unsupported(rustls::Error),
}

/// Makes a TLS connection on `stream`, a TCP connection to the host `name`. Accepts every certificate, but
/// verifies that the host has the certificate's private key. Callers must limit the time.
pub(crate) async fn connect(
    stream: TcpStream,
    name: ServerName<'static>,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let connector = TlsConnector::from(Arc::clone(&CONFIG));
    connector.connect(name, stream).await.map_err(failure)
}

/// Returns the certificates that the host has sent: its own certificate, and then the certificates of authorities, if
/// any.
pub(crate) fn certificates(stream: &TlsStream<TcpStream>) -> Vec<CertificateDer<'static>> {
    let sent = stream.get_ref().1.peer_certificates().unwrap_or_default();
    sent.iter().map(|certificate| certificate.clone().into_owned()).collect()
}

/// Returns the fingerprint of the host's own certificate; `None` if the list is empty.
pub(crate) fn fingerprint(certificates: &[CertificateDer<'static>]) -> Option<Fingerprint> {
    certificates.first().map(|certificate| Fingerprint::of(certificate))
}

/// Returns whether the first certificate is for the host `name`, is valid now, and is from a certificate
/// authority that the system trusts.
pub(crate) async fn is_trusted(
    certificates: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
) -> bool {
    // The first call reads the files of the certificate authorities, which blocks the thread.
    let check = tokio::task::spawn_blocking(move || {
        let (Some(verifier), Some((own, others))) = (&*AUTHORITIES, certificates.split_first())
        else {
            return false;
        };
        verifier.verify_server_cert(own, others, &name, &[], UnixTime::now()).is_ok()
    });
    check.await.unwrap_or(false)
}

/// The verifier for certificates from authorities that the system trusts; `None` if it trusts no authorities.
static AUTHORITIES: LazyLock<Option<Arc<WebPkiServerVerifier>>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    if let Some(error) = found.errors.first() {
        warn!(%error, "cannot read some of the system's certificate authorities");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
});

/// Returns the reason why a handshake failed.
fn failure(error: std::io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsError::NotTls,
        Some(cause) => TlsError::Unsupported(cause.clone()),
        None => TlsError::Closed(error),
    }
}

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = ring::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        // Cannot fail, because the provider supports these versions.
        .expect("the default versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
        .with_no_client_auth();
    Arc::new(config)
});

/// Accepts every certificate, but verifies that the device has the certificate's private key.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
