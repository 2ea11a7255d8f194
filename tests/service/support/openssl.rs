//! Runs the `openssl` command: creates key pairs for back ends that sign playback tokens themselves, and
//! certificates of TLS servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Runs openssl and returns what it writes to stdout.
pub(crate) fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).stderr(Stdio::null()).output();
    let output = output.expect("openssl; install it with: apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments:?} failed");
    output.stdout
}

/// Creates a key pair (`ed25519` or `rsa`) and returns the paths of the PEM files: private
/// key, public key.
pub(crate) fn key_pair(dir: &Path, algorithm: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (dir.join("private.pem"), dir.join("public.pem"));
    let (private_path, public_path) =
        (private.to_str().expect("a path"), public.to_str().expect("a path"));
    openssl(&["genpkey", "-algorithm", algorithm, "-out", private_path]);
    openssl(&["pkey", "-in", private_path, "-pubout", "-out", public_path]);
    (private, public)
}

/// Creates a self-signed certificate for localhost. Returns the paths of the key and the certificate.
pub(crate) fn self_signed(dir: &Path) -> (String, String) {
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
    (key, certificate)
}

/// Creates a self-signed certificate for localhost in `dir`. Returns the path of a file with the certificate and
/// its key, and the certificate's fingerprint.
pub(crate) fn certificate(dir: &Path) -> (String, String) {
    let (key, certificate) = self_signed(dir);
    let text = |path: &str| fs::read_to_string(path).expect("a file");
    let both = dir.join("both.pem");
    fs::write(&both, text(&certificate) + &text(&key)).expect("a file");
    let shown = openssl(&["x509", "-in", &certificate, "-noout", "-fingerprint", "-sha256"]);
    let shown = String::from_utf8(shown).expect("a string");
    let (_, fingerprint) = shown.trim().split_once('=').expect("a fingerprint");
    (both.to_str().expect("a path").to_owned(), fingerprint.to_owned())
}

/// Returns the server side of TLS with this key and certificate.
pub(crate) fn tls_acceptor(key: &str, certificate: &str) -> TlsAcceptor {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate).expect("a certificate")],
            PrivateKeyDer::from_pem_file(key).expect("a key"),
        );
    TlsAcceptor::from(Arc::new(config.expect("a key for the certificate")))
}
