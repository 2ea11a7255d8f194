//! Zones of link-local IPv6 addresses. A link-local address, such as `fe80::1`, is valid on one network only, so
//! the zone names the interface of the manager's machine that is connected to this network: `fe80::1%eth0`.
//!
//! In a URL, the host is written as `[fe80::1%25eth0]` (RFC 6874). People also paste `[fe80::1%eth0]`. The crate
//! `url` supports neither, so these functions remove the zone from a URL, and add it to the host again.

use std::borrow::Cow;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Range;

use nix::net::if_::{if_indextoname, if_nametoindex};
use url::{Host, Url};

use crate::base::error::{Error, ErrorKind};

/// The greatest length of an interface's name in Linux, in bytes.
const MAX_LENGTH: usize = 15;

/// Returns the URL without the zone of its host, and the zone; `None` if the host has no zone. The zone may be
/// invalid.
pub(crate) fn cut(url: &str) -> (Cow<'_, str>, Option<&str>) {
    let split = inside_brackets(url).and_then(|inner| {
        let (address, zone) = split(&url[inner.clone()])?;
        Some((format!("{}{address}{}", &url[..inner.start], &url[inner.end..]), zone))
    });
    match split {
        Some((plain, zone)) => (plain.into(), Some(zone)),
        None => (url.into(), None),
    }
}

/// Returns the host of a URL from which this zone was [`cut`]: a name, an IPv4 address, or an IPv6 address in
/// brackets, with the zone in the form of a URL. Empty if the URL has no host. Error: `InvalidSource`, if there is a
/// zone, and the zone is invalid or the host is not a link-local address.
pub(crate) fn host(url: &Url, zone: Option<&str>) -> Result<String, Error> {
    match (zone, url.host()) {
        (None, _) => Ok(url.host_str().unwrap_or_default().to_owned()),
        (Some(zone), Some(Host::Ipv6(address))) => {
            ensure_valid(address, zone)?;
            Ok(written(address, Some(zone)))
        }
        (Some(_), _) => Err(misplaced()),
    }
}

/// Splits an IPv6 address with a zone, without brackets: `fe80::1%eth0` or `fe80::1%25eth0`. Returns `None` if there
/// is no zone. Neither part is checked.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let (address, zone) = text.split_once('%')?;
    Some((address, zone.strip_prefix("25").unwrap_or(zone)))
}

/// Returns `url` with `zone` after its host, if the host is a link-local address. The new zone replaces a zone that
/// the URL already has. Other URLs are returned unchanged.
pub(crate) fn with<'a>(url: &'a str, zone: &str) -> Cow<'a, str> {
    let replaced = inside_brackets(url).and_then(|inner| {
        let host = &url[inner.clone()];
        let address: Ipv6Addr = split(host).map_or(host, |(address, _)| address).parse().ok()?;
        let (before, after) = (&url[..inner.start - 1], &url[inner.end + 1..]);
        let host = written(address, Some(zone));
        address.is_unicast_link_local().then(|| format!("{before}{host}{after}"))
    });
    replaced.map_or(url.into(), Cow::from)
}

/// Returns the host in the field `ip`, spelled as by [`host`], but without the brackets of an IPv6 address. Names are
/// converted to lower case. The result is the same for all spellings of a host.
pub(crate) fn bare_host(ip: &str) -> String {
    let ip = ip.trim_matches(['[', ']']);
    let (address, zone) = split(ip).map_or((ip, None), |(address, zone)| (address, Some(zone)));
    match address.parse() {
        Ok(address) => written(address, zone).trim_matches(['[', ']']).to_owned(),
        Err(_) => ip.to_ascii_lowercase(),
    }
}

/// Returns whether two hosts in the form of [`host`] are the same. Upper and lower case are the same in names, but
/// not in zones.
pub(crate) fn is_same_host(one: &str, other: &str) -> bool {
    if one.starts_with('[') { one == other } else { one.eq_ignore_ascii_case(other) }
}

/// Returns the zone of an address to which a connection was made; `None` if the address needs no zone, or if the
/// interface no longer exists.
pub(crate) fn of(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() != 0 => {
            if_indextoname(v6.scope_id()).ok()?.into_string().ok()
        }
        _ => None,
    }
}

/// Returns the host of an address to which a connection was made, in the form of [`host`].
pub(crate) fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => written(*v6.ip(), of(address).as_deref()),
    }
}

/// Returns the address and port for connections to a link-local address in this zone. Errors: `InvalidSource` for an
/// invalid zone or an address that is not link-local; `SourceUnreachable` if the interface does not exist.
pub(crate) fn at(address: Ipv6Addr, port: u16, zone: &str) -> Result<SocketAddr, Error> {
    ensure_valid(address, zone)?;
    let index = if_nametoindex(zone).map_err(|_| {
        let detail = format!(
            "the manager's machine has no network interface {zone}; write the name of the interface that is \
             connected to the camera's network after the % of the address"
        );
        Error::new(ErrorKind::SourceUnreachable, detail)
    })?;
    Ok(SocketAddrV6::new(address, port, 0, index).into())
}

/// Returns an `InvalidSource` error if `host` is a link-local address without a zone. The host may be in brackets.
pub(crate) fn ensure_present(host: &str) -> Result<(), Error> {
    let address = host.trim_matches(['[', ']']).parse::<Ipv6Addr>();
    let Some(address) = address.ok().filter(Ipv6Addr::is_unicast_link_local) else { return Ok(()) };
    let detail = format!(
        "{address} is a link-local address, which requires the name of a network interface of the manager's machine; \
         write [{address}%25eth0] in a link, and {address}%eth0 elsewhere, and replace eth0 with the interface's name"
    );
    Err(Error::new(ErrorKind::InvalidSource, detail))
}

fn ensure_valid(address: Ipv6Addr, zone: &str) -> Result<(), Error> {
    if !address.is_unicast_link_local() {
        return Err(misplaced());
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_LENGTH).contains(&zone.len()) && zone.bytes().all(is_allowed) {
        return Ok(());
    }
    let detail = format!(
        "after the % of a link-local address, the name of a network interface is required: at most {MAX_LENGTH} \
         characters, which are letters A to Z, digits, dot, underscore, hyphen"
    );
    Err(Error::new(ErrorKind::InvalidSource, detail))
}

fn misplaced() -> Error {
    let detail =
        "only a link-local IPv6 address (fe80::/10) can be followed by % and a network interface";
    Error::new(ErrorKind::InvalidSource, detail)
}

fn written(address: Ipv6Addr, zone: Option<&str>) -> String {
    match zone {
        Some(zone) => format!("[{address}%25{zone}]"),
        None => format!("[{address}]"),
    }
}

/// Returns the position of the host in a URL, if it is in brackets. The range excludes the brackets.
fn inside_brackets(url: &str) -> Option<Range<usize>> {
    let begin = url.find("://")? + "://".len();
    let rest = &url[begin..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let begin = begin + authority.rfind('@').map_or(0, |at| at + 1);
    let inner = url[begin..].strip_prefix('[')?;
    let length = inner.find(['/', '?', '#', ']']).filter(|&end| inner[end..].starts_with(']'))?;
    Some(begin + 1..begin + 1 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_cut_from_urls_and_added_again() {
        let table = [
            ("rtsp://[fe80::1%25eth0]/x", "rtsp://[fe80::1]/x", Some("eth0")),
            (
                "rtsp://u:p%40@[FE80:0::1%br-lan.7]:8554",
                "rtsp://u:p%40@[FE80:0::1]:8554",
                Some("br-lan.7"),
            ),
            ("rtsp://[fe80::1%25]/x", "rtsp://[fe80::1]/x", Some("")),
            ("rtsp://[fe80::1]/x%25y]", "rtsp://[fe80::1]/x%25y]", None),
            ("rtsp://[fe80::1%eth0", "rtsp://[fe80::1%eth0", None),
            ("rtsp://[fe80::1/%eth0]", "rtsp://[fe80::1/%eth0]", None),
            ("rtsp://cam%25eth0/x", "rtsp://cam%25eth0/x", None),
            ("[fe80::1%eth0]", "[fe80::1%eth0]", None),
        ];
        for (url, plain, zone) in table {
            let (actual, cut_zone) = cut(url);
            assert_eq!((actual.as_ref(), cut_zone), (plain, zone), "{url}");
        }
        let with = |url: &'static str| with(url, "eth1").into_owned();
        assert_eq!(with("rtsp://a@[fe80::1]:1/x"), "rtsp://a@[fe80::1%25eth1]:1/x");
        assert_eq!(with("rtsp://[fe80::1%eth0]"), "rtsp://[fe80::1%25eth1]");
        assert_eq!(with("rtsp://[2001:db8::1]/x"), "rtsp://[2001:db8::1]/x");
        assert_eq!(with("rtsp://cam/x"), "rtsp://cam/x");
    }

    #[test]
    fn only_link_local_addresses_have_a_zone_and_only_interface_names_are_zones() {
        let host = |url: &str| {
            let (plain, zone) = cut(url);
            host(&Url::parse(&plain).expect(url), zone).map_err(|error| error.kind)
        };
        let table = [
            ("rtsp://[FE80::1%eth0.100]/x", Some("[fe80::1%25eth0.100]")),
            ("rtsp://[febf::1%25Eth_0-1]/x", Some("[febf::1%25Eth_0-1]")),
            ("rtsp://[fe80::1%2525g1]/x", Some("[fe80::1%2525g1]")),
            ("rtsp://[fe80::1%abcdefghijklmno]", Some("[fe80::1%25abcdefghijklmno]")),
            ("rtsp://[fe80::1%abcdefghijklmnop]", None),
            ("rtsp://[fe80::1%25]/x", None),
            ("rtsp://[fe80::1%eth0%00]/x", None),
            ("rtsp://[fe80::1%eth0:1]/x", None),
            ("rtsp://[fe80::1%'x]/x", None),
            ("rtsp://[2001:db8::1%eth0]/x", None),
            ("rtsp://[::1%lo]/x", None),
        ];
        for (url, expected) in table {
            let expected = expected.map(str::to_owned).ok_or(ErrorKind::InvalidSource);
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn a_zone_becomes_the_index_of_the_interface_and_back() {
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let reached = at(address, 554, "lo").expect("loopback");
        assert_eq!((of(reached).as_deref(), reached.port()), (Some("lo"), 554));
        assert_eq!(host_of(reached), "[fe80::1%25lo]");
        let error = at(address, 554, "no-such-if").expect_err("unknown");
        assert_eq!(error.kind, ErrorKind::SourceUnreachable);
        assert!(error.detail.contains("no network interface no-such-if"), "{error}");
        assert_eq!(host_of(SocketAddr::from((address, 1))), "[fe80::1]");
        assert_eq!(host_of(SocketAddr::from(([192, 0, 2, 7], 1))), "192.0.2.7");
    }
}
