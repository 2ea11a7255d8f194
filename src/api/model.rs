//! What goes over the wire, and reading it: bodies within limits, query strings, JSON.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{has_query_input, openapi};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;
use crate::camera::options::{AudioOption, StreamOptions, TransportOption, VideoOption};

/// Largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Largest import: 100,000 cameras with little to say.
pub const MAX_IMPORT: usize = 32 * 1024 * 1024;
/// A body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Input of start.
#[derive(Debug, Deserialize, PartialEq, Eq, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(example = json!({
    "indicator_id": "front-door",
    "rtsp_link": "rtsp://user:password@192.168.1.20:554/stream1",
}))]
pub struct StartInput {
    /// The camera's id; numbers are taken too, since back ends send their database's keys.
    #[serde(deserialize_with = "text_or_number")]
    #[schema(schema_with = openapi::text_or_number)]
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "front-door")]
    pub indicator_id: String,
    /// Which of the camera's streams.
    #[serde(default)]
    pub profile: Profile,
    /// The stream's RTSP URL. Without it the one that is known is used.
    #[serde(default)]
    #[param(nullable = false)]
    pub rtsp_link: Option<String>,
    /// What becomes of the video. What is left out stays as it was.
    #[serde(default)]
    #[param(nullable = false)]
    pub video: Option<VideoOption>,
    /// What becomes of the audio.
    #[serde(default)]
    #[param(nullable = false)]
    pub audio: Option<AudioOption>,
    /// How RTP travels.
    #[serde(default)]
    #[param(nullable = false)]
    pub transport: Option<TransportOption>,
    /// Whether to answer only when the stream is playable.
    #[serde(default = "yes", deserialize_with = "flag")]
    #[schema(default = true)]
    #[param(default = true)]
    pub wait: bool,
}

/// Input of stop and status.
#[derive(Debug, Deserialize, PartialEq, Eq, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(example = json!({ "indicator_id": "front-door" }))]
pub struct IdInput {
    /// The camera's id.
    #[serde(deserialize_with = "text_or_number")]
    #[schema(schema_with = openapi::text_or_number)]
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "front-door")]
    pub indicator_id: String,
    /// Which of the camera's streams.
    #[serde(default)]
    pub profile: Profile,
}

/// Input of the same for a camera that the path names.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamInput {
    /// Which of the camera's streams.
    #[serde(default)]
    pub profile: Profile,
    /// Whether a start is answered only when the stream is playable.
    #[serde(default = "yes", deserialize_with = "flag")]
    #[schema(default = true)]
    #[param(default = true)]
    pub wait: bool,
}

/// Input of a stream's log.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProfileInput {
    /// Which of the camera's streams.
    #[serde(default)]
    pub profile: Profile,
}

/// What a low-latency player asks for with a playlist request (RFC 8216bis, 6.2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Reload {
    /// `_HLS_msn`: the playlist shall have this segment, or the part of it below.
    #[param(rename = "_HLS_msn", nullable = false)]
    pub sequence: Option<u64>,
    /// `_HLS_part`: this part of the segment; needs `_HLS_msn` beside it.
    #[param(rename = "_HLS_part", nullable = false)]
    pub part: Option<usize>,
    /// `_HLS_skip`: older segments may be left out.
    #[param(rename = "_HLS_skip", required = false, value_type = String, pattern = "^(YES|v2)$")]
    pub skip: bool,
}

impl Reload {
    /// Reads a playlist's query. What players and caches add besides is none of our business.
    pub fn from_query(query: &str) -> Result<Self, Error> {
        let mut reload = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_understood = match name.as_ref() {
                "_HLS_msn" => {
                    value.parse().map(|sequence| reload.sequence = Some(sequence)).is_ok()
                }
                "_HLS_part" => value.parse().map(|part| reload.part = Some(part)).is_ok(),
                "_HLS_skip" => {
                    reload.skip = matches!(value.as_ref(), "YES" | "v2");
                    reload.skip
                }
                _ => true,
            };
            if !is_understood {
                let detail = format!("{name} has a value that is none");
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
        }
        if reload.part.is_some() && reload.sequence.is_none() {
            let detail = "_HLS_part needs _HLS_msn beside it";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(reload)
    }
}

/// Answer to start.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartOutput<'a> {
    /// The camera's id.
    pub indicator_id: &'a str,
    /// Path of the playlist on the nginx that serves the streams.
    pub stream_path: String,
    /// How far it is.
    pub status: StartStatus,
}

/// How far a stream is when its start is answered.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartStatus {
    /// It is playable now.
    Started,
    /// It was playable already.
    Active,
    /// It was not waited for.
    Starting,
}

/// Answer to stop.
#[derive(Debug, Serialize, ToSchema)]
pub struct StopOutput<'a> {
    /// The camera's id.
    pub indicator_id: &'a str,
    /// `stopped`, whether or not there was a stream.
    pub status: &'static str,
}

/// State of one stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamOutput {
    /// The camera's id.
    pub indicator_id: String,
    /// Which of its streams.
    pub profile: Profile,
    /// Where it is in its life.
    pub state: StreamState,
    /// Path of the playlist.
    pub stream_path: String,
    /// The source without its secrets.
    pub source: String,
    /// The camera's options.
    pub options: StreamOptions,
    /// What is known only while there is a stream.
    #[serde(flatten)]
    #[schema(schema_with = openapi::if_running)]
    pub running: Option<RunningOutput>,
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Not playable yet.
    Starting,
    /// Playable.
    Live,
    /// The camera is away and will be tried again.
    Backoff,
    /// About to end.
    Stopping,
    /// The camera refused; the last error says why.
    Failed,
    /// There is no stream.
    Stopped,
}

/// What is known of a stream that runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunningOutput {
    /// Viewers that asked for something in the last seconds.
    pub viewers: usize,
    /// When the stream was first wanted, RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Seconds for which the current run of FFmpeg is live; null while it is not.
    pub uptime_seconds: Option<f64>,
    /// Seconds that this run took from its start to playable; null while it is not live.
    pub start_seconds: Option<f64>,
    /// Seconds since somebody last showed interest.
    pub idle_seconds: f64,
    /// Number of the current run of FFmpeg.
    pub generation: u64,
    /// How often it was started again after an interruption.
    pub restarts: u64,
    /// What is played; null unless the stream is live.
    pub media: Option<MediaOutput>,
    /// What FFmpeg uses of the machine; null while none runs, and in its first second.
    pub process: Option<ProcessOutput>,
    /// The last thing that went wrong.
    pub last_error: Option<LastErrorOutput>,
}

/// What is played.
#[derive(Debug, Serialize, ToSchema)]
pub struct MediaOutput {
    /// RFC 6381 codec of the video.
    pub video_codec: String,
    /// Whether the camera's video is turned into that codec here.
    pub transcoded: bool,
    /// RFC 6381 codec of the audio.
    pub audio_codec: Option<String>,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Frames per second over the last seconds.
    pub frame_rate: f64,
    /// Bits per second over the last seconds.
    pub bit_rate: u64,
    /// Seconds between the last two keyframes; null before the second one.
    pub gop_seconds: Option<f64>,
}

/// What an FFmpeg uses of the machine.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProcessOutput {
    /// Percent of one processor core over the last five seconds or so.
    pub cpu_percent: f64,
    /// Bytes of memory that are its own, so without the program and its libraries.
    pub memory_bytes: u64,
}

/// Answer to a stream's log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogOutput<'a> {
    /// The camera's id.
    pub indicator_id: &'a str,
    /// The last lines, oldest first; none when there is no stream.
    pub lines: Vec<LogLineOutput>,
}

/// A line that FFmpeg wrote to its stderr, without secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLineOutput {
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// Which run of FFmpeg.
    pub generation: u64,
    /// What it says.
    pub text: String,
}

/// Something that went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastErrorOutput {
    /// The stable code.
    pub code: ErrorKind,
    /// In words.
    pub detail: String,
    /// How long ago.
    pub seconds_ago: f64,
}

/// Answer to the list of streams.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamsOutput {
    /// All streams, by id.
    pub streams: Vec<StreamOutput>,
}

/// Answer to a probe.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbeOutput {
    /// `alive`, or `ready`.
    pub status: &'static str,
}

/// Answer to health.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthOutput {
    /// `healthy`, or `shutting_down`.
    pub status: &'static str,
    /// Streams for which FFmpeg runs or will run again.
    pub active_streams: usize,
    /// Seconds since the manager started.
    pub uptime_seconds: f64,
    /// The program's version.
    pub version: &'static str,
}

/// Reads the input of a request: the query of a GET; the body of a POST, as JSON or as a form,
/// or its query when it has no body. A PUT replaces what is there, and so must say by what.
pub async fn input<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Error> {
    input_up_to(MAX_BODY, request).await
}

/// The same with another limit for the body, in bytes.
pub async fn input_up_to<T: DeserializeOwned>(
    max_body: usize,
    request: Request<Incoming>,
) -> Result<T, Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if has_query_input(request.method()) {
        return from_form(query.as_bytes());
    }
    let is_put = request.method() == Method::PUT;
    let is_form = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body = body(max_body, request).await?;
    if body.is_empty() && is_put {
        Err(Error::new(ErrorKind::InvalidRequest, "the body is missing"))
    } else if body.is_empty() {
        from_form(query.as_bytes())
    } else if is_form {
        from_form(&body)
    } else {
        serde_json::from_slice(&body).map_err(|error| invalid(&error))
    }
}

async fn body(max: usize, request: Request<Incoming>) -> Result<Vec<u8>, Error> {
    let read = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), max).collect()).await;
    let Ok(read) = read else {
        return Err(Error::new(ErrorKind::RequestTimeout, "the body did not arrive within 10 s"));
    };
    match read {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(ErrorKind::BodyTooLarge, format!("the body is larger than {max} bytes")))
        }
        Err(error) => {
            Err(Error::new(ErrorKind::InvalidRequest, format!("the body cannot be read: {error}")))
        }
    }
}

fn from_form<T: DeserializeOwned>(form: &[u8]) -> Result<T, Error> {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(form) {
        if fields.insert(name.clone().into_owned(), Value::String(value.into_owned())).is_some() {
            let detail = "a field is given twice";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
    }
    T::deserialize(Value::Object(fields)).map_err(|error| invalid(&error))
}

/// Tells what is wrong without repeating any of the input: it may hold a password, in the wrong
/// place.
fn invalid(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let reason = if error.is_syntax() || error.is_eof() {
        format!("no JSON (line {}, column {})", error.line(), error.column())
    } else if text.starts_with("unknown field") {
        "a field that is not known; a link in a query must be percent-encoded".to_owned()
    } else if text.starts_with("missing field") || text.contains(" must be ") {
        text
    } else if let Some((_, allowed)) = text.split_once("expected one of ")
        && text.starts_with("unknown variant")
    {
        format!("an option is none of {allowed}")
    } else {
        "a field has the wrong type".to_owned()
    };
    let detail = format!("the request cannot be understood: {reason}");
    Error::new(ErrorKind::InvalidRequest, detail)
}

fn yes() -> bool {
    true
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "indicator_id must be a text or a whole number")]
    enum TextOrNumber {
        Text(String),
        Number(u64),
    }
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    })
}

/// A number, or the text of one as a query has it.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    text_or_number(deserializer)?
        .parse()
        .map_err(|_| serde::de::Error::custom("limit and offset must be whole numbers"))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "wait must be true or false")]
    enum Flag {
        Bool(bool),
        Text(String),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Bool(flag) => Ok(flag),
        Flag::Text(text) => match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(serde::de::Error::custom("wait must be true or false")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(id: &str) -> StartInput {
        StartInput {
            indicator_id: id.into(),
            profile: Profile::Main,
            rtsp_link: None,
            video: None,
            audio: None,
            transport: None,
            wait: true,
        }
    }

    #[test]
    fn start_by_query() {
        let input: StartInput = from_form(
            b"indicator_id=7&rtsp_link=rtsp%3A%2F%2Fu%3Ap%40h%2Fx%3Fa%3D1%26b%3D2&wait=false",
        )
        .expect("a query");
        let link = "rtsp://u:p@h/x?a=1&b=2".to_owned();
        assert_eq!(input, StartInput { rtsp_link: Some(link), wait: false, ..start("7") });
    }

    #[test]
    fn ids_are_texts_or_numbers() {
        for json in [r#"{"indicator_id":"12"}"#, r#"{"indicator_id":12}"#] {
            let input: StartInput = serde_json::from_str(json).expect(json);
            assert_eq!(input, start("12"));
        }
    }

    #[test]
    fn reloads() {
        let reload = |sequence, part, skip| Ok(Reload { sequence, part, skip });
        let table = [
            ("", reload(None, None, false)),
            ("_HLS_msn=7", reload(Some(7), None, false)),
            ("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES&_=1", reload(Some(7), Some(2), true)),
            ("_HLS_part=2", Err(())),
            ("_HLS_msn=x", Err(())),
            ("_HLS_msn=-1", Err(())),
            ("_HLS_msn=7&_HLS_part=", Err(())),
            ("_HLS_msn=99999999999999999999", Err(())),
            ("_HLS_skip=NO", Err(())),
        ];
        for (query, expected) in table {
            assert_eq!(Reload::from_query(query).map_err(|_| ()), expected, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let table: [(&[u8], &str); 6] = [
            (b"", "missing field `indicator_id`"),
            (b"indicator_id=1&indicator_id=2", "given twice"),
            (b"indicator_id=1&rtsp_link=rtsp://h/cam?channel=1&subtype=0", "percent-encoded"),
            (b"indicator_id=1&wait=maybe", "true or false"),
            (b"indicator_id=1&rtsp=x", "not known"),
            (b"indicator_id=1&audio=loud", "none of `auto`, `aac`, `off`"),
        ];
        for (query, reason) in table {
            let error = from_form::<StartInput>(query).expect_err(reason);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.detail.contains(reason), "{error}");
        }
        for json in [r#""rtsp://u:secret@h""#, r#"{"secret":1}"#, r#"{"indicator_id":["secret"]}"#]
        {
            let error = serde_json::from_str::<StartInput>(json).expect_err(json);
            let error = invalid(&error).detail;
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
