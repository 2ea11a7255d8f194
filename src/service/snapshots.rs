//! Use cases of pictures: a viewer requests a picture of a camera, and a camera test uses a running stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::{permission, streams, watching};
use crate::access::credentials::Credentials;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::camera::options::StreamOptions;
use crate::camera::plan::Video;
use crate::camera::source::Source;
use crate::ingest::ffmpeg::args::STILL_WIDTH;
use crate::ingest::ffmpeg::probe::Still;
use crate::media::codec::VideoCodec;
use crate::media::frame::AudioFormat;
use crate::pictures::picture::Picture;
use crate::pictures::snapshots::Wanted;
use crate::stream::interest::Purpose;
use crate::stream::output::WantedOutput;
use crate::stream::state::State;

/// The picture that a viewer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotRequest {
    /// Greatest width in pixels; `None` for the camera's width.
    pub(crate) width: Option<u32>,
    /// Greatest age of the picture at the time of the request.
    pub(crate) max_age: Duration,
    /// If true, the stream is started if it is not running.
    pub(crate) start: bool,
}

/// Returns a picture of a camera: a kept picture if it is new enough, otherwise one from the camera's stream.
/// If `request.start` is false and no new picture can be taken, returns the last picture, of any age. Fails if
/// the visitor is not permitted to watch. Also fails if no picture can be taken, and either `request.start` is
/// true or no picture is kept.
pub(crate) async fn take(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    request: SnapshotRequest,
) -> Result<Arc<Picture>, Error> {
    let permit = permission::permit_to_watch(core, shown, id.camera()).await?;
    let camera = streams::known_camera(core, id).await?;
    let wanted = Wanted::new(id.clone(), camera.source, request.width, request.max_age);
    if let Some(picture) = core.snapshots.kept(&wanted) {
        return Ok(picture);
    }
    let picture = if request.start {
        start_and_take(core, id, wanted).await?
    } else {
        take_if_running(core, id, wanted).await?
    };
    permission::ensure_still_valid(core, &permit, id.camera()).await?;
    Ok(picture)
}

async fn start_and_take(core: &Core, id: &StreamId, wanted: Wanted) -> Result<Arc<Picture>, Error> {
    let stream = watching::start(core, id, WantedOutput::None).await?;
    let _interest = stream.interest(Purpose::Snapshot);
    core.snapshots.take(&stream, wanted).await
}

/// Takes a picture of a live stream, or returns the last picture, of any age. Holds no interest in the
/// stream, because a page that lists cameras with their pictures must not keep all streams running.
async fn take_if_running(
    core: &Core,
    id: &StreamId,
    wanted: Wanted,
) -> Result<Arc<Picture>, Error> {
    let running = core.registry.get(id).filter(|stream| wanted.is_live_in(stream));
    let taken = if let Some(stream) = running {
        core.snapshots.take(&stream, wanted.clone()).await
    } else {
        let detail = format!(
            "there is no picture of camera {id}, and its stream is not live; omit start=false to start it"
        );
        Err(Error::new(ErrorKind::NotFound, detail))
    };
    taken.or_else(|error| core.snapshots.last(&wanted).ok_or(error))
}

/// Returns the result of a camera test, which is a picture and the properties of the media. Takes both from the
/// stream if it is live with this source and these options. Otherwise, or if no picture can be taken, returns `None`.
/// Also returns `None` if the stream does not show which media the camera sends. This is the case if the ingest
/// converts or omits media, if the audio is not known yet, or if the audio codec is unknown.
pub(super) async fn of_running(
    core: &Core,
    id: StreamId,
    source: &Source,
    options: StreamOptions,
) -> Option<Still> {
    let began_at = Instant::now();
    let stream = core.registry.get(&id)?;
    let status = stream.status();
    let plan = status.camera.learned.get();
    let is_copied = plan.video == Video::Copy && plan.audio.is_copied();
    if status.state != State::Live || !status.camera.is_like(source, options) || !is_copied {
        return None;
    }
    let wanted = Wanted::new(id, source.clone(), Some(STILL_WIDTH), Duration::ZERO);
    let picture = core.snapshots.take(&stream, wanted).await.ok()?;
    let flow = stream.shared().hub.flow()?;
    let format = &flow.format;
    Some(Still {
        video_codec: match format.codec() {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "hevc",
            VideoCodec::Mjpeg => "mjpeg",
        }
        .to_owned(),
        width: format.picture.width.into(),
        height: format.picture.height.into(),
        frame_rate: Some((flow.frame_rate * 100.0).round() / 100.0),
        audio_codec: match &format.audio {
            None if format.awaits_audio => return None,
            None => None,
            Some(audio) => Some(audio_codec(audio)?.to_owned()),
        },
        jpeg: picture.data.to_vec(),
        took: began_at.elapsed(),
    })
}

/// Returns FFmpeg's name of an audio codec; `None` for [`AudioFormat::Other`].
fn audio_codec(audio: &AudioFormat) -> Option<&'static str> {
    match audio {
        AudioFormat::Aac(_) => Some("aac"),
        AudioFormat::Opus(_) => Some("opus"),
        AudioFormat::PcmALaw(_) => Some("pcm_alaw"),
        AudioFormat::PcmMuLaw(_) => Some("pcm_mulaw"),
        AudioFormat::Other => None,
    }
}
