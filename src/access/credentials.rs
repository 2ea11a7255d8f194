//! The credentials of a request.

/// The credentials of a request, and facts about its sender. The credentials are secret, so the type has no `Debug`.
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
    /// The sender's address: the address that a proxy reports, or the address of the other end of the connection;
    /// `None` if neither is known.
    pub address: Option<&'a str>,
    /// True if the other end of the connection is on another machine, whatever address a proxy reports.
    pub is_peer_remote: bool,
    /// The host in the request, with or without a port.
    pub host: Option<&'a str>,
    /// True if the request shows that a proxy other than nginx has forwarded it.
    pub is_forwarded: bool,
}

impl<'a> Credentials<'a> {
    /// Returns the API key to check: the value of `X-API-Key` or, without this header, the bearer token.
    /// `X-API-Key` has precedence, because a proxy may use the bearer token for its own users.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.api_key.or(self.bearer)
    }

    /// Returns the bearer token, if it has the form of a playback token: three parts separated by
    /// dots.
    pub(crate) fn bearer_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.matches('.').count() == 2)
    }
}
