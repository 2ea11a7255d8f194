//! The configuration of Frigate (`config.yml`): cameras with the roles of their inputs. Inputs that lead to
//! Frigate's own go2rtc are replaced with the links in the section `go2rtc`.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

use super::camera::{Draft, finished};
use super::go2rtc;
use super::link::{self, Link};
use super::model::{Import, ImportError, LeftOut};
use super::notes::Notes;
use super::placeholders::Placeholders;
use super::streams::{Failure, MAX_SOURCES, Streams};
use super::yaml::{self, Entries, Node};
use crate::camera::options::TransportOption;

/// The settings of a camera that have no counterpart in the manager.
const CAMERA_SETTINGS: [&str; 31] = [
    "audio",
    "audio_transcription",
    "best_image_timeout",
    "birdseye",
    "clips",
    "dashboard",
    "detect",
    "face_recognition",
    "genai",
    "live",
    "lpr",
    "motion",
    "mqtt",
    "name",
    "notifications",
    "objects",
    "onvif",
    "order",
    "profiles",
    "record",
    "restream",
    "review",
    "rtmp",
    "semantic_search",
    "snapshots",
    "timestamp_style",
    "type",
    "ui",
    "version",
    "webui_url",
    "zones",
];
/// The settings of `ffmpeg` in a camera or an input that have no counterpart in the manager.
const FFMPEG_SETTINGS: [&str; 7] = [
    "apple_compatibility",
    "global_args",
    "gpu",
    "hwaccel_args",
    "output_args",
    "path",
    "retry_interval",
];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    cameras: Option<Entries<Node>>,
    #[serde(default)]
    go2rtc: Option<Go2rtc>,
    #[serde(default)]
    ffmpeg: Node,
    #[serde(default, rename = "environment_vars")]
    variables: Node,
}

#[derive(Deserialize)]
struct Go2rtc {
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
    let variables = config.variables.entries().iter();
    let variables =
        variables.filter_map(|(name, value)| Some((name.clone(), value.text()?.into())));
    let placeholders = Placeholders::of_frigate(variable, variables.collect());
    let (streams, port) = config.go2rtc.map_or((None, Node::Null), |it| (it.streams, it.rtsp));
    let port = go2rtc::port(&port);
    let streams = go2rtc::streams_of(streams.unwrap_or_default().0, port, &placeholders);
    let mut reader = Reader {
        placeholders,
        arguments: config.ffmpeg.get("input_args").clone(),
        streams,
        port,
        used: HashSet::new(),
        missing: BTreeSet::new(),
    };
    let (mut import, mut drafts) = (Import::default(), Vec::new());
    for (name, camera) in config.cameras.unwrap_or_default().0 {
        let mut reasons = Vec::new();
        drafts.extend(reader.draft(&name, &camera, &mut reasons));
        let reasons = reasons.into_iter();
        import.left_out.extend(reasons.map(|reason| LeftOut { name: name.clone(), reason }));
    }
    import.cameras = finished(drafts);
    let unused = reader.streams.names().filter(|name| !reader.used.contains(*name));
    import.left_out.extend(unused.map(|name| LeftOut {
        name: name.to_owned(),
        reason: "is a stream of go2rtc that no camera uses".to_owned(),
    }));
    import.missing_variables = reader.missing;
    Ok(import)
}

struct Reader<'a> {
    placeholders: Placeholders<'a>,
    /// The arguments for inputs that have no arguments of their own.
    arguments: Node,
    streams: Streams,
    /// The port on which Frigate's go2rtc serves its streams.
    port: u16,
    /// The names of the streams to which inputs lead.
    used: HashSet<String>,
    missing: BTreeSet<String>,
}

impl Reader<'_> {
    /// Returns a camera; `None` if the camera has no usable input. `reasons` gets the
    /// reasons why the camera, or some of its inputs, are not imported.
    fn draft(&mut self, name: &str, camera: &Node, reasons: &mut Vec<String>) -> Option<Draft> {
        let ffmpeg = camera.get("ffmpeg");
        let inputs = ffmpeg.get("inputs").list();
        if matches!(camera.get("enabled"), Node::Flag(false)) {
            reasons.push(
                "is disabled (enabled: false); enable it in the file to import it".to_owned(),
            );
            for input in inputs {
                self.mark_used(input);
            }
            return None;
        }
        if inputs.is_empty() {
            reasons.push("has no inputs".to_owned());
        }
        let (inputs, others) = inputs.split_at(inputs.len().min(MAX_SOURCES));
        if !others.is_empty() {
            reasons.push(format!(
                "input {} is left out, as are all later inputs, because only the first {MAX_SOURCES} inputs of a \
                 camera are read",
                MAX_SOURCES + 1
            ));
            for input in others {
                self.mark_used(input);
            }
        }
        let mut streams = Vec::new();
        for (number, input) in (1..).zip(inputs) {
            match self.link(input, ffmpeg) {
                Ok(link) => {
                    // Messages do not show a link that contains the value of a variable.
                    let is_shown = input.get("path").text() == Some(link.source.expose());
                    let shown =
                        if is_shown { format!(" ({})", link.source) } else { String::new() };
                    streams.push((link, format!("input {number}{shown}"), rank(input)));
                }
                Err(Failure { reason, missing }) => {
                    reasons.push(format!("input {number} {reason}"));
                    self.missing.extend(missing);
                }
            }
        }
        // The sort is stable, so inputs of the same rank keep the order of the file.
        streams.sort_by_key(|(_, _, rank)| *rank);
        let mut sources = HashSet::new();
        streams.retain(|(link, ..)| sources.insert(link.source.clone()));
        let links = streams.into_iter().map(|(link, text, _)| (link, text)).collect();
        let mut draft = Draft::of_links(name, links, reasons)?;
        draft.title = camera.get("friendly_name").text().map(str::to_owned);
        note_settings(
            camera,
            &["enabled", "ffmpeg", "friendly_name"],
            &CAMERA_SETTINGS,
            &mut draft.notes,
        );
        note_settings(ffmpeg, &["inputs", "input_args"], &FFMPEG_SETTINGS, &mut draft.notes);
        Some(draft)
    }

    /// Returns the link of an input; otherwise the reason why it is left out.
    fn link(&mut self, input: &Node, ffmpeg: &Node) -> Result<Link, Failure> {
        let raw = input.get("path").text().unwrap_or_default();
        let path = self.placeholders.replace(raw).map_err(|missing| Failure::from(&missing))?;
        let mut link = Link::parse(&path).map_err(|reason| format!("cannot be used: {reason}"))?;
        if let Some(name) = self.go2rtc_name(&link) {
            self.used.insert(name.clone());
            // The arguments of the input are not used. They are for the connection to go2rtc, and not to the camera.
            link = self.streams.link_of(&name, path == raw)?;
        } else {
            let of_input = [input.get("input_args"), ffmpeg.get("input_args"), &self.arguments];
            let arguments = of_input.into_iter().find(|arguments| !arguments.is_off());
            add_arguments(arguments.unwrap_or(&Node::Null), &mut link);
        }
        note_settings(input, &["path", "roles", "input_args"], &FFMPEG_SETTINGS, &mut link.notes);
        Ok(link)
    }

    /// Returns the name of the stream if a link leads to Frigate's own go2rtc. The host of such a link is the local
    /// machine. It can also be another host, if the port and the name of the stream are those of go2rtc.
    fn go2rtc_name(&self, link: &Link) -> Option<String> {
        let is_stream = || link.source.port() == self.port && self.streams.contains(&link.name());
        link.local_name(&[self.port]).or_else(|| is_stream().then(|| link.name()))
    }

    /// Marks the stream of go2rtc to which an input leads as used.
    fn mark_used(&mut self, input: &Node) {
        let path = self.placeholders.replace(input.get("path").text().unwrap_or_default());
        let link = path.ok().and_then(|path| Link::parse(&path).ok());
        self.used.extend(link.and_then(|link| self.go2rtc_name(&link)));
    }
}

/// Returns the rank of an input. The camera's input with the lowest rank becomes the main stream, and the next one
/// becomes the sub stream.
fn rank(input: &Node) -> u8 {
    let roles = input.get("roles").texts();
    match (roles.contains(&"record"), roles.contains(&"detect")) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

/// Applies the arguments of FFmpeg, or the preset, with which Frigate opens an input.
fn add_arguments(arguments: &Node, link: &mut Link) {
    let words = arguments.texts().into_iter().flat_map(str::split_whitespace);
    let words: Vec<_> = words.collect();
    match words.as_slice() {
        ["preset-rtsp-udp"] => link.options.transport = Some(TransportOption::Udp),
        // The manager's own arguments have the same effect.
        []
        | [
            "preset-rtsp-generic"
            | "preset-rtsp-blue-iris"
            | "preset-rtsp-restream"
            | "preset-rtsp-restream-low-latency",
        ] => {}
        words => {
            let at = words.iter().position(|word| *word == "-rtsp_transport");
            let value = at.and_then(|at| words.get(at + 1));
            link.options.transport = value.and_then(|value| link::transport(value));
            if words.len() > 2 || link.options.transport.is_none() {
                link.notes.add_left_out("input_args");
            }
        }
    }
}

/// Adds notes about the settings of `node`, except the settings in `read`. Settings in `known` have no counterpart;
/// all others are unknown.
fn note_settings(node: &Node, read: &[&str], known: &[&str], notes: &mut Notes) {
    let settings = node.entries().iter().filter(|(_, value)| !value.is_off());
    for (name, _) in settings.filter(|(name, _)| !read.contains(&name.as_str())) {
        if known.contains(&name.as_str()) {
            notes.add_left_out(name);
        } else {
            notes.add_unknown("", name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    const CONFIG: &str = r#"
mqtt:
  enabled: False
environment_vars:
  FRIGATE_RTSP_USER: operator
ffmpeg:
  hwaccel_args: preset-vaapi
  input_args: -avoid_negative_ts make_zero -rtsp_transport tcp
detectors:
  coral: {type: edgetpu, device: usb}
go2rtc:
  streams:
    gate:
      - rtsp://{FRIGATE_RTSP_USER}:{FRIGATE_RTSP_PASSWORD}@192.0.2.7/stream1
      - ffmpeg:gate#audio=opus
    gate_sub: rtsp://{FRIGATE_RTSP_USER}:{FRIGATE_RTSP_PASSWORD}@192.0.2.7/stream2
    doorbell: homekit://192.0.2.8
    spare: rtsp://192.0.2.9/1
cameras:
  gate:
    friendly_name: Gate, left
    ffmpeg:
      output_args: {record: preset-record-generic-audio-copy}
      inputs:
        - path: rtsp://127.0.0.1:8554/gate_sub
          input_args: preset-rtsp-restream
          roles: [detect]
        - path: rtsp://127.0.0.1:8554/gate?video=copy&audio=aac
          input_args: preset-rtsp-restream
          roles: [record, audio]
    detect: {width: 640, height: 360, fps: 5}
  yard: &template
    enabled: true
    ffmpeg:
      inputs:
        - path: rtsp://admin:secret@192.0.2.10/sub
          roles: [detect, record]
          input_args: preset-rtsp-udp
  doorbell:
    ffmpeg:
      inputs:
        - path: rtsp://localhost:8554/doorbell
          roles: [detect]
  nowhere:
    ffmpeg:
      inputs:
        - {path: "rtsp://127.0.0.1:8554/other", roles: [detect]}
        - {path: "http://192.0.2.11/flv?password=secret", roles: [record]}
        - {path: "rtsp://x:{FRIGATE_MISSING}@192.0.2.11/1", roles: [record]}
        - {path: "rtsp://x:{RTSP_PW}@192.0.2.11/1", roles: [record]}
  inherits:
    ffmpeg:
      inputs:
        - {path: "rtsp://192.0.2.12/1", roles: [record], global_args: "-v secret"}
        - {path: "rtsp://192.0.2.12/2", roles: [detect]}
        - {path: "rtsp://u:secret@192.0.2.12/3", roles: [audio]}
        - {path: "rtsp://192.0.2.12:554/1", roles: [detect]}
    webui_url: http://192.0.2.12
    new_setting: secret
  overrides:
    ffmpeg:
      input_args: [-rtsp_transport, udp]
      inputs:
        - {path: "rtsp://192.0.2.13/1", roles: [record]}
        - {path: "rtsp://192.0.2.13/2", roles: [detect], input_args: preset-rtsp-generic}
  restreamed:
    ffmpeg:
      input_args: preset-rtsp-udp
      inputs:
        - {path: "rtsp://frigate.example:8554/gate_sub", roles: [record]}
  old:
    <<: *template
    enabled: false
  empty:
version: 0.16-0
"#;

    fn config() -> Import {
        let variable = |name: &str| match name {
            "FRIGATE_RTSP_USER" => Some("overridden".to_owned()),
            "FRIGATE_RTSP_PASSWORD" => Some("p@ss".to_owned()),
            _ => None,
        };
        read(CONFIG, &variable).expect("cameras")
    }

    #[test]
    fn the_roles_of_the_inputs_select_the_main_and_the_sub_stream() {
        let import = config();
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let expected = [
            "gate Gate, left rtsp://operator:p%40ss@192.0.2.7/stream1 rtsp://operator:p%40ss@192.0.2.7/stream2",
            "yard yard rtsp://admin:secret@192.0.2.10/sub -",
            "inherits inherits rtsp://192.0.2.12/1 rtsp://u:secret@192.0.2.12/3",
            "overrides overrides rtsp://192.0.2.13/1 rtsp://192.0.2.13/2",
            "restreamed restreamed rtsp://operator:p%40ss@192.0.2.7/stream2 -",
        ];
        assert_eq!(cameras, expected);
        let transports = import.cameras.iter().map(|camera| camera.fields.get("transport"));
        let transports: Vec<_> = transports.map(|it| it.and_then(|it| it.as_str())).collect();
        assert_eq!(transports, [None, Some("udp"), Some("tcp"), Some("udp"), None]);
    }

    #[test]
    fn the_number_of_inputs_is_limited() {
        let inputs: Vec<_> =
            (1..=40).map(|number| format!("{{path: rtsp://192.0.2.7/{number}}}")).collect();
        let inputs = inputs.join(", ");
        let text = format!("cameras:\n  gate:\n    ffmpeg:\n      inputs: [{inputs}]\n");
        let import = read(&text, &|_| None).expect("cameras");
        assert_eq!(summary(&import.cameras[0]), "gate gate rtsp://192.0.2.7/1 rtsp://192.0.2.7/2");
        // One reason for the inputs that are not read, and one for each input without a place in the camera.
        assert_eq!(import.left_out.len(), 1 + MAX_SOURCES - 2);
        let reason = &import.left_out[0].reason;
        assert!(reason.starts_with("input 33 is left out, as are all later inputs"), "{reason}");
    }

    #[test]
    fn notes_name_what_is_not_kept() {
        let import = config();
        let notes: Vec<_> = import.cameras.iter().map(|camera| camera.notes.join("; ")).collect();
        let expected = [
            "the link comes from the stream gate of the file; \
             the link comes from the stream gate_sub of the file; left out",
            "",
            "left out, because there is no counterpart: webui_url, input_args, global_args; \
             left out, because unknown: new_setting",
            "transport: udp also applies to the sub stream, because both streams of a camera have the same \
             options",
            "the link comes from the stream gate_sub of the file",
        ];
        for (notes, expected) in notes.iter().zip(expected) {
            assert!(notes.starts_with(expected), "{notes}");
        }
        assert!(notes[0].ends_with("no counterpart: detect, output_args"), "{}", notes[0]);
    }

    #[test]
    fn what_is_left_out_is_named_with_the_reason() {
        let import = config();
        let reasons = [
            (
                "doorbell",
                "input 1 leads to the stream doorbell, which has no RTSP link (homekit is not supported",
            ),
            ("nowhere", "input 1 leads to the stream other, which the file does not contain"),
            ("nowhere", "input 2 cannot be used: http is not supported"),
            (
                "nowhere",
                "input 3 contains the variable FRIGATE_MISSING, which has no value; set it",
            ),
            ("nowhere", "input 4 contains the variable RTSP_PW, which has no value; set it"),
            ("inherits", "input 2 (rtsp://192.0.2.12/2): a camera has at most two streams"),
            ("old", "is disabled"),
            ("empty", "has no inputs"),
            ("spare", "no camera uses"),
        ];
        assert_eq!(import.left_out.len(), reasons.len(), "{:?}", import.left_out);
        for (left_out, (name, reason)) in import.left_out.iter().zip(reasons) {
            assert_eq!(left_out.name, name);
            assert!(left_out.reason.contains(reason), "{left_out:?}");
            assert!(!left_out.reason.contains("secret"), "{left_out:?}");
        }
        assert_eq!(
            import.missing_variables.into_iter().collect::<Vec<_>>(),
            ["FRIGATE_MISSING", "RTSP_PW"]
        );
    }
}
