//! TLS connections to cameras. Nearly all cameras have self-signed certificates, so every certificate is
//! accepted. As this does not prove which device responds, callers must not send secrets over these connections.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, InvalidMessage, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

/// Makes a TLS connection over `stream`, which is connected to `address`. Accepts every certificate. Callers
/// limit the time.
pub(crate) async fn connect(
    stream: TcpStream,
    address: SocketAddr,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = ServerName::IpAddress(address.ip().into());
    let connector = TlsConnector::from(Arc::clone(&CONFIG));
    connector.connect(name, stream).await.map_err(failure)
}

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
        // The versions are those that the provider supports.
        .expect("the default versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
        .with_no_client_auth();
    Arc::new(config)
});

/// Accepts every certificate, but verifies that the device has the key of the certificate.
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
