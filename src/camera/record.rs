//! A camera as the registry keeps it, and how its parts become the URL of a stream.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::source::Source;

/// A camera in the registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: CameraId,
    /// What people call it.
    pub name: String,
    /// The user whose it is, in the back end's words.
    pub owner: Option<String>,
    /// Its ONVIF service, at the host of its streams.
    pub onvif: Option<OnvifAddress>,
    /// Where its streams come from. Secret.
    pub spec: SourceSpec,
    /// What the operator chose for its streams.
    pub options: StreamOptions,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

impl Record {
    /// A camera without anything but its id.
    pub fn new(id: CameraId) -> Self {
        Self {
            name: id.to_string(),
            id,
            owner: None,
            onvif: None,
            spec: SourceSpec::Links { main: None, sub: None },
            options: StreamOptions::default(),
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Whether its ONVIF service is at the host of none of its streams. That gets a digest of the
    /// camera's password, so it has to be the camera's own.
    pub fn has_foreign_onvif(&self) -> bool {
        self.onvif.as_ref().is_some_and(|onvif| !self.spec.has_host(&onvif.host))
    }
}

/// Where a camera's streams come from, as it was given. Secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceSpec {
    /// By URL.
    Links {
        /// Of the main stream.
        main: Option<String>,
        /// Of the sub stream.
        sub: Option<String>,
    },
    /// By address, path and credentials.
    Parts(Parts),
}

/// An address with paths and credentials. Secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The preset that the paths were taken from.
    pub vendor: Option<String>,
    /// Host name or IP address.
    pub ip: String,
    /// RTSP port.
    pub port: u16,
    /// Path and query of the main stream.
    pub path: String,
    /// Path and query of the sub stream.
    pub sub_path: Option<String>,
    /// May be empty.
    pub username: String,
    /// May be empty.
    pub password: String,
}

impl SourceSpec {
    /// Whether one of its streams is at this host.
    pub fn has_host(&self, host: &str) -> bool {
        [Profile::Main, Profile::Sub].into_iter().any(|profile| {
            let source = self.source(profile).ok().flatten();
            source.is_some_and(|source| source.host().eq_ignore_ascii_case(host))
        })
    }

    /// The source of a stream; `None` when the camera has no such stream.
    pub fn source(&self, profile: Profile) -> Result<Option<Source>, Error> {
        let link = match self {
            Self::Links { main, sub } => match profile {
                Profile::Main => main.clone(),
                Profile::Sub => sub.clone(),
            },
            Self::Parts(parts) => parts.link(profile),
        };
        let source = link.map(|link| Source::parse(&link)).transpose()?;
        if let (Self::Parts(parts), Some(source)) = (self, &source) {
            parts.check_host(source)?;
        }
        Ok(source)
    }

    /// The same with another source for one stream.
    pub fn with_link(&self, profile: Profile, source: &Source) -> Result<Self, Error> {
        let link = |other: Profile| -> Result<Option<String>, Error> {
            if other == profile {
                return Ok(Some(source.expose().to_owned()));
            }
            Ok(self.source(other)?.map(|source| source.expose().to_owned()))
        };
        Ok(Self::Links { main: link(Profile::Main)?, sub: link(Profile::Sub)? })
    }

    /// The host, for lists and searches.
    pub fn host(&self) -> String {
        let main = self.source(Profile::Main).ok().flatten();
        let any = main.or_else(|| self.source(Profile::Sub).ok().flatten());
        any.map(|source| source.host().to_owned()).unwrap_or_default()
    }

    /// The RTSP port of the main stream, else of the sub stream.
    pub fn port(&self) -> Option<u16> {
        let main = self.source(Profile::Main).ok().flatten();
        let any = main.or_else(|| self.source(Profile::Sub).ok().flatten());
        any.map(|source| source.port())
    }

    /// Checks that every stream has a URL that can be used, and that there is one at all.
    pub fn check(&self) -> Result<(), Error> {
        let main = self.source(Profile::Main)?;
        let sub = self.source(Profile::Sub)?;
        if main.is_none() && sub.is_none() {
            let detail = "a camera needs an rtsp_link, or an ip with a path or a vendor";
            return Err(Error::new(ErrorKind::InvalidSource, detail));
        }
        Ok(())
    }
}

impl Parts {
    /// An `ip` that says more than where the camera is would move what comes after it.
    fn check_host(&self, source: &Source) -> Result<(), Error> {
        let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
        if bare(source.host()) == bare(&self.ip) {
            return Ok(());
        }
        let detail = "ip must be a host name or an IP address, and nothing else";
        Err(Error::new(ErrorKind::InvalidSource, detail))
    }

    fn link(&self, profile: Profile) -> Option<String> {
        let path = match profile {
            Profile::Main => Some(&self.path),
            Profile::Sub => self.sub_path.as_ref(),
        }?;
        let path = path.strip_prefix('/').unwrap_or(path);
        let host = match self.ip.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.ip.clone(),
        };
        let credentials = if self.username.is_empty() && self.password.is_empty() {
            String::new()
        } else {
            format!("{}:{}@", percent_encoded(&self.username), percent_encoded(&self.password))
        };
        Some(format!("rtsp://{credentials}{host}:{}/{path}", self.port))
    }
}

/// So that no character of a password can be taken for one of the URL.
fn percent_encoded(text: &str) -> String {
    // This encoding writes a space as a plus, which means a plus in a URL's credentials.
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
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

    fn link(parts: Parts, profile: Profile) -> Option<String> {
        let source = SourceSpec::Parts(parts).source(profile).expect("a source");
        source.map(|source| source.expose().to_owned())
    }

    #[test]
    fn parts_become_a_url_whatever_the_password() {
        let expected = "rtsp://admin:p%40ss%20w%2Fo%3A%20%27%22%3F%23%25%C3%A4@192.168.1.20:554\
                        /Streaming/Channels/101";
        assert_eq!(link(parts(), Profile::Main).as_deref(), Some(expected));
        assert_eq!(link(parts(), Profile::Sub), None);
        let open = Parts {
            ip: "fe80::1".into(),
            path: "live?channel=1".into(),
            sub_path: Some("/small".into()),
            username: String::new(),
            password: String::new(),
            ..parts()
        };
        let expected = Some("rtsp://[fe80::1]:554/live?channel=1");
        assert_eq!(link(open.clone(), Profile::Main).as_deref(), expected);
        assert_eq!(link(open, Profile::Sub).as_deref(), Some("rtsp://[fe80::1]:554/small"));
    }

    #[test]
    fn no_part_can_become_another_part() {
        for (ip, path) in [
            ("", "/x"),
            ("cam/../x", "/x"),
            ("user@cam", "/x"),
            ("cam'", "/x"),
            ("cam:1", "/x"),
            ("cam?x", "/x"),
            ("cam", "/a b"),
            ("cam", "/'\nfile 'x"),
            ("cam", "/x@evil"),
        ] {
            let parts = Parts { ip: ip.into(), path: path.into(), ..parts() };
            let refused = SourceSpec::Parts(parts).source(Profile::Main).err();
            assert_eq!(refused.expect(ip).kind, ErrorKind::InvalidSource, "{ip} {path}");
        }
    }

    #[test]
    fn a_foreign_onvif_has_the_host_of_no_stream() {
        let table = [
            ("rtsp://192.0.2.7/a", None, false),
            ("rtsp://192.0.2.7/a", Some("http://192.0.2.7:80/onvif"), false),
            ("rtsp://192.0.2.8/a", Some("http://192.0.2.7:80/onvif"), true),
            ("rtsp://Camera.LOCAL/a", Some("http://camera.local:80/onvif"), false),
            ("rtsp://[2001:DB8:0::7]/a", Some("http://[2001:db8::7]:80/onvif"), false),
        ];
        for (link, onvif, expected) in table {
            let spec = SourceSpec::Links { main: None, sub: Some(link.to_owned()) };
            let id = CameraId::parse("1").expect("an id");
            let onvif = onvif.map(|text| OnvifAddress::parse(text).expect(text));
            let record = Record { onvif, spec, ..Record::new(id) };
            assert_eq!(record.has_foreign_onvif(), expected, "{link} {:?}", record.onvif);
        }
    }

    #[test]
    fn a_link_for_one_stream_leaves_the_other() {
        let spec = SourceSpec::Parts(Parts { sub_path: Some("/sub".into()), ..parts() });
        let source = Source::parse("rtsp://other/main").expect("a link");
        let spec = spec.with_link(Profile::Main, &source).expect("links");
        assert_eq!(spec.source(Profile::Main).expect("a source"), Some(source));
        let sub = spec.source(Profile::Sub).expect("a source").expect("a sub stream");
        assert!(sub.expose().ends_with("@192.168.1.20:554/sub"));
        assert_eq!(spec.host(), "other");
    }
}
