//! Responses about streams.

use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::api::media::playlist_path;
use crate::api::schema;
use crate::api::wire::seconds;
use crate::base::error::{Error, ErrorKind};
use crate::base::public_url::PublicUrl;
use crate::camera::Camera;
use crate::camera::id::{Profile, StreamId};
use crate::camera::options::StreamOptions;
use crate::child::log::{Line, Work};
use crate::service::streams::StartOutcome;
use crate::stream::handle::StreamHandle;
use crate::stream::output::OutputState;
use crate::stream::state::State;
use crate::stream::status::Status;

/// Response to a start.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartOutput<'a> {
    /// The camera's id.
    indicator_id: &'a str,
    /// Path of the playlist on the host at which browsers reach nginx.
    stream_path: String,
    /// The state of the stream.
    status: StartStatus,
    /// The reason why the stream is not playable yet although the request waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<ReasonOutput>,
}

/// The reason for a state of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonOutput {
    /// The stable code, for programs.
    code: ErrorKind,
    /// The reason and what to do about it, for people.
    detail: String,
}

/// The state of a stream when its start returns.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StartStatus {
    /// The stream has become playable.
    Started,
    /// The stream was already playable.
    Active,
    /// The stream is still starting. Either the request did not wait, or `reason` explains the delay.
    Starting,
}

impl<'a> StartOutput<'a> {
    pub(super) fn new(id: &'a StreamId, outcome: StartOutcome, public_url: &PublicUrl) -> Self {
        let (status, reason) = match outcome {
            StartOutcome::Started => (StartStatus::Started, None),
            StartOutcome::Active => (StartStatus::Active, None),
            StartOutcome::Starting(reason) => (StartStatus::Starting, reason),
        };
        let reason = reason.map(|Error { kind, detail, .. }| ReasonOutput { code: kind, detail });
        let stream_path = playlist_path(id, public_url);
        Self { indicator_id: id.camera().as_str(), stream_path, status, reason }
    }
}

/// Response to a stop.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StopOutput<'a> {
    /// The camera's id.
    indicator_id: &'a str,
    /// Always `stopped`, even if there was no stream.
    status: &'static str,
}

impl<'a> StopOutput<'a> {
    pub(super) fn new(id: &'a StreamId) -> Self {
        Self { indicator_id: id.camera().as_str(), status: "stopped" }
    }
}

/// The state of one stream, with its details.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamOutput {
    /// The camera's id.
    indicator_id: String,
    /// The camera's stream.
    profile: Profile,
    /// The state of the stream.
    state: StreamState,
    /// Path of the playlist on the host at which browsers reach nginx.
    stream_path: String,
    /// The URL of the stream at the camera, without secrets.
    source: String,
    /// The camera's options.
    options: StreamOptions,
    /// The details of a stream that is running or has failed.
    #[serde(flatten)]
    #[schema(schema_with = if_running)]
    running: Option<RunningOutput>,
}

/// The state of a stream.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamState {
    /// The stream is not playable yet.
    Starting,
    /// The stream is playable, but HLS may be off, starting or failed; see `outputs`. For example, HLS is off if
    /// no client uses HLS, and the stream runs only because the camera has `keep: always`.
    Live,
    /// The stream was interrupted, or an attempt to connect to the camera failed. The manager will reconnect
    /// after a pause.
    Backoff,
    /// The current run of FFmpeg is ending.
    Stopping,
    /// The start failed; `last_error` has the reason. The manager does not retry until a client starts the
    /// stream, or requests its playlist or a picture.
    Failed,
    /// The stream has not been started, or has ended.
    Stopped,
}

/// The details of a stream that is running or has failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunningOutput {
    /// Number of viewers that requested a playlist or a segment in the last 12 seconds.
    viewers: usize,
    /// When the stream was started, RFC 3339.
    #[schema(format = DateTime)]
    started_at: String,
    /// Seconds since the stream became live with the current run of FFmpeg; null unless the stream is live.
    uptime_seconds: Option<f64>,
    /// Seconds from the start of the current run of FFmpeg until the stream was playable; null
    /// unless the stream is live.
    start_seconds: Option<f64>,
    /// Seconds since the last start or the last request for media; 0 while a caller waits for the stream.
    idle_seconds: f64,
    /// Number of the current or last run of FFmpeg.
    generation: u64,
    /// Number of times that FFmpeg was started again after an interruption or a failed attempt.
    restarts: u64,
    /// The media that players get: the converted media while the manager converts the video, otherwise the
    /// camera's media. Null unless the stream is live.
    media: Option<MediaOutput>,
    /// The states of the outputs.
    outputs: OutputStates,
    /// The resources that the stream's FFmpeg processes use; null if no process is running, or before the
    /// first measurement.
    process: Option<ProcessOutput>,
    /// The last error; null if there was none.
    last_error: Option<LastErrorOutput>,
}

fn if_running() -> Schema {
    schema::all_or_none::<RunningOutput>(
        "Details of the stream. They are missing only if the state is `stopped`.",
    )
}

/// The media that players get: the converted media while the manager converts the video, otherwise the
/// camera's media.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MediaOutput {
    /// RFC 6381 codec of the video.
    video_codec: String,
    /// True if an FFmpeg of the manager has converted the video into that codec.
    transcoded: bool,
    /// RFC 6381 codec of the audio; null without audio.
    audio_codec: Option<String>,
    /// Width in pixels.
    width: u16,
    /// Height in pixels.
    height: u16,
    /// Frames per second over the last seconds.
    frame_rate: f64,
    /// Bits per second over the last seconds.
    bit_rate: u64,
    /// Seconds between the last two keyframes; null before the second keyframe.
    gop_seconds: Option<f64>,
}

/// The states of a stream's outputs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutputStates {
    /// The state of HLS.
    hls: OutputDetails,
}

/// The state of an output.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutputDetails {
    /// The output's state.
    state: OutputState,
    /// The last error of the output; null unless the state is `failed`.
    error: Option<LastErrorOutput>,
}

/// The resources that the FFmpeg processes of a stream use. One process reads the camera. Others, if there are any, convert
/// the video, and decode pictures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProcessOutput {
    /// Percent of one processor core over about the last five seconds.
    cpu_percent: f64,
    /// The part of `cpu_percent` that is used to decode pictures, for the detection of motion and for viewers of pictures;
    /// null while no pictures are decoded.
    pictures_cpu_percent: Option<f64>,
    /// Memory in bytes, without the files of the program and its libraries.
    memory_bytes: u64,
}

/// The last error of a stream or of an output.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastErrorOutput {
    /// The stable code, for programs.
    code: ErrorKind,
    /// The error and what to do about it, for people.
    detail: String,
    /// The age of the error in seconds.
    seconds_ago: f64,
}

/// The list of streams that run, or whose start has failed recently.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamsOutput {
    /// The streams, sorted by id.
    streams: Vec<StreamOutput>,
}

impl StreamsOutput {
    pub(super) fn new(streams: &[StreamHandle], public_url: &PublicUrl) -> Self {
        let output = |handle| StreamOutput::running(handle, public_url);
        let mut streams: Vec<_> = streams.iter().map(output).collect();
        streams.sort_by(|a, b| (&a.indicator_id, a.profile).cmp(&(&b.indicator_id, b.profile)));
        Self { streams }
    }
}

/// The log of a stream's FFmpegs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogOutput<'a> {
    /// The camera's id.
    indicator_id: &'a str,
    /// The last lines, oldest first; empty if there is no stream.
    lines: Vec<LogLineOutput>,
}

/// A line that an FFmpeg of the stream wrote to its stderr, without secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLineOutput {
    /// When the manager read the line, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// Number of the run of FFmpeg.
    generation: u64,
    /// The line.
    text: String,
}

impl<'a> LogOutput<'a> {
    pub(super) fn new(id: &'a StreamId, lines: Vec<Line>) -> Self {
        let lines = lines.into_iter().map(|line| LogLineOutput {
            at: humantime::format_rfc3339_millis(line.at).to_string(),
            generation: line.epoch,
            text: line.text,
        });
        Self { indicator_id: id.camera().as_str(), lines: lines.collect() }
    }
}

impl StreamOutput {
    /// Returns the state of a stream that is running or has failed, with its details.
    pub(super) fn running(handle: &StreamHandle, public_url: &PublicUrl) -> Self {
        let status = handle.status();
        let running = RunningOutput::new(handle, &status);
        Self::new(&status.camera, StreamState::from(status.state), Some(running), public_url)
    }

    /// Returns the state `stopped` for a camera's stream, without details.
    pub(super) fn stopped(camera: &Camera, public_url: &PublicUrl) -> Self {
        Self::new(camera, StreamState::Stopped, None, public_url)
    }

    fn new(
        camera: &Camera,
        state: StreamState,
        running: Option<RunningOutput>,
        public_url: &PublicUrl,
    ) -> Self {
        Self {
            indicator_id: camera.id.camera().to_string(),
            profile: camera.id.profile(),
            state,
            stream_path: playlist_path(&camera.id, public_url),
            source: camera.source.to_string(),
            options: camera.options,
            running,
        }
    }
}

impl From<State> for StreamState {
    fn from(state: State) -> Self {
        match state {
            State::Starting => Self::Starting,
            State::Live => Self::Live,
            State::Backoff => Self::Backoff,
            State::Stopping(_) => Self::Stopping,
            State::Failed => Self::Failed,
            State::Gone => Self::Stopped,
        }
    }
}

impl RunningOutput {
    fn new(handle: &StreamHandle, status: &Status) -> Self {
        let shared = handle.shared();
        let is_live = status.state == State::Live;
        Self {
            viewers: shared.viewers.count(),
            started_at: humantime::format_rfc3339_millis(status.started_at).to_string(),
            uptime_seconds: status.live_since.map(|since| seconds(since.elapsed())),
            start_seconds: status.start_took.map(seconds),
            idle_seconds: seconds(handle.idle_for()),
            generation: status.epoch,
            restarts: status.restarts,
            media: is_live.then(|| MediaOutput::new(handle)).flatten(),
            process: shared.process_log.usage().map(|usage| ProcessOutput {
                cpu_percent: percent(usage.cpu_share),
                pictures_cpu_percent: (shared.process_log.usage_for(Work::Pictures))
                    .map(|usage| percent(usage.cpu_share)),
                memory_bytes: usage.memory,
            }),
            outputs: OutputStates {
                hls: OutputDetails {
                    state: status.output.state,
                    error: status.output.error.as_ref().map(LastErrorOutput::new),
                },
            },
            last_error: status.last_error.as_ref().map(LastErrorOutput::new),
        }
    }
}

/// Returns a share in percent, with two digits after the point.
fn percent(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}

impl LastErrorOutput {
    fn new((error, at): &(Error, Instant)) -> Self {
        Self { code: error.kind, detail: error.detail.clone(), seconds_ago: seconds(at.elapsed()) }
    }
}

impl MediaOutput {
    fn new(handle: &StreamHandle) -> Option<Self> {
        let flow = handle.shared().media.flow()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate, rounded"
        )]
        let bit_rate = flow.bit_rate.round() as u64;
        Some(Self {
            video_codec: flow.format.picture.codec.clone(),
            transcoded: flow.format.is_converted,
            audio_codec: flow.format.audio_codec(),
            width: flow.format.picture.width,
            height: flow.format.picture.height,
            frame_rate: (flow.frame_rate * 100.0).round() / 100.0,
            bit_rate,
            gop_seconds: flow.gop.map(seconds),
        })
    }
}
