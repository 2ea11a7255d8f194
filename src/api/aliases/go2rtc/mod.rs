//! The requests of go2rtc's player and of other clients of go2rtc: its WebSocket, and its addresses of media. `src` is
//! the id of a camera, or the id followed by `~sub`. A playback token in the path must permit the camera in `src`.
//!
//! | Module | Owns |
//! |---|---|
//! | [`messages`] | the messages of the WebSocket |
//! | [`socket`] | a session over the WebSocket |
//! | [`sources`] | what a session sends: MP4 or pictures |
//! | [`attempts`] | when a session tries again |
//! | [`mp4`] | one view of a stream as MP4 |
//! | [`stream`] | MP4 as a response that never ends |
//! | [`webrtc`] | offers and answers over HTTP |
//! | [`query`] | the parameters |

use std::future::ready;

use hyper::Method;
use hyper::header::HOST;
use serde_json::{Map, Value, json};

use crate::access::role::Role;
use crate::api::credentials::{self, text};
use crate::api::media::PLAYLIST_PATH;
use crate::api::media::mjpeg::multipart;
use crate::api::media::playlists::visitor;
use crate::api::media::snapshot;
use crate::api::reply::{self, Reply};
use crate::api::route::{Audience, Call, Row};
use crate::base::error::Error;
use crate::camera::id::{Profile, StreamId};
use crate::media::codec::VideoCodec;
use crate::media::frame::AudioFormat;
use crate::service::snapshots::{self, SnapshotRequest};
use crate::service::{cameras, live, live_pictures};
use crate::store::db::camera_table::Filter;

mod attempts;
pub(crate) mod messages;
mod mp4;
mod query;
mod socket;
mod sources;
mod stream;
mod webrtc;

use query::Parameters;

/// The version of go2rtc whose requests the manager accepts. Clients compare it with the versions that they support.
const VERSION: &str = "1.9.14";

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let viewers = Audience::Viewers;
    vec![
        Row::internal(Method::GET, "/go2rtc/api", Audience::Everyone, |call| {
            Box::pin(ready(Ok(version(&call))))
        }),
        Row::internal(Method::GET, "/go2rtc/api/streams", viewers, |call| Box::pin(list(call))),
        Row::internal(Method::GET, "/go2rtc/api/ws", viewers, |call| Box::pin(socket::open(call)))
            .without_head(),
        Row::internal(Method::POST, "/go2rtc/api/webrtc", viewers, |call| {
            Box::pin(webrtc::open(call))
        })
        .waits(),
        Row::internal(Method::GET, "/go2rtc/api/frame.jpeg", viewers, |call| Box::pin(frame(call)))
            .waits(),
        Row::internal(Method::GET, "/go2rtc/api/stream.mjpeg", viewers, |call| {
            Box::pin(pictures(call))
        })
        .waits(),
        Row::internal(Method::GET, "/go2rtc/api/stream.mp4", viewers, |call| {
            Box::pin(stream::get(call))
        })
        .waits(),
    ]
}

/// Returns the version.
fn version(call: &Call<'_>) -> Reply {
    let host = text(&call.head.headers, HOST.as_str()).unwrap_or_default();
    reply::json(&json!({ "version": VERSION, "host": host }))
}

/// Returns the camera in `src`, or all cameras that the owner of an API key can see.
async fn list(call: Call<'_>) -> Result<Reply, Error> {
    let core = &call.api.core;
    if let Some(id) = Parameters::of(&call).given_source()? {
        // Checks that the camera exists, and that the viewer is permitted to watch it.
        live::request(core, &id, visitor(&call)).await?;
        return Ok(reply::json(&entry(&call, &id)));
    }
    core.access.refuse_other_sites(credentials::is_other_site(&call.head.headers))?;
    let caller = core.access.caller(&call.shown())?;
    caller.ensure_role(Role::Viewer)?;
    let (mut all, mut offset) = (Map::new(), 0);
    loop {
        let page = Filter { limit: cameras::MAX_PAGE, offset, ..Filter::default() };
        let (records, total) = cameras::list(core, &caller, page).await?;
        // A camera that is added in the meantime can shift the pages, so the cameras in the map do not count.
        offset = offset.saturating_add(u32::try_from(records.len()).unwrap_or(u32::MAX));
        let is_last = records.is_empty() || i64::from(offset) >= total;
        for record in records {
            let id = StreamId::new(record.id, Profile::Main);
            all.insert(id.as_str().to_owned(), entry(&call, &id));
        }
        if is_last {
            return Ok(reply::json(&all));
        }
    }
}

/// Returns what the list shows of a stream. The camera's address is not part of it, because a session's viewer must not
/// learn it.
fn entry(call: &Call<'_>, id: &StreamId) -> Value {
    let url = call.api.public_url.url(&PLAYLIST_PATH.replace("{id}", id.as_str()));
    json!({ "producers": [{ "url": url, "medias": medias(call, id) }], "consumers": [] })
}

/// Returns the video and the audio of a running stream in go2rtc's words; nothing if the stream is not running. Pages show
/// by this whether a camera has sound.
fn medias(call: &Call<'_>, id: &StreamId) -> Vec<String> {
    let stream = call.api.core.registry.get(id);
    let Some(flow) = stream.and_then(|stream| stream.shared().hub.flow()) else {
        return Vec::new();
    };
    let video = match flow.format.codec() {
        VideoCodec::H264 => "H264",
        VideoCodec::H265 => "H265",
        VideoCodec::Mjpeg => "JPEG",
    };
    let audio = match &flow.format.audio {
        Some(AudioFormat::Aac(_)) => Some("MPEG4-GENERIC"),
        Some(AudioFormat::Opus(_)) => Some("OPUS"),
        Some(AudioFormat::PcmALaw(_)) => Some("PCMA"),
        Some(AudioFormat::PcmMuLaw(_)) => Some("PCMU"),
        Some(AudioFormat::Other) | None => flow.format.aac.as_ref().map(|_| "MPEG4-GENERIC"),
    };
    let audio = audio.map(|codec| format!("audio, recvonly, {codec}"));
    [Some(format!("video, recvonly, {video}")), audio].into_iter().flatten().collect()
}

/// Returns a picture: a new one, unless `cache` permits an earlier one.
async fn frame(call: Call<'_>) -> Result<Reply, Error> {
    let parameters = Parameters::of(&call);
    let (id, max_age) = (parameters.source()?, parameters.cache());
    let request = SnapshotRequest { width: parameters.width(), max_age, start: true };
    let picture = snapshots::take(&call.api.core, &id, &call.shown(), request).await?;
    Ok(snapshot::response(&picture))
}

/// Returns continuous pictures.
async fn pictures(call: Call<'_>) -> Result<Reply, Error> {
    let parameters = Parameters::of(&call);
    let (id, spec) = (parameters.source()?, parameters.pictures());
    let core = &call.api.core;
    let request = live_pictures::request(core, &id, visitor(&call), spec).await?;
    let mut view = request.open(core).await?;
    let first = view.first().await?;
    multipart::reply(view, first)
}
