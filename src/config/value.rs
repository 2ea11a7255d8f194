//! Kinds of values of settings: which strings are allowed, and how they are parsed.
//!
//! Each range is written once, and used for both the check and the description.

use std::error::Error;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::Url;

use super::ice_server::IceServers;
use super::offsite_url::OffsiteUrl;
use crate::base::public_url::PublicUrl;
use crate::base::secret::Secret;
use crate::camera::networks::Networks;

/// The error of a string that is not an allowed value.
#[derive(Debug)]
pub(super) enum Invalid {
    /// The value is not one of the values that [`Kind::allowed`] describes.
    NotAllowed,
    /// The value is not allowed for this reason, which is more precise than [`Kind::allowed`].
    Because(Box<dyn Error + Send + Sync>),
}

/// A kind of value.
pub(super) struct Kind<T> {
    /// Description of the allowed values, for documentation and messages.
    pub(super) allowed: String,
    /// Whether the value is secret, so that messages must not contain it.
    pub(super) is_secret: bool,
    parse: Box<Parser<T>>,
}

type Parser<T> = dyn Fn(&str) -> Result<T, Invalid>;

impl<T: 'static> Kind<T> {
    /// Creates a kind that allows the strings for which `parse` returns a value.
    fn new(allowed: impl Into<String>, parse: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self {
            allowed: allowed.into(),
            is_secret: false,
            parse: Box::new(move |text| parse(text).ok_or(Invalid::NotAllowed)),
        }
    }

    /// Parses a value.
    pub(super) fn parse(&self, text: &str) -> Result<T, Invalid> {
        (self.parse)(text)
    }

    /// Adds a note to the description of the allowed values.
    pub(super) fn note(mut self, text: &str) -> Self {
        self.allowed = format!("{}; {text}", self.allowed);
        self
    }

    /// Also allows an empty string, which means no value.
    pub(super) fn optional(self) -> Kind<Option<T>> {
        let Self { allowed, is_secret, parse } = self;
        let parse = move |text: &str| {
            if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
        };
        Kind { allowed, is_secret, parse: Box::new(parse) }
    }

    fn map<U: 'static>(self, convert: impl Fn(T) -> U + 'static) -> Kind<U> {
        let Self { allowed, is_secret, parse } = self;
        Kind { allowed, is_secret, parse: Box::new(move |text| parse(text).map(&convert)) }
    }
}

/// Allows numbers in `range`. `what` is the unit, or "a number".
pub(super) fn number<T>(what: &str, range: RangeInclusive<T>) -> Kind<T>
where
    T: FromStr + PartialOrd + Display + 'static,
{
    let allowed = format!("{what}, {} to {}", range.start(), range.end());
    Kind::new(allowed, move |text| text.parse().ok().filter(|number| range.contains(number)))
}

/// Allows times in seconds, with or without decimals.
pub(super) fn seconds(range: RangeInclusive<f64>) -> Kind<Duration> {
    number("seconds", range).map(Duration::from_secs_f64)
}

/// Allows times in whole milliseconds.
pub(super) fn milliseconds(range: RangeInclusive<u64>) -> Kind<Duration> {
    number("milliseconds", range).map(Duration::from_millis)
}

/// Allows sizes in mebibytes. The parsed value is in bytes.
pub(super) fn mebibytes(range: RangeInclusive<u64>) -> Kind<u64> {
    number("mebibytes", range).map(|mebibytes| mebibytes << 20)
}

/// Allows numbers of bytes, with or without a suffix, of at least `min` mebibytes.
pub(super) fn bytes(min: u64) -> Kind<u64> {
    let allowed = format!("bytes, at least {min}m; the suffixes k, m and g are allowed");
    Kind::new(allowed, move |text| parse_bytes(text).filter(|bytes| *bytes >= min << 20))
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let number = text.trim_end_matches(['k', 'm', 'g']);
    let shift = match &text[number.len()..] {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Allows the names in `values`, each of which represents a value.
pub(super) fn one_of<T: Copy + 'static>(
    values: impl IntoIterator<Item = (&'static str, T)>,
) -> Kind<T> {
    let values: Vec<_> = values.into_iter().collect();
    let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
    let allowed = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    };
    Kind::new(allowed, move |text| {
        values.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    })
}

/// Allows TCP ports. With port 0, the system selects a free port.
pub(super) fn port() -> Kind<u16> {
    number("a port", 0..=u16::MAX).note("0 selects a free port")
}

/// Allows TCP and UDP ports, and `off`.
pub(super) fn port_or_off() -> Kind<Option<u16>> {
    let allowed = format!("{}; or off", port().allowed);
    Kind::new(allowed, |text| match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
    })
}

/// IP addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub(crate) Vec<IpAddr>);

/// Allows IP addresses of machines that clients anywhere can reach, separated by commas or white space.
pub(super) fn addresses() -> Kind<Addresses> {
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    let is_usable = move |address: &IpAddr| {
        is_usable(address) && !address.is_unspecified() && !address.is_multicast()
    };
    let allowed =
        "IP addresses, e.g. 192.168.1.10, 203.0.113.7, but not 0.0.0.0, ::, or link-local ones";
    Kind::new(allowed, move |text| {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty());
        let addresses =
            entries.map(|entry| entry.trim_matches(['[', ']']).parse().ok().filter(is_usable));
        addresses.collect::<Option<_>>().map(Addresses)
    })
}

/// Paths of directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directories(pub(crate) Vec<PathBuf>);

/// Allows paths of directories, separated by commas.
pub(super) fn directories() -> Kind<Directories> {
    Kind::new("paths of directories, e.g. /mnt/a,/mnt/b", |text| {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Some(Directories(entries.map(PathBuf::from).collect()))
    })
}

/// Allows STUN and TURN servers. Messages do not contain the value, because it may contain a password.
pub(super) fn ice_servers() -> Kind<IceServers> {
    let allowed = "URLs, e.g. stun:stun.example.com:3478, turn:USER:PASSWORD@turn.example.com:3478?transport=udp";
    Kind { is_secret: true, ..parsed(allowed.to_owned()) }
}

/// Allows places for copies of recordings. Messages do not contain the value, because it may contain a key by mistake.
pub(super) fn offsite_url() -> Kind<OffsiteUrl> {
    let allowed = "s3://BUCKET/PREFIX or file:///DIRECTORY; without a key in the URL";
    Kind { is_secret: true, ..parsed(allowed.to_owned()) }
}

/// Allows URLs of HTTP servers, without a user name, password, path or query. Messages do not contain the value, because it
/// may contain a password by mistake.
pub(super) fn server_url() -> Kind<String> {
    let allowed = "a URL such as https://s3.example.com:9000, without a user name and password";
    let kind = Kind::new(allowed, |text| {
        let url = Url::parse(text).ok()?;
        let is_http = ["http", "https"].contains(&url.scheme()) && url.has_host();
        let has_login = !url.username().is_empty() || url.password().is_some();
        let is_plain = !has_login && url.path() == "/" && url.query().is_none();
        (is_http && is_plain).then(|| text.trim_end_matches('/').to_owned())
    });
    Kind { is_secret: true, ..kind }
}

/// Allows addresses at which people can be reached: see [`is_contact`].
pub(super) fn contact() -> Kind<String> {
    let allowed = "mailto:ADDRESS, or an https URL; its host must be a name such as example.com";
    Kind::new(allowed, |text| is_contact(text).then(|| text.to_owned()))
}

/// Returns whether people anywhere on the Internet can be reached at an address: `mailto:` with an e-mail address, or an `https`
/// URL. Some push servers refuse other addresses, and those of a LAN are of no use to them.
pub(crate) fn is_contact(text: &str) -> bool {
    let is_host = |host: &str| {
        let is_name = host.parse::<IpAddr>().is_err() && !host.starts_with('[');
        let top = host.rsplit('.').next().unwrap_or_default();
        let is_local = ["local", "localhost", "lan", "home", "internal", "arpa"].contains(&top);
        is_name && host.contains('.') && !top.is_empty() && !is_local
    };
    let has_space = text.chars().any(|c| c.is_whitespace() || c.is_control());
    let Some(url) = Url::parse(text).ok().filter(|_| !has_space) else { return false };
    match url.scheme() {
        "mailto" => url
            .path()
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.contains('@') && is_host(host)),
        "https" => {
            let has_login = !url.username().is_empty() || url.password().is_some();
            !has_login && url.host_str().is_some_and(is_host)
        }
        _ => false,
    }
}

/// Allows IP addresses. IPv6 addresses may be in brackets.
pub(super) fn ip_address() -> Kind<IpAddr> {
    Kind::new("an IP address", |text| {
        let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        match in_brackets {
            Some(address) => address.parse().ok().map(IpAddr::V6),
            None => text.parse().ok(),
        }
    })
}

/// Allows any path of a file, directory or socket; `what` describes it.
pub(super) fn path(what: &str) -> Kind<PathBuf> {
    text(what).map(PathBuf::from)
}

/// Allows any string; the module that uses the setting checks it. `what` describes the allowed values.
pub(super) fn text(what: &str) -> Kind<String> {
    Kind::new(what, |text| Some(text.to_owned()))
}

/// Allows any string, which is secret; the module that uses the setting checks it. `what` describes the
/// allowed values.
pub(super) fn secret(what: &str) -> Kind<Secret> {
    Kind { is_secret: true, ..text(what).map(Secret::new) }
}

/// Allows lists of networks.
pub(super) fn networks(examples: &str) -> Kind<Networks> {
    parsed(format!("networks and addresses, e.g. {examples}"))
}

/// Allows the strings that `T` can be parsed from. Messages contain the error of `T`.
fn parsed<T>(allowed: String) -> Kind<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + 'static,
{
    Kind {
        allowed,
        is_secret: false,
        parse: Box::new(|text| text.parse().map_err(|error| Invalid::Because(Box::new(error)))),
    }
}

/// Allows addresses of the service.
pub(super) fn public_url() -> Kind<PublicUrl> {
    parsed("a URL such as https://example.com/cameras".to_owned())
}

/// Host names and addresses in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsNames(pub(crate) Vec<String>);

/// The error of a name that a certificate cannot contain.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a host name of letters, digits, hyphens and dots")]
pub struct TlsNameError(String);

impl FromStr for TlsNames {
    type Err = TlsNameError;

    /// Parses names and addresses, separated by commas or white space. IPv6 addresses may be in brackets. A name
    /// can begin with `*.`.
    fn from_str(text: &str) -> Result<Self, TlsNameError> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let names = entries.filter(|entry| !entry.is_empty()).map(|entry| {
            let bare = entry.trim_matches(['[', ']']);
            if bare.parse::<IpAddr>().is_ok() {
                return Ok(bare.to_owned());
            }
            let name = entry.strip_prefix("*.").unwrap_or(entry);
            let is_label = |label: &str| {
                let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                (1..=63).contains(&label.len()) && label.bytes().all(is_allowed)
            };
            let is_name = name.len() <= 253 && name.split('.').all(is_label);
            is_name.then(|| entry.to_owned()).ok_or_else(|| TlsNameError(entry.to_owned()))
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }
}

/// Allows lists of host names and addresses.
pub(super) fn tls_names() -> Kind<TlsNames> {
    parsed("host names and addresses, e.g. cameras.lan, 192.168.1.10".to_owned())
}

/// Allows URLs of SQLite databases. Messages do not contain the value, because the URL of another
/// database system may contain a password.
pub(super) fn database_url() -> Kind<String> {
    let url = |text: &str| text.starts_with("sqlite:").then(|| text.to_owned());
    Kind { is_secret: true, ..Kind::new("a SQLite URL, e.g. sqlite:./streams.db", url) }
}

/// The attributes of a cookie, except the attributes that depend on the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieAttributes {
    /// The attributes, separated by `; `.
    pub(crate) text: String,
    /// Whether every cookie is marked `Secure`. Browsers accept `SameSite=None` only together with `Secure`.
    pub(crate) is_secure: bool,
}

/// Allows the attributes `Path`, `Domain` and `SameSite`, each at most once.
pub(super) fn cookie_attributes() -> Kind<CookieAttributes> {
    let allowed =
        "Path=PATH, Domain=DOMAIN and SameSite=Lax, Strict or None, separated by semicolons";
    Kind::new(allowed, |text| {
        let (mut names, mut attributes) = (Vec::new(), Vec::new());
        let mut is_secure = false;
        for attribute in text.split(';').map(str::trim) {
            let (name, value) = attribute.split_once('=')?;
            let name = name.to_ascii_lowercase();
            let is_printable = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
            let is_allowed = match name.as_str() {
                "path" => value.starts_with('/'),
                "domain" => !value.is_empty(),
                "samesite" => {
                    ["lax", "strict", "none"].contains(&value.to_ascii_lowercase().as_str())
                }
                _ => false,
            };
            if !is_printable || !is_allowed || names.contains(&name) {
                return None;
            }
            is_secure |= name == "samesite" && value.eq_ignore_ascii_case("none");
            names.push(name);
            attributes.push(attribute);
        }
        Some(CookieAttributes { text: attributes.join("; "), is_secure })
    })
}

/// Allows filters of log lines.
pub(super) fn log_filter() -> Kind<String> {
    Kind::new("a log filter (EnvFilter syntax), e.g. info,stream_manager=debug", |text| {
        EnvFilter::try_new(text).ok().map(|_| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_the_range_that_is_checked() {
        assert_eq!(seconds(0.1..=86_400.0).allowed, "seconds, 0.1 to 86400");
        assert_eq!(number("a number", 3..=100_u32).allowed, "a number, 3 to 100");
        assert_eq!(port().allowed, "a port, 0 to 65535; 0 selects a free port");
        assert!(bytes(16).allowed.starts_with("bytes, at least 16m;"));
        for (names, allowed) in
            [(&["a"][..], "a"), (&["a", "b"], "a or b"), (&["a", "b", "c"], "a, b or c")]
        {
            assert_eq!(one_of(names.iter().map(|name| (*name, ()))).allowed, allowed);
        }
    }

    #[test]
    fn names_of_certificates_are_host_names_and_addresses() {
        let names = |text: &str| text.parse::<TlsNames>().map(|names| names.0.join(" ")).ok();
        let listed = names("cameras.lan,192.168.1.10  [fd00::1] *.example.com");
        assert_eq!(listed.as_deref(), Some("cameras.lan 192.168.1.10 fd00::1 *.example.com"));
        assert_eq!(names("").as_deref(), Some(""));
        for text in ["cameras_lan", "a..b", "https://cameras.lan", "ä.lan", "x.*.lan"] {
            assert_eq!(names(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_that_no_viewer_can_reach_are_refused() {
        let parse = |text: &str| addresses().parse(text).ok().map(|addresses| addresses.0.len());
        assert_eq!(parse("192.168.1.10, [fd00::1] 127.0.0.1"), Some(3));
        assert_eq!(parse(""), Some(0));
        for text in ["0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "x"] {
            assert_eq!(parse(&format!("192.168.1.10,{text}")), None, "{text}");
        }
    }

    #[test]
    fn contacts_are_e_mail_addresses_and_https_urls() {
        let parse = |text: &str| contact().parse(text).ok();
        for text in ["mailto:ops@example.com", "https://example.com/contact"] {
            assert_eq!(parse(text).as_deref(), Some(text));
        }
        for text in [
            "ops@example.com",
            "mailto:ops",
            "mailto:@example.com",
            "http://example.com",
            "https://",
            "https://localhost/",
            "https://192.168.1.5/",
            "https://[fd00::1]/",
            "https://cameras.local/",
            "https://cameras/",
            "mailto:ops@localhost",
            "mailto: ops@example.com",
            "x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn both_ends_of_a_range_are_allowed() {
        let kind = seconds(0.1..=60.0);
        for (text, expected) in [("0.1", Some(100)), ("60", Some(60_000)), ("0.09", None)] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(kind.parse(text).ok(), expected, "{text}");
        }
        for text in ["60.1", "NaN", "inf", "-1", "", "1s"] {
            assert!(kind.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn attributes_of_cookies_are_checked() {
        let parse = |text: &str| cookie_attributes().parse(text).ok();
        let attributes = parse("path=/x;Domain=example.com ; SameSite=none").expect("attributes");
        assert_eq!(attributes.text, "path=/x; Domain=example.com; SameSite=none");
        assert!(attributes.is_secure);
        assert!(!parse("Path=/streams; SameSite=Lax").expect("attributes").is_secure);
        for text in
            ["", "Path", "Path=x", "Path=/a; path=/b", "SameSite=Some", "Secure", "Max-Age=1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("Path=/a b"), None);
    }

    #[test]
    fn bytes_can_have_a_suffix() {
        for (text, expected) in [
            ("20000000", Some(20_000_000)),
            ("20000K", Some(20_480_000)),
            ("16m", Some(16 << 20)),
            ("1g", Some(1 << 30)),
            ("15m", None),
            ("1mm", None),
            ("m", None),
            ("99999999999g", None),
        ] {
            assert_eq!(bytes(16).parse(text).ok(), expected, "{text}");
        }
    }
}
