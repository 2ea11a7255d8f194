//! HTTP authentication at a device: Digest (RFC 7616, also the older form of RFC 2069) and Basic (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::HeaderMap;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::login::Login;
use crate::base::hex::hex;

/// The method of all requests to devices.
const METHOD: &str = "POST";

/// The way in which a device requires the credentials in the HTTP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HttpAuth {
    /// As a digest.
    Digest(Digest),
    /// In clear text.
    Basic,
}

/// A challenge of a device, and the number of requests that answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    algorithm: Algorithm,
    /// True if the digest of the credentials includes the nonces (`-sess` in the algorithm).
    is_session: bool,
    /// True if the digest contains a count of requests (`qop=auth`).
    has_count: bool,
    /// True if the device rejected the last digest only because of the age of its nonce.
    is_stale: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    client_nonce: String,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

impl HttpAuth {
    /// Returns the safest supported authentication that the response of a device offers: Digest with SHA-256,
    /// Digest with MD5, or Basic. Returns `None` if the response offers none of these.
    pub(crate) fn offered(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        let challenges: Vec<_> = values.iter().flat_map(|value| challenges(value)).collect();
        let digests = challenges.iter().filter_map(Digest::new);
        // Of several digests with the same algorithm, the first one is chosen.
        let best = digests.rev().max_by_key(|digest| digest.algorithm);
        let is_basic = |one: &Challenge| one.scheme.eq_ignore_ascii_case("basic");
        best.map(Self::Digest).or_else(|| challenges.iter().any(is_basic).then_some(Self::Basic))
    }

    /// Returns whether the device rejected the last digest only because of the age of its nonce.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Digest(digest) if digest.is_stale)
    }

    /// Returns the header `Authorization` of the next request to `uri`; `None` if the user name contains
    /// characters that the header cannot contain.
    pub(crate) fn authorization(&mut self, login: &Login, uri: &str) -> Option<HeaderValue> {
        let text = match self {
            Self::Digest(digest) => digest.authorization(login, uri),
            Self::Basic => {
                let pair = format!("{}:{}", login.username, login.password);
                format!("Basic {}", BASE64.encode(pair))
            }
        };
        let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Digest {
    fn new(challenge: &Challenge) -> Option<Self> {
        if !challenge.scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let algorithm = challenge.parameter("algorithm").unwrap_or("MD5").to_ascii_lowercase();
        let (name, is_session) = match algorithm.strip_suffix("-sess") {
            Some(name) => (name, true),
            None => (algorithm.as_str(), false),
        };
        let qop = challenge.parameter("qop");
        let mut options = qop.unwrap_or_default().split(',').map(str::trim);
        let has_count = options.any(|option| option.eq_ignore_ascii_case("auth"));
        // The only other protection, `auth-int`, is not supported.
        if qop.is_some_and(|qop| !qop.trim().is_empty()) && !has_count {
            return None;
        }
        let stale = challenge.parameter("stale").unwrap_or_default();
        Some(Self {
            algorithm: match name {
                "md5" => Algorithm::Md5,
                "sha-256" => Algorithm::Sha256,
                _ => return None,
            },
            is_session,
            has_count,
            is_stale: stale.eq_ignore_ascii_case("true"),
            realm: challenge.parameter("realm").unwrap_or_default().to_owned(),
            nonce: challenge.parameter("nonce")?.to_owned(),
            opaque: challenge.parameter("opaque").map(str::to_owned),
            client_nonce: format!("{:016x}", fastrand::u64(..)),
            count: 0,
        })
    }

    fn authorization(&mut self, login: &Login, uri: &str) -> String {
        self.count = self.count.wrapping_add(1);
        let count = format!("{:08x}", self.count);
        let Self { realm, nonce, client_nonce, .. } = &*self;
        let mut secret = self.hash(&format!("{}:{realm}:{}", login.username, login.password));
        if self.is_session {
            secret = self.hash(&format!("{secret}:{nonce}:{client_nonce}"));
        }
        let request = self.hash(&format!("{METHOD}:{uri}"));
        let response = self.hash(&if self.has_count {
            format!("{secret}:{nonce}:{count}:{client_nonce}:auth:{request}")
        } else {
            format!("{secret}:{nonce}:{request}")
        });
        let algorithm = match self.algorithm {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        };
        let suffix = if self.is_session { "-sess" } else { "" };
        let mut parts = vec![
            format!("Digest username={}", quoted(&login.username)),
            format!("realm={}", quoted(realm)),
            format!("nonce={}", quoted(nonce)),
            format!("uri={}", quoted(uri)),
            format!("response=\"{response}\""),
            format!("algorithm={algorithm}{suffix}"),
        ];
        if self.has_count {
            parts.push(format!("qop=auth, nc={count}"));
        }
        if self.has_count || self.is_session {
            parts.push(format!("cnonce=\"{client_nonce}\""));
        }
        parts.extend(self.opaque.as_ref().map(|opaque| format!("opaque={}", quoted(opaque))));
        parts.join(", ")
    }

    fn hash(&self, text: &str) -> String {
        match self.algorithm {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// One challenge in a header `WWW-Authenticate`.
#[derive(Debug)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Parses the challenges in one header. Each challenge has the form `Scheme name=value, name="value"`, and
/// challenges are separated by commas as well.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    for item in items(header) {
        let (name, value) = item.split_once('=').map_or((item, None), |(a, b)| (a, Some(b)));
        let (scheme, name) = match name.trim().split_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme), name.trim()),
            None if value.is_none() => (Some(name.trim()), ""),
            None => (None, name.trim()),
        };
        if let Some(scheme) = scheme {
            found.push(Challenge { scheme: scheme.to_owned(), parameters: Vec::new() });
        }
        if let (Some(challenge), Some(value)) = (found.last_mut(), value) {
            challenge.parameters.push((name.to_owned(), unquoted(value.trim())));
        }
    }
    found
}

/// Splits a header at its commas, except for commas in quotes. Omits empty items.
fn items(header: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let items = header.split(move |character: char| {
        let is_separator = character == ',' && !is_quoted;
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && is_quoted && !is_escaped;
        is_separator
    });
    items.map(str::trim).filter(|item| !item.is_empty())
}

/// Returns the text in quotes. Quotes and backslashes in the text are escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Removes the quotes and the escapes from a quoted text. Returns other text unchanged.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else { return text.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut is_escaped = false;
    let is_kept = |character: &char| {
        is_escaped = *character == '\\' && !is_escaped;
        !is_escaped
    };
    inner.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_str(value).expect("a header"));
        values.map(|value| (WWW_AUTHENTICATE, value)).collect()
    }

    fn login(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: password.into() }
    }

    fn digest(challenge: &str) -> Digest {
        match HttpAuth::offered(&headers(&[challenge])) {
            Some(HttpAuth::Digest(digest)) => digest,
            other => panic!("{challenge}: {other:?}"),
        }
    }

    /// The values of the examples in RFC 7616, section 3.9.1, and of the older example in RFC 2617, section 3.5.
    /// Their digests are for `GET`, so the expected digests for `POST` were computed with Python's hashlib.
    #[test]
    fn digests_follow_the_specification() {
        let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let table = [
            ("MD5", "6f31d8ff6361bb27783b6ac62b999535"),
            ("SHA-256", "b85bfcaae378db6f6d75b1706062ac3d66fec2dd3d0082d77885522866488dac"),
            ("MD5-sess", "9e3465d402d672d7b3c6a659201e5672"),
        ];
        for (algorithm, expected) in table {
            let mut digest = digest(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"{opaque}\""
            ));
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".clone_into(&mut digest.client_nonce);
            let text = digest.authorization(&login("Mufasa", "Circle of Life"), "/dir/index.html");
            for part in [
                format!("response=\"{expected}\""),
                format!("algorithm={algorithm}"),
                format!("opaque=\"{opaque}\""),
                "qop=auth, nc=00000001".to_owned(),
                "uri=\"/dir/index.html\"".to_owned(),
            ] {
                assert!(text.contains(&part), "{part}: {text}");
            }
            assert!(!text.contains("Circle"), "{text}");
            let next = digest.authorization(&login("Mufasa", "Circle of Life"), "/dir/index.html");
            assert!(next.contains("nc=00000002") && !next.contains(expected), "{next}");
        }
        let old =
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let text = digest(old).authorization(&login("Mufasa", "Circle Of Life"), "/dir/index.html");
        assert!(
            text.contains("response=\"606b58711e1cc9535f12f39968f07304\"") && !text.contains("qop"),
            "{text}"
        );
    }

    #[test]
    fn the_safest_supported_challenge_is_chosen() {
        let algorithm = |values: &[&str]| match HttpAuth::offered(&headers(values)) {
            Some(HttpAuth::Digest(digest)) => format!("{:?} {}", digest.algorithm, digest.nonce),
            Some(HttpAuth::Basic) => "Basic".to_owned(),
            None => "none".to_owned(),
        };
        let (md5, sha) = ("Digest nonce=\"1\", qop=auth", "Digest algorithm=SHA-256, nonce=\"2\"");
        let table: [(&[&str], &str); 11] = [
            (&[md5, sha], "Sha256 2"),
            (&[sha, md5], "Sha256 2"),
            (&["Basic realm=\"x\"", md5], "Md5 1"),
            (&["Basic realm=\"a, Digest nonce=\\\"9\\\"\", Digest nonce=1,,qop=\"auth\""], "Md5 1"),
            (&["Negotiate, Digest nonce=a, Digest nonce=b"], "Md5 a"),
            (&["digest  NONCE = \"a\\\"b\" , Algorithm = md5"], "Md5 a\"b"),
            (&["Basic realm=\"x\""], "Basic"),
            (&["Basic"], "Basic"),
            (&["Digest nonce=\"1\", algorithm=SHA-512-256"], "none"),
            (&["Digest nonce=\"1\", qop=\"auth-int\""], "none"),
            (&["Digest realm=\"x\"", "garbage", "", "=,=\"", "Bearer x"], "none"),
        ];
        for (values, expected) in table {
            assert_eq!(algorithm(values), expected, "{values:?}");
        }
        assert!(HttpAuth::Digest(digest("Digest nonce=1, stale=TRUE")).is_stale());
    }

    #[test]
    fn names_are_quoted_and_invalid_names_are_refused() {
        let mut auth = HttpAuth::Digest(digest("Digest nonce=1"));
        let value = auth.authorization(&login("a\"b\\ä", "x"), "/").expect("a header");
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        assert!(text.starts_with("Digest username=\"a\\\"b\\\\ä\","), "{text}");
        assert!(value.is_sensitive());
        assert_eq!(auth.authorization(&login("a\r\nb", "x"), "/"), None);
    }
}
