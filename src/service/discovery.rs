//! The use case of discovery: finding cameras on the network, and recognizing the known ones.

use std::collections::HashMap;

use tracing::info;

use super::core::Core;
use crate::access::Caller;
use crate::base::error::Error;
use crate::camera::id::CameraId;
use crate::camera::source::Source;
use crate::camera::zone;
use crate::onvif::device::Device;
use crate::onvif::finder::{Discovery, DiscoveryRequest, Finder};

/// The largest number of known cameras at one address that are compared with a device. All cameras of a
/// recorder have the same address.
const MAX_COMPARED: usize = 64;

/// Searches for cameras, or queries the device at the address in the request. Returns the devices. If the caller
/// can see known cameras at a device's address, the field `known_as` has the id of one of them. Accepts the
/// certificates that were confirmed for cameras that the caller can see.
pub(crate) async fn discover(
    core: &Core,
    finder: &Finder,
    caller: &Caller,
    request: DiscoveryRequest,
) -> Result<Discovery, Error> {
    let confirmed = core.cameras.onvif_with_certificates(caller.owner()).await?;
    let mut discovery = finder.find(request, confirmed.into_iter().collect()).await?;
    info!(by = caller.name(), devices = discovery.devices.len(), "searched for cameras");
    let by_host = core.cameras.by_host(caller.owner()).await?;
    for device in &mut discovery.devices {
        device.known_as = known(core, &by_host, device).await?;
    }
    Ok(discovery)
}

/// Returns the id of a known camera at the device's address; `None` if no camera is known there. If there are several
/// cameras, compares the ports of the first [`MAX_COMPARED`] cameras with the port of the device's main stream, and
/// returns the first camera with the same port. If no port is the same, or the device's port is unknown, returns the
/// first camera.
async fn known(
    core: &Core,
    by_host: &HashMap<String, Vec<CameraId>>,
    device: &Device,
) -> Result<Option<String>, Error> {
    let host = zone::host_of(device.reached);
    let cameras = by_host.get(&host).map(Vec::as_slice).unwrap_or_default();
    let main = device.main.as_deref().and_then(|link| Source::parse(link).ok());
    if let (Some(main), [_, _, ..]) = (main, cameras) {
        for id in cameras.iter().take(MAX_COMPARED) {
            let record = core.cameras.get(id).await?;
            if record.is_some_and(|record| record.spec.port() == main.port()) {
                return Ok(Some(id.to_string()));
            }
        }
    }
    Ok(cameras.first().map(CameraId::to_string))
}
