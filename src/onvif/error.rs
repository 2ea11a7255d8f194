//! The reasons why requests to devices fail.

use crate::base::error::ErrorKind;
use crate::base::fingerprint::Fingerprint;

/// The reason why a request to a device failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OnvifError {
    /// The device requires credentials, or has rejected the given ones.
    #[error("the device requires a user name and password, or rejected the given ones")]
    Unauthorized,
    /// No connection to the device can be made.
    #[error("cannot connect to the device: {0}")]
    Unreachable(String),
    /// The response does not come from an ONVIF device.
    #[error(
        "the device at this address does not support ONVIF; check the port, and that ONVIF is enabled"
    )]
    NotOnvif,
    /// The device does not use HTTPS on this port.
    #[error("the device does not use HTTPS on this port; check the port, or use http://")]
    NotHttps,
    /// The TLS connection failed for this reason.
    #[error("cannot make an HTTPS connection to the device: {0}")]
    Tls(String),
    /// The device's certificate, which has this fingerprint, is neither confirmed nor a valid certificate for
    /// the device's host from a certificate authority that the system trusts.
    #[error(
        "the device's certificate is unknown. Compare its SHA-256 fingerprint with the one in the \
         device's own settings, and confirm it (onvif_certificate, or --certificate of the command \
         discover): {0}"
    )]
    CertificateUnknown(Fingerprint),
    /// The device's certificate, which has this fingerprint, is not the confirmed one.
    #[error(
        "the device's certificate has changed; another device may be using the address now. If you \
         know why the certificate has changed, confirm its new SHA-256 fingerprint \
         (onvif_certificate, or --certificate of the command discover): {0}"
    )]
    CertificateChanged(Fingerprint),
    /// The device accepts the password only in clear text, over a connection that is not encrypted.
    #[error(
        "the device accepts the password only in clear text (HTTP Basic), which is not sent without \
         HTTPS; use the https:// address of its ONVIF service, or enable digest authentication"
    )]
    ClearTextPassword,
    /// The device redirects requests to another address.
    #[error(
        "the device redirects requests; if it requires HTTPS, use the https:// URL of its ONVIF \
         service"
    )]
    Redirected,
    /// The response is longer than the limit.
    #[error(
        "the device's response is too large; add its cameras manually, by RTSP link or manufacturer"
    )]
    TooLarge,
    /// The device refused the request, did not respond in time, or does not have what the request needs.
    /// The text is the reason.
    #[error("the request to the device failed: {0}")]
    Refused(String),
}

impl OnvifError {
    /// Returns the kind of the error if a certificate was not accepted; `None` for other errors.
    pub(crate) fn code(&self) -> Option<ErrorKind> {
        match self {
            Self::CertificateUnknown(_) => Some(ErrorKind::OnvifCertificateUnknown),
            Self::CertificateChanged(_) => Some(ErrorKind::OnvifCertificateChanged),
            _ => None,
        }
    }

    /// Returns the fingerprint of a certificate that was not accepted; `None` for other errors.
    pub(crate) fn certificate(&self) -> Option<Fingerprint> {
        match self {
            Self::CertificateUnknown(actual) | Self::CertificateChanged(actual) => Some(*actual),
            _ => None,
        }
    }
}
