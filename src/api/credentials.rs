//! What a request shows about its sender: API keys and playback tokens, the address that a proxy reports,
//! signs of other proxies, and the browser's report of the page that caused the request.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST, ORIGIN, REFERER, VIA};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Version};
use url::Url;

use crate::access::credentials::Credentials;
use crate::base::host::is_this_machine;
use crate::camera::networks::Networks;

/// The header for an API key, as an alternative to `Authorization`.
const API_KEY: &str = "x-api-key";
/// The header in which nginx passes on the playback token of a path.
const TOKEN: &str = "x-playback-token";
/// The cookie for a playback token.
pub(super) const TOKEN_COOKIE: &str = "playback";
/// The header in which nginx reports the address of the caller or viewer.
pub(super) const ADDRESS: &str = "x-real-ip";
/// The header in which each proxy appends the address from which it has received the request.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The beginning of the names of headers that only proxies add.
const FORWARDED_PREFIX: &str = "x-forwarded-";
/// The address of a sender for whom a proxy reports a text that is not an address.
const UNKNOWN: &str = "unknown";
/// The header in which browsers report whether a page of another site caused the request.
const FETCH_SITE: &str = "sec-fetch-site";

/// The value of `Origin` with which browsers hide the page's address, for example for a page in a sandboxed frame.
const HIDDEN: &str = "null";

/// The other end of a connection.
#[derive(Clone)]
pub(super) struct Peer {
    /// The address; `None` for a Unix socket.
    address: Option<IpAddr>,
    /// The address as text.
    text: Option<String>,
    /// The addresses of trusted proxies (`TRUSTED_PROXIES`).
    proxies: Networks,
}

impl Peer {
    /// Creates the peer with this address, which is `None` for a Unix socket.
    pub(super) fn new(address: Option<IpAddr>, proxies: Networks) -> Self {
        let address = address.map(|address| address.to_canonical());
        Self { address, text: address.map(|address| address.to_string()), proxies }
    }

    /// Returns the address of a request's sender: the address that a trusted peer reports, or else the peer's
    /// own address. Returns `None` if the peer is a Unix socket and reports no address.
    fn sender<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        let is_proxy = self.address.is_some_and(|address| self.proxies.contain(address));
        // Without TRUSTED_PROXIES, every peer may be nginx.
        let is_nginx = !self.is_remote() || is_proxy || self.proxies.is_empty();
        let reported = text(headers, ADDRESS).filter(|_| is_nginx).map(checked);
        let forwarded = self.forwarded_for(headers).filter(|_| is_proxy);
        // A proxy other than nginx may pass on an X-Real-IP that the client has forged. So X-Forwarded-For
        // takes precedence if the peer is a trusted proxy. nginx reports the client in both headers.
        forwarded.or(reported).or(self.text.as_deref())
    }

    /// Returns whether the peer is on another machine.
    fn is_remote(&self) -> bool {
        self.address.is_some_and(|address| !address.is_loopback())
    }

    /// Returns the last address in `X-Forwarded-For` that is not the address of a trusted proxy; `None` if the
    /// header contains no other address.
    fn forwarded_for<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut entries = lines.filter_map(|line| line.to_str().ok()).flat_map(|l| l.rsplit(','));
        entries.find_map(|entry| {
            let entry = entry.trim();
            let is_proxy =
                entry.parse::<IpAddr>().is_ok_and(|it| self.proxies.contain(it.to_canonical()));
            (!is_proxy && !entry.is_empty()).then(|| checked(entry))
        })
    }
}

/// Returns an address that a proxy reports, or [`UNKNOWN`] if the text is not an address.
fn checked(text: &str) -> &str {
    if text.parse::<IpAddr>().is_ok() { text } else { UNKNOWN }
}

/// Returns the credentials of a request, and what it shows about its sender.
pub(super) fn shown<'a>(head: &'a Parts, peer: &'a Peer) -> Credentials<'a> {
    let headers = &head.headers;
    Credentials {
        path_token: text(headers, TOKEN).filter(|token| !token.is_empty()),
        bearer: text(headers, AUTHORIZATION.as_str()).and_then(bearer),
        api_key: text(headers, API_KEY).filter(|key| !key.is_empty()),
        cookie_token: cookie_token(headers),
        address: peer.sender(headers),
        is_peer_remote: peer.is_remote(),
        host: text(headers, HOST.as_str()),
        is_forwarded: is_forwarded(head),
    }
}

/// Returns whether the request shows that another proxy has passed it on, in addition to the nginx in front of
/// the manager. Most proxies add a header. An nginx with its default settings adds none, but usually sends
/// requests with HTTP/1.0, which browsers and other clients do not use. If the nginx in front of the manager
/// receives a request with HTTP/1.0, it adds `Via`.
fn is_forwarded(head: &Parts) -> bool {
    head.version == Version::HTTP_10
        || head.headers.keys().any(|name| {
            name == FORWARDED || name == VIA || name.as_str().starts_with(FORWARDED_PREFIX)
        })
}

/// Returns whether the request was caused by a page of another site: the browser says so, or hides the page's address,
/// or this address is neither `localhost` nor a loopback address.
///
/// `Sec-Fetch-Site` is not enough, because a browser sends it only to a URL that the browser considers
/// trustworthy, such as a URL with the host `localhost`. So `Origin` and `Referer` are checked as well. They
/// contain the page's address as the browser sees it, even if a proxy has replaced `Host`.
pub(super) fn is_other_site(headers: &HeaderMap) -> bool {
    let is_elsewhere = |name: &str| {
        let page = text(headers, name).and_then(|page| Url::parse(page).ok());
        page.is_some_and(|page| page.host_str().is_some_and(|host| !is_this_machine(host)))
    };
    text(headers, FETCH_SITE) == Some("cross-site")
        || text(headers, ORIGIN.as_str()) == Some(HIDDEN)
        || is_elsewhere(ORIGIN.as_str())
        || is_elsewhere(REFERER.as_str())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn cookie_token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == TOKEN_COOKIE).map(|(_, token)| token)
}

/// Returns the value of a header; `None` if the header is missing or its value is not ASCII text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::keys::ApiKeys;
    use crate::access::role::Role;
    use crate::access::{Access, Caller};
    use crate::base::error::{Error, ErrorKind};

    const KEYS: &str = "boss:admin:boss-secret-0001,42:user:user-secret-0001";

    fn access() -> Access {
        Access::new(ApiKeys::parse(KEYS).expect("keys"))
    }

    fn caller(access: &Access, name: &'static str, value: &'static str) -> Result<Caller, Error> {
        access.caller(&shown(&head(name, value), &unix()))
    }

    fn unix() -> Peer {
        Peer::new(None, Networks::default())
    }

    fn head(name: &'static str, value: &'static str) -> Parts {
        hyper::Request::builder().header(name, value).body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_key_is_accepted_in_either_header() {
        let access = access();
        for (name, value) in [
            ("authorization", "Bearer user-secret-0001"),
            ("authorization", "bearer  user-secret-0001"),
            ("x-api-key", "user-secret-0001"),
        ] {
            let caller = caller(&access, name, value).expect(value);
            assert_eq!((caller.name(), caller.role()), ("42", Role::User));
        }
        for (name, value) in [
            ("authorization", "Basic user-secret-0001"),
            ("authorization", "user-secret-0001"),
            ("x-api-key", "wrong-secret-0001"),
            ("x-api-key", ""),
            ("cookie", "user-secret-0001"),
        ] {
            let refused = caller(&access, name, value).expect_err("a refusal");
            assert_eq!(refused.kind, ErrorKind::Unauthorized, "{value}");
        }
    }

    #[test]
    fn empty_headers_contain_no_key() {
        for (name, value) in
            [("x-api-key", ""), ("authorization", "Bearer "), ("authorization", "Bearer")]
        {
            assert!(shown(&head(name, value), &unix()).key().is_none(), "{name}: {value}");
        }
    }

    #[test]
    fn pages_at_other_addresses_are_refused_if_there_are_no_keys() {
        let table = [
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("origin", "http://localhost:5173", true),
            ("origin", "null", false),
            ("origin", "https://cameras.example", false),
            ("referer", "http://[::1]:8080/?id=demo", true),
            ("referer", "https://cameras.example/", false),
        ];
        for (name, value, expected) in table {
            let is_other_site = is_other_site(&head(name, value).headers);
            let is_allowed = |access: Access| access.refuse_other_sites(is_other_site).is_ok();
            assert_eq!(is_allowed(Access::default()), expected, "{name}: {value}");
            assert!(is_allowed(access()), "with keys, {name}: {value} is accepted");
        }
    }

    #[test]
    fn without_keys_another_machine_is_refused_whatever_it_reports() {
        let peer = |ip: &str| Peer::new(ip.parse().ok(), Networks::default());
        let head = head("x-real-ip", "127.0.0.1");
        let caller = |peer: &Peer| Access::default().caller(&shown(&head, peer)).is_ok();
        assert!(caller(&peer("127.0.0.1")) && caller(&unix()));
        assert!(!caller(&peer("192.0.2.1")));
    }

    #[test]
    fn headers_of_proxies_and_http_1_0_show_that_a_request_was_forwarded() {
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-new"]
        {
            assert!(shown(&head(name, "x"), &unix()).is_forwarded, "{name}");
        }
        for name in ["x-real-ip", "user-agent", "x-forwarder"] {
            assert!(!shown(&head(name, "x"), &unix()).is_forwarded, "{name}");
        }
        let mut old = head("accept", "*/*");
        old.version = Version::HTTP_10;
        assert!(shown(&old, &unix()).is_forwarded);
    }

    #[test]
    fn the_senders_address_is_the_one_that_a_trusted_peer_reports() {
        let sent = |peer: Option<&str>, proxies: &str, name: &'static str, value: &'static str| {
            let address = peer.map(|peer| peer.parse().expect("an address"));
            let peer = Peer::new(address, proxies.parse().expect("networks"));
            shown(&head(name, value), &peer).address.map(str::to_owned)
        };
        let (real, chain) = ("x-real-ip", "x-forwarded-for");
        let table = [
            (None, "", real, "192.0.2.1", Some("192.0.2.1")),
            (None, "", chain, "192.0.2.1", None),
            (Some("127.0.0.1"), "", real, "192.0.2.1", Some("192.0.2.1")),
            (Some("127.0.0.1"), "", chain, "192.0.2.1", Some("127.0.0.1")),
            (Some("::ffff:10.0.0.1"), "", real, "192.0.2.1", Some("192.0.2.1")),
            (Some("10.0.0.1"), "10.0.0.9", real, "192.0.2.1", Some("10.0.0.1")),
            (Some("10.0.0.1"), "10.0.0.9", chain, "192.0.2.1", Some("10.0.0.1")),
            (Some("10.0.0.9"), "10.0.0.9", real, "192.0.2.1", Some("192.0.2.1")),
            (
                Some("10.0.0.9"),
                "10.0.0.0/8",
                chain,
                "1.1.1.1, 192.0.2.1,10.0.0.7",
                Some("192.0.2.1"),
            ),
            (Some("10.0.0.9"), "10.0.0.0/8", chain, "10.0.0.7", Some("10.0.0.9")),
            (Some("10.0.0.9"), "10.0.0.0/8", chain, "10.0.0.7, x", Some("unknown")),
            (Some("10.0.0.9"), "10.0.0.0/8", real, "A text", Some("unknown")),
            (None, "", real, "unix:", Some("unknown")),
            (Some("10.0.0.9"), "10.0.0.0/8", "accept", "*/*", Some("10.0.0.9")),
        ];
        for (peer, proxies, name, value, expected) in table {
            let found = sent(peer, proxies, name, value);
            assert_eq!(found.as_deref(), expected, "{peer:?}, {proxies}, {name}: {value}");
        }
    }

    #[test]
    fn tokens_are_found_in_header_and_cookie() {
        let table = [
            ("x-playback-token", "a.b.c", (Some("a.b.c"), None, None)),
            ("x-playback-token", "", (None, None, None)),
            ("authorization", "Bearer a.b.c", (None, Some("a.b.c"), None)),
            ("authorization", "Bearer secret", (None, None, None)),
            ("cookie", "a=b; playback=x.y.z; c=d", (None, None, Some("x.y.z"))),
            ("cookie", "playback2=x.y.z", (None, None, None)),
        ];
        for (name, value, expected) in table {
            let (head, peer) = (head(name, value), unix());
            let shown = shown(&head, &peer);
            let found = (shown.path_token, shown.bearer_token(), shown.cookie_token);
            assert_eq!(found, expected, "{name}: {value}");
        }
    }
}
