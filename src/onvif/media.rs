//! A device's media service: its profiles, their links, and requests for keyframes.

use std::net::SocketAddr;

use url::Url;

use super::profile::DeviceProfile;
use super::soap::{DEVICE, OnvifClient, OnvifError, OnvifService};
use super::xml::{XmlNode, escaped};
use crate::base::url::{host_address, path_and_query};

/// The largest number of profiles that are read. Recorders have one or two profiles for each channel.
const MAX_PROFILES: usize = 64;

/// The namespace of version 1 of the media service.
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
/// The namespace of version 2 of the media service.
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";

/// A device's media service. Only version 2 supports H.265, but some devices have only version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaService {
    service: OnvifService,
    is_version_2: bool,
}

impl MediaService {
    /// Finds a device's media service: version 2 if the device has it, else version 1.
    pub(crate) async fn of(
        client: &OnvifClient,
        device: &OnvifService,
    ) -> Result<Self, OnvifError> {
        let content = "<IncludeCapability>false</IncludeCapability>";
        let answer = client.call(device, &format!("{DEVICE}/GetServices"), content).await;
        let services = match &answer {
            Ok(answer) => answer.find("GetServicesResponse"),
            // Devices from before 2010 do not support this request.
            Err(OnvifError::Refused(_) | OnvifError::NotOnvif | OnvifError::TooLarge) => None,
            Err(failure) => return Err(failure.clone()),
        };
        let service = |namespace: &str| {
            let mut services = services?.all("Service");
            let found = services.find(|one| one.text_of("Namespace") == Some(namespace))?;
            relocated(found.text_of("XAddr")?, client.address, device)
        };
        if let Some(service) = service(MEDIA2) {
            return Ok(Self { service, is_version_2: true });
        }
        if let Some(service) = service(MEDIA) {
            return Ok(Self { service, is_version_2: false });
        }
        Self::from_capabilities(client, device).await
    }

    /// Finds the media service in the capabilities of a device that does not list its services.
    async fn from_capabilities(
        client: &OnvifClient,
        device: &OnvifService,
    ) -> Result<Self, OnvifError> {
        let content = "<Category>MediaService</Category>";
        let answer = client.call(device, &format!("{DEVICE}/GetCapabilities"), content).await?;
        let address = answer.find("Media").and_then(|media| media.text_of("XAddr"));
        let service = address.and_then(|address| relocated(address, client.address, device));
        let service =
            service.ok_or_else(|| OnvifError::Refused("the device has no media service".into()))?;
        Ok(Self { service, is_version_2: false })
    }

    async fn call(
        &self,
        client: &OnvifClient,
        name: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        let namespace = if self.is_version_2 { MEDIA2 } else { MEDIA };
        client.call(&self.service, &format!("{namespace}/{name}"), content).await
    }

    /// Returns the profiles with video, without their links.
    pub(crate) async fn profiles(
        &self,
        client: &OnvifClient,
    ) -> Result<Vec<DeviceProfile>, OnvifError> {
        let content = if self.is_version_2 {
            "<Type>VideoSource</Type><Type>VideoEncoder</Type>"
        } else {
            ""
        };
        let answer = self.call(client, "GetProfiles", content).await?;
        let Some(profiles) = answer.find("GetProfilesResponse") else {
            return Err(OnvifError::NotOnvif);
        };
        let profiles = profiles.all("Profiles").filter_map(DeviceProfile::read);
        Ok(profiles.take(MAX_PROFILES).collect())
    }

    /// Returns the link of a profile as the device reports it; an empty string if there is none.
    pub(crate) async fn link(
        &self,
        client: &OnvifClient,
        token: &str,
    ) -> Result<String, OnvifError> {
        let token = escaped(token);
        let content = if self.is_version_2 {
            format!("<Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken>")
        } else {
            format!(
                "<StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP\
                 </tt:Protocol></tt:Transport></StreamSetup><ProfileToken>{token}</ProfileToken>"
            )
        };
        let answer = self.call(client, "GetStreamUri", &content).await?;
        Ok(answer.text_of("Uri").unwrap_or_default().to_owned())
    }

    /// Requests a keyframe of all streams of a profile.
    pub(crate) async fn set_synchronization_point(
        &self,
        client: &OnvifClient,
        token: &str,
    ) -> Result<(), OnvifError> {
        let content = format!("<ProfileToken>{}</ProfileToken>", escaped(token));
        self.call(client, "SetSynchronizationPoint", &content).await.map(drop)
    }
}

/// Returns the port and path of the service that a device reports to be at the URL `address`; `None` if
/// `address` is not an HTTP URL. The reported host is ignored, because services are used only at the address
/// at which the device was `reached`. If the hosts differ, the port of the `device` service replaces
/// the reported one.
pub(crate) fn relocated(
    address: &str,
    reached: SocketAddr,
    device: &OnvifService,
) -> Option<OnvifService> {
    let url = Url::parse(address).ok().filter(|url| url.scheme() == "http")?;
    let is_same_host = host_address(&url).is_some_and(|host| host == reached.ip().to_canonical());
    let port = url.port_or_known_default().filter(|_| is_same_host).unwrap_or(device.port);
    Some(OnvifService { port, path: path_and_query(&url) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_used_at_the_address_of_the_device() {
        let reached = "192.0.2.7:8000".parse().expect("an address");
        let device = OnvifService::usual(8000);
        let table = [
            ("http://192.0.2.7/onvif/media", Some((80, "/onvif/media"))),
            // A device behind a router that forwards another port.
            ("http://10.0.0.7/onvif/media?x", Some((8000, "/onvif/media?x"))),
            ("http://localhost:6379/", Some((8000, "/"))),
            ("https://192.0.2.7/onvif/media", None),
            ("garbage", None),
        ];
        for (address, expected) in table {
            let expected = expected.map(|(port, path)| OnvifService { port, path: path.into() });
            assert_eq!(relocated(address, reached, &device), expected, "{address}");
        }
    }
}
