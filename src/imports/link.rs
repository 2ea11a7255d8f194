//! RTSP links as other systems write them: with prefixes and options.

use std::net::Ipv4Addr;

use super::notes::Notes;
use crate::base::url::percent_decoded;
use crate::camera::options::{AudioOption, TransportOption, VideoOption};
use crate::camera::source::{Source, UNCLEAR_PASSWORD};

/// The longest scheme that a message shows, in bytes.
const MAX_SCHEME: usize = 20;
/// The options of go2rtc's sources that have no counterpart in the manager.
const KNOWN_OPTIONS: [&str; 18] = [
    "async",
    "backchannel",
    "bitrate",
    "drawtext",
    "gop",
    "hardware",
    "height",
    "input",
    "killsignal",
    "killtimeout",
    "media",
    "pkt_size",
    "query",
    "raw",
    "rotate",
    "timeout",
    "transport",
    "width",
];
/// Advice about links whose scheme is not RTSP, by scheme.
const HINTS: [(&[&str], &str); 4] = [
    (
        &["onvif"],
        "search for the camera's RTSP links with stream-manager discover, and add one of them",
    ),
    (
        &["exec", "echo", "expr", "ffmpeg"],
        "if the command reads a camera, add the camera's own RTSP link",
    ),
    (
        &["rtsp+http", "rtsps+http", "rtsp+ws", "rtsps+ws"],
        "add the camera's link that begins with rtsp:// or rtsps://",
    ),
    (
        &["hass", "homekit", "nest", "ring", "roborock", "webrtc", "webtorrent", "wyze"],
        "add the RTSP link of the camera, if it has one",
    ),
];

/// The link of a stream, with the options that it implies.
#[derive(Clone)]
pub(super) struct Link {
    /// The link.
    pub(super) source: Source,
    /// The options that differ from the defaults.
    pub(super) options: LinkOptions,
    /// The options of the other system that are not kept.
    pub(super) notes: Notes,
}

/// The options that the link of another system implies. `None` means the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LinkOptions {
    /// The treatment of the video.
    pub(super) video: Option<VideoOption>,
    /// The treatment of the audio.
    pub(super) audio: Option<AudioOption>,
    /// The transport of RTP.
    pub(super) transport: Option<TransportOption>,
}

impl LinkOptions {
    /// Returns the options after `#` in a source of go2rtc. Options that a camera does not keep
    /// are added to `notes`.
    pub(super) fn of_go2rtc(text: &str, is_ffmpeg: bool, notes: &mut Notes) -> Self {
        let mut options = Self::default();
        for option in text.split('#').filter(|option| !option.trim().is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match (name, value) {
                ("transport", name) if transport(name).is_some() => {
                    options.transport = transport(name);
                }
                ("media", "video") => options.audio = Some(AudioOption::Off),
                ("video", "h264") if is_ffmpeg => options.video = Some(VideoOption::H264),
                ("audio", "aac") if is_ffmpeg => options.audio = Some(AudioOption::Aac),
                ("video" | "audio", _) => notes.add_automatic(format!("#{name}")),
                (name, _) if KNOWN_OPTIONS.contains(&name) => {
                    notes.add_left_out(format!("#{name}"));
                }
                (name, _) => notes.add_unknown("#", name),
            }
        }
        options
    }

    /// Returns these options. An option that is `None` gets its value from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            video: self.video.or(other.video),
            audio: self.audio.or(other.audio),
            transport: self.transport.or(other.transport),
        }
    }
}

impl Link {
    /// Parses an RTSP link. Error: the reason why the link cannot be imported, without secrets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // In go2rtc, `rtspx` is RTSP over TLS without a check of the certificate. The manager does not check
        // certificates of cameras either.
        let text = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtspx") => {
                format!("rtsps://{rest}")
            }
            _ => text.to_owned(),
        };
        if let Some(scheme) = other_scheme(&text) {
            return Err(format!("{scheme} is not supported; {}", hint(scheme)));
        }
        let parsed =
            Source::parse(&text).and_then(|source| source.ensure_usable().map(|()| source));
        let source = parsed.map_err(|error| error.detail)?;
        Ok(Self { source, options: LinkOptions::default(), notes: Notes::default() })
    }

    /// Returns the name in the path if the host is the local machine and the port is one of `ports`.
    pub(super) fn local_name(&self, ports: &[u16]) -> Option<String> {
        let host = self.source.host();
        let is_loopback = || {
            host.parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
        };
        let is_local = host.eq_ignore_ascii_case("localhost") || host == "[::1]" || is_loopback();
        (is_local && ports.contains(&self.source.port())).then(|| self.name())
    }

    /// Returns the path without the query. On an RTSP server, this is the name of a stream.
    pub(super) fn name(&self) -> String {
        let path = self.source.path();
        let name = path.split(['?', '#']).next().unwrap_or_default();
        percent_decoded(name.trim_matches('/'))
    }
}

/// Returns the transport that has this name in FFmpeg's options; `None` for other names.
pub(super) fn transport(name: &str) -> Option<TransportOption> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Some(TransportOption::Tcp),
        "udp" => Some(TransportOption::Udp),
        _ => None,
    }
}

/// Removes `ffmpeg:` from the beginning of a source of go2rtc. Returns whether the source began with `ffmpeg:`, and
/// the rest of the source.
pub(super) fn without_ffmpeg(source: &str) -> (bool, &str) {
    match source.trim().strip_prefix("ffmpeg:") {
        Some(source) => (true, source),
        None => (false, source.trim()),
    }
}

/// Fails if the text after `#` may be the end of the link's password instead of options.
pub(super) fn ensure_complete(source: &str, options: &str) -> Result<(), String> {
    let may_be_cut = other_scheme(source).is_none() && options.contains('@');
    if may_be_cut { Err(UNCLEAR_PASSWORD.to_owned()) } else { Ok(()) }
}

/// Returns whether a source is a link, and not the name of a stream.
pub(super) fn has_scheme(source: &str) -> bool {
    scheme(source).is_some()
}

/// Returns advice about a link whose scheme is not RTSP.
fn hint(scheme: &str) -> &'static str {
    let is_scheme = |known: &&str| known.eq_ignore_ascii_case(scheme);
    let hint = HINTS.iter().find(|(schemes, _)| schemes.iter().any(is_scheme));
    hint.map_or("add the camera's RTSP link instead", |(_, hint)| hint)
}

/// Returns the scheme of a text such as `rtsp://…` or `exec:…`; `None` if it has none.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    let is_scheme = (1..=MAX_SCHEME).contains(&scheme.len()) && scheme.bytes().all(is_allowed);
    is_scheme.then_some(scheme)
}

/// Returns the scheme of a text; `None` if it has none, or if the scheme is RTSP.
fn other_scheme(text: &str) -> Option<&str> {
    let is_rtsp = |scheme: &&str| {
        ["rtsp", "rtsps", "rtspx"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    };
    scheme(text).filter(|scheme| !is_rtsp(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_parsed_and_other_schemes_are_named() {
        let link = |text| Link::parse(text).map(|link| link.source.expose().to_owned());
        let table = [
            (" rtsp://u:p@ss@h/x ", Ok("rtsp://u:p@ss@h/x")),
            ("RTSPS://h/x", Ok("rtsps://h/x")),
            ("rtspx://h:7441/x?enableSrtp", Ok("rtsps://h:7441/x")),
            ("exec:ffmpeg -i secret", Err("exec is not supported")),
            ("http://u:secret@h/x", Err("http is not supported")),
            ("rtsp://u:secret@h/a b", Err("percent-encode")),
            ("rtsp://u:secret@h:0/a", Err("1 to 65535")),
            ("publisher", Err("not a URL")),
        ];
        for (text, expected) in table {
            match (link(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(reason), Err(expected)) => {
                    assert!(reason.contains(expected) && !reason.contains("secret"), "{reason}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_reason_for_another_scheme_contains_what_to_do() {
        let table = [
            ("onvif://u:p@h", "stream-manager discover"),
            ("exec:ffmpeg -i x", "if the command reads a camera"),
            ("tapo://secret@h", "add the camera's RTSP link"),
            ("homekit://h?device_id=1", "if it has one"),
            ("rtsp+http://h/x", "begins with rtsp://"),
        ];
        for (text, expected) in table {
            let reason = Link::parse(text).err().expect(text);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn options_of_go2rtc_become_options_of_the_camera() {
        let table = [
            ("", false, (None, None, None), ""),
            (
                "backchannel=0#transport=udp",
                false,
                (None, None, Some(TransportOption::Udp)),
                "left out, because there is no counterpart: #backchannel",
            ),
            (
                "media=video#timeout=5#transport=ws://h/x",
                false,
                (None, Some(AudioOption::Off), None),
                "left out, because there is no counterpart: #timeout, #transport",
            ),
            (
                "video=copy#audio=opus#new",
                true,
                (None, None, None),
                "left out, because the manager decides this itself: #video, #audio; left out, because unknown: #new",
            ),
            (
                "video=h264#hardware#audio=aac",
                true,
                (Some(VideoOption::H264), Some(AudioOption::Aac), None),
                "left out, because there is no counterpart: #hardware",
            ),
        ];
        for (text, is_ffmpeg, expected, note) in table {
            let mut notes = Notes::default();
            let LinkOptions { video, audio, transport } =
                LinkOptions::of_go2rtc(text, is_ffmpeg, &mut notes);
            assert_eq!((video, audio, transport), expected, "{text}");
            assert_eq!(notes.lines().join("; "), note, "{text}");
        }
    }

    #[test]
    fn options_that_may_be_the_end_of_a_password_are_refused() {
        let table = [
            ("rtsp://admin:12", "w@192.0.2.1/x"),
            ("rtspx://admin:12", "w@192.0.2.1/x#video=copy"),
            ("rtsp://192.0.2.1/x", "backchannel=0#w@192.0.2.1/x"),
        ];
        for (source, options) in table {
            assert_eq!(
                ensure_complete(source, options),
                Err(UNCLEAR_PASSWORD.to_owned()),
                "{source}"
            );
        }
        assert_eq!(ensure_complete("exec:x", "a@b"), Ok(()));
    }

    #[test]
    fn links_to_the_machine_itself_name_a_stream() {
        let name = |text| Link::parse(text).expect(text).local_name(&[8554]);
        let table = [
            ("rtsp://127.0.0.1:8554/gate?video=copy", Some("gate")),
            ("rtsp://LOCALHOST:8554/cams/a%20b/", Some("cams/a b")),
            ("rtsp://[::1]:8554/gate", Some("gate")),
            ("rtsp://127.0.0.1:554/gate", None),
            ("rtsp://192.0.2.7:8554/gate", None),
        ];
        for (text, expected) in table {
            assert_eq!(name(text).as_deref(), expected, "{text}");
        }
    }
}
