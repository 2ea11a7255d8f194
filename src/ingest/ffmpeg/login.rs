//! The reason why a camera rejects a login: a wrong password, or a login method that FFmpeg does not support. The
//! lean FFmpeg prints a different message for each of these reasons. Debian's FFmpeg does not distinguish them, so the
//! manager requests the methods that the camera offers, unless the connection uses TLS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::base::error::{Error, ErrorKind};
use crate::camera::source::Source;

/// The longest time for the request to the camera.
const WITHIN: Duration = Duration::from_secs(3);
/// The largest size of the response's head, in bytes.
const MAX_HEAD: usize = 8192;
/// The algorithms with which Debian's FFmpeg supports digest authentication. If a camera names no algorithm, MD5 is
/// used.
const DEBIANS_ALGORITHMS: [&str; 3] = ["", "MD5", "MD5-sess"];

/// The meaning of a message of FFmpeg about a login that the camera has rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// The camera requires a login. FFmpeg may have tried to log in.
    Required,
    /// FFmpeg tried to log in, and the camera rejected the credentials.
    Rejected,
    /// The camera offers no method that the lean FFmpeg supports. Contains the algorithm of the digest that the
    /// camera offers; empty if it offers no digest.
    Unsupported(String),
}

impl Login {
    /// Returns the meaning of a line that FFmpeg printed; `None` if the line is not about a rejected login.
    pub(super) fn in_line(raw: &str) -> Option<Self> {
        if let Some((_, algorithm)) = raw.split_once(UNSUPPORTED_LOGIN) {
            let is_in_name = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
            return Some(Self::Unsupported(algorithm.chars().take_while(is_in_name).collect()));
        }
        if raw.contains(REJECTED_LOGIN) {
            return Some(Self::Rejected);
        }
        raw.contains("401 Unauthorized").then_some(Self::Required)
    }
}

/// The message of the lean FFmpeg about a login that the camera has rejected.
const REJECTED_LOGIN: &str = "The login was rejected";
/// The message of the lean FFmpeg if it supports no method that the camera offers. The algorithm of the digest that
/// the camera offers follows, if there is one.
const UNSUPPORTED_LOGIN: &str = "No supported login method: ";

/// Returns the error of a run that has failed with `error`, after FFmpeg has reported this `login`. If the camera has
/// rejected the login for another reason than wrong credentials, and this reason is known, the returned error states
/// the reason. Otherwise returns `error`.
pub(super) async fn explained(
    error: Error,
    source: &Source,
    address: SocketAddr,
    login: Option<Login>,
) -> Error {
    let is_login = error.kind == ErrorKind::SourceUnauthorized;
    match login {
        Some(_) if is_login && source.credentials().is_none() => {
            let detail = "the camera requires a user name and a password";
            Error::new(ErrorKind::SourceUnauthorized, detail)
        }
        Some(Login::Unsupported(algorithm)) if is_login => unsupported_by_lean(&algorithm),
        Some(Login::Required) if is_login && !source.uses_tls() => {
            match timeout(WITHIN, challenges(source, address)).await {
                Ok(Ok(offers)) if !offers.is_empty() && !can_debians_log_in(&offers) => {
                    let names: Vec<_> = offers.iter().map(|offer| name(offer)).collect();
                    unsupported_by_debians(&names.join(" and "))
                }
                _ => error,
            }
        }
        _ => error,
    }
}

fn unsupported_by_lean(algorithm: &str) -> Error {
    let offer = if algorithm.is_empty() {
        "neither basic nor digest authentication".to_owned()
    } else {
        format!("digest with {algorithm}")
    };
    let detail = format!(
        "FFmpeg cannot log in to the camera, which offers {offer}; allow digest with MD5 or SHA-256 in the \
         camera"
    );
    Error::new(ErrorKind::SourceLoginUnsupported, detail)
}

fn unsupported_by_debians(offers: &str) -> Error {
    let detail = format!(
        "FFmpeg cannot log in to the camera, which offers {offers}; allow only digest with MD5 in the \
         camera, or use the lean FFmpeg, which also supports SHA-256"
    );
    Error::new(ErrorKind::SourceLoginUnsupported, detail)
}

/// Requests the description of a stream without a login, and returns the challenges in the response.
async fn challenges(source: &Source, address: SocketAddr) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "DESCRIBE rtsp://{address}{} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n",
        source.path()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let challenges = fields.filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"));
    Ok(challenges.map(|(_, challenge)| challenge.trim().to_owned()).collect())
}

/// Returns whether Debian's FFmpeg can log in. Debian's FFmpeg uses the last digest, or basic authentication if the
/// camera offers no digest.
fn can_debians_log_in(offers: &[String]) -> bool {
    match offers.iter().rev().find_map(|offer| algorithm(offer)) {
        Some(algorithm) => DEBIANS_ALGORITHMS.contains(&algorithm),
        None => offers.iter().any(|offer| scheme(offer).eq_ignore_ascii_case("Basic")),
    }
}

fn scheme(challenge: &str) -> &str {
    challenge.split(' ').next().unwrap_or_default()
}

/// Returns the algorithm of a digest; empty if the challenge names none, and `None` if it is not a digest.
fn algorithm(challenge: &str) -> Option<&str> {
    let (scheme, parameters) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut parameters = parameters.split(',').filter_map(|parameter| parameter.split_once('='));
    let found = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("algorithm"));
    Some(found.map_or("", |(_, value)| value.trim().trim_matches('"')))
}

/// Returns the name of a login method, as messages for people show it. Removes all characters that do not occur in
/// such names, and shortens long names, because the camera may send anything.
fn name(challenge: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect()
    };
    match algorithm(challenge) {
        Some("") => "digest with MD5".to_owned(),
        Some(algorithm) => format!("digest with {}", plain(algorithm)),
        None => plain(scheme(challenge)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_error_of_debians_ffmpeg_recommends_the_lean_one() {
        for (line, offer) in [
            ("No supported login method: SHA-512-256\n", "digest with SHA-512-256"),
            ("No supported login method: \n", "neither basic nor digest"),
        ] {
            let Some(Login::Unsupported(algorithm)) = Login::in_line(line) else {
                panic!("{line}");
            };
            let detail = unsupported_by_lean(&algorithm).detail;
            assert!(detail.contains(offer) && !detail.contains("lean"), "{detail}");
        }
        let detail = unsupported_by_debians("digest with SHA-256").detail;
        assert!(detail.contains("use the lean FFmpeg"), "{detail}");
    }

    #[test]
    fn debians_ffmpeg_uses_the_last_digest() {
        let (basic, plain) = (r#"Basic realm="a, b""#, r#"digest realm="x", nonce="y""#);
        let md5 = r#"Digest realm="x", algorithm=MD5"#;
        let sha256 = r#"Digest algorithm="SHA-256", realm="x""#;
        let lower = "Digest realm=x, algorithm=md5";
        let table = [
            (vec![basic], true),
            (vec![plain], true),
            (vec![md5], true),
            (vec![sha256, md5], true),
            (vec![md5, sha256], false),
            (vec![sha256, basic], false),
            (vec![sha256], false),
            (vec![lower], false),
            (vec!["Negotiate"], false),
        ];
        for (offers, expected) in table {
            let offers: Vec<_> = offers.into_iter().map(str::to_owned).collect();
            assert_eq!(can_debians_log_in(&offers), expected, "{offers:?}");
        }
        let names = [basic, plain, sha256, "Neg<o>tiate"].map(name);
        assert_eq!(names, ["Basic", "digest with MD5", "digest with SHA-256", "Negotiate"]);
    }
}
