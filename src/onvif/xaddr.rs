//! Addresses of services (`XAddr`) as devices report them, including malformed ones.

use std::net::{IpAddr, Ipv6Addr};

use url::Url;

use super::soap::OnvifService;
use crate::base::url::path_and_query;

/// The address of a service as a device reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct XAddr {
    /// True if the service uses HTTPS; `None` if the address has no scheme.
    pub is_https: Option<bool>,
    /// The host, if it is an IP address; `None` if the host is a name or missing.
    pub host: Option<IpAddr>,
    /// The TCP port; `None` if the port is invalid, or if the address has neither port nor scheme.
    pub port: Option<u16>,
    /// The path and query.
    pub path: String,
}

impl XAddr {
    /// Parses an address. Accepts addresses without scheme, with an invalid port, or with an IPv6 address
    /// without brackets. Returns `None` if the address has a scheme other than HTTP or HTTPS, has neither a
    /// scheme nor a path, or consists only of a scheme.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (is_https, text) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (authority, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
        if is_https.is_none() && !path.starts_with('/') || text.is_empty() {
            return None;
        }
        let (host, port) = split(authority);
        let usual = is_https.map(|is_https| if is_https { 443 } else { 80 });
        let url = Url::parse(&format!("http://host{path}")).ok()?;
        Some(Self {
            is_https,
            host: host.parse().ok().map(|host: IpAddr| host.to_canonical()),
            port: port.map_or(usual, |port| port.parse().ok().filter(|port| *port != 0)),
            path: path_and_query(&url),
        })
    }

    /// Returns the service for requests to a device at `reached`, with the path of this address and the scheme of
    /// the `device` service. The service has the port of this address only if the host is `reached` and the
    /// scheme, if any, is the scheme of the `device` service. Otherwise, the service has the port of the `device`
    /// service.
    pub(crate) fn at(self, reached: IpAddr, device: &OnvifService) -> OnvifService {
        let is_same_scheme = self.is_https.is_none_or(|is_https| is_https == device.is_https);
        let is_usable = is_same_scheme && self.host == Some(reached.to_canonical());
        OnvifService {
            is_https: device.is_https,
            port: self.port.filter(|_| is_usable).unwrap_or(device.port),
            path: self.path,
        }
    }
}

/// Returns the host, without brackets, and the port. Drops a user name and a password.
fn split(authority: &str) -> (&str, Option<&str>) {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if authority.parse::<Ipv6Addr>().is_err() => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_as_devices_report_them() {
        let table = [
            ("http://192.0.2.7/a", Some((Some(false), Some("192.0.2.7"), Some(80), "/a"))),
            (" HTTP://192.0.2.7:81/a?b ", Some((Some(false), Some("192.0.2.7"), Some(81), "/a?b"))),
            ("https://192.0.2.7/a", Some((Some(true), Some("192.0.2.7"), Some(443), "/a"))),
            ("https://u:p@camera:8443/a", Some((Some(true), None, Some(8443), "/a"))),
            ("192.0.2.7/a", Some((None, Some("192.0.2.7"), None, "/a"))),
            ("192.0.2.7:81/a", Some((None, Some("192.0.2.7"), Some(81), "/a"))),
            ("/onvif/media", Some((None, None, None, "/onvif/media"))),
            ("http:///onvif/media", Some((Some(false), None, Some(80), "/onvif/media"))),
            ("http://192.0.2.7", Some((Some(false), Some("192.0.2.7"), Some(80), "/"))),
            ("http://192.0.2.7:0/a", Some((Some(false), Some("192.0.2.7"), None, "/a"))),
            ("http://192.0.2.7:null/a", Some((Some(false), Some("192.0.2.7"), None, "/a"))),
            ("http://192.0.2.7:99999/a", Some((Some(false), Some("192.0.2.7"), None, "/a"))),
            ("http://[2001:db8::7]:81/a", Some((Some(false), Some("2001:db8::7"), Some(81), "/a"))),
            ("http://[2001:db8::7]/a", Some((Some(false), Some("2001:db8::7"), Some(80), "/a"))),
            ("http://2001:db8::7/a", Some((Some(false), Some("2001:db8::7"), Some(80), "/a"))),
            ("[2001:db8::7]:81/a", Some((None, Some("2001:db8::7"), Some(81), "/a"))),
            ("ftp://192.0.2.7/a", None),
            ("garbage", None),
            ("http://", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(is_https, host, port, path)| XAddr {
                is_https,
                host: host.map(|host| host.parse().expect("an address")),
                port,
                path: path.to_owned(),
            });
            assert_eq!(XAddr::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn services_are_used_at_the_address_and_with_the_scheme_of_the_device() {
        let table = [
            // (address at which the device was reached, device service, XAddr, port)
            ("192.0.2.7", (false, 8000), "http://192.0.2.7/a", 80),
            ("192.0.2.7", (false, 8000), "192.0.2.7:81/a", 81),
            ("192.0.2.7", (false, 8000), "192.0.2.7/a", 8000),
            ("192.0.2.7", (false, 8000), "/a", 8000),
            ("192.0.2.7", (false, 8000), "http://192.0.2.7:0/a", 8000),
            ("192.0.2.7", (false, 8000), "http://192.0.2.7:null/a", 8000),
            ("192.0.2.7", (false, 8000), "https://192.0.2.7/a", 8000),
            ("192.0.2.7", (false, 8000), "https://192.0.2.7:8443/a", 8000),
            // A device behind a router that forwards another port.
            ("192.0.2.7", (false, 8000), "http://10.0.0.7/a", 8000),
            ("192.0.2.7", (false, 8000), "http://localhost:6379/a", 8000),
            ("192.0.2.7", (true, 443), "http://192.0.2.7:80/a", 443),
            ("192.0.2.7", (true, 443), "https://192.0.2.7:8443/a", 8443),
            ("2001:db8::7", (false, 8000), "http://[2001:db8::7]:81/a", 81),
            ("2001:db8::7", (false, 8000), "http://2001:db8::7/a", 80),
            ("::ffff:192.0.2.7", (false, 8000), "http://192.0.2.7:81/a", 81),
        ];
        for (reached, (is_https, port), text, expected) in table {
            let device = OnvifService { is_https, port, path: "/".into() };
            let reached = reached.parse().expect("an address");
            let service = XAddr::parse(text).expect(text).at(reached, &device);
            let expected = OnvifService { is_https, port: expected, path: "/a".into() };
            assert_eq!(service, expected, "{reached} {text}");
        }
    }
}
