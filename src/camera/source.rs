//! The source of a stream: an RTSP URL with credentials, which must never be shown.
//!
//! `Debug` and `Display` show `rtsp://***@host:port/path`. Only these functions return secrets:
//! [`Source::expose`] for the database and for comparisons, [`Source::expose_at`] for FFmpeg's script,
//! [`Source::credentials`] for the ONVIF service of the same camera, and [`Source::path`] for comparisons and for
//! requests to the camera. FFmpeg's script is the ffconcat script through which FFmpeg gets the URL (see
//! `ingest::ffmpeg::args`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::base::error::{Error, ErrorKind};
use crate::base::url::{path_and_query, percent_decoded};
use crate::camera::{link, zone};

/// The largest length of a URL, in bytes. Real URLs are much shorter.
pub(crate) const MAX_LENGTH: usize = 2048;
/// The greatest possible length of a secret, in bytes. A secret is longest if all its characters are
/// percent-encoded. In base64, a secret is shorter.
pub(crate) const MAX_SECRET_LENGTH: usize = MAX_LENGTH * 3;
/// The largest length of user name and password in the form that FFmpeg gets, in bytes. FFmpeg cuts off the rest.
const MAX_USER_INFO: usize = 127;
/// The largest length of path and query, in bytes. FFmpeg cuts off the rest.
const MAX_PATH: usize = 1023;

/// The reason why a link with an `@` after the host is refused.
pub(crate) const UNCLEAR_PASSWORD: &str = "the RTSP link contains an @ after the host, so it is unclear where the \
     password ends; write each @ except the one before the host as %40; in the user name and the password, also \
     write / as %2F, ? as %3F, # as %23, : as %3A and % as %25; or enter address, user name and password separately";

/// The parameters whose values are shown. The values of all others are hidden, because vendors use many
/// names for passwords.
const HARMLESS_KEYS: [&str; 12] = [
    "channel",
    "subtype",
    "stream",
    "profile",
    "unicast",
    "proto",
    "media",
    "resolution",
    "videocodec",
    "audiocodec",
    "codec",
    // This parameter is in FFmpeg's messages.
    "timeout",
];

/// The RTSP URL of a stream, with its credentials. Cheap to clone.
///
/// `Display` and `Debug` show no secrets, and [`Source::redact`] removes the secrets from other strings:
///
/// ```
/// use stream_manager::parts::Source;
///
/// let source = Source::parse("rtsp://admin:hunter22@camera/live?channel=1&key=abc123").unwrap();
/// assert_eq!(source.to_string(), "rtsp://***@camera/live?channel=1&key=***");
/// assert_eq!(format!("{source:?}"), "Source(rtsp://***@camera/live?channel=1&key=***)");
/// assert_eq!(source.redact("wrong password: hunter22"), "wrong password: ***");
/// ```
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    url: String,
    host: String,
    /// The interface of a link-local address; `None` for other hosts.
    zone: Option<String>,
    port: u16,
    shown: String,
    /// Equal for two URLs that mean the same.
    meaning: String,
    secrets: Vec<String>,
}

impl Source {
    /// [Corrects](link::corrected) and parses an RTSP URL. The corrected URL must begin with `rtsp://` or
    /// `rtsps://`, name a host, have at most [`MAX_LENGTH`] bytes, and contain no `@` after the host, and no
    /// character that could end a quoted string or a line in FFmpeg's script. Error: `InvalidSource`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason: &str| Err(Error::new(ErrorKind::InvalidSource, reason));
        let text = link::corrected(text);
        let text = text.as_str();
        if text.len() > MAX_LENGTH {
            return invalid("the RTSP link is longer than 2048 characters");
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\'' | b'"' | b'\\'))
        {
            return invalid(
                "the RTSP link contains a space, quote, backslash, line break or non-ASCII character; \
                 percent-encode it (' is %27, \" is %22)",
            );
        }
        let (plain, zone) = zone::cut(text);
        let Ok(url) = Url::parse(&plain) else {
            return invalid(
                "the RTSP link is not a URL; expected rtsp://user:password@host:554/path",
            );
        };
        if !matches!(url.scheme(), "rtsp" | "rtsps") {
            return invalid("the RTSP link must begin with rtsp:// or rtsps://");
        }
        if url.host_str().is_none_or(str::is_empty) {
            return invalid(
                "the RTSP link names no host; expected rtsp://user:password@host:554/path",
            );
        }
        let host = zone::host(&url, zone)?;
        if after_authority(text).contains('@') {
            return invalid(UNCLEAR_PASSWORD);
        }
        let secrets = secrets(text, &url);
        let port = url.port().unwrap_or(if url.scheme() == "rtsps" { 322 } else { 554 });
        Ok(Self(Arc::new(Inner {
            port,
            shown: shown(&url, &host, &secrets),
            meaning: link::meaning(&url, &host, port),
            zone: zone.map(str::to_owned),
            host,
            secrets,
            url: text.to_owned(),
        })))
    }

    /// Returns an `InvalidSource` error if the port is 0, if FFmpeg would cut off a part of the URL, or if the
    /// host is a link-local address without a zone. [`Source::parse`] accepts such URLs, because the database
    /// may contain one.
    pub(crate) fn ensure_usable(&self) -> Result<(), Error> {
        let invalid = |reason: &str| Err(Error::new(ErrorKind::InvalidSource, reason));
        if self.port() == 0 {
            return invalid(
                "the port of an RTSP link must be 1 to 65535; leave it out to use the default port",
            );
        }
        zone::ensure_present(&self.0.host)?;
        let user_info = user_info(&self.0.url).map(link::user_info_for_ffmpeg);
        if user_info.is_some_and(|text| text.len() > MAX_USER_INFO) {
            return invalid(
                "user name and password of the RTSP link are longer than 127 characters in total, which \
                 FFmpeg does not support; use shorter ones",
            );
        }
        if after_authority(&self.0.url).len() > MAX_PATH {
            return invalid(
                "the path of the RTSP link is longer than 1023 characters, which FFmpeg does not support; use a \
                 shorter path",
            );
        }
        Ok(())
    }

    /// Returns the URL with credentials. Only for the database, which encrypts it, and for comparisons.
    pub fn expose(&self) -> &str {
        &self.0.url
    }

    /// Returns the user name and password without percent escapes; `None` if the URL contains neither.
    /// Only for the camera's own ONVIF service.
    pub fn credentials(&self) -> Option<(String, String)> {
        let (plain, _) = zone::cut(&self.0.url);
        let url = Url::parse(&plain).ok().filter(has_credentials)?;
        let password = url.password().unwrap_or_default();
        Some((percent_decoded(url.username()), percent_decoded(password)))
    }

    /// Returns the path and everything that follows it. The result may contain a password, so it must not be shown.
    pub fn path(&self) -> String {
        let url = &self.0.url;
        let rest = after_authority(url);
        if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
    }

    /// Returns the host name, the IPv4 address, or the IPv6 address in brackets. A link-local address has its zone:
    /// `[fe80::1%25eth0]`.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Returns the port; by default 554 for `rtsp` and 322 for `rtsps`.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Returns whether the URL begins with `rtsps://`.
    pub(crate) fn uses_tls(&self) -> bool {
        self.0.shown.starts_with("rtsps:")
    }

    /// Returns the URL as FFmpeg gets it, including the credentials. If the URL has a host name or a zone, `address`
    /// replaces the host and the port. Only for FFmpeg's script.
    pub fn expose_at(&self, address: SocketAddr) -> String {
        let url = &self.0.url;
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let path = after_authority(url);
        let authority = &rest[..rest.len() - path.len()];
        let (user_info, host) = match authority.rsplit_once('@') {
            Some(("", host)) => (String::new(), host),
            Some((user_info, host)) => (link::user_info_for_ffmpeg(user_info) + "@", host),
            None => (String::new(), authority),
        };
        let host = if self.has_address() { host.to_owned() } else { address.to_string() };
        format!("{scheme}://{user_info}{host}{path}")
    }

    /// Returns the source at `target`, which is a link, or a path at the same host. A link without credentials
    /// gets the credentials of this source, unless this source uses TLS and the link does not. A link to a link-local
    /// address gets the zone of this source, if this source has one, because cameras do not know the manager's
    /// interfaces. Error: `InvalidSource`.
    pub(crate) fn redirected_to(&self, target: &str) -> Result<Self, Error> {
        let credentials = user_info(&self.0.url).map(|text| format!("{text}@")).unwrap_or_default();
        if target.starts_with('/') {
            let end = self.0.url.len() - after_authority(&self.0.url).len();
            return Self::parse(&format!("{}{target}", &self.0.url[..end]));
        }
        let target = self.0.zone.as_deref().map_or(target.into(), |zone| zone::with(target, zone));
        let source = Self::parse(&target)?;
        let is_weaker = self.uses_tls() && !source.uses_tls();
        match source.0.url.split_once("://") {
            Some((scheme, rest)) if user_info(&source.0.url).is_none() && !is_weaker => {
                Self::parse(&format!("{scheme}://{credentials}{rest}"))
            }
            _ => Ok(source),
        }
    }

    /// Returns whether the host is an address without a zone, which FFmpeg can use as it is.
    fn has_address(&self) -> bool {
        let host = &self.0.host;
        // FFmpeg does not understand a zone after %25. FFmpeg needs the index of the interface in the address.
        self.0.zone.is_none() && (host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok())
    }

    /// Returns `text` without the secrets of this source: credentials and values of parameters, in every
    /// encoding in which they may appear. Secrets of one or two bytes are removed only where the whole URL
    /// appears. Also removes the secrets of all other links in the text.
    pub fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.0.url, &self.0.shown);
        redact_links(&without(&text, &self.0.secrets))
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.meaning == other.0.meaning
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.meaning.hash(state);
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// Returns `text` without the credentials and the secret parameters of the links in it.
pub(crate) fn redact_links(text: &str) -> String {
    let hide_values = |path: &str| {
        let mut path = path.to_owned();
        for range in secret_values(&path).into_iter().rev().filter(|range| !range.is_empty()) {
            path.replace_range(range, "***");
        }
        path
    };
    let (text, target) = text.split_at(link::redirect_target(text).unwrap_or(text.len()));
    link::without_credentials(text, hide_values)
        + &link::target_without_credentials(target, hide_values)
}

/// Returns user name and password as they are written in a URL.
fn user_info(text: &str) -> Option<&str> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map(|(user_info, _)| user_info)
}

/// Returns the part of a URL after host and port. If this part contains an `@`, the password probably
/// contains a `/`, `?` or `#`, and the URL parser took the beginning of the credentials for the host.
fn after_authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |end| &rest[end..])
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Returns the URL without secrets. Strings in path and query that equal a secret are hidden as well, but
/// the host is always shown, even if it equals the password.
fn shown(url: &Url, host: &str, secrets: &[String]) -> String {
    let mut text = format!("{}://", url.scheme());
    if has_credentials(url) {
        text.push_str("***@");
    }
    text.push_str(host);
    let port = url.port().map(|port| format!(":{port}"));
    text.push_str(port.as_deref().unwrap_or_default());
    let mut path = path_and_query(url);
    for range in secret_values(&path).into_iter().rev().filter(|range| !range.is_empty()) {
        path.replace_range(range, "***");
    }
    text + &without(&path, secrets)
}

/// Returns `text` with each of the `secrets` replaced with `***`.
fn without(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// Returns the positions of parameter values that may be secrets. `text` is a URL from the path on. Some
/// vendors put parameters into the path.
///
/// `&` always ends a value, and `/` ends a value in the path. `;`, `?` and `#` end a value only if another
/// parameter follows.
fn secret_values(text: &str) -> Vec<Range<usize>> {
    let path_end = text.find(['?', '#']).unwrap_or(text.len());
    let is_end = |&(at, character): &(usize, char)| {
        matches!(character, '&' | ';' | '?' | '#') || (character == '/' && at < path_end)
    };
    let mut values: Vec<Range<usize>> = Vec::new();
    let (mut begin, mut continues) = (0, false);
    for (end, separator) in text.char_indices().filter(is_end).chain([(text.len(), '&')]) {
        if let Some((key, value)) = text[begin..end].split_once('=') {
            continues = !HARMLESS_KEYS.contains(&key.to_ascii_lowercase().as_str());
            if continues {
                values.push(end - value.len()..end);
            }
        } else if continues && let Some(value) = values.last_mut() {
            value.end = end;
        }
        continues &= !matches!(separator, '&' | '/');
        begin = end + 1;
    }
    values
}

/// Returns the secrets of a URL in every form in which they may appear. The longest come first: if a short secret
/// were replaced before a longer one that contains it, the rest of the longer one would remain in the text.
fn secrets(text: &str, url: &Url) -> Vec<String> {
    let mut secrets = secrets_as_written(text, url);
    let decoded: Vec<_> = secrets.iter().map(|secret| percent_decoded(secret)).collect();
    // FFmpeg's messages are logged by line and without control characters.
    let printable = |line: &str| line.chars().filter(|c| !c.is_control()).collect();
    let printed: Vec<_> = decoded.iter().flat_map(|text| text.lines().map(printable)).collect();
    // Basic authentication encodes bytes, which may not be valid UTF-8.
    let bytes = |secret| percent_decode_str(secret).collect::<Vec<u8>>();
    let coded: Vec<_> = secrets
        .iter()
        .flat_map(|secret| [STANDARD.encode(secret), STANDARD.encode(bytes(secret))])
        .collect();
    secrets.extend([decoded, printed, coded].concat());
    // Replacing strings of one or two bytes would make messages unreadable and hide nothing.
    secrets.retain(|secret| secret.len() > 2);
    secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    secrets.dedup();
    secrets
}

/// Returns the credentials and the values of parameters as they are written in the URL.
fn secrets_as_written(text: &str, url: &Url) -> Vec<String> {
    let mut secrets = Vec::new();
    if has_credentials(url) {
        // The password has three forms: as written up to the last @, as FFmpeg gets it, and as the URL parser
        // reads it. Parsers differ if an @ or % in the password is not encoded.
        if let Some(user_info) = user_info(text) {
            for user_info in [user_info, &link::user_info_for_ffmpeg(user_info)] {
                secrets.push(user_info.to_owned());
                secrets.extend(user_info.strip_suffix(':').map(str::to_owned));
                secrets.extend(user_info.split_once(':').map(|(_, password)| password.to_owned()));
            }
        }
        secrets.extend(url.password().map(str::to_owned));
    }
    // The values are added both as FFmpeg gets them, and as the URL parser writes them.
    for text in [after_authority(text), after_authority(url.as_str())] {
        for value in secret_values(text).into_iter().map(|range| &text[range]) {
            // Parsers differ in where a value ends.
            secrets.extend(value.split([';', '?', '#']).next().map(str::to_owned));
            // A value can contain what looks like another parameter.
            secrets.extend(value.match_indices('=').map(|(at, _)| value[at + 1..].to_owned()));
            secrets.push(value.to_owned());
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_links_are_refused_with_the_reason() {
        let long = format!("rtsp://host/{}", "x".repeat(2048));
        let long_password = format!("rtsp://a:{}@host/", "x".repeat(126));
        let long_path = format!("rtsp://host/{}", "x".repeat(1023));
        let table = [
            ("", "not a URL"),
            ("camera", "not a URL"),
            ("http://host/x", "must begin with rtsp://"),
            ("file:///etc/passwd", "must begin with rtsp://"),
            ("concat:rtsp://host", "must begin with rtsp://"),
            ("rtsp:///path", "names no host"),
            ("rtsp://host/a b", "percent-encode"),
            ("rtsp://host/a'b", "percent-encode"),
            ("rtsp://host/a\nfile 'x'", "percent-encode"),
            ("rtsp://host/ä", "percent-encode"),
            ("rtsp://host:port/", "not a URL"),
            ("rtsp://host:0/", "1 to 65535"),
            ("rtsp://[fe80::1]/x", "write [fe80::1%25eth0]"),
            ("rtsp://[fe80::1%]/x", "name of a network interface"),
            ("rtsp://[::1%25lo]/x", "only a link-local"),
            (long_password.as_str(), "127 characters"),
            (long_path.as_str(), "1023 characters"),
            ("rtsp://admin:123/45secret@host/x", "%2F"),
            ("rtsp://admin:123?45secret@host/x", "%3F"),
            ("rtsp://admin:123#45secret@host/x", "%23"),
            ("rtsp://admin:p@ss/w:rd#1@host/x", "%23"),
            (long.as_str(), "longer than"),
        ];
        for (link, reason) in table {
            let parsed = Source::parse(link).and_then(|source| source.ensure_usable());
            let error = parsed.expect_err(link);
            assert_eq!(error.kind, ErrorKind::InvalidSource);
            assert!(error.detail.contains(reason), "{link}: {error}");
        }
        // The longest password and path that FFmpeg accepts.
        let link = format!("rtsp://a:{}@host/{}", "%21".repeat(125), "x".repeat(1022));
        assert_eq!(Source::parse(&link).expect("a link").ensure_usable(), Ok(()));
    }

    #[test]
    fn a_host_name_is_replaced_with_an_address_and_an_ip_address_is_not() {
        let address: SocketAddr = "192.0.2.7:554".parse().expect("an address");
        let v6: SocketAddr = "[2001:db8::7]:8554".parse().expect("an address");
        let zoned: SocketAddr = "[fe80::1%2]:554".parse().expect("an address");
        let table = [
            ("rtsp://cam/x?a=b", address, "rtsp://192.0.2.7:554/x?a=b"),
            ("rtsp://u:p%40w@cam:554", address, "rtsp://u:p%40w@192.0.2.7:554"),
            ("rtsps://u:p:w@cam:8554/cam", v6, "rtsps://u:p:w@[2001:db8::7]:8554/cam"),
            ("rtsp://192.0.2.9:1/x", address, "rtsp://192.0.2.9:1/x"),
            ("rtsp://u@[::1]/x", address, "rtsp://u:@[::1]/x"),
            ("rtsp://u:p@[fe80::1%25eth0]/x", zoned, "rtsp://u:p@[fe80::1%2]:554/x"),
        ];
        for (link, address, expected) in table {
            let source = Source::parse(link).expect(link);
            assert_eq!(source.expose_at(address), expected);
        }
        let ports = ["rtsp://h/", "rtsps://h/", "rtsp://h:8554/"];
        assert_eq!(ports.map(|link| Source::parse(link).expect(link).port()), [554, 322, 8554]);
    }

    #[test]
    fn spellings_of_one_link_are_equal() {
        let parse = |link: &str| Source::parse(link).expect(link);
        assert_eq!(parse("rtsp://CAM:554/x?"), parse(" RTSP://cam/x\n"));
        assert_eq!(parse("rtsps://cam:322/%21"), parse("rtsps://cam/!"));
        assert_ne!(parse("rtsp://cam:8554/x"), parse("rtsp://cam/x"));
        assert_eq!(parse("rtsp://[FE80:0::1%eth0]:554/x"), parse("rtsp://[fe80::1%25eth0]/x"));
        assert_ne!(parse("rtsp://[fe80::1%eth1]/x"), parse("rtsp://[fe80::1%25eth0]/x"));
        assert_ne!(parse("rtsp://[fe80::1%Eth0]/x"), parse("rtsp://[fe80::1%25eth0]/x"));
        let zoned = parse("rtsp://u:p@[fe80::1%eth0]/x");
        assert_eq!(zoned.expose(), "rtsp://u:p@[fe80::1%25eth0]/x");
        assert_eq!(zoned.credentials(), Some(("u".to_owned(), "p".to_owned())));
        assert_eq!(parse(" rtsp://admin@cam:/x ").expose(), "rtsp://admin:@cam/x");
    }

    #[test]
    fn ffmpeg_gets_no_needless_escapes() {
        let address: SocketAddr = "192.0.2.7:554".parse().expect("an address");
        let table = [
            ("rtsp://%61dmin:p%21%2Bw@h/x", "admin:p!+w@"),
            ("rtsp://a%3Ab:c:d@h/x", "a%3Ab:c:d@"),
            ("rtsp://a:p@ss%%zz%41@h/x", "a:p%40ss%25%25zzA@"),
            ("rtsp://a:%2F%3f%23%27%0a%E4@h/x", "a:%2F%3F%23%27%0A%E4@"),
            ("rtsp://@h/x", ""),
        ];
        for (link, user_info) in table {
            let source = Source::parse(link).expect(link);
            assert_eq!(source.expose_at(address), format!("rtsp://{user_info}192.0.2.7:554/x"));
        }
    }

    #[test]
    fn a_redirect_keeps_the_credentials_unless_it_leads_from_tls_to_plain_rtsp() {
        let table = [
            ("rtsp://u:p@h:8554/x", "/y?a=b", "rtsp://u:p@h:8554/y?a=b"),
            ("rtsp://u:p@h/x", "rtsp://g:8554/y", "rtsp://u:p@g:8554/y"),
            ("rtsp://u:p@h/x", "rtsps://g/y", "rtsps://u:p@g/y"),
            ("rtsps://u:p@h/x", "rtsp://g/y", "rtsp://g/y"),
            ("rtsp://u:p@h/x", "rtsp://v:q@g/y", "rtsp://v:q@g/y"),
            ("rtsp://h/x", "rtsp://g/y", "rtsp://g/y"),
            ("rtsp://u:p@[fe80::1%eth0]/x", "/y", "rtsp://u:p@[fe80::1%25eth0]/y"),
            ("rtsp://u:p@[fe80::1%eth0]/x", "rtsp://[fe80::2]/y", "rtsp://u:p@[fe80::2%25eth0]/y"),
            ("rtsp://[fe80::1%eth0]/x", "rtsp://[fe80::2%lo]/y", "rtsp://[fe80::2%25eth0]/y"),
            ("rtsp://[fe80::1%eth0]/x", "rtsp://[2001:db8::2]/y", "rtsp://[2001:db8::2]/y"),
        ];
        for (link, target, expected) in table {
            let source = Source::parse(link).expect(link);
            assert_eq!(source.redirected_to(target).expect(target).expose(), expected);
        }
        for target in ["", "http://h/x", "x/y"] {
            Source::parse("rtsp://h/x").expect("a link").redirected_to(target).expect_err(target);
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let table = [
            ("rtsp://h/x", "rtsp://h/x"),
            ("rtsp://h:8554/x?channel=1&subtype=0", "rtsp://h:8554/x?channel=1&subtype=0"),
            ("rtsp://admin:hunter22@h:554/x", "rtsp://***@h:554/x"),
            ("rtsps://admin@h/x", "rtsps://***@h/x"),
            ("rtsp://a:p@ss@h/x", "rtsp://***@h/x"),
            ("rtsp://h/x?user=admin&pass=hunter22", "rtsp://h/x?user=***&pass=***"),
            (
                "rtsp://h/user=admin&password=hunter22&channel=1",
                "rtsp://h/user=***&password=***&channel=1",
            ),
            ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"),
            ("rtsp://u:hunter22@[fe80::1%25eth0]/x", "rtsp://***@[fe80::1%25eth0]/x"),
            ("rtsp://h/x?channel=1;pass=hunter22", "rtsp://h/x?channel=1;pass=***"),
            ("rtsp://h/x?pass=hunt;er?22&channel=1;2", "rtsp://h/x?pass=***&channel=1;2"),
            ("rtsp://admin:hunter22@h/admin/hunter22/x", "rtsp://***@h/admin/***/x"),
        ];
        for (link, shown) in table {
            let source = Source::parse(link).expect(link);
            assert_eq!(source.to_string(), shown);
            assert_eq!(format!("{source:?}"), format!("Source({shown})"));
            assert_eq!(source.redact(link), shown);
        }
        // The camera of the source redirects to another camera.
        let source = Source::parse("rtsp://h/x").expect("a link");
        let message =
            "[rtsp @ 0x1] Status 302: Redirecting to rtsp://a:other-pw@h2/y?token=other-t";
        let redacted = source.redact(message);
        assert!(redacted.ends_with("Redirecting to rtsp://***@h2/y?token=***"), "{redacted}");
        // Hiding the host would reveal that the password equals it.
        let source = Source::parse("rtsp://camera:camera@camera/x").expect("a link");
        assert_eq!(source.to_string(), "rtsp://***@camera/x");
    }

    #[test]
    fn redaction_finds_every_occurrence_of_a_secret() {
        let source = Source::parse("rtsp://admin:p%40ssw0rd@cam/x?key=abc123").expect("a link");
        let text =
            "[rtsp] rtsp://admin:p%40ssw0rd@cam/x?key=abc123/trackID=0: p@ssw0rd p%40ssw0rd abc123";
        let redacted = source.redact(text);
        for secret in ["p%40ssw0rd", "p@ssw0rd", "abc123"] {
            assert!(!redacted.contains(secret), "{redacted}");
        }
        assert!(redacted.contains("cam/x"), "{redacted}");
    }

    #[test]
    fn redaction_finds_every_form_of_a_secret() {
        let address = "192.0.2.7:554".parse().expect("an address");
        // A link, and strings that must not be shown.
        let table: &[(&str, &[&str])] = &[
            ("rtsp://admin:p%40ss%2Fw0rd@cam/x", &["p%40ss%2Fw0rd", "p@ss/w0rd"]),
            ("rtsp://admin:a<b>secret@cam/x", &["a<b>secret", "a%3Cb%3Esecret"]),
            ("rtsp://admin:half%3Coth<er@cam/x", &["half%3Coth<er", "half<oth<er"]),
            ("rtsp://cam/x?user=admin&password=hunter%2622", &["hunter%2622", "hunter&22"]),
            ("rtsp://cam/x?pwd=a<b%20cdef", &["a<b%20cdef", "a<b cdef", "a%3Cb%20cdef"]),
            ("rtsp://cam/x?user=admin;password=hunter22", &["hunter22"]),
            ("rtsp://cam/user=admin&password=hunt{er}22&channel=1", &["hunt{er}22"]),
            ("rtsp://cam/x#password=hunter22", &["hunter22"]),
            ("rtsp://cam/x?pwd=hunter/22", &["hunter/22"]),
            ("rtsp://cam/x?key=1/pass=hunter/22", &["hunter/22"]),
            ("rtsp://cam/x?pwd=hunter;22", &["hunter;22"]),
            ("rtsp://admin:hunter%0722%0apassword@cam/x", &["hunter22", "password"]),
            // The second string is basic authentication of admin:hunter22.
            ("rtsp://admin:hunter22@cam/x", &["hunter22", "YWRtaW46aHVudGVyMjI="]),
            // The second string is basic authentication of admin:hählt in Latin-1.
            ("rtsp://admin:h%E4hlt@cam/x", &["h%E4hlt", "YWRtaW46aORobHQ="]),
        ];
        for (link, hidden) in table {
            let source = Source::parse(link).expect(link);
            let text = format!("{link} {} {}", source.expose_at(address), hidden.join(" "));
            let redacted = source.redact(&text);
            for secret in *hidden {
                assert!(!redacted.contains(secret), "{link}: {redacted}");
                assert!(!source.to_string().contains(secret), "{source}");
            }
            assert!(redacted.contains("cam/"), "{redacted}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_safe_in_a_script(text in "(rtsp://)?\\PC{0,80}") {
            if let Ok(source) = Source::parse(&text) {
                proptest::prop_assert!(!source.expose().contains(['\'', '\n', '\r', '\\', ' ']));
            }
        }

        #[test]
        fn no_password_survives_redaction(password in "[a-zA-Z0-9!%$*+,;:@]{8,20}") {
            let link = format!("rtsp://user:{password}@camera.example:554/live");
            if let Ok(source) = Source::parse(&link) {
                let redacted = source.redact(&format!("Impossible to open '{link}' with {password}"));
                proptest::prop_assert!(!redacted.contains(&password), "{}", redacted);
                proptest::prop_assert!(!source.to_string().contains(&password));
            }
        }
    }
}
