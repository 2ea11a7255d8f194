//! The configuration of mediamtx (`mediamtx.yml`): paths with RTSP sources become cameras.

use serde::Deserialize;

use super::camera::{Draft, Ids, paired};
use super::link::Link;
use super::model::{Import, ImportError, LeftOut};
use super::yaml::{self, Entries};
use crate::camera::source::MAX_LENGTH;

/// The values of `source` that are not links, with the reasons why such a path becomes no camera.
const NOT_LINKS: [(&str, &str); 3] = [
    (
        "publisher",
        "waits for a client that publishes a stream; the manager only connects to cameras",
    ),
    ("redirect", "redirects readers to another server"),
    ("rpiCamera", "is a camera of the Raspberry Pi; the manager requires RTSP links"),
];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    paths: Option<Entries<Path>>,
    #[serde(default, rename = "pathDefaults")]
    defaults: Option<Path>,
}

#[derive(Default, Deserialize)]
struct Path {
    source: Option<String>,
    #[serde(rename = "rtspTransport")]
    transport: Option<String>,
    /// The name of the option before version 1.0.
    #[serde(rename = "sourceProtocol")]
    protocol: Option<String>,
}

/// Reads the cameras in a configuration.
pub(super) fn read(text: &str) -> Result<Import, ImportError> {
    let config: Config = yaml::read(text)?;
    let mut defaults = config.defaults.unwrap_or_default();
    if let Some(source) = &mut defaults.source {
        // Each path may get a copy. A link that is cut here is still too long to be accepted.
        source.truncate(source.floor_char_boundary(MAX_LENGTH + 4));
    }
    let (mut drafts, mut import) = (Vec::new(), Import::default());
    for (name, path) in config.paths.unwrap_or_default().0 {
        let path = path.with(&defaults);
        match path.link(&name) {
            Ok(link) => drafts.push(Draft::new(name, link)),
            Err(reason) => import.left_out.push(LeftOut { name, reason }),
        }
    }
    let mut ids = Ids::default();
    import.cameras = paired(drafts).into_iter().map(|draft| draft.finish(&mut ids)).collect();
    Ok(import)
}

impl Path {
    /// Returns the path with the defaults of the file for what is missing.
    fn with(self, defaults: &Self) -> Self {
        Self {
            source: self.source.or_else(|| defaults.source.clone()),
            transport: self
                .transport
                .or(self.protocol)
                .or_else(|| defaults.transport.clone().or_else(|| defaults.protocol.clone())),
            protocol: None,
        }
    }

    fn link(&self, name: &str) -> Result<Link, String> {
        let source = self.source.as_deref().map_or("publisher", str::trim);
        if let Some((_, reason)) = NOT_LINKS.iter().find(|(known, _)| *known == source) {
            return Err((*reason).to_owned());
        }
        if name.starts_with('~') || matches!(name, "all" | "all_others") {
            return Err("is a pattern for several paths".to_owned());
        }
        let mut link = Link::parse(source)?;
        link.set_transport(self.transport.as_deref().unwrap_or_default());
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    const CONFIG: &str = r#"
# A configuration with comments.
logLevel: info
rtspAddress: :8554
authInternalUsers:
- user: any
  pass:
  permissions: [{action: read, path: }]

pathDefaults:
  sourceOnDemand: yes
  rtspTransport: automatic

paths:
  gate:
    source: rtsp://admin:p%40ss@192.0.2.7:554/Streaming/Channels/101
    rtspTransport: tcp
  gate_sub:
    source: rtsp://admin:p%40ss@192.0.2.7:554/Streaming/Channels/102
  cams/yard:
    source: rtsps://viewer:secret@192.0.2.8/live
    sourceFingerprint: 33949E05FFFB5FF3E8AA16F8213A6251B4D9363804BA53233C4DA9A46D6F2739
    sourceProtocol: udp
  restreamed:
    source: rtmp://192.0.2.9/live/x
  pi:
    source: rpiCamera
  published:
  broken:
    source: "rtsp://admin:sec/ret@192.0.2.10/x@y"
  ~^proxy_(.+)$:
    source: rtsp://192.0.2.11/$G1
  all_others:
"#;

    #[test]
    fn paths_with_rtsp_sources_become_cameras() {
        let import = read(CONFIG).expect("cameras");
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let channel =
            |number| format!("rtsp://admin:p%40ss@192.0.2.7:554/Streaming/Channels/{number}");
        let expected = [
            format!("gate gate {} {}", channel(101), channel(102)),
            "cams-yard cams/yard rtsps://viewer:secret@192.0.2.8/live -".to_owned(),
        ];
        assert_eq!(cameras, expected);
        let transports: Vec<_> =
            import.cameras.iter().map(|camera| &camera.0["transport"]).collect();
        assert_eq!(transports, ["tcp", "udp"]);
    }

    #[test]
    fn the_reason_is_given_for_every_other_path() {
        let import = read(CONFIG).expect("cameras");
        let reasons = [
            ("restreamed", "rtmp is not supported"),
            ("pi", "Raspberry Pi"),
            ("published", "publishes"),
            ("broken", "@"),
            ("~^proxy_(.+)$", "pattern"),
            ("all_others", "publishes"),
        ];
        assert_eq!(import.left_out.len(), reasons.len());
        for (left_out, (name, reason)) in import.left_out.iter().zip(reasons) {
            assert_eq!(left_out.name, name);
            assert!(left_out.reason.contains(reason), "{left_out:?}");
            assert!(!left_out.reason.contains("sec/ret"), "{left_out:?}");
        }
    }
}
