//! A device: its description of itself, and its streams with their links.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use super::link;
use super::media::MediaService;
use super::profile::DeviceProfile;
use super::soap::{DEVICE, DeviceClock, OnvifClient, OnvifError, OnvifService, plain};
use super::xml::XmlNode;

/// The longest text in a description, in characters. Longer texts are cut.
const MAX_TEXT: usize = 100;

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Device {
    /// The IP address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The TCP port of the ONVIF service.
    pub port: u16,
    /// The URL of the ONVIF service, in the form that the field `onvif` of a camera accepts.
    pub onvif: String,
    /// The name that the device reports for itself.
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
    /// The device's streams.
    pub profiles: Vec<DeviceProfile>,
    /// The link of the stream with the largest picture, without credentials. Motion JPEG counts only if there
    /// is no other stream.
    pub main: Option<String>,
    /// The link of the smallest stream of the same camera, without credentials; null if no stream is smaller
    /// than `main`.
    pub sub: Option<String>,
    /// The id of a known camera with this address, among those that the caller can see.
    pub known_as: Option<String>,
}

impl Device {
    /// Creates the description of a device of which only the address and its service are known.
    pub(crate) fn new(address: SocketAddr, service: &OnvifService) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
            onvif: format!("http://{address}{}", service.path),
            name: None,
            manufacturer: None,
            model: None,
            firmware: None,
            serial: None,
            needs_credentials: false,
            error: None,
            profiles: Vec::new(),
            main: None,
            sub: None,
            known_as: None,
        }
    }

    /// Requests description and streams from the device. Records failures in [`Device::error`] and
    /// [`Device::needs_credentials`].
    pub(crate) async fn describe(&mut self, client: &mut OnvifClient, service: &OnvifService) {
        match self.describe_all(client, service).await {
            Ok(()) => {}
            Err(OnvifError::Unauthorized) => {
                self.needs_credentials = true;
                self.error = client
                    .has_login()
                    .then(|| "the device rejected the user name or password".to_owned());
            }
            Err(failure) => self.error = Some(failure.to_string()),
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
        let media = MediaService::of(client, service).await?;
        self.profiles = media.profiles(client).await?;
        for profile in &mut self.profiles {
            let link = media.link(client, &profile.token).await;
            match link.map(|link| link::usable(&link, client.address.ip())) {
                Ok(Ok(link)) => profile.rtsp_link = Some(link),
                Ok(Err(reason)) => self.error = Some(reason.to_string()),
                // Devices refuse this for a profile without a stream.
                Err(failure @ OnvifError::Refused(_)) => self.error = Some(failure.to_string()),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// Requests the device's time, sets the client's clock accordingly, and returns this clock. If the device
/// does not report its time, the device's clock is assumed to be right.
pub(crate) async fn read_clock(
    client: &mut OnvifClient,
    service: &OnvifService,
) -> Result<DeviceClock, OnvifError> {
    let action = format!("{DEVICE}/GetSystemDateAndTime");
    let mut answer = client.call_anonymously(service, &action).await;
    if client.has_login() && matches!(answer, Err(OnvifError::Unauthorized)) {
        // Some devices require credentials for this as well.
        answer = client.call(service, &action, "").await;
    }
    let clock = match answer {
        Ok(answer) => answer.find("UTCDateTime").and_then(time).map(DeviceClock::of),
        Err(OnvifError::Unauthorized | OnvifError::Refused(_)) => None,
        Err(failure) => return Err(failure),
    };
    let clock = clock.unwrap_or(DeviceClock::RIGHT);
    client.set_clock(clock);
    Ok(clock)
}

/// Parses the date and time of a device's clock; `None` if they are invalid.
pub(crate) fn time(node: &XmlNode) -> Option<SystemTime> {
    let number = |name| node.text_of(name)?.parse::<u64>().ok();
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        number("Year")?,
        number("Month")?,
        number("Day")?,
        number("Hour")?,
        number("Minute")?,
        // `humantime` does not accept a leap second.
        number("Second")?.min(59),
    );
    humantime::parse_rfc3339(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_device_is_parsed() {
        let node = |text: &str| XmlNode::parse(text).expect("a document");
        let text = "<U><Time><Hour>7</Hour><Minute>5</Minute><Second>60</Second></Time><Date>\
                    <Year>2004</Year><Month>2</Month><Day>29</Day></Date></U>";
        let expected = humantime::parse_rfc3339("2004-02-29T07:05:59Z").expect("a time");
        assert_eq!(time(&node(text)), Some(expected));
        assert_eq!(time(&node("<U><Year>2004</Year></U>")), None);
        assert_eq!(time(&node(&text.replace("2004", "99999"))), None);
    }
}
