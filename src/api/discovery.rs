//! Cameras on the network, found and asked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use tracing::info;
use url::Url;
use utoipa::ToSchema;

use super::Api;
use super::camera_model::Password;
use super::reply::{self, Reply};
use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::onvif::device::Device;
use crate::onvif::finder::{DiscoveryRequest, LONGEST_TIME, SHORTEST_TIME, USUAL_TIME};
use crate::onvif::soap::Login;

/// Cameras of one address that are looked at. Recorders have some at theirs.
const MAX_KNOWN: usize = 64;

/// What to look for. All of it may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "timeout_seconds": 0.1 }))]
pub struct DiscoveryInput {
    /// Name or IPv4 address of the network interface to look on; all by default.
    #[serde(default)]
    pub interface: Option<String>,
    /// How long to wait for answers. The details of a device may take twice as long; of one that is
    /// named, three times.
    #[serde(default = "usual_time")]
    #[schema(minimum = 0.1, maximum = 5, default = 3.0)]
    pub timeout_seconds: f64,
    /// User name that is offered to every device that is asked.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Password>,
    /// The one device to ask instead of looking for some: its address, with `:port` if that is not
    /// 80, or the `http://` URL of its ONVIF service.
    #[serde(default)]
    pub address: Option<String>,
}

fn usual_time() -> f64 {
    USUAL_TIME
}

impl DiscoveryInput {
    fn request(self) -> Result<DiscoveryRequest, Error> {
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.timeout_seconds) {
            let detail = format!("timeout_seconds must be {SHORTEST_TIME} to {LONGEST_TIME}");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let login = match (text(self.username), self.password) {
            (Some(username), password) => {
                Some(Login { username, password: password.unwrap_or_default().expose() })
            }
            (None, Some(password)) if !password.is_empty() => {
                let detail = "a password needs a username";
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
            (None, _) => None,
        };
        Ok(DiscoveryRequest {
            interface: text(self.interface),
            time: Duration::from_secs_f64(self.timeout_seconds),
            login,
            address: text(self.address),
        })
    }
}

/// Looks for cameras, or asks one.
pub async fn discover(api: &Api, caller: &Caller, input: DiscoveryInput) -> Result<Reply, Error> {
    let request = input.request()?;
    let mut discovery = api.finder.find(request).await?;
    info!(by = caller.name(), devices = discovery.devices.len(), "looked for cameras");
    let by_host = api.cameras.by_host(caller.owner()).await?;
    for device in &mut discovery.devices {
        device.known_as = known(api, &by_host, device).await?;
    }
    Ok(reply::json(&discovery))
}

/// The id of the camera at the device's address; where there are several, of one whose RTSP port is
/// the device's.
async fn known(
    api: &Api,
    by_host: &HashMap<String, Vec<CameraId>>,
    device: &Device,
) -> Result<Option<String>, Error> {
    let host = match device.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let there = by_host.get(&host).map(Vec::as_slice).unwrap_or_default();
    let main = device.main.as_deref().and_then(|link| Url::parse(link).ok());
    if let (Some(url), [_, _, ..]) = (main, there) {
        let port = url.port().unwrap_or(554);
        for id in there.iter().take(MAX_KNOWN) {
            let record = api.cameras.get(id).await?;
            if record.is_some_and(|record| record.spec.port() == port) {
                return Ok(Some(id.to_string()));
            }
        }
    }
    Ok(there.first().map(CameraId::to_string))
}
