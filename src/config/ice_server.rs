//! STUN and TURN servers for WebRTC players.

use std::fmt;
use std::str::FromStr;

use crate::base::url::percent_decoded;

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IceServer {
    /// The URL without user name and password (RFC 7064, RFC 7065).
    url: String,
    /// The user name and the password for a TURN server.
    login: Option<(String, String)>,
}

/// A list of servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IceServers(pub(crate) Vec<IceServer>);

/// The error of a list of servers. The message does not contain the URL, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[error("a server is neither stun:HOST:PORT nor turn:USER:PASSWORD@HOST:PORT")]
pub struct IceServerError;

impl IceServer {
    /// Returns the value of the header `Link` with which WHEP servers name the server.
    pub(crate) fn link(&self) -> String {
        let link = format!("<{}>; rel=\"ice-server\"", self.url);
        match &self.login {
            None => link,
            Some((user, password)) => format!(
                "{link}; username=\"{user}\"; credential=\"{password}\"; credential-type=\"password\""
            ),
        }
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl FromStr for IceServer {
    type Err = IceServerError;

    fn from_str(text: &str) -> Result<Self, IceServerError> {
        let (scheme, rest) = text.split_once(':').ok_or(IceServerError)?;
        let (login, host) = match (scheme, rest.rsplit_once('@')) {
            ("stun" | "stuns", None) => (None, rest),
            ("turn" | "turns", Some((login, host))) => {
                let (user, password) = login.split_once(':').ok_or(IceServerError)?;
                (Some((percent_decoded(user), percent_decoded(password))), host)
            }
            _ => return Err(IceServerError),
        };
        // The values become part of a header, in quotation marks or angle brackets.
        let is_safe = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>".contains(&byte))
        };
        let is_login_safe = login
            .as_ref()
            .is_none_or(|(user, password)| is_safe(user) && is_safe(password) && !user.is_empty());
        if host.is_empty() || !is_safe(host) || !is_login_safe {
            return Err(IceServerError);
        }
        Ok(Self { url: format!("{scheme}:{host}"), login })
    }
}

impl FromStr for IceServers {
    type Err = IceServerError;

    /// Parses URLs that are separated by commas or white space.
    fn from_str(text: &str) -> Result<Self, IceServerError> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        entries.filter(|it| !it.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_become_links() {
        let text =
            "stun:stun.example.com:3478, turn:anna:p%40ss@turn.example.com:3478?transport=udp";
        let servers: IceServers = text.parse().expect("servers");
        let links: Vec<_> = servers.0.iter().map(IceServer::link).collect();
        assert_eq!(
            links,
            [
                "<stun:stun.example.com:3478>; rel=\"ice-server\"",
                "<turn:turn.example.com:3478?transport=udp>; rel=\"ice-server\"; username=\"anna\"; \
                 credential=\"p@ss\"; credential-type=\"password\"",
            ]
        );
        assert!(!format!("{servers:?}").contains("p@ss"));
        for invalid in [
            "http://x",
            "stun:",
            "turn:host",
            "turn:a@host",
            "turn::b@host",
            "stun:a>b",
            "turn:a%0a:b@h",
        ] {
            assert!(invalid.parse::<IceServers>().is_err(), "{invalid}");
        }
    }
}
