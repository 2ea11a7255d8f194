//! The credentials of a request.

/// The credentials of a request and the address of its sender. They are secret, so the type has no
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
    /// The sender's address, if a proxy reports it.
    pub address: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Returns the string that must be an API key where one is required: the bearer token, or the
    /// key in `X-API-Key` if there is no bearer token.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.bearer.or(self.api_key)
    }

    /// Returns the bearer token, if it has the form of a playback token: three parts separated by
    /// dots.
    pub(crate) fn bearer_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.matches('.').count() == 2)
    }
}
