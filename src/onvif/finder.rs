//! Searches the networks for devices, or queries the device at one address, and requests a description from each.
//! Also checks the certificate of a device before a camera is stored.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::ToSchema;

use super::device::Device;
use super::error::OnvifError;
use super::http::{ConfirmedCertificates, TrustedCertificates};
use super::link;
use super::login::Login;
use super::soap::{OnvifClient, OnvifService};
use super::ws_discovery::{self, DiscoveredDevice};
use crate::base::error::{Error, ErrorKind};
use crate::base::fingerprint::Fingerprint;
use crate::base::tasks::join_all;
use crate::camera::networks::CameraNetworks;
use crate::camera::onvif_address::OnvifAddress;

/// The largest number of devices in one search. Devices at addresses that are not permitted count as well,
/// although they are not listed.
const MAX_DEVICES: usize = 256;
/// The largest number of devices at one address, so that one host cannot displace all others.
const MAX_PER_ADDRESS: usize = 8;
/// The largest number of devices to which one search sends requests at the same time.
const CONCURRENT_REQUESTS: usize = 64;
/// The largest number of searches at the same time.
const CONCURRENT_SEARCHES: usize = 4;
/// The largest number of discovered devices that wait to be processed.
const QUEUE: usize = 64;
/// The shortest time to wait for devices, in seconds.
pub(crate) const SHORTEST_TIME: f64 = 0.1;
/// The default time to wait for devices, in seconds.
pub(crate) const USUAL_TIME: f64 = 3.0;
/// The longest time to wait for devices, in seconds. The whole search must end within the time limit of an API
/// request.
pub(crate) const LONGEST_TIME: f64 = 5.0;
/// The longest time of a whole search, as a multiple of the time to wait for devices.
const TOTAL_FACTOR: u32 = 3;
/// The longest time for the requests to one device during a search, as a multiple of the time to wait for
/// devices. This limit leaves time for devices that wait until another device has been queried.
const DEVICE_FACTOR: u32 = 2;
/// The longest time for the check of a certificate, after the name of the host was resolved.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameters of a search.
#[derive(Clone)]
pub(crate) struct DiscoveryRequest {
    /// The name or address of the network interface to search on; `None` for all except loopback.
    pub interface: Option<String>,
    /// The time to wait for devices. Requests to each device can take twice as long, and requests to the
    /// device at `address` can take three times as long.
    pub time: Duration,
    /// The credentials for all devices.
    pub login: Option<Login>,
    /// The address of a single device. If it is set, there is no search.
    pub address: Option<String>,
    /// The fingerprint of the only certificate that is accepted from the device at `address`. Without it,
    /// only the certificate that was confirmed for a known camera is accepted. If no certificate was
    /// confirmed, certificates from certificate authorities are accepted.
    pub certificate: Option<Fingerprint>,
}

/// The result of a search.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Discovery {
    /// The devices, sorted by address.
    pub devices: Vec<Device>,
    /// The network interfaces that can be searched on, except loopback.
    pub interfaces: Vec<String>,
    /// Warnings about failures and omissions, for people.
    pub warnings: Vec<String>,
}

/// Searches for devices, and checks their certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    nets: CameraNetworks,
    searches: Arc<Semaphore>,
}

impl Finder {
    /// Creates a finder that sends requests only to addresses that `nets` permits.
    pub(crate) fn new(nets: CameraNetworks) -> Self {
        Self { nets, searches: Arc::new(Semaphore::new(CONCURRENT_SEARCHES)) }
    }

    /// Searches for devices, or queries only the device at the address in the request. If `confirmed`
    /// contains a certificate for a device, only this certificate is accepted from the device, unless the
    /// request names another one.
    ///
    /// Errors: `InvalidRequest` for an unknown interface, or for a fingerprint without an `https://` address;
    /// `InvalidSource`, `SourceForbidden` or `SourceUnreachable` for an address that cannot be used; `Busy` if
    /// too many searches are running. If a device cannot be queried, its entry contains the reason.
    pub(crate) async fn find(
        &self,
        request: DiscoveryRequest,
        confirmed: ConfirmedCertificates,
    ) -> Result<Discovery, Error> {
        let _permit = self.searches.try_acquire().map_err(|_| {
            let detail = "too many searches for cameras are running; try again in a few seconds";
            Error::new(ErrorKind::Busy, detail).retry_after(request.time)
        })?;
        match &request.address {
            Some(address) => self.find_one(address, &request, &confirmed).await,
            None if request.certificate.is_some() => Err(needless_certificate()),
            None => self.search(&request, confirmed).await,
        }
    }

    /// Connects to an ONVIF service over HTTPS, and checks its certificate. Sends no request.
    ///
    /// Errors: `OnvifCertificateUnknown` or `OnvifCertificateChanged` with the fingerprint; `InvalidSource` for an
    /// invalid host; `SourceForbidden`, `SourceUnreachable`, `SourceUnsupported` or `SourceTimeout` if no TLS
    /// connection can be made.
    pub(crate) async fn check_certificate(&self, onvif: &OnvifAddress) -> Result<(), Error> {
        let address = self.nets.resolve(&onvif.host, onvif.port).await?;
        let certificates = TrustedCertificates::from(onvif);
        let (kind, reason) = match timeout(CHECK_TIMEOUT, certificates.connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(failure)) => {
                if let Some(kind) = failure.code() {
                    let certificate = failure.certificate();
                    return Err(Error::new(kind, failure.to_string()).with_certificate(certificate));
                }
                let is_unreachable = matches!(failure, OnvifError::Unreachable(_));
                let kind = if is_unreachable {
                    ErrorKind::SourceUnreachable
                } else {
                    ErrorKind::SourceUnsupported
                };
                (kind, failure.to_string())
            }
            Err(_) => (ErrorKind::SourceTimeout, "the device did not respond in time".to_owned()),
        };
        let detail = format!(
            "cannot check the certificate of the camera's ONVIF service: {reason}; to store the \
             camera without this check, set onvif_certificate, or omit onvif"
        );
        Err(Error::new(kind, detail))
    }

    async fn find_one(
        &self,
        text: &str,
        request: &DiscoveryRequest,
        confirmed: &ConfirmedCertificates,
    ) -> Result<Discovery, Error> {
        let mut onvif = OnvifAddress::parse(text).ok_or_else(|| {
            let detail = "address must be an IP address or host name, followed by :port if the port \
                          is not 80, or the http:// or https:// URL of the device's ONVIF service";
            Error::new(ErrorKind::InvalidSource, detail)
        })?;
        if request.certificate.is_some() && !onvif.is_https {
            return Err(needless_certificate());
        }
        let known = || confirmed.of(&onvif.host, onvif.port).filter(|_| onvif.is_https);
        onvif.certificate = request.certificate.or_else(known);
        let address = self.nets.resolve(&onvif.host, onvif.port).await?;
        let service = OnvifService::from(&onvif);
        let device = Device::new(address, &service);
        let deadline = Instant::now() + request.time * TOTAL_FACTOR;
        let certificates = TrustedCertificates::from(&onvif);
        let devices = vec![describe(device, service, certificates, request, deadline).await];
        let interfaces = ws_discovery::names(&ws_discovery::interfaces());
        Ok(Discovery { devices, interfaces, warnings: Vec::new() })
    }

    async fn search(
        &self,
        request: &DiscoveryRequest,
        confirmed: ConfirmedCertificates,
    ) -> Result<Discovery, Error> {
        let interfaces = ws_discovery::interfaces();
        let chosen = ws_discovery::choose(&interfaces, request.interface.as_deref())?;
        let mut warnings = Vec::new();
        if chosen.is_empty() {
            warnings.push(
                "there is no network interface to search on; enter the address of the camera"
                    .to_owned(),
            );
        }
        let (sender, mut discovered) = mpsc::channel(QUEUE);
        let mut probing = JoinSet::new();
        probing.spawn(ws_discovery::run(chosen, request.time, sender));
        let mut search = Search::new(request.clone(), confirmed);
        while let Some(device) = discovered.recv().await {
            search.add(device, &self.nets);
        }
        warnings.extend(join_all(probing).await.into_iter().flatten());
        let (devices, more) = search.finish().await;
        warnings.extend(more);
        Ok(Discovery { devices, interfaces: ws_discovery::names(&interfaces), warnings })
    }
}

fn needless_certificate() -> Error {
    let detail = "a certificate fingerprint requires an https:// URL as the address; omit the \
                  fingerprint, or change the address";
    Error::new(ErrorKind::InvalidRequest, detail)
}

/// A search in progress.
struct Search {
    request: DiscoveryRequest,
    confirmed: ConfirmedCertificates,
    deadline: Instant,
    seen: HashSet<SocketAddr>,
    requests: JoinSet<Device>,
    permits: Arc<Semaphore>,
    /// Addresses at which cameras are not permitted.
    forbidden: HashSet<IpAddr>,
    /// Addresses with too many devices.
    crowded: HashSet<IpAddr>,
    is_full: bool,
}

impl Search {
    fn new(request: DiscoveryRequest, confirmed: ConfirmedCertificates) -> Self {
        Self {
            deadline: Instant::now() + request.time * TOTAL_FACTOR,
            request,
            confirmed,
            seen: HashSet::new(),
            requests: JoinSet::new(),
            permits: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)),
            forbidden: HashSet::new(),
            crowded: HashSet::new(),
            is_full: false,
        }
    }

    /// Starts the requests to a discovered device, unless it has already been seen, is not permitted, or exceeds
    /// a limit. The warnings later name the reasons for omitted devices.
    fn add(&mut self, found: DiscoveredDevice, nets: &CameraNetworks) {
        let service = found.service.clone().unwrap_or_else(|| OnvifService::usual(80));
        let address = SocketAddr::new(found.address, service.port);
        // A device may respond to several probes.
        if self.seen.contains(&address) || self.forbidden.contains(&found.address) {
            return;
        }
        if self.seen.len() + self.forbidden.len() >= MAX_DEVICES {
            self.is_full = true;
            return;
        }
        if !nets.permits(found.address) {
            self.forbidden.insert(found.address);
            return;
        }
        if self.seen.iter().filter(|known| known.ip() == found.address).count() >= MAX_PER_ADDRESS {
            self.crowded.insert(found.address);
            return;
        }
        self.seen.insert(address);
        let mut device = Device::new(address, &service);
        (device.name, device.model) = (found.name, found.hardware);
        self.start_requests(device, service);
    }

    fn start_requests(&mut self, device: Device, service: OnvifService) {
        let (request, deadline) = (self.request.clone(), self.deadline);
        let permits = Arc::clone(&self.permits);
        let certificates = self.confirmed.trusted(device.reached);
        self.requests.spawn(async move {
            // The semaphore is never closed.
            let permit = timeout_at(deadline, permits.acquire()).await;
            let deadline = deadline.min(Instant::now() + request.time * DEVICE_FACTOR);
            let device = describe(device, service, certificates, &request, deadline).await;
            drop(permit);
            device
        });
    }

    /// Waits for all devices, and returns them sorted by address, with warnings about omitted devices or an empty
    /// result.
    async fn finish(mut self) -> (Vec<Device>, Vec<String>) {
        let mut devices = join_all(std::mem::take(&mut self.requests)).await;
        devices.sort_by_key(|device| device.reached);
        let warnings = self.warnings(devices.is_empty());
        (devices, warnings)
    }

    fn warnings(&self, is_empty: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if is_empty && self.forbidden.is_empty() {
            warnings.push(
                "no camera responded; a search finds only cameras on networks to which the manager \
                 is directly connected, and only if ONVIF and WS-Discovery are enabled in the camera. \
                 For a camera on another network, enter the camera's address"
                    .to_owned(),
            );
        }
        if !self.forbidden.is_empty() {
            let count = self.forbidden.len();
            warnings.push(if count == 1 {
                "1 device was omitted, because cameras are not permitted at its address".to_owned()
            } else {
                format!(
                    "{count} devices were omitted, because cameras are not permitted at their addresses"
                )
            });
        }
        if !self.crowded.is_empty() {
            let count = self.crowded.len();
            let addresses = if count == 1 { "1 address" } else { &format!("{count} addresses") };
            warnings.push(format!(
                "more than {MAX_PER_ADDRESS} devices responded from {addresses}; only the first \
                 {MAX_PER_ADDRESS} of each address are listed"
            ));
        }
        if self.is_full {
            warnings.push(format!(
                "more than {MAX_DEVICES} devices responded; only the first {MAX_DEVICES} are listed"
            ));
        }
        warnings
    }
}

/// Returns the device with its description. If the description is incomplete at the `deadline`, returns the part
/// that has been received by then, with an error.
async fn describe(
    mut device: Device,
    service: OnvifService,
    certificates: TrustedCertificates,
    request: &DiscoveryRequest,
    deadline: Instant,
) -> Device {
    let mut client = OnvifClient::new(device.reached, request.login.clone());
    if service.is_https {
        device.onvif_certificate = certificates.only().map(|only| only.to_string());
    }
    client.trust(certificates);
    if timeout_at(deadline, device.describe(&mut client, &service)).await.is_err() {
        device.error = Some("the device did not respond in time".to_owned());
        (device.main, device.sub) = link::main_and_sub(&device.profiles);
    }
    device
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::networks::Networks;

    fn request() -> DiscoveryRequest {
        DiscoveryRequest {
            interface: None,
            time: Duration::ZERO,
            login: None,
            address: None,
            certificate: None,
        }
    }

    #[tokio::test]
    async fn one_host_does_not_displace_the_others() {
        let nets = CameraNetworks::default();
        let mut search = Search::new(request(), ConfirmedCertificates::default());
        let found = |host: u8, port: u16| DiscoveredDevice {
            address: IpAddr::from([192, 0, 2, host]),
            service: Some(OnvifService::usual(port)),
            name: None,
            hardware: None,
        };
        for port in 1..=1000 {
            search.add(found(7, port), &nets);
        }
        for port in [80, 80, 81] {
            search.add(found(8, port), &nets);
        }
        // No request is sent, because the test ends before the tasks run.
        assert_eq!(search.requests.len(), MAX_PER_ADDRESS + 2);
        assert_eq!((search.crowded.len(), search.is_full), (1, false));
    }

    #[tokio::test]
    async fn repeated_responses_count_only_once_towards_the_limit() {
        let nets =
            CameraNetworks::new(Networks::default(), "198.51.100.0/24".parse().expect("a network"));
        let mut search = Search::new(request(), ConfirmedCertificates::default());
        let found = |network: [u8; 3], host: u8| DiscoveredDevice {
            address: IpAddr::from([network[0], network[1], network[2], host]),
            service: None,
            name: None,
            hardware: None,
        };
        let permitted = (0..=254).map(|host| found([192, 0, 2], host));
        let all: Vec<_> = permitted.chain([found([198, 51, 100], 1)]).collect();
        for device in all.iter().chain(&all) {
            search.add(device.clone(), &nets);
        }
        assert_eq!((search.seen.len(), search.forbidden.len()), (MAX_DEVICES - 1, 1));
        assert!(!search.is_full, "{MAX_DEVICES} devices are within the limit");
        search.add(found([192, 0, 2], 255), &nets);
        assert!(search.is_full);
    }

    #[test]
    fn warnings_use_singular_and_plural() {
        let nets =
            CameraNetworks::new(Networks::default(), "192.0.2.0/24".parse().expect("a network"));
        let mut search = Search::new(request(), ConfirmedCertificates::default());
        for host in [1, 2] {
            let address = IpAddr::from([192, 0, 2, host]);
            search.add(
                DiscoveredDevice { address, service: None, name: None, hardware: None },
                &nets,
            );
            let subject = ["1 device was", "2 devices were"][usize::from(host) - 1];
            assert!(search.warnings(true)[0].starts_with(subject));
        }
    }
}
