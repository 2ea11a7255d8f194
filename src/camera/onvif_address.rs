//! Addresses of cameras' ONVIF services.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use url::Url;

use crate::base::url::path_and_query;

/// The usual path of a device's ONVIF service.
pub(crate) const USUAL_PATH: &str = "/onvif/device_service";

/// The address of a device's ONVIF service, displayed as an `http://` URL. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnvifAddress {
    /// Host name in lower case, IPv4 address, or IPv6 address in brackets.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// Path and query.
    pub path: Arc<str>,
}

impl OnvifAddress {
    /// Parses an address as people write it: `192.168.1.20`, `192.168.1.20:8000`, or the `http://`
    /// URL of the service, without credentials. Returns `None` for anything else. The defaults are port
    /// 80 and the path [`USUAL_PATH`].
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // An IPv6 address may be written without the brackets that a URL requires.
        let bracketed = text.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
        let text = bracketed.as_deref().unwrap_or(text);
        let is_url = text.contains("://");
        let url = if is_url { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&url).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "http" || !is_plain || url.fragment().is_some() {
            return None;
        }
        if !is_url && !matches!(url.path(), "" | "/") {
            return None;
        }
        // `Url` converts `127.1` to `127.0.0.1`; such short forms are refused.
        let is_as_written = |host: &&str| host.parse::<Ipv4Addr>().is_err() || text.contains(*host);
        let path = path_and_query(&url);
        Some(Self {
            host: url.host_str().filter(is_as_written)?.into(),
            port: url.port_or_known_default()?,
            path: if path == "/" { USUAL_PATH.into() } else { path.into() },
        })
    }
}

impl fmt::Display for OnvifAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path } = self;
        write!(f, "http://{host}:{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let table = [
            ("192.168.1.20", Some(("192.168.1.20", 80, USUAL_PATH))),
            (" 192.168.1.20:8000 ", Some(("192.168.1.20", 8000, USUAL_PATH))),
            ("camera.local", Some(("camera.local", 80, USUAL_PATH))),
            ("Camera.LOCAL:81", Some(("camera.local", 81, USUAL_PATH))),
            ("http://Camera.Local/X", Some(("camera.local", 80, "/X"))),
            ("2001:db8::7", Some(("[2001:db8::7]", 80, USUAL_PATH))),
            ("2001:DB8:0::0007", Some(("[2001:db8::7]", 80, USUAL_PATH))),
            ("[2001:db8::7]:81", Some(("[2001:db8::7]", 81, USUAL_PATH))),
            ("http://[2001:DB8:0::7]:81/", Some(("[2001:db8::7]", 81, USUAL_PATH))),
            ("http://192.168.1.20/onvif/x?y=1", Some(("192.168.1.20", 80, "/onvif/x?y=1"))),
            ("http://192.168.1.20:81", Some(("192.168.1.20", 81, USUAL_PATH))),
            ("https://192.168.1.20/", None),
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
            let expected = expected.map(|(host, port, path)| OnvifAddress {
                host: host.into(),
                port,
                path: path.into(),
            });
            assert_eq!(OnvifAddress::parse(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_displayed_address_parses_to_the_same_address(text in "(http://)?\\PC{0,40}") {
            if let Some(address) = OnvifAddress::parse(&text) {
                proptest::prop_assert_eq!(OnvifAddress::parse(&address.to_string()), Some(address));
            }
        }
    }
}
