//! Finds cameras on the network and asks them, by ONVIF, what streams they have.
//!
//! | Module | Does |
//! |---|---|
//! | [`probe`] | asks the local networks who is there (WS-Discovery) |
//! | [`device`] | asks one device what it is and where its streams are |
//! | [`link`] | which of a device's links can be used, for what |
//! | [`keyframe`] | asks a camera for a keyframe when its stream starts |
//! | [`soap`], [`xml`] | how a device is asked, and what it answers |
//!
//! Devices are strangers: what they answer is bounded in size, number and time, and only addresses
//! that cameras may have are asked. Nothing is kept; the registry of cameras is `crate::store`.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::camera::networks::CameraNets;
use crate::camera::onvif_address::OnvifAddress;
use device::Device;
use probe::DiscoveredDevice;
use soap::{Client, Login, Service};

pub mod device;
pub mod keyframe;
pub mod link;
pub mod probe;
pub mod soap;
pub mod xml;

/// Devices in one answer.
const MAX_DEVICES: usize = 256;
/// Of which at one address: one host must not take the places of all others.
const MAX_PER_ADDRESS: usize = 8;
/// Devices that are asked at once, of one search.
const ASKED_AT_ONCE: usize = 64;
/// Searches at once.
const SEARCHES: usize = 4;
/// Answers that wait to be looked at.
const QUEUE: usize = 64;
/// The shortest time to wait for answers, in seconds.
pub const SHORTEST_TIME: f64 = 0.1;
/// How long to wait for answers, in seconds, when nothing is said.
pub const USUAL_TIME: f64 = 3.0;
/// The longest, so that a search ends within a request's own time.
pub const LONGEST_TIME: f64 = 5.0;
/// A search takes this many times as long at most as it listens.
const TIMES: u32 = 3;
/// And one device of it so many times: who answers nothing keeps others waiting.
const TIMES_EACH: u32 = 2;

/// What to look for.
#[derive(Clone)]
pub struct Wanted {
    /// Name or address of the interface to look on; all by default.
    pub interface: Option<String>,
    /// How long to wait for answers. The details of a device may take twice as long; of one that is
    /// named, three times.
    pub time: Duration,
    /// What is offered to every device that is asked.
    pub login: Option<Login>,
    /// The one device to ask, instead of looking for some.
    pub address: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Discovery {
    /// The devices, by address.
    pub devices: Vec<Device>,
    /// The network interfaces that there are to look on.
    pub interfaces: Vec<String>,
    /// What did not go as wanted, for people.
    pub warnings: Vec<String>,
}

/// Finds devices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Finder {
    nets: CameraNets,
    searches: Arc<Semaphore>,
}

impl Finder {
    /// One that asks the addresses that `nets` permits.
    pub fn new(nets: CameraNets) -> Self {
        Self { nets, searches: Arc::new(Semaphore::new(SEARCHES)) }
    }

    /// Looks for devices, or asks the one that is named.
    ///
    /// Errors: `InvalidRequest` for an interface that is none, `InvalidSource`, `SourceForbidden`
    /// and `SourceUnreachable` for an address that cannot be asked, `Busy`.
    pub async fn find(&self, wanted: Wanted) -> Result<Discovery, Error> {
        let _place = self.searches.try_acquire().map_err(|_| {
            let detail = "cameras are being looked for as often as may be at once";
            Error::new(ErrorKind::Busy, detail).retry_after(wanted.time)
        })?;
        match &wanted.address {
            Some(address) => self.ask_one(address, &wanted).await,
            None => self.search(&wanted).await,
        }
    }

    async fn ask_one(&self, address: &str, wanted: &Wanted) -> Result<Discovery, Error> {
        let address = OnvifAddress::parse(address).ok_or_else(|| {
            let detail = "address must be an IP address or a host name, with :port if it is not \
                          80, or the http:// URL of the device's ONVIF service";
            Error::new(ErrorKind::InvalidSource, detail)
        })?;
        let service = Service::from(&address);
        let address = self.nets.resolve(&address.host, address.port).await?;
        let device = Device::new(address, &service);
        let devices =
            vec![ask(device, service, wanted, Instant::now() + wanted.time * TIMES).await];
        let interfaces = probe::names(&probe::interfaces());
        Ok(Discovery { devices, interfaces, warnings: Vec::new() })
    }

    async fn search(&self, wanted: &Wanted) -> Result<Discovery, Error> {
        let interfaces = probe::interfaces();
        let chosen = probe::chosen(&interfaces, wanted.interface.as_deref())?;
        let mut warnings = Vec::new();
        if chosen.is_empty() {
            warnings.push("there is no network interface to look on".to_owned());
        }
        let (found, mut answers) = mpsc::channel(QUEUE);
        let mut probing = JoinSet::new();
        probing.spawn(probe::run(chosen, wanted.time, found));
        let mut search = Search::new(wanted.clone());
        while let Some(found) = answers.recv().await {
            search.take(found, &self.nets);
        }
        warnings.extend(joined(probing).await.into_iter().flatten());
        let (devices, said) = search.finish().await;
        warnings.extend(said);
        Ok(Discovery { devices, interfaces: probe::names(&interfaces), warnings })
    }
}

/// A search that goes on.
struct Search {
    wanted: Wanted,
    deadline: Instant,
    seen: HashSet<SocketAddr>,
    asking: JoinSet<Device>,
    places: Arc<Semaphore>,
    forbidden: HashSet<IpAddr>,
    crowded: HashSet<IpAddr>,
    is_full: bool,
}

impl Search {
    fn new(wanted: Wanted) -> Self {
        Self {
            deadline: Instant::now() + wanted.time * TIMES,
            wanted,
            seen: HashSet::new(),
            asking: JoinSet::new(),
            places: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            forbidden: HashSet::new(),
            crowded: HashSet::new(),
            is_full: false,
        }
    }

    /// Asks a device that answered, unless that is done already.
    fn take(&mut self, found: DiscoveredDevice, nets: &CameraNets) {
        if self.seen.len() + self.forbidden.len() >= MAX_DEVICES {
            self.is_full = true;
            return;
        }
        if !nets.permits(found.address) {
            self.forbidden.insert(found.address);
            return;
        }
        let service = found.service.clone().unwrap_or_else(|| device::usual_service(80));
        let address = SocketAddr::new(found.address, service.port);
        if self.seen.contains(&address) {
            return;
        }
        if self.seen.iter().filter(|known| known.ip() == found.address).count() >= MAX_PER_ADDRESS {
            self.crowded.insert(found.address);
            return;
        }
        self.seen.insert(address);
        let mut device = Device::new(address, &service);
        (device.name, device.model) = (found.name, found.hardware);
        let (wanted, deadline) = (self.wanted.clone(), self.deadline);
        let places = Arc::clone(&self.places);
        self.asking.spawn(async move {
            // Nobody closes it.
            let place = timeout_at(deadline, places.acquire()).await;
            let until = deadline.min(Instant::now() + wanted.time * TIMES_EACH);
            let device = ask(device, service, &wanted, until).await;
            drop(place);
            device
        });
    }

    /// The devices, by address, and what there is to say about the search.
    async fn finish(self) -> (Vec<Device>, Vec<String>) {
        let mut devices = joined(self.asking).await;
        devices.sort_by_key(|device| (device.address, device.port));
        let mut said = Vec::new();
        if devices.is_empty() && self.forbidden.is_empty() {
            said.push(
                "no camera answered; it has to be on the same network, with ONVIF and its \
                 discovery switched on. Give its address to ask it directly"
                    .to_owned(),
            );
        }
        if !self.forbidden.is_empty() {
            let count = self.forbidden.len();
            said.push(format!(
                "{count} that answered have an address that cameras may not have here, and are \
                 left out"
            ));
        }
        if !self.crowded.is_empty() {
            let count = self.crowded.len();
            said.push(format!(
                "at {count} of the addresses more answered than the {MAX_PER_ADDRESS} that are \
                 looked at"
            ));
        }
        if self.is_full {
            said.push(format!("more answered than the {MAX_DEVICES} that are looked at"));
        }
        (devices, said)
    }
}

/// What the tasks came to. One that broke off takes nothing else with it.
async fn joined<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.extend(ended.inspect_err(|error| warn!(%error, "a device was not asked")));
    }
    results
}

async fn ask(mut device: Device, service: Service, wanted: &Wanted, until: Instant) -> Device {
    let address = SocketAddr::new(device.address, device.port);
    let mut client = Client::new(address, wanted.login.clone());
    if timeout_at(until, device.ask(&mut client, &service)).await.is_err() {
        device.error = Some("the device did not answer in time".to_owned());
        (device.main, device.sub) = link::main_and_sub(&device.profiles);
    }
    device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_host_does_not_take_the_places_of_the_others() {
        let wanted = Wanted { interface: None, time: Duration::ZERO, login: None, address: None };
        let nets = CameraNets::default();
        let mut search = Search::new(wanted);
        let found = |host: u8, port: u16| DiscoveredDevice {
            address: IpAddr::from([192, 0, 2, host]),
            service: Some(device::usual_service(port)),
            name: None,
            hardware: None,
        };
        for port in 1..=1000 {
            search.take(found(7, port), &nets);
        }
        for port in [80, 80, 81] {
            search.take(found(8, port), &nets);
        }
        // Nothing is asked: the test ends before anything else has its turn.
        assert_eq!(search.asking.len(), MAX_PER_ADDRESS + 2);
        assert_eq!((search.crowded.len(), search.is_full), (1, false));
    }
}
