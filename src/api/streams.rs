//! Start, stop, status and list of streams.

use std::time::Duration;

use tracing::info;

use super::model::{
    LastErrorOutput, LogLineOutput, LogOutput, MediaOutput, ProcessOutput, RunningOutput,
    StartInput, StartOutput, StartStatus, StopOutput, StreamOutput, StreamState, StreamsOutput,
};
use super::reply::{self, Reply};
use super::{Api, cameras};
use crate::access::Caller;
use crate::access::keys::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::id::{CameraId, StreamId};
use crate::camera::options::OptionChanges;
use crate::camera::plan::Video;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::output::hls::layout::PLAYLIST;
use crate::stream::handle::{Joined, StreamHandle};
use crate::stream::state::State;

/// Starts or joins a stream.
pub async fn start(api: &Api, caller: &Caller, input: StartInput) -> Result<Reply, Error> {
    let id = StreamId::new(CameraId::parse(&input.indicator_id)?, input.profile);
    let link = input.rtsp_link.filter(|link| !link.is_empty());
    let source = link.map(|link| Source::parse(&link)).transpose()?;
    let StartInput { video, audio, transport, .. } = input;
    let changes = OptionChanges { video, audio, transport };
    cameras::may_see(api, caller, id.camera()).await?;
    if source.is_none() && changes == OptionChanges::default() {
        return start_known(api, caller, &id, input.wait).await;
    }
    // More than watching.
    caller.at_least(Role::User)?;
    let check = |record: &Record| caller.ensure_owns(record.owner.as_deref(), &record.id);
    let camera = api.cameras.put(&id, caller.owner(), source, changes, check).await?;
    let Some(camera) = camera else {
        return Err(cameras::no_stream(api, &id).await);
    };
    begin(api, caller, &id, camera, input.wait).await
}

/// Starts or joins the stream of a camera that is known.
pub async fn start_known(
    api: &Api,
    caller: &Caller,
    id: &StreamId,
    wait: bool,
) -> Result<Reply, Error> {
    cameras::may_see(api, caller, id.camera()).await?;
    let camera = cameras::stream(api, id).await?;
    begin(api, caller, id, camera, wait).await
}

async fn begin(
    api: &Api,
    caller: &Caller,
    id: &StreamId,
    camera: Camera,
    wait: bool,
) -> Result<Reply, Error> {
    info!(by = caller.name(), stream = %id, "start");
    let status = if wait {
        match cameras::start(api, camera).await? {
            Joined::Active => StartStatus::Active,
            Joined::Started => StartStatus::Started,
        }
    } else {
        let handle = api.registry.start_soon(camera)?;
        if handle.status().state == State::Live {
            StartStatus::Active
        } else {
            StartStatus::Starting
        }
    };
    Ok(reply::json(&StartOutput {
        indicator_id: id.camera().as_str(),
        stream_path: stream_path(id),
        status,
    }))
}

/// Stops a stream. A stream that does not run is fine.
pub async fn stop(api: &Api, caller: &Caller, id: &StreamId) -> Result<Reply, Error> {
    cameras::may_see(api, caller, id.camera()).await?;
    info!(by = caller.name(), stream = %id, "stop");
    api.registry.stop(id).await;
    Ok(reply::json(&StopOutput { indicator_id: id.camera().as_str(), status: "stopped" }))
}

/// State of one stream.
pub async fn status(api: &Api, caller: &Caller, id: &StreamId) -> Result<Reply, Error> {
    cameras::may_see(api, caller, id.camera()).await?;
    if let Some(handle) = api.registry.get(id) {
        return Ok(reply::json(&describe(&handle)));
    }
    let camera = cameras::stream(api, id).await?;
    Ok(reply::json(&output(&camera, StreamState::Stopped, None)))
}

/// State of all streams that the caller may see.
pub async fn list(api: &Api, caller: &Caller) -> Result<Reply, Error> {
    let mut streams = Vec::new();
    for handle in api.registry.all() {
        match cameras::may_see(api, caller, handle.id().camera()).await {
            Ok(()) => streams.push(describe(&handle)),
            Err(error) if error.kind == ErrorKind::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    streams.sort_by(|a, b| (&a.indicator_id, a.profile).cmp(&(&b.indicator_id, b.profile)));
    Ok(reply::json(&StreamsOutput { streams }))
}

/// What a stream's FFmpegs said last.
pub async fn log(api: &Api, caller: &Caller, id: &StreamId) -> Result<Reply, Error> {
    cameras::may_see(api, caller, id.camera()).await?;
    // A camera that is not known, or no more, is an error.
    cameras::stream(api, id).await?;
    let lines = api.registry.get(id).map(|handle| handle.shared().journal.lines());
    let lines = lines.unwrap_or_default();
    let lines = lines.into_iter().map(|line| LogLineOutput {
        at: humantime::format_rfc3339_millis(line.at).to_string(),
        generation: line.generation,
        text: line.text,
    });
    let indicator_id = id.camera().as_str();
    Ok(reply::json(&LogOutput { indicator_id, lines: lines.collect() }))
}

/// Path of a stream's playlist on nginx.
pub fn stream_path(id: &StreamId) -> String {
    format!("/streams/{id}/{PLAYLIST}")
}

fn shown(state: State) -> StreamState {
    match state {
        State::Starting => StreamState::Starting,
        State::Live => StreamState::Live,
        State::Backoff => StreamState::Backoff,
        State::Stopping(_) => StreamState::Stopping,
        State::Failed => StreamState::Failed,
        State::Gone => StreamState::Stopped,
    }
}

fn output(camera: &Camera, state: StreamState, running: Option<RunningOutput>) -> StreamOutput {
    StreamOutput {
        indicator_id: camera.id.camera().to_string(),
        profile: camera.id.profile(),
        state,
        stream_path: stream_path(&camera.id),
        source: camera.source.to_string(),
        options: camera.options,
        running,
    }
}

fn describe(handle: &StreamHandle) -> StreamOutput {
    let status = handle.status();
    let shared = handle.shared();
    let running = RunningOutput {
        viewers: shared.viewers.count(),
        started_at: humantime::format_rfc3339_millis(status.started_at).to_string(),
        uptime_seconds: status.live_since.map(|since| seconds(since.elapsed())),
        start_seconds: status.start_took.map(seconds),
        idle_seconds: seconds(handle.idle_for()),
        generation: status.generation,
        restarts: status.restarts,
        media: (status.state == State::Live).then(|| media(handle, &status.camera)).flatten(),
        process: shared.journal.usage().map(|usage| ProcessOutput {
            cpu_percent: (usage.cpu_share * 10_000.0).round() / 100.0,
            memory_bytes: usage.memory,
        }),
        last_error: status.last_error.map(|(error, at)| LastErrorOutput {
            code: error.kind,
            detail: error.detail,
            seconds_ago: seconds(at.elapsed()),
        }),
    };
    output(&status.camera, shown(status.state), Some(running))
}

fn media(handle: &StreamHandle, camera: &Camera) -> Option<MediaOutput> {
    let flow = handle.shared().hub.flow()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, rounded")]
    let bit_rate = flow.bit_rate.round() as u64;
    Some(MediaOutput {
        video_codec: flow.init.video.codec.clone(),
        transcoded: camera.learned.get().video == Video::ToH264,
        audio_codec: flow.init.audio_codec.clone(),
        width: flow.init.video.width,
        height: flow.init.video.height,
        frame_rate: (flow.frame_rate * 100.0).round() / 100.0,
        bit_rate,
        gop_seconds: flow.gop.map(seconds),
    })
}

/// Seconds to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
