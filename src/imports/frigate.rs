//! The configuration of Frigate (`config.yml`): cameras with the roles of their inputs. Inputs that lead to
//! Frigate's own go2rtc are replaced with the links in the section `go2rtc`.

use serde::Deserialize;

use super::camera::{Draft, Ids};
use super::go2rtc::Links;
use super::link::Link;
use super::model::{Import, ImportError, LeftOut};
use super::placeholders::Placeholders;
use super::yaml::{self, Entries, OneOrMany};

/// The port on which Frigate's go2rtc serves its streams.
const GO2RTC_PORT: u16 = 8554;
/// The names of the machine on which Frigate runs.
const LOCAL_HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    cameras: Option<Entries<Camera>>,
    #[serde(default)]
    go2rtc: Option<Go2rtc>,
}

#[derive(Default, Deserialize)]
struct Go2rtc {
    #[serde(default)]
    streams: Option<Entries<OneOrMany>>,
}

#[derive(Default, Deserialize)]
struct Camera {
    enabled: Option<bool>,
    friendly_name: Option<String>,
    ffmpeg: Option<Ffmpeg>,
}

#[derive(Default, Deserialize)]
struct Ffmpeg {
    inputs: Option<Vec<Input>>,
}

#[derive(Deserialize)]
struct Input {
    path: Option<String>,
    #[serde(default)]
    roles: Option<OneOrMany>,
    #[serde(default, rename = "input_args")]
    arguments: Option<OneOrMany>,
}

/// Reads the cameras in a configuration.
pub(super) fn read(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Import, ImportError> {
    let config: Config = yaml::read(text)?;
    let streams = config.go2rtc.and_then(|go2rtc| go2rtc.streams).unwrap_or_default();
    let mut reader = Reader {
        placeholders: Placeholders::of_frigate(variable),
        is_used: vec![false; streams.0.len()],
        streams: streams.0,
    };
    let (mut import, mut ids) = (Import::default(), Ids::default());
    for (name, camera) in config.cameras.unwrap_or_default().0 {
        let mut reasons = Vec::new();
        if let Some(draft) = reader.draft(&name, camera, &mut reasons) {
            import.cameras.push(draft.finish(&mut ids));
        }
        let reasons = reasons.into_iter();
        import.left_out.extend(reasons.map(|reason| LeftOut { name: name.clone(), reason }));
    }
    let unused = reader.streams.iter().zip(&reader.is_used).filter(|(_, is_used)| !**is_used);
    import.left_out.extend(unused.map(|((name, _), _)| LeftOut {
        name: name.clone(),
        reason: "is a stream of go2rtc that no camera uses".to_owned(),
    }));
    import.missing_variables = reader.placeholders.missing();
    Ok(import)
}

struct Reader<'a> {
    placeholders: Placeholders<'a>,
    streams: Vec<(String, OneOrMany)>,
    /// For each of the streams, whether an input leads to it.
    is_used: Vec<bool>,
}

impl Reader<'_> {
    /// Returns a camera; `None` if the camera has no usable input. Adds the reasons for what is left out.
    fn draft(&mut self, name: &str, camera: Camera, reasons: &mut Vec<String>) -> Option<Draft> {
        let inputs = camera.ffmpeg.and_then(|ffmpeg| ffmpeg.inputs).unwrap_or_default();
        if inputs.is_empty() {
            reasons.push("has no inputs".to_owned());
        }
        let mut streams = Vec::new();
        for (number, input) in (1..).zip(inputs) {
            match self.link(&input) {
                Ok(link) => streams.push((link, input.rank())),
                Err(reason) => reasons.push(format!("input {number} {reason}")),
            }
        }
        if camera.enabled == Some(false) {
            // The reasons of its inputs are of no interest.
            *reasons = vec!["is disabled".to_owned()];
            return None;
        }
        // The sort is stable: among inputs with the same roles, the first one of the file is the main stream.
        streams.sort_by_key(|(_, rank)| *rank);
        streams.dedup_by(|(second, _), (first, _)| second.source == first.source);
        if streams.len() > 2 {
            reasons.push(format!("has {} inputs; a camera has at most two streams", streams.len()));
        }
        let mut links = streams.into_iter().map(|(link, _)| link);
        let (main, sub) = (links.next()?, links.next());
        Some(Draft { title: camera.friendly_name, sub, ..Draft::new(name.to_owned(), main) })
    }

    /// Returns the link of an input; otherwise the reason why it is left out.
    fn link(&mut self, input: &Input) -> Result<Link, String> {
        let path = input.path.as_deref().unwrap_or_default();
        let path = self.placeholders.replace(path);
        let path = path.ok_or_else(|| "contains a variable without a value".to_owned())?;
        let mut link = Link::parse(&path).map_err(|reason| format!("cannot be used: {reason}"))?;
        if let Some(name) = go2rtc_stream(&link) {
            link = self.go2rtc_link(&name)?;
        }
        if input.has_argument("preset-rtsp-udp") {
            link.set_transport("udp");
        }
        Ok(link)
    }

    /// Returns the first link of a stream in the section `go2rtc`.
    fn go2rtc_link(&mut self, name: &str) -> Result<Link, String> {
        let Some(index) = self.streams.iter().position(|(known, _)| known == name) else {
            return Err("leads to a stream of go2rtc that the file does not contain".to_owned());
        };
        self.is_used[index] = true;
        let Links { links, left_out } = Links::of(&self.streams[index].1, &mut self.placeholders);
        links.into_iter().next().ok_or_else(|| {
            let reason = left_out.first().map_or("no source", String::as_str);
            format!("leads to a stream of go2rtc without an RTSP link ({reason})")
        })
    }
}

impl Input {
    /// Returns the order of this input among those of a camera. The first one becomes the main stream, the
    /// second one the sub stream.
    fn rank(&self) -> u8 {
        match (self.has_role("record"), self.has_role("detect")) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles.as_ref().is_some_and(|roles| roles.0.iter().any(|it| it == role))
    }

    fn has_argument(&self, argument: &str) -> bool {
        let arguments = self.arguments.as_ref();
        arguments.is_some_and(|arguments| arguments.0.iter().any(|it| it == argument))
    }
}

/// Returns the name of the stream if a link leads to Frigate's own go2rtc.
fn go2rtc_stream(link: &Link) -> Option<String> {
    let source = &link.source;
    let is_local = source.port() == GO2RTC_PORT && LOCAL_HOSTS.contains(&source.host());
    let path = source.path();
    let name = path.trim_start_matches('/').split(['?', '#']).next().unwrap_or_default();
    is_local.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    const CONFIG: &str = r#"
mqtt:
  enabled: False
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
  old:
    <<: *template
    enabled: false
  empty:
version: 0.16-0
"#;

    fn config() -> Import {
        let variable = |name: &str| match name {
            "FRIGATE_RTSP_USER" => Some("admin".to_owned()),
            "FRIGATE_RTSP_PASSWORD" => Some("p@ss".to_owned()),
            _ => None,
        };
        read(CONFIG, &variable).expect("cameras")
    }

    #[test]
    fn cameras_get_the_streams_that_the_roles_show() {
        let import = config();
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let expected = [
            "gate Gate, left rtsp://admin:p%40ss@192.0.2.7/stream1 rtsp://admin:p%40ss@192.0.2.7/stream2",
            "yard yard rtsp://admin:secret@192.0.2.10/sub -",
        ];
        assert_eq!(cameras, expected);
        assert_eq!(import.cameras[1].0["transport"], "udp");
    }

    #[test]
    fn what_is_left_out_is_named_with_the_reason() {
        let import = config();
        let reasons = [
            (
                "doorbell",
                "input 1 leads to a stream of go2rtc without an RTSP link (source 1: homekit",
            ),
            ("nowhere", "input 1 leads to a stream of go2rtc that the file does not contain"),
            ("nowhere", "input 2 cannot be used: http is not supported"),
            ("nowhere", "input 3 contains a variable"),
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
        assert_eq!(import.missing_variables.into_iter().collect::<Vec<_>>(), ["FRIGATE_MISSING"]);
    }
}
