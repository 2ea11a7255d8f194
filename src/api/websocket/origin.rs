//! The origins whose pages can open a WebSocket without credentials of their own.
//!
//! A browser lets every page open a WebSocket to every server, and sends the server's cookie. The rules of CORS do
//! not apply. So the server must check `Origin`, if the permission could come from a cookie, or if no permission is
//! needed. Programs that are not browsers can send any `Origin`, but they do not have the cookie of a user.

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use url::Url;

use crate::access::credentials::Credentials;
use crate::api::credentials::{is_other_site, text};
use crate::base::error::{Error, ErrorKind};
use crate::base::public_url::PublicUrl;

/// The header in which nginx passes on the origin of the page if `CORS_ORIGINS` lists this origin. The value `*` of
/// `CORS_ORIGINS` lists no origin.
const LISTED_ORIGIN: &str = "x-listed-origin";

/// Returns an error if the request comes from a page of another origin than the service's, and could use permission
/// that the page does not have: the permission of a cookie or, without API keys, of the machine. The page needs a
/// playback token in the path, or `CORS_ORIGINS` must list the page's origin.
pub(super) fn ensure_allowed(
    headers: &HeaderMap,
    shown: &Credentials<'_>,
    public_url: &PublicUrl,
) -> Result<(), Error> {
    let has_own = shown.path_token.is_some() || shown.key().is_some();
    let Some(origin) = headers.get(ORIGIN).filter(|_| !has_own) else { return Ok(()) };
    let is_allowed = origin.to_str().is_ok_and(|origin| {
        let is_listed = text(headers, LISTED_ORIGIN) == Some(origin);
        is_listed || public_url.is_origin(origin) || is_of_host(origin, headers)
    });
    // Without a cookie, only ALLOW_ANONYMOUS can give permission. Then pages from this machine can do everything.
    let is_ambient = shown.cookie_token.is_some() || is_other_site(headers);
    if is_allowed || !is_ambient {
        return Ok(());
    }
    let detail = "CORS_ORIGINS does not list the origin of the page that opens this WebSocket; add the \
                  origin (* is not enough), or use a playback token in the path";
    Err(Error::new(ErrorKind::Forbidden, detail))
}

/// Returns whether `origin` is the origin of the requested host. Without a port in `Host`, only the names of the hosts
/// are compared, because some proxies remove the port. Cookies do not depend on the port either.
fn is_of_host(origin: &str, headers: &HeaderMap) -> bool {
    let Some((origin, host)) = Url::parse(origin).ok().zip(text(headers, HOST.as_str())) else {
        return false;
    };
    // The scheme only completes the URL. The scheme that the browser uses is unknown behind a proxy.
    let Ok(requested) = Url::parse(&format!("{}://{host}/", origin.scheme())) else { return false };
    let is_same_port = requested.port().is_none()
        || requested.port_or_known_default() == origin.port_or_known_default();
    origin.host().is_some() && origin.host() == requested.host() && is_same_port
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    /// Returns whether a request with these headers and credentials is allowed.
    fn is_allowed(pairs: &[(&'static str, &'static str)], shown: &Credentials<'_>) -> bool {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let public_url = "https://cams.example/live".parse().expect("a URL");
        ensure_allowed(&pairs.collect(), shown, &public_url).is_ok()
    }

    #[test]
    fn a_cookie_is_used_only_by_pages_of_the_service_and_of_listed_origins() {
        let cookie = Credentials { cookie_token: Some("a.b.c"), ..Credentials::default() };
        let (host, origin, listed) = ("host", "origin", "x-listed-origin");
        let table: [(&[_], bool); 15] = [
            (&[], true),
            (&[(host, "nvr:8080")], true),
            (&[(host, "nvr:8080"), (origin, "http://nvr:8080")], true),
            (&[(host, "nvr"), (origin, "http://nvr")], true),
            (&[(host, "nvr"), (origin, "https://nvr:8443")], true),
            (&[(host, "NVR:443"), (origin, "https://nvr")], true),
            (&[(host, "[::1]:8080"), (origin, "http://[::1]:8080")], true),
            (&[(host, "nvr:8080"), (origin, "http://nvr:8081")], false),
            (&[(host, "nvr"), (origin, "http://evil.nvr")], false),
            (&[(host, "nvr"), (origin, "null")], false),
            (&[(host, "nvr"), (origin, "garbage")], false),
            (&[(host, "nvr"), (origin, "https://cams.example")], true),
            (&[(host, "nvr"), (origin, "https://cams.example.evil")], false),
            (&[(origin, "https://shop.example"), (listed, "https://shop.example")], true),
            (&[(origin, "https://shop.example"), (listed, "*")], false),
        ];
        for (headers, expected) in table {
            assert_eq!(is_allowed(headers, &cookie), expected, "{headers:?}");
        }
    }

    #[test]
    fn pages_with_credentials_of_their_own_can_be_anywhere() {
        let elsewhere = [("host", "nvr"), ("origin", "https://shop.example")];
        let cookie_token = Some("a.b.c");
        for (name, own) in [
            ("path", Credentials { path_token: Some("x.y.z"), ..Credentials::default() }),
            ("bearer", Credentials { bearer: Some("x.y.z"), ..Credentials::default() }),
            ("key", Credentials { api_key: Some("secret"), ..Credentials::default() }),
        ] {
            assert!(is_allowed(&elsewhere, &Credentials { cookie_token, ..own }), "{name}");
        }
    }

    #[test]
    fn without_any_credentials_only_pages_from_this_machine_are_allowed() {
        let host = ("host", "localhost:8080");
        for (origin, expected) in [
            ("http://localhost:5173", true),
            ("http://127.0.0.1:8080", true),
            ("https://shop.example", false),
            ("null", false),
        ] {
            let headers = [host, ("origin", origin)];
            assert_eq!(is_allowed(&headers, &Credentials::default()), expected, "{origin}");
        }
    }
}
