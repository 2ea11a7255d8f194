//! RTSP links as other systems write them: with prefixes and options.

use crate::camera::options::{AudioOption, TransportOption, VideoOption};
use crate::camera::source::{Source, UNCLEAR_PASSWORD};

/// The longest scheme that a message shows, in bytes.
const MAX_SCHEME: usize = 20;

/// The link of a stream, with the options that it implies.
#[derive(Clone)]
pub(super) struct Link {
    /// The link.
    pub(super) source: Source,
    /// The treatment of the video, if it differs from the default.
    pub(super) video: Option<VideoOption>,
    /// The treatment of the audio, if it differs from the default.
    pub(super) audio: Option<AudioOption>,
    /// The transport of RTP, if it differs from the default.
    pub(super) transport: Option<TransportOption>,
}

/// The meaning of a source in a go2rtc configuration.
pub(super) enum Go2rtcSource {
    /// An RTSP link.
    Link(Link),
    /// Another stream of the file.
    Stream,
    /// A source that cannot be imported, for this reason.
    Other(String),
}

impl Link {
    /// Parses an RTSP link. Error: the reason why the link cannot be imported, without secrets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // For go2rtc, this is RTSP over TLS in which the certificate is not checked, as in the manager.
        let text = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtspx") => {
                format!("rtsps://{rest}")
            }
            _ => text.to_owned(),
        };
        if let Some(scheme) = other_scheme(&text) {
            return Err(format!("{scheme} is not supported; the manager requires RTSP links"));
        }
        let parsed =
            Source::parse(&text).and_then(|source| source.ensure_usable().map(|()| source));
        let source = parsed.map_err(|error| error.detail)?;
        Ok(Self { source, video: None, audio: None, transport: None })
    }

    /// Sets the transport that is named as in FFmpeg's options. Other values have no effect.
    pub(super) fn set_transport(&mut self, name: &str) {
        self.transport = match name.to_ascii_lowercase().as_str() {
            "tcp" => Some(TransportOption::Tcp),
            "udp" => Some(TransportOption::Udp),
            _ => self.transport,
        };
    }

    /// Parses a source of go2rtc: a link or the name of a stream, perhaps after `ffmpeg:`, and options after
    /// `#`.
    pub(super) fn of_go2rtc(text: &str) -> Go2rtcSource {
        let text = text.trim();
        let (source, options) = text.split_once('#').unwrap_or((text, ""));
        let (is_ffmpeg, source) = match source.strip_prefix("ffmpeg:") {
            Some(source) => (true, source),
            None => (false, source),
        };
        if scheme(source).is_none() {
            return Go2rtcSource::Stream;
        }
        if other_scheme(source).is_none() && options.contains('@') {
            return Go2rtcSource::Other(UNCLEAR_PASSWORD.to_owned());
        }
        let mut link = match Self::parse(source) {
            Ok(link) => link,
            Err(reason) => return Go2rtcSource::Other(reason),
        };
        for (name, value) in options.split('#').filter_map(|option| option.split_once('=')) {
            match (name, value) {
                ("transport", name) => link.set_transport(name),
                ("media", "video") => link.audio = Some(AudioOption::Off),
                ("video", "h264") if is_ffmpeg => link.video = Some(VideoOption::H264),
                ("audio", "aac") if is_ffmpeg => link.audio = Some(AudioOption::Aac),
                _ => {}
            }
        }
        Go2rtcSource::Link(link)
    }
}

/// Returns the scheme of a text such as `rtsp://…` or `exec:…`; `None` if it has none.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    let is_scheme = (1..=MAX_SCHEME).contains(&scheme.len()) && scheme.bytes().all(is_allowed);
    is_scheme.then_some(scheme)
}

/// Returns the scheme of a text, unless that is RTSP.
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
    fn options_of_go2rtc_become_options_of_the_camera() {
        let options = |text| match Link::of_go2rtc(text) {
            Go2rtcSource::Link(link) => Some((link.video, link.audio, link.transport)),
            _ => None,
        };
        let table = [
            ("rtsp://h/x", (None, None, None)),
            ("rtsp://h/x#backchannel=0#transport=udp", (None, None, Some(TransportOption::Udp))),
            ("rtsp://h/x#media=video#timeout=5", (None, Some(AudioOption::Off), None)),
            ("ffmpeg:rtsp://h/x#video=copy#audio=opus", (None, None, None)),
            (
                "ffmpeg:rtsp://h/x#video=h264#hardware#audio=aac",
                (Some(VideoOption::H264), Some(AudioOption::Aac), None),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(options(text), Some(expected), "{text}");
        }
        for text in [
            "rtsp://admin:12#w@192.0.2.1/x",
            "rtsp://admin:p@ss/w:rd#1@192.0.2.1/x",
            "ffmpeg:rtspx://admin:12#w@192.0.2.1/x#video=copy",
            "rtsp://192.0.2.1/x#backchannel=0#w@192.0.2.1/x",
        ] {
            let is_refused = matches!(Link::of_go2rtc(text), Go2rtcSource::Other(reason) if reason == UNCLEAR_PASSWORD);
            assert!(is_refused, "{text}");
        }
        assert!(matches!(Link::of_go2rtc("ffmpeg:cam#audio=aac"), Go2rtcSource::Stream));
        assert!(matches!(Link::of_go2rtc("tapo://secret@h"), Go2rtcSource::Other(_)));
    }
}
