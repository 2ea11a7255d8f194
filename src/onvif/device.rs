//! A device: its description of itself, and its streams with their links.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use super::clock::ReportedTime;
use super::error::OnvifError;
use super::link;
use super::media::MediaService;
use super::profile::DeviceProfile;
use super::soap::{DEVICE, OnvifClient, OnvifService, plain};
use crate::base::error::ErrorKind;
use crate::camera::zone;

/// The longest text in a description, in characters. Longer texts are cut.
const MAX_TEXT: usize = 100;

/// A device that a search has found, or that was queried at its address.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Device {
    /// The IP address and port to which requests are sent.
    #[serde(skip)]
    pub reached: SocketAddr,
    /// The IP address.
    pub address: String,
    /// The TCP port of the ONVIF service.
    pub port: u16,
    /// The URL of the ONVIF service, in the form that the field `onvif` of a camera accepts.
    pub onvif: String,
    /// The value for the field `onvif_certificate` of a camera. If the device's certificate was not accepted, this is
    /// the SHA-256 fingerprint of that certificate. Otherwise, this is the fingerprint in the request or, without
    /// one, the fingerprint that was confirmed for a known camera. Null if there is neither.
    pub onvif_certificate: Option<String>,
    /// The name that the device reports in its response to a search; null if it reports none, or if the
    /// device was queried at its address.
    pub name: Option<String>,
    /// The manufacturer.
    pub manufacturer: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The version of the firmware.
    pub firmware: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// True if the device requires credentials, or has rejected the given ones.
    pub needs_credentials: bool,
    /// The reason why the description is incomplete, for people; null if the description is complete, or if
    /// only credentials are missing.
    pub error: Option<String>,
    /// The stable code of `error`: `onvif_certificate_unknown` or `onvif_certificate_changed`. With these
    /// codes, no credentials were sent to the device. Null for other errors.
    pub error_code: Option<ErrorKind>,
    /// The device's streams.
    pub profiles: Vec<DeviceProfile>,
    /// The link of the stream with the largest picture, without credentials; null if no stream has a usable
    /// link. Motion JPEG counts only if there is no other stream.
    pub main: Option<String>,
    /// The link of a second stream of the camera to which `main` belongs: the stream with the smallest picture.
    /// Contains no credentials. Null if no stream of this camera has a smaller picture than `main`.
    pub sub: Option<String>,
    /// The id of a known camera with this address; null if the caller can see no camera with this address.
    pub known_as: Option<String>,
}

impl Device {
    /// Creates the description of a device. Only its address and its ONVIF service are known.
    pub(crate) fn new(address: SocketAddr, service: &OnvifService) -> Self {
        let (scheme, host) =
            (if service.is_https { "https" } else { "http" }, zone::host_of(address));
        Self {
            reached: address,
            address: host.trim_matches(['[', ']']).replace("%25", "%"),
            port: address.port(),
            onvif: format!("{scheme}://{host}:{}{}", address.port(), service.path),
            onvif_certificate: None,
            name: None,
            manufacturer: None,
            model: None,
            firmware: None,
            serial: None,
            needs_credentials: false,
            error: None,
            error_code: None,
            profiles: Vec::new(),
            main: None,
            sub: None,
            known_as: None,
        }
    }

    /// Requests the description and the streams from the device, and chooses its main and sub stream. A failure
    /// sets [`Device::error`], [`Device::needs_credentials`] or both. If the device's certificate is not accepted,
    /// the failure also sets the code of the error and the fingerprint.
    pub(crate) async fn describe(&mut self, client: &mut OnvifClient, service: &OnvifService) {
        match self.describe_all(client, service).await {
            Ok(()) => {}
            Err(OnvifError::Unauthorized) => {
                self.needs_credentials = true;
                self.error = client
                    .has_login()
                    .then(|| "the device rejected the user name or password".to_owned());
            }
            Err(failure) => {
                self.error_code = failure.code();
                self.error = Some(failure.to_string());
                if let Some(actual) = failure.certificate() {
                    self.onvif_certificate = Some(actual.to_string());
                }
            }
        }
        (self.main, self.sub) = link::main_and_sub(&self.profiles);
    }

    async fn describe_all(
        &mut self,
        client: &mut OnvifClient,
        service: &OnvifService,
    ) -> Result<(), OnvifError> {
        read_clock(client, service).await?;
        let answer = client.call(service, &format!("{DEVICE}/GetDeviceInformation"), "").await?;
        let text = |name| answer.text_of(name).map(|text| plain(text, MAX_TEXT));
        self.manufacturer = text("Manufacturer");
        self.model = text("Model").or(self.model.take());
        self.firmware = text("FirmwareVersion");
        self.serial = text("SerialNumber");
        self.read_profiles(client, service).await
    }

    /// Reads the streams from the first of the device's media services that has usable links. If no service has
    /// usable links, keeps the streams of the first service that has streams.
    async fn read_profiles(
        &mut self,
        client: &mut OnvifClient,
        service: &OnvifService,
    ) -> Result<(), OnvifError> {
        let mut result = Ok(());
        for media in MediaService::all(client, service).await? {
            let before = (std::mem::take(&mut self.profiles), self.error.take());
            let read = self.read_profiles_of(client, &media).await;
            if self.profiles.iter().any(|profile| profile.rtsp_link.is_some()) {
                return read;
            }
            if !before.0.is_empty() || self.profiles.is_empty() {
                (self.profiles, self.error) = before;
            }
            result = result.and(read);
        }
        result
    }

    async fn read_profiles_of(
        &mut self,
        client: &mut OnvifClient,
        media: &MediaService,
    ) -> Result<(), OnvifError> {
        self.profiles = media.profiles(client).await?;
        for profile in &mut self.profiles {
            let link = media.link(client, &profile.token).await;
            match link.map(|link| link::usable(&link, client.address)) {
                Ok(Ok(link)) => profile.rtsp_link = Some(link),
                Ok(Err(reason)) => self.error = Some(reason.to_string()),
                // A device may refuse to report the link of a profile without a stream. The other profiles
                // are still read.
                Err(failure @ OnvifError::Refused(_)) => self.error = Some(failure.to_string()),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// Requests the device's time, and sets the client's possible clocks accordingly. If the device refuses to report
/// its time, the clocks come from the header `Date` of its response and this machine's clock.
pub(crate) async fn read_clock(
    client: &mut OnvifClient,
    service: &OnvifService,
) -> Result<(), OnvifError> {
    let action = format!("{DEVICE}/GetSystemDateAndTime");
    let mut answer = client.call_anonymously(service, &action).await;
    if client.has_login() && matches!(answer, Err(OnvifError::Unauthorized)) {
        // Some devices require credentials for this request as well. Each request with a wrong clock counts
        // as a failed login, so only one clock is tried here.
        client.set_clocks(ReportedTime::read(None, client.date()).clocks(SystemTime::now()));
        answer = client.call_once(true, service, &action, "").await;
    }
    let answer = match answer {
        Ok(answer) => Some(answer),
        Err(OnvifError::Unauthorized | OnvifError::Refused(_)) => None,
        Err(failure) => return Err(failure),
    };
    let reported = ReportedTime::read(answer.as_ref(), client.date());
    client.set_clocks(reported.clocks(SystemTime::now()));
    Ok(())
}
