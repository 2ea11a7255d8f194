//! The credentials of a request.

/// The credentials of a request, and the address that it came from. Secret, so it has no `Debug`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Credentials<'a> {
    /// A playback token in the path of a media file.
    pub path_token: Option<&'a str>,
    /// A bearer token: an API key, or a playback token.
    pub bearer: Option<&'a str>,
    /// An API key on its own.
    pub api_key: Option<&'a str>,
    /// A playback token in a cookie.
    pub cookie_token: Option<&'a str>,
    /// The sender's address, if a proxy reports it.
    pub address: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// The text that has to be an API key where one is needed.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.bearer.or(self.api_key)
    }

    /// The bearer token, if it has the form of a playback token.
    pub(crate) fn bearer_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.matches('.').count() == 2)
    }
}
