//! The configuration of go2rtc (`go2rtc.yaml`): streams with RTSP sources become cameras.

use serde::Deserialize;

use super::camera::{Draft, Ids, paired};
use super::link::{Go2rtcSource, Link};
use super::model::{Import, ImportError, LeftOut};
use super::placeholders::Placeholders;
use super::yaml::{self, Entries, OneOrMany};

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    streams: Option<Entries<OneOrMany>>,
}

/// The RTSP links of a stream, and the reasons why its other sources are left out.
pub(super) struct Links {
    /// The different RTSP links, in the order of the file.
    pub(super) links: Vec<Link>,
    /// The reasons.
    pub(super) left_out: Vec<String>,
}

/// Reads the cameras in a configuration.
pub(super) fn read(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Import, ImportError> {
    let config: Config = yaml::read(text)?;
    let mut placeholders = Placeholders::of_go2rtc(variable);
    let (mut drafts, mut import) = (Vec::new(), Import::default());
    for (name, sources) in config.streams.unwrap_or_default().0 {
        let Links { links, mut left_out } = Links::of(&sources, &mut placeholders);
        if sources.0.is_empty() {
            left_out.push("has no source".to_owned());
        }
        if links.len() > 2 {
            left_out.push(format!("has {} RTSP links; a camera has at most two", links.len()));
        }
        let mut links = links.into_iter();
        if let Some(main) = links.next() {
            drafts.push(Draft { sub: links.next(), ..Draft::new(name.clone(), main) });
        }
        let reasons = left_out.into_iter();
        import.left_out.extend(reasons.map(|reason| LeftOut { name: name.clone(), reason }));
    }
    let mut ids = Ids::default();
    import.cameras = paired(drafts).into_iter().map(|draft| draft.finish(&mut ids)).collect();
    import.missing_variables = placeholders.missing();
    Ok(import)
}

impl Links {
    /// Returns the links among the sources of a stream.
    pub(super) fn of(sources: &OneOrMany, placeholders: &mut Placeholders<'_>) -> Self {
        let (mut links, mut left_out) = (Vec::<Link>::new(), Vec::new());
        for (number, text) in (1..).zip(&sources.0) {
            let Some(text) = placeholders.replace(text) else {
                left_out.push(format!("source {number} contains a variable without a value"));
                continue;
            };
            match Link::of_go2rtc(&text) {
                Go2rtcSource::Link(link) => {
                    // Another FFmpeg for the same link only adds codecs.
                    if !links.iter().any(|known| known.source == link.source) {
                        links.push(link);
                    }
                }
                Go2rtcSource::Stream => left_out.push(format!(
                    "source {number} converts or repeats another stream of the file; the manager converts \
                     video and audio itself where players need it"
                )),
                Go2rtcSource::Other(reason) => left_out.push(format!("source {number}: {reason}")),
            }
        }
        Self { links, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    const CONFIG: &str = r#"
api:
  listen: ":1984"
streams:
  gate: rtsp://${CAM_USER}:${CAM_PASSWORD}@192.0.2.7/stream1
  yard:
    - rtsp://admin:p%40ss@192.0.2.8/stream1#transport=udp
    - rtsp://admin:p%40ss@192.0.2.8/stream2
    - "ffmpeg:yard#audio=opus"
  shed_main: "ffmpeg:rtsp://admin:secret@192.0.2.9/1#video=h264#audio=aac"
  shed_sub:
    - rtspx://192.0.2.9:7441/2
  attic:
    - rtsp://192.0.2.10/1
    - ffmpeg:rtsp://192.0.2.10/1#audio=opus
  nest: nest:?client_id=secret
  script: "exec:ffmpeg -i /dev/video0 -f rtsp {output}"
  unset: rtsp://${NO_SUCH}:x@192.0.2.11/1
  default: rtsp://${NO_SUCH_USER:admin}@192.0.2.12/1
  many: [rtsp://h/1, rtsp://h/2, rtsp://h/3]
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
            "shed_main shed_main rtsp://admin:secret@192.0.2.9/1 rtsps://192.0.2.9:7441/2",
            "attic attic rtsp://192.0.2.10/1 -",
            "default default rtsp://admin:@192.0.2.12/1 -",
            "many many rtsp://h/1 rtsp://h/2",
        ];
        assert_eq!(cameras, expected);
        assert_eq!(import.cameras[1].0["transport"], "udp");
        assert_eq!(import.cameras[2].0["video"], "h264");
        assert_eq!(import.cameras[2].0["audio"], "aac");
    }

    #[test]
    fn what_is_left_out_is_named_with_the_reason() {
        let import = config();
        let reasons = [
            ("yard", "source 3 converts"),
            ("nest", "nest is not supported"),
            ("script", "exec is not supported"),
            ("unset", "variable without a value"),
            ("many", "3 RTSP links"),
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
