//! The address at which browsers reach the service. All URLs of the service are built with [`PublicUrl`].

use std::str::FromStr;

use url::Url;

/// The first segments of the paths of the service and of nginx. The path of `PUBLIC_URL` must not begin with one of
/// them. A proxy in front of nginx may remove the path of `PUBLIC_URL`. If that path were `/api`, it would be unclear
/// whether a request for `/api/cameras` still contains it.
const OWN_PATHS: [&str; 7] = ["api", "assets", "hls", "internal", "play", "problem", "streams"];

/// The address at which browsers reach nginx, which may be below a path of a host. The default is an unknown
/// address without a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port; empty if the address is unknown.
    origin: String,
    /// The path without a slash at its end; empty for an address without a path.
    path: String,
}

/// The reason why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// The string is not the URL of a web server.
    #[error(
        "it must be a URL such as https://example.com/cameras, without a user, query or fragment"
    )]
    Url,
    /// The path has characters with a special meaning in URLs or in nginx's configuration.
    #[error("its path can only contain letters, digits, hyphens, underscores and slashes")]
    Path,
    /// The path begins with a path of the service.
    #[error(
        "its path cannot begin with /api, /assets, /hls, /internal, /play, /problem or /streams"
    )]
    OwnPath,
}

impl PublicUrl {
    /// Returns the URL of a path of the service; only the path if the address is unknown.
    pub(crate) fn url(&self, path: &str) -> String {
        self.absolute(&self.path(path))
    }

    /// Returns the URL of a path that already begins with the path of the address; only the path if the address is
    /// unknown.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Returns the path at which browsers reach a path of the service.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }

    /// Returns whether the address is known.
    pub(crate) fn is_known(&self) -> bool {
        !self.origin.is_empty()
    }

    /// Returns whether `origin` is the scheme, host and port of the address.
    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        self.is_known() && self.origin == origin
    }

    /// Returns whether browsers reach the service over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    /// Parses a URL. An empty string is an unknown address.
    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let url = Url::parse(text).map_err(|_| PublicUrlError::Url)?;
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if !["http", "https"].contains(&url.scheme()) || has_more {
            return Err(PublicUrlError::Url);
        }
        let path = url.path().trim_end_matches('/');
        // The parser changes some paths; for example, it resolves `..`. nginx uses the path as it is written. So a
        // path that the parser has changed is refused.
        let written = text.split_once("://").map_or("", |(_, rest)| rest);
        let written = written.find('/').map_or("", |at| &written[at..]);
        if written.trim_end_matches('/') != path {
            return Err(PublicUrlError::Path);
        }
        let is_plain = |segment: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !segment.is_empty() && segment.bytes().all(is_allowed)
        };
        let segments: Vec<_> = path.split('/').skip(1).collect();
        if !segments.iter().all(|segment| is_plain(segment)) {
            return Err(PublicUrlError::Path);
        }
        if segments.first().is_some_and(|first| OWN_PATHS.contains(first)) {
            return Err(PublicUrlError::OwnPath);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_begin_with_the_address() {
        let table = [
            ("", "/streams/1", "/streams/1", false),
            ("http://localhost:8080/", "http://localhost:8080/streams/1", "/streams/1", false),
            ("https://Example.com:443", "https://example.com/streams/1", "/streams/1", true),
            ("https://[::1]/a/b-c/", "https://[::1]/a/b-c/streams/1", "/a/b-c/streams/1", true),
        ];
        for (text, url, path, is_https) in table {
            let public: PublicUrl = text.parse().expect(text);
            assert_eq!(public.url("/streams/1"), url);
            assert_eq!(public.path("/streams/1"), path);
            assert_eq!(public.is_https(), is_https);
            assert_eq!(public.is_known(), !text.is_empty());
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let table = [
            ("cameras.example", PublicUrlError::Url),
            ("ftp://cameras.example", PublicUrlError::Url),
            ("https://user@cameras.example", PublicUrlError::Url),
            ("https://cameras.example/?a=b", PublicUrlError::Url),
            ("https://cameras.example/#a", PublicUrlError::Url),
            ("https://cameras.example/a b", PublicUrlError::Path),
            ("https://cameras.example/a;b", PublicUrlError::Path),
            ("https://cameras.example/a//b", PublicUrlError::Path),
            ("https://cameras.example/../a", PublicUrlError::Path),
            ("https://cameras.example/./a", PublicUrlError::Path),
            ("https://cameras.example/%2E%2e/a", PublicUrlError::Path),
            ("https://cameras.example\\a", PublicUrlError::Path),
            ("https://cameras.example/streams", PublicUrlError::OwnPath),
            ("https://cameras.example/api/cameras", PublicUrlError::OwnPath),
            ("https://cameras.example/hls", PublicUrlError::OwnPath),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<PublicUrl>(), Err(expected), "{text}");
        }
    }
}
