//! The check of the certificate of a camera's ONVIF service, before the camera is stored.

use crate::base::error::Error;
use crate::camera::record::Record;
use crate::onvif::finder::Finder;

/// Checks the certificate of a camera's ONVIF service before the camera is stored, if the service is new and
/// uses HTTPS, and no certificate is confirmed. The check connects to the service, but sends no request.
///
/// Errors: `OnvifCertificateUnknown` with the fingerprint; `InvalidSource` for an invalid host; `SourceForbidden`,
/// `SourceUnreachable`, `SourceUnsupported` or `SourceTimeout` if no TLS connection can be made.
pub(super) async fn ensure_accepted(
    finder: &Finder,
    known: Option<&Record>,
    record: &Record,
) -> Result<(), Error> {
    let Some(onvif) = &record.onvif else { return Ok(()) };
    let known = known.and_then(|known| known.onvif.as_ref());
    if !onvif.is_https || onvif.certificate.is_some() || known == Some(onvif) {
        return Ok(());
    }
    finder.check_certificate(onvif).await
}
