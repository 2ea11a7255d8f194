//! Fuzz targets for links of cameras, and for messages of FFmpeg, which may contain links.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::sync::mpsc;

use super::support::ready;
use crate::camera::plan::Plan;
use crate::camera::source::{self, Source, redact_links};
use crate::child::log::ProcessLog;
use crate::ingest::ffmpeg::args;
use crate::ingest::ffmpeg::probe::Facts;
use crate::ingest::ffmpeg::stderr::Tail;

/// Reads `data` as the link of a camera. If `data` has several lines, the first line is the password of a
/// link, and the rest is the path.
///
/// Checks that an accepted link cannot end the quoted string in FFmpeg's script, is parsed to the same
/// source again, and is displayed without secrets; and that the password is removed from the message about a
/// redirect to such a link.
pub fn source_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let link = match text.split_once('\n') {
        None => text.into_owned(),
        Some((password, path)) => {
            let message = |user_info| format!("Status 302: Redirecting to rtsp://{user_info}@h/x");
            let redacted = redact_links(&message(format!("admin:{password}")));
            assert_eq!(redacted, message("***".to_owned()), "{password:?}");
            let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
            format!("rtsp://admin:{password}@camera/{path}")
        }
    };
    let Ok(source) = Source::parse(&link) else { return };
    let address = ([192, 0, 2, 7], 8554).into();
    let script = args::script(&source, address, Plan::default(), Duration::from_secs(5));
    assert_eq!((script.lines().count(), script.matches('\'').count()), (7, 2), "{script}");
    assert!(!script.contains(['"', '\\', '\r']), "{script}");

    assert_eq!(Source::parse(source.expose()).as_ref(), Ok(&source));
    let connected = source.expose_at(address);
    if connected.len() <= source::MAX_LENGTH {
        let again = Source::parse(&connected).expect("a link at an address");
        assert_eq!(again.credentials(), source.credentials());
        assert_eq!(again.path(), source.path());
    }

    let shown = source.to_string();
    assert_eq!(format!("{source:?}"), format!("Source({shown})"));
    let host_end = shown.find("://").map(|at| at + 3).expect("a scheme");
    let path = shown[host_end..].find(['/', '?']).map_or("", |at| &shown[host_end + at..]);
    let secrets = secrets(source.expose());
    let secrets = secrets.iter().filter_map(|secret| std::str::from_utf8(secret).ok());
    let message = format!("{link} {connected}");
    let message = secrets.clone().fold(message, |message, secret| message + " " + secret);
    let redacted = source.redact(&message);
    for secret in secrets {
        assert!(!path.contains(secret), "{link:?}: {shown:?} shows {secret:?}");
        assert!(!redacted.contains(secret), "{link:?}: {redacted:?} shows {secret:?}");
    }
}

/// Reads `data` as messages of FFmpeg. The first line is the link of the camera. In the other lines, byte
/// 0 is replaced with the link, and bytes 1 to 6 with its secrets, so that messages contain the secrets of
/// the link even after the fuzzer has changed it.
///
/// Checks that the kept lines contain no secret, and that their number and length are limited.
pub fn ffmpeg_stderr(data: &[u8]) {
    let line_end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (link, messages) = data.split_at(line_end);
    let link = String::from_utf8_lossy(link);
    let Ok(source) = Source::parse(&link) else { return };
    let secrets = secrets(source.expose());
    let mut printed = Vec::new();
    for &byte in messages {
        match usize::from(byte) {
            0 => printed.extend(link.bytes()),
            number @ 1..=6 => printed.extend(secrets.get(number - 1).into_iter().flatten()),
            _ => printed.push(byte),
        }
    }
    let (log, (findings, _)) = (Arc::<ProcessLog>::default(), mpsc::channel(1));
    let writer = Arc::clone(&log).writer(7);
    let tail = ready(Tail::collect(printed.as_slice(), Some(source), writer, findings));
    for limit in [Duration::ZERO, Duration::MAX] {
        tail.verdict().map(|verdict| verdict.error(Duration::from_secs(1), limit));
    }
    assert!(tail.end(None).chars().count() < 500);
    for kind in ["Video", "Audio"] {
        tail.stream(kind, 0).map(Facts::read);
    }
    let lines = log.lines();
    let kept = format!("{tail:?}");
    for secret in secrets {
        // The log splits a secret that contains a line break into several lines.
        for secret in secret.split(|&byte| byte == b'\n') {
            let Ok(secret) = std::str::from_utf8(secret) else { continue };
            let secret: String = secret.chars().filter(|c| !c.is_control()).collect();
            if secret.len() < SHORTEST_SECRET {
                continue;
            }
            for line in &lines {
                assert!(!line.text.contains(&secret), "{link}: {:?} shows {secret:?}", line.text);
            }
            assert!(!kept.contains(&secret), "{link}: {kept} shows {secret:?}");
        }
    }
    assert!(lines.len() <= 200 && lines.iter().all(|line| line.text.chars().count() <= 400));
}

/// The length of the shortest secret that is removed, in bytes.
const SHORTEST_SECRET: usize = 3;

/// Returns the secrets of a link: the credentials, and the values of the parameters `password`, `pass`,
/// `pwd` and `token`; each as written, percent-decoded, and in base64. Leaves out secrets that are short or
/// contain an asterisk. [`Source`] must accept the link. This search shares no code with [`Source`], so that it
/// finds secrets that [`Source`] overlooks.
fn secrets(link: &str) -> Vec<Vec<u8>> {
    const ENDS: [char; 5] = ['/', '?', '&', ';', '#'];
    let rest = link.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let mut found = Vec::new();
    if let Some((user, _)) = authority.rsplit_once('@') {
        found.push(user);
        found.extend(user.split_once(':').map(|(_, password)| password));
    }
    for name in ["password=", "pass=", "pwd=", "token="] {
        for (at, _) in path.match_indices(name) {
            let (before, value) = (&path[..at], &path[at + name.len()..]);
            if !before.ends_with(ENDS) {
                continue;
            }
            // Parsers differ in where a value ends, but agree that a slash may be part of a query.
            let whole = value.split('&').next().unwrap_or_default();
            let is_in_query = before.contains(['?', '#']);
            found.extend(whole.split(if is_in_query { &ENDS[1..] } else { &ENDS }).next());
            found.extend(Some(whole).filter(|whole| is_in_query && !whole.contains('=')));
        }
    }
    let plain: Vec<Vec<u8>> = found.iter().map(|secret| secret.as_bytes().to_vec()).collect();
    let decoded = found.iter().map(|secret| percent_decode_str(secret).collect());
    let mut forms: Vec<Vec<u8>> = plain.into_iter().chain(decoded).collect();
    forms.extend(forms.clone().iter().map(|secret| BASE64.encode(secret).into_bytes()));
    // Redacted text contains asterisks, so a form with an asterisk may occur in it by chance.
    forms.retain(|form| form.len() >= SHORTEST_SECRET && !form.contains(&b'*'));
    forms
}
