//! A device's media service: its profiles, their links, and requests for keyframes.

use std::net::IpAddr;

use super::error::OnvifError;
use super::profile::DeviceProfile;
use super::soap::{DEVICE, OnvifClient, OnvifService};
use super::xaddr::XAddr;
use super::xml::{XmlNode, escaped};

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
    /// Returns a device's media services: version 2, if the device has it, and then version 1, if the device has
    /// it. Fails if the device has neither. Callers try the next service if the first service lacks the profile
    /// or the link that they need.
    pub(crate) async fn all(
        client: &mut OnvifClient,
        device: &OnvifService,
    ) -> Result<Vec<Self>, OnvifError> {
        let content = "<IncludeCapability>false</IncludeCapability>";
        let answer = client.call(device, &format!("{DEVICE}/GetServices"), content).await;
        let services = match &answer {
            Ok(answer) => answer.find("GetServicesResponse"),
            // Devices from before 2010 do not support `GetServices`.
            Err(OnvifError::Refused(_) | OnvifError::NotOnvif | OnvifError::TooLarge) => None,
            Err(failure) => return Err(failure.clone()),
        };
        let service = |namespace: &str| {
            let mut services = services?.all("Service");
            let found = services.find(|one| one.text_of("Namespace") == Some(namespace))?;
            relocated(found.text_of("XAddr")?, client.address.ip(), device)
        };
        let version = |namespace, is_version_2| {
            service(namespace).map(|service| Self { service, is_version_2 })
        };
        let (version_2, version_1) = (version(MEDIA2, true), version(MEDIA, false));
        let version_1 = match version_1 {
            Some(version_1) => Ok(version_1),
            None => Self::from_capabilities(client, device).await,
        };
        match (version_2, version_1) {
            (None, Err(failure)) => Err(failure),
            (version_2, version_1) => Ok(version_2.into_iter().chain(version_1.ok()).collect()),
        }
    }

    /// Finds version 1 of the media service in the capabilities of a device that does not list it as a service.
    async fn from_capabilities(
        client: &mut OnvifClient,
        device: &OnvifService,
    ) -> Result<Self, OnvifError> {
        let content = "<Category>Media</Category>";
        let answer = client.call(device, &format!("{DEVICE}/GetCapabilities"), content).await?;
        let address = answer.find("Media").and_then(|media| media.text_of("XAddr"));
        let service = address.and_then(|address| relocated(address, client.address.ip(), device));
        let service =
            service.ok_or_else(|| OnvifError::Refused("the device has no media service".into()))?;
        Ok(Self { service, is_version_2: false })
    }

    async fn call(
        &self,
        client: &mut OnvifClient,
        name: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        let namespace = if self.is_version_2 { MEDIA2 } else { MEDIA };
        client.call(&self.service, &format!("{namespace}/{name}"), content).await
    }

    /// Returns the profiles with video, at most `MAX_PROFILES`, without their links.
    pub(crate) async fn profiles(
        &self,
        client: &mut OnvifClient,
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
        client: &mut OnvifClient,
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
        client: &mut OnvifClient,
        token: &str,
    ) -> Result<(), OnvifError> {
        let content = format!("<ProfileToken>{}</ProfileToken>", escaped(token));
        self.call(client, "SetSynchronizationPoint", &content).await.map(drop)
    }
}

/// Returns the service that a device reports to be at `address`; `None` if `address` is not valid. Services are
/// used only at the address at which the device was `reached`, and with the scheme of the `device` service.
pub(crate) fn relocated(
    address: &str,
    reached: IpAddr,
    device: &OnvifService,
) -> Option<OnvifService> {
    Some(XAddr::parse(address)?.at(reached, device))
}
