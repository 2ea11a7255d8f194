//! The configuration of mediamtx (`mediamtx.yml`): paths with RTSP sources become cameras.

use serde::Deserialize;

use super::camera::{Draft, finished, paired};
use super::link::{self, Link, LinkOptions};
use super::model::{Import, ImportError, LeftOut};
use super::notes::{Notes, summary};
use super::placeholders::Placeholders;
use super::streams::{Resolved, Stream, StreamSource, Streams};
use super::yaml::{self, Entries, Node};

/// The ports on which mediamtx serves its streams with RTSP and RTSPS, unless the configuration sets other ports.
const RTSP_PORTS: [u16; 2] = [8554, 8322];
/// The values of `source` that are not links, and the reasons why paths with these values are not imported.
const NOT_LINKS: [(&str, &str); 3] = [
    (
        "publisher",
        "waits for a client that publishes a stream; the manager only connects to cameras",
    ),
    ("redirect", "redirects readers to another server"),
    ("rpiCamera", "is a camera of the Raspberry Pi; the manager requires RTSP links"),
];
/// The beginnings of the names of options that have no counterpart in the manager.
const NO_COUNTERPART: [&str; 16] = [
    "alwaysAvailable",
    "disablePublisherOverride",
    "fallback",
    "maxReaders",
    "overridePublisher",
    "playback",
    "publish",
    "read",
    "record",
    "rpiCamera",
    "rtp",
    "rtsp",
    "runOn",
    "source",
    "srt",
    "whep",
];

/// The options that a path can inherit from `pathDefaults`.
const INHERITED: [&str; 3] = ["source", "rtspTransport", "sourceProtocol"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    paths: Option<Entries<Node>>,
    #[serde(default, rename = "pathDefaults")]
    defaults: Node,
    #[serde(default, rename = "rtspAddress")]
    rtsp_address: Node,
    #[serde(default, rename = "rtspsAddress")]
    rtsps_address: Node,
}

/// Reads the cameras in a configuration.
pub(super) fn read(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Import, ImportError> {
    let config: Config = yaml::read(text)?;
    let is_inherited = |(name, _): &&(String, Node)| INHERITED.contains(&name.as_str());
    let inherited = config.defaults.entries().iter().filter(is_inherited);
    let reader = Reader {
        placeholders: Placeholders::of_go2rtc(variable),
        variable,
        ports: ports(&config),
        inherited: Node::Map(inherited.cloned().collect()),
        defaults: config.defaults,
    };
    let paths = config.paths.unwrap_or_default().0.into_iter().map(|(name, options)| {
        let source = reader.source(&name, &options);
        Stream { name, sources: vec![source] }
    });
    let streams = Streams::new("path", paths.collect());
    let (mut drafts, mut import) = (Vec::new(), Import::default());
    for name in streams.names() {
        let Resolved { links, left_out, missing } = streams.links(name);
        import.missing_variables.extend(missing);
        drafts.extend(links.into_iter().map(|(link, _)| Draft::new(name.to_owned(), link)));
        import.left_out.extend(left_out.into_iter().map(|reason| {
            let reason = reason.strip_prefix("the source: ").unwrap_or(&reason).to_owned();
            LeftOut { name: name.to_owned(), reason }
        }));
    }
    import.left_out.extend(reader.left_out_of_all());
    import.cameras = finished(paired(drafts));
    Ok(import)
}

/// Returns the ports on which mediamtx serves its streams.
fn ports(config: &Config) -> [u16; 2] {
    let port = |address: &Node, default| {
        let port = address.text().and_then(|address| address.rsplit(':').next()?.parse().ok());
        port.unwrap_or(default)
    };
    let [rtsp, rtsps] = RTSP_PORTS;
    [port(&config.rtsp_address, rtsp), port(&config.rtsps_address, rtsps)]
}

struct Reader<'a> {
    placeholders: Placeholders<'a>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// The ports on which mediamtx serves its streams.
    ports: [u16; 2],
    /// The section `pathDefaults`.
    defaults: Node,
    /// The part of `defaults` that a path can inherit. Every path reads it, so it must be short.
    inherited: Node,
}

impl Reader<'_> {
    fn source(&self, name: &str, options: &Node) -> StreamSource {
        if name.starts_with('~') || matches!(name, "all" | "all_others") {
            return StreamSource::Other("is a pattern for several paths".to_owned());
        }
        let source =
            self.value(name, options, &["source"]).unwrap_or_else(|| "publisher".to_owned());
        if let Some((source, reason)) = NOT_LINKS.iter().find(|(known, _)| *known == source) {
            let runs_command =
                ["runOnInit", "runOnDemand"].iter().any(|it| !options.get(it).is_off());
            return StreamSource::Other(if runs_command && *source == "publisher" {
                "gets its stream from a command (runOnInit, runOnDemand); if the command reads a camera, add \
                 the camera's own RTSP link"
                    .to_owned()
            } else {
                (*reason).to_owned()
            });
        }
        let text = match self.placeholders.replace(&source) {
            Ok(text) => text,
            Err(missing) => return StreamSource::Missing(missing),
        };
        // Messages do not show a link that contains a value from the environment.
        let is_shown = options.get("source").text() == Some(text.as_str());
        let link = match Link::parse(&text) {
            Ok(link) => link,
            Err(reason) => return StreamSource::Other(reason),
        };
        let (options, notes) = self.options(name, options, &link);
        match link.local_name(&self.ports) {
            Some(name) => StreamSource::Stream { name, is_shown, options, notes },
            None => StreamSource::Link { link: Link { options, notes, ..link }, is_shown },
        }
    }

    /// Returns the value of the option that has one of these names. The environment variable for the path takes
    /// precedence over the path's own value, which takes precedence over the default.
    fn value(&self, path: &str, options: &Node, names: &[&str]) -> Option<String> {
        // mediamtx converts the path in the name of a variable to lower case, and ends the path at `_`. So variables
        // exist only for paths of lower-case letters and digits.
        let can_be_variable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let of_variable = |name: &&str| {
            let name = format!("MTX_PATHS_{path}_{name}").to_ascii_uppercase();
            path.chars().all(can_be_variable).then(|| (self.variable)(&name)).flatten()
        };
        let of =
            |node: &Node| names.iter().find_map(|name| node.get(name).text().map(str::to_owned));
        let value = names.iter().find_map(of_variable).or_else(|| of(options));
        value.or_else(|| of(&self.inherited))
    }

    /// Returns the options of a path with an RTSP link, and notes about the options that are not kept.
    fn options(&self, name: &str, options: &Node, link: &Link) -> (LinkOptions, Notes) {
        let mut notes = Notes::default();
        // Before version 1.0 of mediamtx, the option had the second name.
        let transport = self.value(name, options, &["rtspTransport", "sourceProtocol"]);
        let transport = transport.unwrap_or_else(|| "automatic".to_owned());
        let kept = link::transport(&transport);
        if kept.is_none() && transport != "automatic" {
            notes.add_left_out("rtspTransport");
        }
        for (name, value) in options.entries() {
            match name.as_str() {
                "source" | "rtspTransport" | "sourceProtocol" => {}
                "sourceOnDemand" if matches!(value, Node::Flag(false)) => notes.add(
                    "sourceOnDemand: no is left out; set keep to always for a stream that must always run"
                        .to_owned(),
                ),
                "sourceOnDemand" => notes.add_automatic(name),
                "sourceFingerprint" if !value.is_off() && link.source.uses_tls() => notes.add(
                    "sourceFingerprint is left out: the manager accepts every certificate of an RTSPS camera"
                        .to_owned(),
                ),
                _ if value.is_off() => {}
                _ if NO_COUNTERPART.iter().any(|begin| name.starts_with(begin)) => {
                    notes.add_left_out(name);
                }
                _ => notes.add_unknown("", name),
            }
        }
        (LinkOptions { transport: kept, ..LinkOptions::default() }, notes)
    }

    /// Returns the options in `pathDefaults` that are on and have no counterpart. The file that comes with mediamtx
    /// contains all options. So options that have an effect only together with other options are not returned.
    fn left_out_of_all(&self) -> Option<LeftOut> {
        let is_effective = |(name, value): &&(String, Node)| {
            let is_switch = matches!(name.as_str(), "record" | "rtspAnyPort" | "sourceFingerprint");
            let is_time = name.ends_with("Timeout") || name.ends_with("After");
            let is_command = name.starts_with("runOn") && !is_time;
            (is_switch || is_command) && !value.is_off()
        };
        let names = self.defaults.entries().iter().filter(is_effective);
        let names: Vec<_> = names.map(|(name, _)| name.clone()).collect();
        let reason = format!("the manager has no counterpart for {}", summary(&names));
        (!names.is_empty()).then(|| LeftOut { name: "pathDefaults".to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    const CONFIG: &str = r#"
# A configuration with comments.
logLevel: info
rtspAddress: :8555
authInternalUsers:
- user: any
  pass:
  permissions: [{action: read, path: }]

pathDefaults:
  sourceOnDemand: yes
  rtspTransport: automatic
  record: no
  recordPath: ./recordings/%path
  runOnDemandStartTimeout: 10s
  runOnReady: notify secret

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
    record: yes
    rtspAnyPort: yes
    rtspUDPReadBufferSize: 0
    newOption: secret
  restreamed:
    source: rtmp://192.0.2.9/live/x
  mirror:
    source: rtsp://127.0.0.1:8555/cams/yard
    sourceOnDemand: no
  multi:
    source: rtsp://192.0.2.12/1
    rtspTransport: multicast
    sourceOnDemand: yes
  circle:
    source: rtsp://localhost:8555/circle
  template:
    source: rtsp://viewer:${CAMERA_PASSWORD}@192.0.2.13/1
  unset:
    source: rtsp://viewer:${NO_SUCH}@192.0.2.13/1
  set1:
  command:
    runOnDemand: ffmpeg -i rtsp://u:secret@h/1 -f rtsp rtsp://localhost:$RTSP_PORT/$MTX_PATH
  pi:
    source: rpiCamera
  published:
  broken:
    source: "rtsp://admin:sec/ret@192.0.2.10/x@y"
  ~^proxy_(.+)$:
    source: rtsp://192.0.2.11/$G1
  all_others:
"#;

    fn config() -> Import {
        let variable = |name: &str| match name {
            "CAMERA_PASSWORD" => Some("p@ss".to_owned()),
            "MTX_PATHS_SET1_SOURCE" => Some("rtsp://u:secret@192.0.2.14/1".to_owned()),
            "MTX_PATHS_SET1_RTSPTRANSPORT" => Some("udp".to_owned()),
            _ => None,
        };
        read(CONFIG, &variable).expect("cameras")
    }

    #[test]
    fn paths_with_rtsp_sources_become_cameras() {
        let import = config();
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let channel =
            |number| format!("rtsp://admin:p%40ss@192.0.2.7:554/Streaming/Channels/{number}");
        let expected = [
            format!("gate gate {} {}", channel(101), channel(102)),
            "cams-yard cams/yard rtsps://viewer:secret@192.0.2.8/live -".to_owned(),
            "mirror mirror rtsps://viewer:secret@192.0.2.8/live -".to_owned(),
            "multi multi rtsp://192.0.2.12/1 -".to_owned(),
            "template template rtsp://viewer:p%40ss@192.0.2.13/1 -".to_owned(),
            "set1 set1 rtsp://u:secret@192.0.2.14/1 -".to_owned(),
        ];
        assert_eq!(cameras, expected);
        let transports = import.cameras.iter().map(|camera| camera.fields.get("transport"));
        let transports: Vec<_> = transports.map(|it| it.and_then(|it| it.as_str())).collect();
        assert_eq!(transports, [Some("tcp"), Some("udp"), Some("udp"), None, None, Some("udp")]);
    }

    #[test]
    fn notes_name_the_options_that_are_not_kept() {
        let import = config();
        let notes: Vec<_> = import.cameras.iter().map(|camera| camera.notes.join("; ")).collect();
        let fingerprint = "sourceFingerprint is left out: the manager accepts every certificate of an RTSPS camera";
        let of_yard = "left out, because there is no counterpart: record, rtspAnyPort; \
                       left out, because unknown: newOption";
        let expected = [
            "consists of gate and gate_sub; transport: tcp also applies to the sub stream, because both \
             streams of a camera have the same options"
                .to_owned(),
            format!("{fingerprint}; {of_yard}"),
            format!(
                "sourceOnDemand: no is left out; set keep to always for a stream that must always run; \
                 {fingerprint}; the link comes from the path cams/yard of the file; {of_yard}"
            ),
            "left out, because the manager decides this itself: sourceOnDemand; \
             left out, because there is no counterpart: rtspTransport"
                .to_owned(),
            String::new(),
            String::new(),
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn every_path_that_is_left_out_has_a_reason() {
        let import = config();
        let reasons = [
            ("restreamed", "rtmp is not supported; add the camera's RTSP link"),
            ("circle", "leads in a circle through the path circle"),
            ("unset", "the variable NO_SUCH, which has no value"),
            ("command", "gets its stream from a command"),
            ("pi", "Raspberry Pi"),
            ("published", "publishes"),
            ("broken", "@"),
            ("~^proxy_(.+)$", "pattern"),
            ("all_others", "pattern"),
            ("pathDefaults", "the manager has no counterpart for runOnReady"),
        ];
        assert_eq!(import.left_out.len(), reasons.len(), "{:?}", import.left_out);
        for (left_out, (name, reason)) in import.left_out.iter().zip(reasons) {
            assert_eq!(left_out.name, name);
            assert!(left_out.reason.contains(reason), "{left_out:?}");
            assert!(!left_out.reason.contains("sec/ret"), "{left_out:?}");
            assert!(!left_out.reason.contains("secret"), "{left_out:?}");
        }
        assert_eq!(import.missing_variables.into_iter().collect::<Vec<_>>(), ["NO_SUCH"]);
    }
}
