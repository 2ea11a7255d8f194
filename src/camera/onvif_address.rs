//! Addresses of cameras' ONVIF services.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use url::Url;

use crate::base::fingerprint::Fingerprint;
use crate::base::url::path_and_query;
use crate::camera::zone;

/// The usual path of a device's ONVIF service.
pub(crate) const USUAL_PATH: &str = "/onvif/device_service";

/// The port of HTTP.
pub(crate) const HTTP_PORT: u16 = 80;
/// The port of HTTPS.
pub(crate) const HTTPS_PORT: u16 = 443;

/// The address of a device's ONVIF service, displayed as an `http://` or `https://` URL. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnvifAddress {
    /// True if the service uses HTTPS.
    pub is_https: bool,
    /// The fingerprint of the only certificate that is accepted. `None` accepts certificates from
    /// certificate authorities that the system trusts. The displayed URL does not contain the fingerprint.
    /// Always `None` without HTTPS.
    pub certificate: Option<Fingerprint>,
    /// Host name in lower case, IPv4 address, or IPv6 address in brackets, with the zone if there is one.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// Path and query.
    pub path: Arc<str>,
}

impl OnvifAddress {
    /// Adds the confirmed certificate of `known` to this address, if `known` is the same service and this address has
    /// no confirmed certificate. Returns the address.
    pub(crate) fn with_certificate_of(self, known: &Self) -> Self {
        let is_same = Self { certificate: known.certificate, ..self.clone() } == *known;
        if is_same && self.certificate.is_none() { known.clone() } else { self }
    }

    /// Parses an address as people write it: `192.168.1.20`, `192.168.1.20:8000`, or the `http://` or
    /// `https://` URL of the service, without credentials. Returns `None` for anything else. The defaults
    /// are HTTP, port 80 for HTTP and 443 for HTTPS, and the path [`USUAL_PATH`].
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // An IPv6 address may be written without the brackets that a URL requires.
        let address = zone::split(text).map_or(text, |(address, _)| address);
        let bracketed = address.parse::<Ipv6Addr>().map(|_| format!("[{text}]"));
        let text = bracketed.as_deref().unwrap_or(text);
        let is_url = text.contains("://");
        let url = if is_url { text.to_owned() } else { format!("http://{text}") };
        let (plain, zone) = zone::cut(&url);
        let url = Url::parse(&plain).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_plain || url.fragment().is_some() {
            return None;
        }
        if !is_url && !matches!(url.path(), "" | "/") {
            return None;
        }
        // `Url` converts `127.1` to `127.0.0.1`; such short forms are refused.
        let is_as_written =
            |host: &String| host.parse::<Ipv4Addr>().is_err() || text.contains(host.as_str());
        let host = zone::host(&url, zone).ok().filter(|host| !host.is_empty());
        let path = path_and_query(&url);
        Some(Self {
            is_https: url.scheme() == "https",
            certificate: None,
            host: host.filter(is_as_written)?.into(),
            port: url.port_or_known_default()?,
            path: if path == "/" { USUAL_PATH.into() } else { path.into() },
        })
    }
}

impl fmt::Display for OnvifAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path, .. } = self;
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{host}:{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_as_people_write_them() {
        let table = [
            ("192.168.1.20", Some((false, "192.168.1.20", 80, USUAL_PATH))),
            (" 192.168.1.20:8000 ", Some((false, "192.168.1.20", 8000, USUAL_PATH))),
            ("camera.local", Some((false, "camera.local", 80, USUAL_PATH))),
            ("Camera.LOCAL:81", Some((false, "camera.local", 81, USUAL_PATH))),
            ("http://Camera.Local/X", Some((false, "camera.local", 80, "/X"))),
            ("2001:db8::7", Some((false, "[2001:db8::7]", 80, USUAL_PATH))),
            ("2001:DB8:0::0007", Some((false, "[2001:db8::7]", 80, USUAL_PATH))),
            ("[2001:db8::7]:81", Some((false, "[2001:db8::7]", 81, USUAL_PATH))),
            ("http://[2001:DB8:0::7]:81/", Some((false, "[2001:db8::7]", 81, USUAL_PATH))),
            ("fe80::7%eth0", Some((false, "[fe80::7%25eth0]", 80, USUAL_PATH))),
            ("[FE80::7%25eth0]:81", Some((false, "[fe80::7%25eth0]", 81, USUAL_PATH))),
            ("http://[fe80::7%eth0]/X", Some((false, "[fe80::7%25eth0]", 80, "/X"))),
            ("fe80::7%eth0/../x", None),
            ("2001:db8::7%eth0", None),
            ("http://192.168.1.20/onvif/x?y=1", Some((false, "192.168.1.20", 80, "/onvif/x?y=1"))),
            ("http://192.168.1.20:81", Some((false, "192.168.1.20", 81, USUAL_PATH))),
            ("https://192.168.1.20/", Some((true, "192.168.1.20", 443, USUAL_PATH))),
            ("HTTPS://Camera.Local:8443/X", Some((true, "camera.local", 8443, "/X"))),
            ("file:///etc/passwd", None),
            ("admin:secret@192.168.1.20", None),
            ("192.168.1.20/path", None),
            ("192.168.1.20:port", None),
            ("127.1", None),
            ("0x7f000001", None),
            ("http://127.1/onvif/x", None),
            ("garbage://", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(is_https, host, port, path)| OnvifAddress {
                is_https,
                certificate: None,
                host: host.into(),
                port,
                path: path.into(),
            });
            assert_eq!(OnvifAddress::parse(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_displayed_address_parses_to_the_same_address(text in "(https?://)?\\PC{0,40}") {
            if let Some(address) = OnvifAddress::parse(&text) {
                proptest::prop_assert_eq!(OnvifAddress::parse(&address.to_string()), Some(address));
            }
        }
    }
}
