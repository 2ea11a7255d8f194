//! The headers that show the sender of a request: API keys and playback tokens, the address that
//! nginx reports, and the browser's report whether a page of another site caused the request.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST};

use crate::access::credentials::Credentials;

/// The header for an API key, as an alternative to `Authorization`.
const API_KEY: &str = "x-api-key";
/// The header in which nginx passes on the playback token of a path.
const TOKEN: &str = "x-playback-token";
/// The cookie for a playback token.
pub(super) const TOKEN_COOKIE: &str = "playback";
/// The header in which nginx reports the address of the caller or viewer.
pub(super) const ADDRESS: &str = "x-real-ip";
/// The header in which browsers report whether a page of another site caused the request.
const FETCH_SITE: &str = "sec-fetch-site";

/// Returns the credentials in the headers of a request.
pub(super) fn shown(headers: &HeaderMap) -> Credentials<'_> {
    Credentials {
        path_token: text(headers, TOKEN).filter(|token| !token.is_empty()),
        bearer: text(headers, AUTHORIZATION.as_str()).and_then(bearer),
        api_key: text(headers, API_KEY),
        cookie_token: cookie_token(headers),
        address: text(headers, ADDRESS),
    }
}

/// Returns the `Host` header of a request: the host and, unless it is the default, the port.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    text(headers, HOST.as_str())
}

/// Returns whether the browser reports that a page of another site caused the request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    text(headers, FETCH_SITE) == Some("cross-site")
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
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
    use crate::access::keys::{ApiKeys, Role};
    use crate::access::{Access, Caller};
    use crate::base::error::{Error, ErrorKind};

    const KEYS: &str = "boss:admin:boss-secret-0001,42:user:user-secret-0001";

    fn access() -> Access {
        Access::new(ApiKeys::parse(KEYS).expect("keys"))
    }

    fn caller(access: &Access, name: &'static str, value: &'static str) -> Result<Caller, Error> {
        access.caller(&shown(&headers(name, value)))
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let name: hyper::header::HeaderName = name.parse().expect("a name");
        [(name, value.parse().expect("a value"))].into_iter().collect()
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
    fn without_keys_only_addresses_of_this_machine_are_accepted() {
        let access = Access::default();
        for (address, is_allowed) in
            [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("x", false)]
        {
            assert_eq!(caller(&access, "x-real-ip", address).is_ok(), is_allowed, "{address}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused_if_there_are_no_keys() {
        let is_allowed = |access: Access, headers: &HeaderMap| {
            access.refuse_other_sites(host(headers), is_cross_site(headers)).is_ok()
        };
        let table =
            [("cross-site", false), ("same-site", true), ("same-origin", true), ("none", true)];
        for (site, expected) in table {
            let headers = headers("sec-fetch-site", site);
            assert_eq!(is_allowed(Access::default(), &headers), expected, "{site}");
            assert!(is_allowed(access(), &headers), "with keys, {site} is accepted");
        }
        let hosts = [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8088", true),
            ("rebound.example", false),
            ("rebound.example:8080", false),
            ("192.0.2.1", false),
        ];
        for (name, expected) in hosts {
            let headers = headers("host", name);
            assert_eq!(is_allowed(Access::default(), &headers), expected, "{name}");
        }
        assert!(
            is_allowed(Access::default(), &HeaderMap::new()),
            "a client without Host is not a browser"
        );
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
            let headers = headers(name, value);
            let shown = shown(&headers);
            let found = (shown.path_token, shown.bearer_token(), shown.cookie_token);
            assert_eq!(found, expected, "{name}: {value}");
        }
    }
}
