//! The source of a camera as the operator entered it: as links, or as address, paths and credentials.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;
use crate::camera::source::Source;
use crate::camera::zone;

/// The source of a camera, with at least one stream. Links are parsed when a value is created, so reading a
/// stream's source cannot fail. Contains secrets, so there is no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredSpec", into = "StoredSpec")]
pub(crate) struct SourceSpec {
    streams: Streams,
    /// The address, paths and credentials; `None` if links were entered.
    parts: Option<Parts>,
}

/// The sources of a camera's streams.
#[derive(Clone, PartialEq, Eq)]
enum Streams {
    Main(Source),
    Sub(Source),
    Both { main: Source, sub: Source },
}

/// An address with paths and credentials. Contains secrets, so there is no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parts {
    /// The preset from which the paths were taken.
    pub vendor: Option<String>,
    /// Host name or IP address. A link-local address has a zone: `fe80::1%eth0`.
    pub ip: String,
    /// RTSP port.
    pub port: u16,
    /// Path and query of the main stream.
    pub path: String,
    /// Path and query of the sub stream.
    pub sub_path: Option<String>,
    /// User name; may be empty.
    pub username: String,
    /// Password; may be empty.
    pub password: String,
}

/// The form in which a source is stored and exported.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredSpec {
    Links { main: Option<String>, sub: Option<String> },
    Parts(Parts),
}

impl SourceSpec {
    /// Creates a source from the links of the streams. Error: `InvalidSource` if both are `None`.
    pub(crate) fn from_links(main: Option<Source>, sub: Option<Source>) -> Result<Self, Error> {
        let streams = Streams::new(main, sub).ok_or_else(missing)?;
        Ok(Self { streams, parts: None })
    }

    /// Creates a source from the link of one stream.
    pub(crate) fn from_link(profile: Profile, source: Source) -> Self {
        let streams = match profile {
            Profile::Main => Streams::Main(source),
            Profile::Sub => Streams::Sub(source),
        };
        Self { streams, parts: None }
    }

    /// Creates a source from an address, paths and credentials. Error: `InvalidSource`.
    pub(crate) fn from_parts(parts: Parts) -> Result<Self, Error> {
        let main = parts.source(&parts.path)?;
        let sub = parts.sub_path.as_deref().map(|path| parts.source(path)).transpose()?;
        let streams = match sub {
            Some(sub) => Streams::Both { main, sub },
            None => Streams::Main(main),
        };
        Ok(Self { streams, parts: Some(parts) })
    }

    /// Returns the address, paths and credentials; `None` if links were entered.
    pub(crate) fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// Returns the source of a stream; `None` if the camera has no such stream.
    pub(crate) fn source(&self, profile: Profile) -> Option<&Source> {
        match (&self.streams, profile) {
            (Streams::Main(main) | Streams::Both { main, .. }, Profile::Main) => Some(main),
            (Streams::Sub(sub) | Streams::Both { sub, .. }, Profile::Sub) => Some(sub),
            _ => None,
        }
    }

    /// Returns a source in which the link of one stream is replaced or added. The other stream is unchanged. The
    /// result consists of links, even if this source consists of parts.
    #[must_use]
    pub(crate) fn with_link(&self, profile: Profile, source: Source) -> Self {
        let streams = match (profile, self.source(Profile::Main), self.source(Profile::Sub)) {
            (Profile::Main, _, None) => Streams::Main(source),
            (Profile::Main, _, Some(sub)) => Streams::Both { main: source, sub: sub.clone() },
            (Profile::Sub, None, _) => Streams::Sub(source),
            (Profile::Sub, Some(main), _) => Streams::Both { main: main.clone(), sub: source },
        };
        Self { streams, parts: None }
    }

    /// Returns the host of the main stream, or of the sub stream if there is no main stream.
    pub(crate) fn host(&self) -> &str {
        self.first().host()
    }

    /// Returns the RTSP port of the main stream, or of the sub stream if there is no main stream.
    pub(crate) fn port(&self) -> u16 {
        self.first().port()
    }

    /// Returns whether the URLs are the same strings. Two equal sources may be spelled differently.
    pub(crate) fn is_spelled_like(&self, other: &Self) -> bool {
        let text = |spec: &Self, profile| spec.source(profile).map(|it| it.expose().to_owned());
        let mut profiles = [Profile::Main, Profile::Sub].into_iter();
        profiles.all(|profile| text(self, profile) == text(other, profile))
    }

    /// Returns an `InvalidSource` error if FFmpeg cannot use one of the URLs.
    pub(crate) fn ensure_usable(&self) -> Result<(), Error> {
        let profiles = [Profile::Main, Profile::Sub].into_iter();
        profiles.filter_map(|profile| self.source(profile)).try_for_each(Source::ensure_usable)
    }

    /// Returns whether one of the streams is at this host.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        [Profile::Main, Profile::Sub]
            .into_iter()
            .filter_map(|profile| self.source(profile))
            .any(|source| zone::is_same_host(source.host(), host))
    }

    /// Returns the source of the main stream, or of the sub stream if there is no main stream.
    pub(crate) fn first(&self) -> &Source {
        match &self.streams {
            Streams::Main(source) | Streams::Sub(source) => source,
            Streams::Both { main, .. } => main,
        }
    }
}

impl Streams {
    fn new(main: Option<Source>, sub: Option<Source>) -> Option<Self> {
        match (main, sub) {
            (Some(main), Some(sub)) => Some(Self::Both { main, sub }),
            (Some(main), None) => Some(Self::Main(main)),
            (None, Some(sub)) => Some(Self::Sub(sub)),
            (None, None) => None,
        }
    }
}

fn missing() -> Error {
    let detail =
        "a camera requires an rtsp_link or an rtsp_link_sub, or an ip with a path or a vendor";
    Error::new(ErrorKind::InvalidSource, detail)
}

impl TryFrom<StoredSpec> for SourceSpec {
    type Error = Error;

    fn try_from(stored: StoredSpec) -> Result<Self, Error> {
        let parse = |link: Option<String>| link.as_deref().map(Source::parse).transpose();
        match stored {
            StoredSpec::Links { main, sub } => Self::from_links(parse(main)?, parse(sub)?),
            StoredSpec::Parts(parts) => Self::from_parts(parts),
        }
    }
}

impl From<SourceSpec> for StoredSpec {
    fn from(spec: SourceSpec) -> Self {
        let link = |profile| spec.source(profile).map(|source| source.expose().to_owned());
        let (main, sub) = (link(Profile::Main), link(Profile::Sub));
        spec.parts.map_or(Self::Links { main, sub }, Self::Parts)
    }
}

impl Parts {
    fn source(&self, path: &str) -> Result<Source, Error> {
        let source = Source::parse(&self.link(path))?;
        // An `ip` that contains more than a host would change other parts of the URL.
        if zone::bare_host(source.host()) == zone::bare_host(&self.ip) {
            return Ok(source);
        }
        let detail = "ip must be a host name or an IP address, without port, path or credentials";
        Err(Error::new(ErrorKind::InvalidSource, detail))
    }

    /// Returns whether `ip` is an IPv6 address with a zone, without brackets.
    fn has_zone(&self) -> bool {
        zone::split(&self.ip).is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
    }

    fn link(&self, path: &str) -> String {
        let path = path.strip_prefix('/').unwrap_or(path);
        let host = match self.ip.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ if self.has_zone() => format!("[{}]", self.ip),
            _ => self.ip.clone(),
        };
        let credentials = if self.username.is_empty() && self.password.is_empty() {
            String::new()
        } else {
            format!("{}:{}@", percent_encoded(&self.username), percent_encoded(&self.password))
        };
        format!("rtsp://{credentials}{host}:{}/{path}", self.port)
    }
}

/// Returns `text` encoded so that no character has a special meaning in a URL.
fn percent_encoded(text: &str) -> String {
    // This encoding turns a space into a plus, but a plus in a URL's credentials means a plus.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts() -> Parts {
        Parts {
            vendor: None,
            ip: "192.168.1.20".into(),
            port: 554,
            path: "/Streaming/Channels/101".into(),
            sub_path: None,
            username: "admin".into(),
            password: "p@ss w/o: '\"?#%ä".into(),
        }
    }

    fn spec(parts: Parts) -> SourceSpec {
        SourceSpec::from_parts(parts).unwrap_or_else(|error| panic!("{error}"))
    }

    fn link(spec: &SourceSpec, profile: Profile) -> Option<&str> {
        spec.source(profile).map(Source::expose)
    }

    #[test]
    fn parts_become_a_url_with_an_encoded_password() {
        let expected = "rtsp://admin:p%40ss%20w%2Fo%3A%20%27%22%3F%23%25%C3%A4@192.168.1.20:554\
                        /Streaming/Channels/101";
        assert_eq!(link(&spec(parts()), Profile::Main), Some(expected));
        assert_eq!(link(&spec(parts()), Profile::Sub), None);
        let open = spec(Parts {
            ip: "fe80::1".into(),
            path: "live?channel=1".into(),
            sub_path: Some("/small".into()),
            username: String::new(),
            password: String::new(),
            ..parts()
        });
        assert_eq!(link(&open, Profile::Main), Some("rtsp://[fe80::1]:554/live?channel=1"));
        assert_eq!(link(&open, Profile::Sub), Some("rtsp://[fe80::1]:554/small"));
        for (ip, expected) in [
            ("FE80:0::1", "rtsp://[fe80::1]:554/small"),
            ("FE80:0::1%eth0", "rtsp://[fe80::1%25eth0]:554/small"),
            ("fe80::1%25eth0", "rtsp://[fe80::1%25eth0]:554/small"),
            ("[fe80::1%eth0]", "rtsp://[fe80::1%25eth0]:554/small"),
            ("CAM.local", "rtsp://CAM.local:554/small"),
        ] {
            let open = spec(Parts { ip: ip.into(), ..open.parts().expect("parts").clone() });
            assert_eq!(link(&open, Profile::Sub), Some(expected));
        }
    }

    #[test]
    fn no_part_can_change_another_part_of_the_url() {
        for (ip, path) in [
            ("", "/x"),
            ("cam/../x", "/x"),
            ("user@cam", "/x"),
            ("cam'", "/x"),
            ("cam:1", "/x"),
            ("cam?x", "/x"),
            ("fe80::1%eth0]:1", "/x"),
            ("fe80::1%x]/y#[", "/x"),
            ("fe80::1%a@b", "/x"),
            ("2001:db8::1%eth0", "/x"),
            ("cam", "/a b"),
            ("cam", "/'\nfile 'x"),
            ("cam", "/x@evil"),
        ] {
            let parts = Parts { ip: ip.into(), path: path.into(), ..parts() };
            let refused = SourceSpec::from_parts(parts).err();
            assert_eq!(refused.expect(ip).kind, ErrorKind::InvalidSource, "{ip} {path}");
        }
    }

    #[test]
    fn a_source_has_at_least_one_stream() {
        let refused = SourceSpec::from_links(None, None).err().expect("no streams");
        assert_eq!(refused.kind, ErrorKind::InvalidSource);
        let source = || Source::parse("rtsp://sub:8554/x").expect("a link");
        let spec = SourceSpec::from_link(Profile::Sub, source());
        assert_eq!((spec.host(), spec.port()), ("sub", 8554));
        assert!(spec.source(Profile::Main).is_none() && spec.has_host("SUB"));
    }

    #[test]
    fn a_link_for_one_stream_does_not_change_the_other() {
        let spec = spec(Parts { sub_path: Some("/sub".into()), ..parts() });
        let source = Source::parse("rtsp://other/main").expect("a link");
        let spec = spec.with_link(Profile::Main, source.clone());
        assert_eq!(spec.source(Profile::Main), Some(&source));
        assert!(
            link(&spec, Profile::Sub).is_some_and(|link| link.ends_with("@192.168.1.20:554/sub"))
        );
        assert_eq!(spec.host(), "other");
        assert!(spec.parts().is_none() && spec.has_host("192.168.1.20"));
    }

    #[test]
    fn the_stored_form_stays_readable() {
        let stored = [
            json!({ "links": { "main": "rtsp://u:p@cam/a", "sub": null } }),
            json!({ "links": { "main": null, "sub": "rtsp://cam/b" } }),
            json!({ "parts": {
                "vendor": "axis", "ip": "192.0.2.7", "port": 554, "path": "/x", "sub_path": null,
                "username": "u", "password": "p",
            } }),
        ];
        for stored in stored {
            let spec: SourceSpec = serde_json::from_value(stored.clone()).expect("a source");
            assert_eq!(serde_json::to_value(&spec).expect("JSON"), stored);
        }
        for damaged in [
            json!({ "links": { "main": null, "sub": null } }),
            json!({ "links": { "main": "http://cam/", "sub": null } }),
            json!({ "other": {} }),
        ] {
            assert!(serde_json::from_value::<SourceSpec>(damaged).is_err());
        }
    }
}
