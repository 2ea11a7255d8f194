//! The credentials of a request.

/// The credentials of a request, and what it shows about its sender. The credentials are secret, so the type has no
/// `Debug`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Credentials<'a> {
    /// A playback token in the path of a media file.
    pub path_token: Option<&'a str>,
    /// A bearer token: an API key, or a playback token.
    pub bearer: Option<&'a str>,
    /// An API key in the header `X-API-Key`.
    pub api_key: Option<&'a str>,
    /// A playback token in a cookie.
    pub cookie_token: Option<&'a str>,
    /// The sender's address: the one that a proxy reports, or the other end of the connection; `None` if
    /// neither is known.
    pub address: Option<&'a str>,
    /// Whether the other end of the connection is on another machine, whatever a proxy reports.
    pub is_peer_remote: bool,
    /// The host in the request, with or without a port.
    pub host: Option<&'a str>,
    /// Whether a proxy other than nginx has passed the request on, as far as the request shows it.
    pub is_forwarded: bool,
}

impl<'a> Credentials<'a> {
    /// Returns the string that must be an API key where one is required: the key in `X-API-Key`, or the
    /// bearer token if there is no such key. A proxy may use the bearer token for its own users.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.api_key.or(self.bearer)
    }

    /// Returns the bearer token, if it has the form of a playback token: three parts separated by
    /// dots.
    pub(crate) fn bearer_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.matches('.').count() == 2)
    }
}
