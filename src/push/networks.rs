//! The addresses at which push servers are permitted, and connections to them.
//!
//! Clients choose the URLs of push servers. Without a restriction, a client could make the manager connect to services
//! that the client cannot reach itself. So the manager connects only to the port of HTTPS at public addresses, and to networks
//! that the operator permits. It looks up a name once, checks all addresses of the name, and connects to one of these addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

use crate::camera::networks::{CameraNetworks, Networks};

/// The longest time to wait for the addresses of a name.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);
/// The longest time of the connection to one address.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// The largest number of addresses of one name to which connections are tried.
const MAX_ADDRESSES: usize = 3;
/// The largest number of names that are looked up at the same time. Each takes a thread, until the DNS server responds.
const MAX_LOOK_UPS: usize = 8;
/// The port of HTTPS.
const HTTPS: u16 = 443;

/// The addresses at which push servers are permitted. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct PushNetworks {
    /// The networks that are permitted in addition to public addresses; `None` if there are none.
    allowed: Option<Arc<CameraNetworks>>,
    look_ups: Arc<Semaphore>,
}

/// The reason why there is no connection to a push server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// An address of the host is not permitted. The message does not contain the address, because clients must not learn
    /// the addresses of internal names.
    #[error(
        "the address of the push server is not public, or its port is not 443; to permit the address, add it to PUSH_ALLOW_NETS"
    )]
    NotPermitted,
    /// The name of the host has no address.
    #[error("the name of the push server cannot be resolved")]
    UnknownName,
    /// The host did not accept the connection in time.
    #[error("the push server did not accept the connection in time")]
    TimedOut,
    /// The connection failed.
    #[error("cannot connect to the push server")]
    Failed(#[source] io::Error),
}

impl PushNetworks {
    /// Permits port 443 of public addresses, and the networks in `allowed`.
    pub(super) fn new(allowed: Networks) -> Self {
        let allowed = (!allowed.is_empty())
            .then(|| Arc::new(CameraNetworks::new(allowed, Networks::default())));
        Self { allowed, look_ups: Arc::new(Semaphore::new(MAX_LOOK_UPS)) }
    }

    fn permit(&self, address: SocketAddr) -> bool {
        // A mapped address is another form of an IPv4 address.
        (address.port() == HTTPS && is_public(address.ip().to_canonical()))
            || self.allowed.as_ref().is_some_and(|allowed| allowed.permits(address.ip()))
    }

    /// Returns the permitted addresses of a host, which is a name, an IPv4 address, or an IPv6 address in brackets. Addresses
    /// of IPv4 and IPv6 alternate. If any address is not permitted, returns an error, because otherwise the DNS server could
    /// choose which address is checked.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let bare = host.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.checked([SocketAddr::new(address, port)]);
        }
        let found = timeout(LOOK_UP_WITHIN, self.look_up(bare.to_owned(), port)).await;
        self.checked(found.ok().flatten().ok_or(ConnectError::UnknownName)?)
    }

    /// Looks up a name. If the caller stops waiting, the look-up continues and counts until the DNS server responds.
    async fn look_up(&self, name: String, port: u16) -> Option<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.look_ups).acquire_owned().await.ok()?;
        let look_up = tokio::spawn(async move {
            let found = tokio::net::lookup_host((name, port)).await;
            drop(permit);
            found.map(Iterator::collect)
        });
        look_up.await.ok()?.ok()
    }

    fn checked(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut checked = Vec::new();
        for mut address in addresses {
            if !self.permit(address) {
                return Err(ConnectError::NotPermitted);
            }
            address.set_ip(address.ip().to_canonical());
            checked.push(address);
        }
        if checked.is_empty() { Err(ConnectError::UnknownName) } else { Ok(alternating(checked)) }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let mut failure = ConnectError::UnknownName;
        for address in self.resolve(host, port).await?.into_iter().take(MAX_ADDRESSES) {
            failure = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A failure only costs time.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => ConnectError::Failed(error),
                Err(_) => ConnectError::TimedOut,
            };
        }
        Err(failure)
    }
}

/// Sorts addresses so that IPv4 and IPv6 alternate, beginning with IPv4, because a machine may have only one of them.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (mut v4, mut v6) = (0, 0);
    let rank = |address: SocketAddr| {
        let count = if address.is_ipv4() { &mut v4 } else { &mut v6 };
        *count += 1;
        (*count, address.is_ipv6(), address)
    };
    let mut ranked: Vec<(usize, bool, SocketAddr)> = addresses.into_iter().map(rank).collect();
    ranked.sort_by_key(|(count, is_v6, _)| (*count, *is_v6));
    ranked.into_iter().map(|(_, _, address)| address).collect()
}

/// Makes the connections of an HTTP client. TLS is added to them with the name in the URL, whatever the address is.
impl Service<Uri> for PushNetworks {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let networks = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(HTTPS);
            networks.connect(host, port).await.map(TokioIo::new)
        })
    }
}

/// Returns whether an address can be reached from anywhere on the Internet, as far as the address shows this.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = matches!(
        (first, second, third),
        // This host; private; loopback; multicast and reserved.
        (0 | 10 | 127 | 224..=255, ..)
            // Shared by the customers of a provider; link-local.
            | (100, 64..=127, _)
            | (169, 254, _)
            // Private.
            | (172, 16..=31, _)
            | (192, 168, _)
            // Protocols and tests; for documentation; 6to4 relays.
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            // Benchmarks.
            | (198, 18 | 19, _)
            // For documentation.
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64: a translator forwards packets to the IPv4 address in the last bits.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        // Protocols, such as Teredo; for documentation; 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // All other addresses that were assigned for use on the Internet.
        [0x2000..=0x3fff, ..] => true,
        // Among others: loopback, private, link-local and multicast.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn networks(allowed: &str) -> PushNetworks {
        PushNetworks::new(allowed.parse().expect(allowed))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn permits(networks: &PushNetworks, text: &str) -> bool {
        networks.permit(SocketAddr::new(ip(text), HTTPS))
    }

    #[test]
    fn only_public_addresses_are_permitted() {
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.1.1.1 128.0.0.1 \
            169.253.0.1 172.15.255.255 172.32.0.0 192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.0 223.255.255.255 \
            2001:4860:4860::8888 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8";
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 \
            169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 \
            198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 \
            64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 \
            2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 4000::1 5f00::1 fc00::1 fd00::1 fe80::1 fec0::1 ff02::1";
        for (texts, expected) in [(public, true), (special, false)] {
            for text in texts.split_whitespace() {
                assert_eq!(permits(&networks(""), text), expected, "{text}");
            }
        }
        for port in [22, 80, 8443] {
            assert!(!networks("").permit(SocketAddr::new(ip("8.8.8.8"), port)), "{port}");
        }
        assert!(networks("8.8.8.8").permit(SocketAddr::new(ip("8.8.8.8"), 8443)));
    }

    #[test]
    fn networks_of_the_operator_are_permitted_as_well() {
        let networks = networks("192.168.7.0/24 fd00::/8 0.0.0.0/0");
        for text in
            ["192.168.7.1", "::ffff:192.168.7.1", "fd00::1", "8.8.8.8", "10.0.0.1", "127.0.0.1"]
        {
            assert!(permits(&networks, text), "{text}");
        }
        for text in ["::1", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:0.0.0.0", "2002:7f00:1::"] {
            assert!(!permits(&networks, text), "{text}");
        }
        assert!(!permits(&self::networks("192.168.7.0/24"), "192.168.8.1"));
    }

    #[test]
    fn a_host_with_any_address_that_is_not_permitted_is_refused() {
        let resolve = |texts: &str| {
            let addresses = texts.split_whitespace().map(|text| SocketAddr::new(ip(text), 443));
            let found = networks("10.0.0.0/8").checked(addresses.collect::<Vec<_>>());
            found.map(|found| {
                found.iter().map(|it| it.ip().to_string()).collect::<Vec<_>>().join(" ")
            })
        };
        let table = [
            ("8.8.8.8", Some("8.8.8.8")),
            ("2606:4700::1 8.8.8.8 ::ffff:10.0.0.1", Some("8.8.8.8 2606:4700::1 10.0.0.1")),
            (
                "1.1.1.1 8.8.8.8 2606:4700::1 2606:4700::2",
                Some("1.1.1.1 2606:4700::1 8.8.8.8 2606:4700::2"),
            ),
            ("8.8.8.8 127.0.0.1", None),
            ("169.254.169.254 8.8.8.8", None),
            ("8.8.8.8 ::ffff:127.0.0.1", None),
            ("", None),
        ];
        for (texts, expected) in table {
            assert_eq!(resolve(texts).ok().as_deref(), expected, "{texts}");
        }
    }

    #[tokio::test]
    async fn names_and_addresses_are_resolved_or_refused() {
        for (host, is_refused) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("0.0.0.0", true),
            ("[::]", true),
            ("169.254.169.254", true),
            ("[fe80::1]", true),
            ("no-such-server.invalid", false),
        ] {
            let error = networks("").resolve(host, 443).await.expect_err(host);
            assert_eq!(matches!(error, ConnectError::NotPermitted), is_refused, "{host}: {error}");
            assert!(error.source().is_none() && !error.to_string().contains("127"), "{error}");
        }
        let found = networks("").resolve("8.8.8.8", 443).await.expect("a public address");
        assert_eq!(found, [SocketAddr::from(([8, 8, 8, 8], 443))]);
        let found = networks("127.0.0.0/8 ::1").resolve("localhost", 1).await;
        assert!(found.expect("addresses").iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn connections_are_made_only_to_permitted_addresses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let uri = |host: &str| format!("https://{host}:{port}/x").parse::<Uri>().expect(host);
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let refused = networks("10.0.0.0/8").call(uri(host)).await;
            assert!(matches!(refused, Err(ConnectError::NotPermitted)), "{host}");
        }
        let connected = networks("127.0.0.1").call(uri("127.0.0.1")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("a connection");
        let own = connected.inner().local_addr().expect("an address");
        assert_eq!(accepted.peer_addr().expect("an address"), own, "the only connection");
    }
}
