//! The configuration of go2rtc (`go2rtc.yaml`): streams with RTSP sources become cameras.

use serde::Deserialize;

use super::camera::{Draft, finished, paired};
use super::link::{self, Link, LinkOptions};
use super::model::{Import, ImportError, LeftOut};
use super::notes::Notes;
use super::placeholders::Placeholders;
use super::streams::{Resolved, Stream, StreamSource, Streams};
use super::yaml::{self, Entries, Node};

/// The port on which go2rtc serves its streams, unless the configuration has another one.
const RTSP_PORT: u16 = 8554;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    streams: Option<Entries<Node>>,
    #[serde(default)]
    rtsp: Node,
}

/// Reads the cameras in a configuration.
pub(super) fn read(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Import, ImportError> {
    let config: Config = yaml::read(text)?;
    let placeholders = Placeholders::of_go2rtc(variable);
    let streams = config.streams.unwrap_or_default().0;
    let streams = streams_of(streams, port(&config.rtsp), &placeholders);
    let (mut drafts, mut import) = (Vec::new(), Import::default());
    for name in streams.names() {
        let Resolved { links, mut left_out, missing } = streams.links(name);
        if links.is_empty() && left_out.is_empty() {
            left_out.push("has no source".to_owned());
        }
        import.missing_variables.extend(missing);
        drafts.extend(Draft::of_links(name, links, &mut left_out));
        let reasons = left_out.into_iter();
        import.left_out.extend(reasons.map(|reason| LeftOut { name: name.to_owned(), reason }));
    }
    import.cameras = finished(paired(drafts));
    Ok(import)
}

/// Returns the port in the section `rtsp` of a configuration; 0 if go2rtc serves no streams with RTSP.
pub(super) fn port(rtsp: &Node) -> u16 {
    match rtsp.get("listen") {
        Node::Text(address) if address.trim().is_empty() => 0,
        listen => {
            let port = listen.text().and_then(|address| address.rsplit(':').next()?.parse().ok());
            port.unwrap_or(RTSP_PORT)
        }
    }
}

/// Returns the streams in the section `streams` of a configuration. `port` is the port on which go2rtc serves
/// them.
pub(super) fn streams_of(
    entries: Vec<(String, Node)>,
    port: u16,
    placeholders: &Placeholders<'_>,
) -> Streams {
    let streams = entries.into_iter().map(|(name, node)| {
        let texts = match node.get("url").text() {
            Some(url) => vec![url],
            None => node.texts(),
        };
        let sources = texts.into_iter().map(|text| source(text, port, placeholders)).collect();
        Stream { name, sources }
    });
    Streams::new("stream", streams.collect())
}

/// Parses a source: a link or the name of a stream. The source can have the prefix `ffmpeg:`, and options
/// can follow, each after a `#`. Variables in the options are not replaced.
fn source(text: &str, port: u16, placeholders: &Placeholders<'_>) -> StreamSource {
    let (raw, options) = placeholders.split_options(text.trim());
    let source = match placeholders.replace(raw) {
        Ok(source) => source,
        Err(missing) => return StreamSource::Missing(missing),
    };
    let is_shown = source == raw;
    let (is_ffmpeg, source) = link::without_ffmpeg(&source);
    if let Err(reason) = link::ensure_complete(source, options) {
        return StreamSource::Other(reason);
    }
    let mut notes = Notes::default();
    let parsed = if link::has_scheme(source) { Some(Link::parse(source)) } else { None };
    // If the link ends with a secret, the text after the `#` can belong to the secret. So unknown options, whose names
    // may be that text, are not shown.
    let is_open = matches!(&parsed, Some(Ok(link)) if link.source.to_string().ends_with("***"));
    let options = LinkOptions::of_go2rtc(options, is_ffmpeg, &mut notes);
    if is_open {
        notes.forget_unknown();
    }
    match parsed {
        None if source.starts_with(['/', '.']) => {
            StreamSource::Other("is a file; the manager requires RTSP links".to_owned())
        }
        None if ["device", "virtual", "tts"]
            .iter()
            .any(|it| source.split('?').next() == Some(*it)) =>
        {
            StreamSource::Other(
                "is a device of the machine; the manager requires RTSP links".to_owned(),
            )
        }
        None => {
            let name = source.split('?').next().unwrap_or_default().to_owned();
            StreamSource::Stream { name, is_shown, options, notes }
        }
        Some(Err(reason)) => StreamSource::Other(reason),
        Some(Ok(link)) => match link.local_name(&[port]) {
            Some(name) => StreamSource::Stream { name, is_shown, options, notes },
            None => StreamSource::Link { link: Link { options, notes, ..link }, is_shown },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::imports::camera::tests::summary;
    use crate::imports::streams::MAX_SOURCES;

    const CONFIG: &str = r#"
api:
  listen: ":1984"
rtsp:
  listen: ":8555"
streams:
  gate: rtsp://${CAM_USER}:${CAM_PASSWORD}@192.0.2.7/stream1
  yard:
    - rtsp://admin:p%40ss@192.0.2.8/stream1#transport=udp#backchannel=0
    - rtsp://admin:p%40ss@192.0.2.8/stream2#new=1
    - "ffmpeg:yard#audio=opus"
  shed_main: "ffmpeg:rtsp://admin:secret@192.0.2.9/1#video=h264#audio=aac#hardware"
  shed_sub:
    - rtspx://192.0.2.9:7441/2
  attic:
    - rtsp://192.0.2.10/1
    - ffmpeg:rtsp://192.0.2.10/1#audio=opus
  nest: nest:?client_id=secret
  script: "exec:ffmpeg -i /dev/video0 -f rtsp {output}"
  webcam: ffmpeg:device?video=0#video=h264
  movie: ffmpeg:/media/movie.mp4#video=copy
  unset: rtsp://${NO_SUCH}:x@192.0.2.11/1
  default: rtsp://${NO_SUCH_USER:admin}@192.0.2.12/1
  many: [rtsp://h/1, rtsp://h/2, "rtsp://u:secret@h/3?key=secret"]
  again: rtsp://127.0.0.1:8555/yard?video=copy#timeout=5
  converted: "ffmpeg:gate#video=h264"
  mapping: {url: rtsp://192.0.2.13/1}
  circle: rtsp://localhost:8555/circle
  query: rtsp://192.0.2.14/1?password=sec#ret
  empty:
"#;

    fn config() -> Import {
        let variable = |name: &str| match name {
            "CAM_USER" => Some("admin".to_owned()),
            "CAM_PASSWORD" => Some("p@ss".to_owned()),
            _ => None,
        };
        read(CONFIG, &variable).expect("cameras")
    }

    #[test]
    fn streams_with_rtsp_sources_become_cameras() {
        let import = config();
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let expected = [
            "gate gate rtsp://admin:p%40ss@192.0.2.7/stream1 -",
            "yard yard rtsp://admin:p%40ss@192.0.2.8/stream1 rtsp://admin:p%40ss@192.0.2.8/stream2",
            "shed shed rtsp://admin:secret@192.0.2.9/1 rtsps://192.0.2.9:7441/2",
            "attic attic rtsp://192.0.2.10/1 -",
            "default default rtsp://admin:@192.0.2.12/1 -",
            "many many rtsp://h/1 rtsp://h/2",
            "again again rtsp://admin:p%40ss@192.0.2.8/stream1 -",
            "converted converted rtsp://admin:p%40ss@192.0.2.7/stream1 -",
            "mapping mapping rtsp://192.0.2.13/1 -",
            "query query rtsp://192.0.2.14/1?password=sec -",
        ];
        assert_eq!(cameras, expected);
        assert_eq!(import.cameras[1].fields["transport"], "udp");
        assert_eq!(import.cameras[2].fields["video"], "h264");
        assert_eq!(import.cameras[2].fields["audio"], "aac");
        assert_eq!(import.cameras[7].fields["video"], "h264");
    }

    #[test]
    fn a_link_to_the_machine_itself_is_kept_if_go2rtc_serves_no_streams() {
        let streams = "streams:\n  gate: rtsp://127.0.0.1:8554/yard\n";
        let count = |text: &str| read(text, &|_| None).expect("cameras").cameras.len();
        assert_eq!(count(streams), 0);
        assert_eq!(count(&format!("rtsp: {{listen: ''}}\n{streams}")), 1);
    }

    #[test]
    fn many_streams_that_lead_to_a_stream_with_many_sources_are_read_in_time() {
        let mut text = format!("streams:\n  x:\n{}", "    - exec:a\n".repeat(100_000));
        text += "    - rtsp://192.0.2.7/1\n";
        for number in 0..70_000 {
            writeln!(text, "  s{number}: x").expect("a text");
        }
        let began = Instant::now();
        let import = read(&text, &|_| None).expect("streams");
        // Without the limit, this takes hours. With the limit, it takes a few seconds in a debug build.
        assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
        assert!(import.cameras.is_empty());
        assert_eq!(import.left_out.len(), MAX_SOURCES + 1 + 70_000);
        let reasons = [
            (MAX_SOURCES, "x", "source 33: is left out, as are all later sources"),
            (MAX_SOURCES + 70_000, "s69999", "leads to the stream x, which has no RTSP link"),
        ];
        for (index, name, reason) in reasons {
            let left_out = &import.left_out[index];
            assert!(left_out.name == name && left_out.reason.contains(reason), "{left_out:?}");
        }
    }

    #[test]
    fn notes_name_the_options_that_are_not_kept() {
        let import = config();
        let notes = [
            (
                1,
                &[
                    "not needed: source 3; the manager converts video and audio itself",
                    "transport: udp also applies to the sub stream, because both streams of a camera have the same options",
                    "left out, because there is no counterpart: #backchannel",
                    "left out, because unknown: #new",
                ][..],
            ),
            (
                2,
                &[
                    "consists of shed_main and shed_sub",
                    "video: h264 also applies to the sub stream, because both streams of a camera have the same options",
                    "audio: aac also applies to the sub stream, because both streams of a camera have the same options",
                    "left out, because there is no counterpart: #hardware",
                ],
            ),
            (
                6,
                &[
                    "the link comes from the stream yard of the file",
                    "left out, because there is no counterpart: #timeout, #backchannel",
                ],
            ),
            (9, &["left out, because unknown: another option"]),
        ];
        for (index, expected) in notes {
            assert_eq!(import.cameras[index].notes, expected);
        }
    }

    #[test]
    fn what_is_left_out_is_named_with_the_reason() {
        let import = config();
        let reasons = [
            ("nest", "the source: nest is not supported; add the RTSP link of the camera"),
            ("script", "exec is not supported; if the command reads a camera"),
            ("webcam", "is a device of the machine"),
            ("movie", "is a file"),
            ("unset", "the variable NO_SUCH, which has no value; set it"),
            ("many", "source 3 (rtsp://***@h/3?key=***): a camera has at most two streams"),
            ("circle", "leads in a circle through the stream circle"),
            ("empty", "has no source"),
        ];
        assert_eq!(import.left_out.len(), reasons.len(), "{:?}", import.left_out);
        for (left_out, (name, reason)) in import.left_out.iter().zip(reasons) {
            assert_eq!(left_out.name, name);
            assert!(left_out.reason.contains(reason), "{left_out:?}");
            assert!(!left_out.reason.contains("secret"), "{left_out:?}");
        }
        assert_eq!(import.missing_variables.into_iter().collect::<Vec<_>>(), ["NO_SUCH"]);
    }
}
