//! The networks in which cameras are permitted. The restriction prevents clients from making the manager
//! connect to services that the clients cannot reach themselves, for example a service on the manager's host,
//! a cloud metadata service, or a database in the internal network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::base::error::{Error, ErrorKind};
use crate::camera::zone;

/// The longest time to wait for the addresses of a host name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest host name in DNS, in characters.
const MAX_NAME_LENGTH: usize = 253;

/// A list of networks, written as `10.0.0.0/8 fd00::/8, 192.0.2.1`.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Returns whether the list contains no networks.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether one of the networks contains the address.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    /// Parses networks (`10.0.0.0/8`) and single addresses, separated by commas or white space. An empty
    /// string is an empty list.
    fn from_str(text: &str) -> Result<Self, NetworksError> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let nets: Vec<_> = entries
            .filter(|entry| !entry.is_empty())
            .map(|entry| parse_net(entry).ok_or_else(|| NetworksError::Entry(entry.to_owned())))
            .collect::<Result<_, _>>()?;
        // A string that contains only separators is probably a mistake.
        if nets.is_empty() && !text.trim().is_empty() {
            return Err(NetworksError::Empty);
        }
        Ok(Self(nets))
    }
}

/// The error of an invalid list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// An entry is not a network.
    #[error("{0:?} is neither a network such as 10.0.0.0/8 nor an IP address")]
    Entry(String),
    /// The list contains only separators.
    #[error("the list contains only separators; write a network, or leave the list empty")]
    Empty,
}

/// The networks in which cameras are permitted, and the networks in which they are not.
#[derive(Debug, Clone, Default)]
pub struct CameraNetworks {
    allow: Networks,
    deny: Networks,
}

impl CameraNetworks {
    /// Permits the networks in `allow` except those in `deny`. If `allow` is empty, permits all networks
    /// except those in `deny`.
    pub fn new(allow: Networks, deny: Networks) -> Self {
        Self { allow, deny }
    }

    /// Returns whether cameras are permitted at this address.
    ///
    /// An IPv6 address that contains an IPv4 address (compatible, 6to4, NAT64, Teredo) is permitted only
    /// if both addresses are permitted. A mapped address, such as `::ffff:10.0.0.1`, counts as the IPv4 address,
    /// but `deny` applies to both forms. Unspecified addresses (for IPv4 `0.0.0.0/8`), multicast and broadcast are
    /// never permitted. Neither are addresses of NAT64 for local use (`64:ff9b:1::/48`), because the position of
    /// the IPv4 address in such an address depends on the network.
    ///
    /// ```
    /// use stream_manager::parts::{CameraNetworks, Networks};
    ///
    /// let allow: Networks = "192.168.0.0/16".parse().unwrap();
    /// let deny: Networks = "192.168.1.0/24".parse().unwrap();
    /// let networks = CameraNetworks::new(allow, deny);
    /// assert!(networks.permits("192.168.7.20".parse().unwrap()));
    /// assert!(networks.permits("::ffff:192.168.7.20".parse().unwrap()));
    /// for address in ["192.168.1.20", "::ffff:192.168.1.20", "10.0.0.1", "127.0.0.1"] {
    ///     assert!(!networks.permits(address.parse().unwrap()));
    /// }
    /// ```
    pub fn permits(&self, address: IpAddr) -> bool {
        // A mapped address is another form of an IPv4 address. `deny` is checked for both forms, and
        // `allow` only for the IPv4 address.
        let canonical = address.to_canonical();
        let is_permitted = |address| {
            !is_never_a_camera(address)
                && (self.allow.0.is_empty() || self.allow.contain(address))
                && !self.deny.contain(address)
        };
        !self.deny.contain(address)
            && is_permitted(canonical)
            && embedded(canonical).is_none_or(|inner| is_permitted(IpAddr::V4(inner)))
    }

    /// Returns the address to connect to for `host`, which is a name, an IPv4 address, or an IPv6
    /// address with or without brackets. A link-local address requires a zone. The zone does not affect whether the
    /// address is permitted. Resolving a name takes at most 5 seconds.
    ///
    /// Callers must connect to this address and not to the name, because a second lookup of the name may
    /// return an address that is not permitted.
    ///
    /// Errors: `InvalidSource` for an invalid host; `SourceUnreachable` if a name cannot be resolved, or if the
    /// interface of a zone does not exist; `SourceForbidden` if any address of the host is not permitted, even if
    /// other addresses are permitted. If only the first address were checked, the DNS server would decide which
    /// address that is, because it chooses the order.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, Error> {
        let name = match parse_host(host)? {
            Host::Address(address) => {
                let chosen = self.choose(host, [SocketAddr::new(address, port)])?;
                return zone::ensure_present(host).map(|()| chosen);
            }
            Host::InZone(address, zone) => {
                self.choose(host, [SocketAddr::new(address.into(), port)])?;
                return zone::at(address, port, zone);
            }
            Host::Name(name) => name,
        };
        let unreachable =
            |reason| Error::new(ErrorKind::SourceUnreachable, format!("the host {name} {reason}"));
        match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(addresses)) => self.choose(name, addresses),
            Ok(Err(_)) => Err(unreachable("is unknown; check the name, or enter the IP address")),
            Err(_) => Err(unreachable(
                "could not be resolved within 5 seconds; check the DNS server, or enter the IP address",
            )),
        }
    }

    /// Returns the first IPv4 address, or the first IPv6 address if there is no IPv4 address. Errors:
    /// `SourceForbidden` if any address is not permitted, `SourceUnreachable` if there are no addresses.
    fn choose(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<SocketAddr, Error> {
        let mut chosen: Option<SocketAddr> = None;
        for mut address in addresses {
            if !self.permits(address.ip()) {
                // The message omits the address, because clients must not learn the addresses of internal names.
                return Err(Error::new(
                    ErrorKind::SourceForbidden,
                    format!(
                        "cameras are not permitted at the address of host {host}; see the settings \
                         CAMERA_ALLOW_NETS and CAMERA_DENY_NETS"
                    ),
                ));
            }
            address.set_ip(address.ip().to_canonical());
            if chosen.is_none_or(|chosen| chosen.is_ipv6() && address.is_ipv4()) {
                chosen = Some(address);
            }
        }
        chosen.ok_or_else(|| {
            let detail =
                format!("the host {host} has no address; check the name, or enter the IP address");
            Error::new(ErrorKind::SourceUnreachable, detail)
        })
    }
}

fn parse_net(text: &str) -> Option<IpNet> {
    let net = match text.split_once('/') {
        Some((address, length)) => IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()?,
        None => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    // A network of mapped addresses is replaced with the IPv4 network.
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(length)) if net.addr().is_ipv6() => {
            Some(Ipv4Net::new(address, length).ok()?.trunc().into())
        }
        _ => Some(net.trunc()),
    }
}

/// Returns whether cameras are never permitted at this address, regardless of the settings.
fn is_never_a_camera(address: IpAddr) -> bool {
    match address {
        // On some systems all of 0.0.0.0/8 means "this host".
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            let is_local_nat64 = v6.segments()[..3] == [0x64, 0xff9b, 1];
            v6.is_unspecified() || v6.is_multicast() || is_local_nat64
        }
    }
}

/// Returns the IPv4 address to which a translator or a tunnel would forward packets for an IPv6 address;
/// `None` if the IPv6 address contains no IPv4 address.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        _ if v6.is_loopback() || v6.is_unspecified() => None,
        // IPv4-compatible; NAT64.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        // 6to4.
        [0x2002, high, low, ..] => Some(v4(high, low)),
        // Teredo, in which the bits are inverted.
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

/// A host that is syntactically valid.
enum Host<'a> {
    Address(IpAddr),
    /// An IPv6 address with a zone.
    InZone(Ipv6Addr, &'a str),
    Name(&'a str),
}

/// Parses an IP address or a host name. Error: `InvalidSource`.
fn parse_host(host: &str) -> Result<Host<'_>, Error> {
    let invalid = |reason: &str| Err(Error::new(ErrorKind::InvalidSource, reason));
    let bare = host.trim_matches(['[', ']']);
    if let Some((address, zone)) = zone::split(bare)
        && let Ok(address) = address.parse()
    {
        return Ok(Host::InZone(address, zone));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Host::Address(address.into())),
            Err(_) => invalid("the host in [ ] is not an IPv6 address"),
        };
    }
    if let Ok(address) = host.parse() {
        return Ok(Host::Address(address));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=MAX_NAME_LENGTH).contains(&host.len()) || !host.bytes().all(is_allowed) {
        return invalid(&format!(
            "the host must be an IP address, or a name of at most {MAX_NAME_LENGTH} characters: letters \
             A to Z, digits, dot, underscore, hyphen"
        ));
    }
    // Some resolvers read 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 as 127.0.0.1, others do not. The last
    // part of a host name is never a number, so all hosts whose last part is a number are refused.
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return invalid(
            "the last part of the host is empty or a number, but the host is not an IPv4 address; write \
             an IPv4 address as four decimal numbers without leading zeros, such as 192.168.1.20",
        );
    }
    Ok(Host::Name(host))
}

/// Returns whether `inet_aton` would read `label` as a number: decimal, octal or hexadecimal. An empty
/// label counts as a number.
fn is_number(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(allow: &str, deny: &str) -> CameraNetworks {
        let list = |text: &str| text.parse().expect(text);
        CameraNetworks::new(list(allow), list(deny))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn addresses_are_permitted_or_refused() {
        let loopback = "127.0.0.0/8, ::1";
        let table = [
            // allow, deny, permitted, refused
            ("", "", "10.0.0.1 127.0.0.1 ::1 fe80::1 2001:db8::1 ::ffff:10.0.0.1", ""),
            (
                "",
                "",
                "",
                "0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 255.255.255.255 :: ff02::1 \
                 ::ffff:0.0.0.0 ::ffff:224.0.0.1 64:ff9b::ffff:ffff 2002:e000:1:: \
                 64:ff9b:1::7f00:1 64:ff9b:1:7f00:0:100::",
            ),
            (
                "",
                loopback,
                "10.0.0.1 126.255.255.255 128.0.0.0 ::2:0:0:1 64:ff9b::a00:1 2002:a00:1::",
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::127.0.0.1 \
                 64:ff9b::7f00:1 64:ff9b::127.0.0.1 2002:7f00:1:: 2002:7f00:1::1 \
                 2001:0:4136:e378:8000:63bf:80ff:fffe",
            ),
            (
                "10.0.0.0/8 192.168.1.20",
                "10.9.0.0/16",
                "10.0.0.1 192.168.1.20 ::ffff:10.0.0.1",
                "10.9.0.1 192.168.1.21 ::ffff:10.9.0.1 ::1 2002:a00:1:: 64:ff9b::a00:1",
            ),
            ("::/0 10.0.0.0/8", "", "2001:db8::1 2002:a00:1::", "2002:7f00:1:: 64:ff9b::7f00:1"),
            ("::1", "", "::1", "::2 127.0.0.1"),
            ("10.0.0.7/8", "", "10.0.0.1", "11.0.0.1"),
            ("", "::/0", "10.0.0.1", "::1 ::ffff:10.0.0.1"),
            ("", "::ffff:127.0.0.0/104 ::ffff:10.0.0.1", "10.0.0.2", "127.0.0.1 10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8", "", "10.0.0.1"),
            ("", "0.0.0.0/0,::/0", "", "8.8.8.8 2001:db8::1"),
        ];
        for (allow, deny, permitted, refused) in table {
            let nets = nets(allow, deny);
            for (texts, expected) in [(permitted, true), (refused, false)] {
                for text in texts.split_whitespace() {
                    assert_eq!(nets.permits(ip(text)), expected, "{allow} - {deny}: {text}");
                }
            }
        }
    }

    #[test]
    fn invalid_lists_are_refused_with_the_entry() {
        for entry in [
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/255.0.0.0",
            "10.0.0",
            "010.0.0.0/8",
            "10.0.0.0-10.0.0.9",
            "[::1]",
            "/8",
        ] {
            for list in [entry.to_owned(), format!("::1, {entry}")] {
                let error = list.parse::<Networks>().expect_err(entry).to_string();
                assert!(error.contains(entry) && error.lines().count() == 1, "{error}");
            }
        }
    }

    #[test]
    fn all_addresses_of_a_name_must_be_permitted_and_ipv4_is_preferred() {
        let nets = nets("", "127.0.0.0/8 ::1");
        let table = [
            ("10.0.0.1 10.0.0.2", Ok("10.0.0.1")),
            ("2001:db8::1 10.0.0.1 10.0.0.2", Ok("10.0.0.1")),
            ("2001:db8::1 2001:db8::2", Ok("2001:db8::1")),
            ("2001:db8::1 ::ffff:10.0.0.1", Ok("10.0.0.1")),
            ("10.0.0.1 127.0.0.1", Err(ErrorKind::SourceForbidden)),
            ("10.0.0.1 ::1", Err(ErrorKind::SourceForbidden)),
            ("10.0.0.1 0.0.0.0", Err(ErrorKind::SourceForbidden)),
            ("", Err(ErrorKind::SourceUnreachable)),
        ];
        for (texts, expected) in table {
            let addresses = texts.split_whitespace().map(|text| SocketAddr::new(ip(text), 554));
            let chosen = nets.choose("camera", addresses).map_err(|error| error.kind);
            assert_eq!(chosen, expected.map(|text| SocketAddr::new(ip(text), 554)), "{texts}");
        }
    }

    #[tokio::test]
    async fn hosts_are_resolved_or_refused() {
        let nets = nets("", "127.0.0.0/8 ::1 169.254.0.0/16 fe80::bad");
        let long = "a".repeat(254);
        let table = [
            ("192.168.1.20", Ok("192.168.1.20:554")),
            ("[2001:db8::1]", Ok("[2001:db8::1]:554")),
            ("2001:db8::1", Ok("[2001:db8::1]:554")),
            ("[::ffff:192.168.1.20]", Ok("192.168.1.20:554")),
            ("127.0.0.1", Err(ErrorKind::SourceForbidden)),
            ("169.254.169.254", Err(ErrorKind::SourceForbidden)),
            ("[::ffff:127.0.0.1]", Err(ErrorKind::SourceForbidden)),
            ("[::]", Err(ErrorKind::SourceForbidden)),
            ("0.0.0.0", Err(ErrorKind::SourceForbidden)),
            ("localhost", Err(ErrorKind::SourceForbidden)),
            ("LocalHost", Err(ErrorKind::SourceForbidden)),
            ("no-such-camera.invalid", Err(ErrorKind::SourceUnreachable)),
            ("2130706433", Err(ErrorKind::InvalidSource)),
            ("0177.0.0.1", Err(ErrorKind::InvalidSource)),
            ("0x7f.1", Err(ErrorKind::InvalidSource)),
            ("0X7F000001", Err(ErrorKind::InvalidSource)),
            ("127.1", Err(ErrorKind::InvalidSource)),
            ("127.0.0.1.", Err(ErrorKind::InvalidSource)),
            ("127.0.0.1..", Err(ErrorKind::InvalidSource)),
            ("127.0.0.0x", Err(ErrorKind::InvalidSource)),
            ("127.0.0.256", Err(ErrorKind::InvalidSource)),
            ("1.2.3.4.5", Err(ErrorKind::InvalidSource)),
            ("0", Err(ErrorKind::InvalidSource)),
            ("camera.1", Err(ErrorKind::InvalidSource)),
            ("", Err(ErrorKind::InvalidSource)),
            (".", Err(ErrorKind::InvalidSource)),
            ("%6cocalhost", Err(ErrorKind::InvalidSource)),
            ("[fe80::1]", Err(ErrorKind::InvalidSource)),
            ("fe80::1%no-such-if", Err(ErrorKind::SourceUnreachable)),
            ("[fe80::1%25no-such-if]", Err(ErrorKind::SourceUnreachable)),
            ("[fe80::1%25a/b]", Err(ErrorKind::InvalidSource)),
            ("[2001:db8::1%25lo]", Err(ErrorKind::InvalidSource)),
            ("[fe80::bad%25no-such-if]", Err(ErrorKind::SourceForbidden)),
            ("[127.0.0.1]", Err(ErrorKind::InvalidSource)),
            ("１２７.0.0.1", Err(ErrorKind::InvalidSource)),
            ("a b", Err(ErrorKind::InvalidSource)),
            ("a\0", Err(ErrorKind::InvalidSource)),
            (long.as_str(), Err(ErrorKind::InvalidSource)),
        ];
        for (host, expected) in table {
            let resolved = nets.resolve(host, 554).await.map_err(|error| error.kind);
            assert_eq!(resolved, expected.map(|text| text.parse().expect(text)), "{host:?}");
        }
        let localhost =
            CameraNetworks::default().resolve("localhost", 554).await.expect("an address");
        assert!(localhost.ip().is_loopback());
    }

    #[test]
    fn valid_names_are_accepted_unchanged() {
        for name in ["camera", "cam-1.lan", "cam_1.local.", "1cam", "deadbeef", "a.0xg", "1.2.3.x"]
        {
            assert!(matches!(parse_host(name), Ok(Host::Name(host)) if host == name), "{name}");
        }
    }

    #[test]
    fn a_refusal_does_not_reveal_the_address_of_a_name() {
        let inner = [SocketAddr::from(([127, 0, 0, 1], 554))];
        let error = nets("", "127.0.0.1").choose("db.internal", inner).expect_err("forbidden");
        assert!(error.detail.contains("db.internal") && !error.detail.contains("127"), "{error}");
    }
}
