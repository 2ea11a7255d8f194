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
        "the device's certificate, with the SHA-256 fingerprint {0}, is unknown; compare this \
         fingerprint with the one in the device's own settings, and then confirm it with \
         onvif_certificate, or with --certificate of the command discover"
    )]
    CertificateUnknown(Fingerprint),
    /// The device's certificate, which has this fingerprint, is not the confirmed one.
    #[error(
        "the device's certificate has changed, so another device may be using the address now; if \
         you know why the certificate has changed, confirm the new SHA-256 fingerprint {0} with \
         onvif_certificate, or with --certificate of the command discover"
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
        "the device's response is too large; add the device's cameras with their RTSP links, or \
         with address and manufacturer"
    )]
    TooLarge,
    /// The device refused the request, did not respond in time, or lacks a service or a profile that the
    /// request needs. The text is the reason.
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
