//! WS-Discovery: sends probes for ONVIF devices to the local networks, and reads the responses.
//!
//! The search uses only IPv4, because nearly all cameras have an IPv4 address. A device's address is the one
//! from which its response came. A response also contains addresses, but only their schemes, ports and paths
//! are used, so that a response cannot make the manager connect to another host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use super::soap::{OnvifService, plain};
use super::xaddr::XAddr;
use super::xml::XmlNode;
use crate::base::error::{Error, ErrorKind};
use crate::base::tasks::join_all;
use crate::base::url::percent_decoded;
use crate::camera::onvif_address::{HTTP_PORT, HTTPS_PORT};

/// The multicast address and port of WS-Discovery.
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 3702);
/// The largest datagram, in bytes.
const MAX_DATAGRAM: usize = 65_536;
/// The largest number of datagrams that are read on one interface.
const MAX_ANSWERS: usize = 1_000;
/// The number of times that a probe for each type is sent. A single datagram may get lost.
const PROBES: u32 = 2;
/// The types of devices for which probes are sent. Some devices respond to only one of these probes.
const KINDS: [(&str, &str); 2] = [
    ("NetworkVideoTransmitter", "http://www.onvif.org/ver10/network/wsdl"),
    ("Device", "http://www.onvif.org/ver10/device/wsdl"),
];
/// The longest name or model of a device, in characters. Longer texts are cut.
const MAX_NAME: usize = 100;

/// A network interface on which a search is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// The name.
    pub name: String,
    /// The address. An interface with several addresses is listed once for each.
    pub address: Ipv4Addr,
    /// True for the loopback interface, which connects the machine only to itself.
    pub is_loopback: bool,
}

/// A device that responded to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiscoveredDevice {
    /// The address from which the response came.
    pub address: IpAddr,
    /// The device service; `None` if the response contains no valid address.
    pub service: Option<OnvifService>,
    /// The name that the device reports for itself.
    pub name: Option<String>,
    /// The model that the device reports.
    pub hardware: Option<String>,
}

/// Returns the interfaces that are up and have an IPv4 address, sorted by name and address. Returns an empty list
/// if the system does not list its interfaces.
pub(crate) fn interfaces() -> Vec<Interface> {
    let all = getifaddrs().inspect_err(|error| warn!(%error, "cannot list the network interfaces"));
    let mut interfaces: Vec<_> = all
        .into_iter()
        .flatten()
        .filter(|one| one.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|one| {
            Some(Interface {
                address: one.address?.as_sockaddr_in()?.ip(),
                is_loopback: one.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                name: one.interface_name,
            })
        })
        .collect();
    interfaces.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
    interfaces
}

/// Returns the interfaces whose name or address is `wanted`, or all except loopback if `wanted` is `None`. Fails if
/// `wanted` is given and no interface matches it.
pub(crate) fn choose(
    interfaces: &[Interface],
    wanted: Option<&str>,
) -> Result<Vec<Interface>, Error> {
    let is_chosen = |one: &&Interface| match wanted {
        Some(wanted) => one.name == wanted || one.address.to_string() == wanted,
        None => !one.is_loopback,
    };
    let chosen: Vec<_> = interfaces.iter().filter(is_chosen).cloned().collect();
    if wanted.is_some() && chosen.is_empty() {
        let detail = format!(
            "interface must be the name or IPv4 address of an interface that is up; available: {}",
            names(interfaces).join(", ")
        );
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    Ok(chosen)
}

/// Returns the names of the interfaces without repetitions. Omits loopback, because there are no cameras on
/// it.
pub(crate) fn names(interfaces: &[Interface]) -> Vec<String> {
    let others = interfaces.iter().filter(|one| !one.is_loopback);
    let mut names: Vec<_> = others.map(|one| one.name.clone()).collect();
    names.dedup();
    names
}

/// Sends probes on these interfaces, and listens for `time`. Reports the devices that have responded over the channel
/// `found`; a device may be reported several times. Returns a warning for each interface on which no socket could be
/// opened or sending failed.
pub(crate) async fn run(
    interfaces: Vec<Interface>,
    time: Duration,
    found: mpsc::Sender<DiscoveredDevice>,
) -> Vec<String> {
    let mut probing = JoinSet::new();
    for interface in interfaces {
        let found = found.clone();
        probing.spawn(async move {
            let result = probe_on(&interface, time, found).await;
            result.err().map(|error| format!("cannot search on {}: {error}", interface.name))
        });
    }
    let mut warnings: Vec<_> = join_all(probing).await.into_iter().flatten().collect();
    warnings.sort();
    warnings
}

async fn probe_on(
    interface: &Interface,
    time: Duration,
    found: mpsc::Sender<DiscoveredDevice>,
) -> std::io::Result<()> {
    let begun = Instant::now();
    // A socket that is bound to an interface's address sends to the group on that interface.
    let socket = UdpSocket::bind((interface.address, 0)).await?;
    let ids: Vec<_> = (0..PROBES).map(|_| KINDS.map(|_| uuid())).collect();
    let sending = async {
        for (round, ids) in (0..PROBES).zip(&ids) {
            sleep_until(begun + time * round / (PROBES + 1)).await;
            for ((kind, namespace), id) in KINDS.into_iter().zip(ids) {
                socket.send_to(probe(kind, namespace, id).as_bytes(), GROUP).await?;
            }
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let receiving = async {
        let mut datagram = vec![0; MAX_DATAGRAM];
        for _ in 0..MAX_ANSWERS {
            // An error here means only that a host could not receive a probe.
            let Ok((length, from)) = socket.recv_from(&mut datagram).await else { continue };
            let text = String::from_utf8_lossy(&datagram[..length]);
            for one in read(&text, from.ip(), ids.as_flattened()) {
                if found.send(one).await.is_err() {
                    return;
                }
            }
        }
    };
    let ended = timeout_at(begun + time, async {
        tokio::select! {
            sent = sending => sent,
            () = receiving => Ok(()),
        }
    });
    ended.await.unwrap_or(Ok(()))
}

fn probe(kind: &str, namespace: &str, id: &str) -> String {
    // Many cameras understand only these versions of WS-Addressing and WS-Discovery, from 2004 and 2005.
    let (wsa, wsd) = (
        "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"{wsa}\" \
         xmlns:d=\"{wsd}\" xmlns:o=\"{namespace}\"><s:Header>\
         <a:Action s:mustUnderstand=\"1\">{wsd}/Probe</a:Action>\
         <a:MessageID>uuid:{id}</a:MessageID>\
         <a:ReplyTo><a:Address>{wsa}/role/anonymous</a:Address></a:ReplyTo>\
         <a:To s:mustUnderstand=\"1\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>\
         </s:Header><s:Body><d:Probe><d:Types>o:{kind}</d:Types></d:Probe></s:Body></s:Envelope>"
    )
}

/// Returns a random UUID (version 4).
fn uuid() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{random:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Returns the ONVIF devices in a response that came from `from`. Returns an empty list if the response is
/// invalid, or if it names a probe whose id is not in `ids`.
pub(crate) fn read(text: &str, from: IpAddr, ids: &[String]) -> Vec<DiscoveredDevice> {
    let Some(answer) = XmlNode::parse(text) else { return Vec::new() };
    // A response that does not name its probe is accepted.
    if answer.text_of("RelatesTo").is_some_and(|related| !is_one_of(related, ids)) {
        return Vec::new();
    }
    let Some(matches) = answer.find("ProbeMatches") else { return Vec::new() };
    let is_camera = |one: &&XmlNode| {
        one.text_of("Scopes").is_some_and(|scopes| scopes.contains("onvif"))
            || one.text_of("Types").is_some_and(|types| types.contains("NetworkVideo"))
    };
    let found = |one: &XmlNode| {
        let scopes = one.text_of("Scopes").unwrap_or_default();
        DiscoveredDevice {
            address: from,
            service: service(one.text_of("XAddrs").unwrap_or_default(), from),
            name: scope(scopes, "name"),
            hardware: scope(scopes, "hardware"),
        }
    };
    matches.all("ProbeMatch").filter(is_camera).map(found).collect()
}

/// Returns whether `related`, from a device, contains one of these ids. Some devices change the case or
/// add a prefix.
fn is_one_of(related: &str, ids: &[String]) -> bool {
    let related = related.to_ascii_lowercase();
    ids.iter().any(|id| related.contains(id.as_str()))
}

/// Returns the service at the address in `addresses` whose host is `from`, or else at the first address. HTTPS
/// addresses are used only if there are no other addresses. Returns `None` if no address is valid.
fn service(addresses: &str, from: IpAddr) -> Option<OnvifService> {
    let mut found: Vec<_> = addresses.split_whitespace().filter_map(XAddr::parse).collect();
    // The sort keeps the order of equal elements.
    found.sort_by_key(|address| (address.is_https == Some(true), address.host != Some(from)));
    let XAddr { is_https, port, path, .. } = found.into_iter().next()?;
    let is_https = is_https == Some(true);
    let port = port.unwrap_or(if is_https { HTTPS_PORT } else { HTTP_PORT });
    Some(OnvifService { is_https, port, path })
}

/// Returns the value of the scope `onvif://www.onvif.org/{key}/{value}`; `None` if the device has no such scope.
fn scope(scopes: &str, key: &str) -> Option<String> {
    let prefix = format!("onvif://www.onvif.org/{key}/");
    let value = scopes.split_whitespace().find_map(|scope| scope.strip_prefix(&prefix))?;
    Some(plain(&percent_decoded(value), MAX_NAME)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn answer(scopes: &str, addresses: &str) -> String {
        format!(
            "<s:Envelope><s:Body><d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter\
             </d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs>\
             </d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
        )
    }

    #[test]
    fn a_devices_address_is_the_one_from_which_it_responded() {
        let table = [
            ("http://192.0.2.7/onvif/device_service", Some((false, 80, "/onvif/device_service"))),
            ("http://10.9.9.9:8000/a http://192.0.2.7:81/b?c=1", Some((false, 81, "/b?c=1"))),
            ("http://169.254.1.1:8000/a", Some((false, 8000, "/a"))),
            ("http://internal.example:6379/", Some((false, 6379, "/"))),
            ("192.0.2.7/onvif/device_service", Some((false, 80, "/onvif/device_service"))),
            ("http://192.0.2.7:0/a", Some((false, 80, "/a"))),
            ("https://192.0.2.7/a http://10.9.9.9:81/b", Some((false, 81, "/b"))),
            ("https://192.0.2.7/onvif", Some((true, 443, "/onvif"))),
            ("https://10.9.9.9/a https://192.0.2.7:8443/b", Some((true, 8443, "/b"))),
            ("garbage", None),
            ("", None),
        ];
        for (addresses, expected) in table {
            let found = read(&answer("", addresses), FROM, &[]);
            let service = expected.map(|(is_https, port, path)| OnvifService {
                is_https,
                port,
                path: path.into(),
            });
            assert_eq!((found[0].address, &found[0].service), (FROM, &service), "{addresses}");
        }
    }

    #[test]
    fn names_are_read_and_other_devices_are_omitted() {
        let scopes = "onvif://www.onvif.org/type/x onvif://www.onvif.org/name/Front%20Door%0A+1 \
                      onvif://www.onvif.org/hardware/";
        let found = read(&answer(scopes, ""), FROM, &[]).remove(0);
        assert_eq!((found.name.as_deref(), found.hardware), (Some("Front Door +1"), None));
        let printer = answer("ldap:///x", "").replace("NetworkVideoTransmitter", "Printer");
        for text in [printer.as_str(), "garbage", "<a/>", ""] {
            assert_eq!(read(text, FROM, &[]), [], "{text}");
        }
    }

    #[test]
    fn responses_to_other_probes_are_omitted() {
        let ids = [uuid(), uuid()];
        let table = [
            (String::new(), 1),
            (format!("uuid:{}", ids[0]), 1),
            (format!(" urn:uuid:{} ", ids[1].to_ascii_uppercase()), 1),
            (format!("uuid:{}", uuid()), 0),
            ("uuid:".to_owned(), 0),
        ];
        for (related, count) in table {
            let header = format!("<s:Header><a:RelatesTo>{related}</a:RelatesTo></s:Header>");
            let text = answer("", "").replace("<s:Body>", &format!("{header}<s:Body>"));
            assert_eq!(read(&text, FROM, &ids).len(), count, "{related}");
        }
    }

    #[test]
    fn interfaces_are_chosen_by_name_or_address() {
        let one = |name: &str, last, is_loopback| Interface {
            name: name.into(),
            address: Ipv4Addr::new(192, 0, 2, last),
            is_loopback,
        };
        let all = [one("eth0", 1, false), one("eth0", 2, false), one("lo", 3, true)];
        let table = [(None, 2), (Some("eth0"), 2), (Some("192.0.2.2"), 1), (Some("lo"), 1)];
        for (wanted, count) in table {
            assert_eq!(choose(&all, wanted).expect("interfaces").len(), count, "{wanted:?}");
        }
        let refused = choose(&all, Some("eth9")).expect_err("none");
        assert!(refused.detail.ends_with("available: eth0"), "{refused}");
        assert_eq!(names(&all), ["eth0"]);
        assert!(interfaces().iter().any(|one| one.is_loopback));
    }

    #[test]
    fn probes_are_documents_with_unique_ids() {
        let id = uuid();
        assert_ne!(id, uuid());
        let node = XmlNode::parse(&probe(KINDS[0].0, KINDS[0].1, &id)).expect("a document");
        assert_eq!(node.text_of("Types"), Some("o:NetworkVideoTransmitter"));
        assert_eq!(node.text_of("MessageID"), Some(format!("uuid:{id}").as_str()));
        assert_eq!(id.len(), 36);
    }
}
