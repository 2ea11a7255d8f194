//! Use cases of viewers who watch over WebRTC: they open a session with an offer, and end it.

use std::sync::Arc;

use tracing::{debug, info};

use super::core::Core;
use super::live::{self, LiveView};
use super::permission;
use super::watching::Visitor;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::camera::options::VideoOption;
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame};
use crate::media::hub::ReadFrom;
use crate::output::webrtc::offer::Negotiated;
use crate::output::webrtc::server::Place;
use crate::output::webrtc::session::{B_FRAMES, Frames, Session, SessionEnd};
use crate::stream::handle::StreamHandle;

/// The largest number of bytes by which a viewer can be behind. A group of pictures of 12 s with 10 Mbit/s has 15 MB.
const MAX_BEHIND: usize = 16 * 1024 * 1024;

/// A session that was opened.
pub(crate) struct Opened {
    /// The session's id.
    pub(crate) id: String,
    /// The answer to the offer.
    pub(crate) answer: String,
    /// The name of the session's ICE credentials.
    pub(crate) fragment: String,
}

/// Opens a session for a visitor, and answers the visitor's offer. Starts the stream if it is not running, and waits
/// for its first keyframe. The session ends with the permission. The caller must have checked the permission with
/// [`ensure_permitted`], because an offer that cannot be used is refused before the stream starts.
pub(crate) async fn open(
    core: &Arc<Core>,
    id: &StreamId,
    visitor: Visitor<'_>,
    offer: &str,
) -> Result<Opened, Error> {
    // An offer that cannot be used starts no stream.
    let negotiated = core.webrtc.negotiate(offer)?;
    let view = live::watch(core, id, visitor).await?;
    let is_original = choose_frames(core, view.stream(), &negotiated)?;
    let (answer, fragment) = (negotiated.answer.clone(), negotiated.fragment().to_owned());
    let (session, place) = core.webrtc.open(id, negotiated)?;
    let opened = Opened { id: place.id().to_owned(), answer, fragment };
    tokio::spawn(run(Arc::clone(core), view, session, place, is_original));
    Ok(opened)
}

/// Ends a session. Fails if the visitor is not permitted to watch the camera, or if there is no such session.
pub(crate) async fn close(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    session: &str,
) -> Result<(), Error> {
    permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    if core.webrtc.close(id, session) { Ok(()) } else { Err(unknown_session(id)) }
}

/// Fails if the visitor is not permitted to watch the camera.
pub(crate) async fn ensure_permitted(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<(), Error> {
    permission::permit_to_watch(core, &visitor.shown, id.camera()).await.map(drop)
}

/// Fails if the stream has no such session.
pub(crate) fn ensure_exists(core: &Core, id: &StreamId, session: &str) -> Result<(), Error> {
    if core.webrtc.has(id, session) { Ok(()) } else { Err(unknown_session(id)) }
}

fn unknown_session(id: &StreamId) -> Error {
    let detail = format!("camera {id} has no such WebRTC session; it may have ended");
    Error::new(ErrorKind::NotFound, detail)
}

/// Returns true if the viewer gets the video as the camera sends it, and false if the viewer gets the frames that all
/// players can play. Fails if the viewer can play neither.
fn choose_frames(
    core: &Core,
    stream: &StreamHandle,
    negotiated: &Negotiated,
) -> Result<bool, Error> {
    let shared = stream.shared();
    let Some(flow) = shared.hub.flow() else { return Ok(false) };
    let format = &flow.format;
    let is_forced = stream.status().camera.options.video == VideoOption::H264;
    // Without this, H.265 would be converted although the viewer can play it.
    let is_original = !is_forced && is_plain_h265(format) && negotiated.accepts(VideoCodec::H265);
    let codec = if is_original { Some(VideoCodec::H265) } else { shared.media.codec() };
    if !codec.is_some_and(|codec| negotiated.accepts(codec)) {
        return Err(unsupported(stream.id(), "the player does not accept the codec of the video"));
    }
    let is_copied = codec == Some(format.codec());
    let has_reordering = || {
        core.webrtc.has_reordering(stream.id(), format.epoch)
            || format.picture.may_reorder && is_reordered(&shared.hub.last_pictures())
    };
    if is_copied && has_reordering() {
        return Err(unsupported(stream.id(), B_FRAMES));
    }
    Ok(is_original)
}

/// Returns whether browsers that play H.265 play this video: 8 bits and 4:2:0.
fn is_plain_h265(format: &Format) -> bool {
    let picture = &format.picture;
    let depths = (picture.luma_bit_depth, picture.chroma_bit_depth);
    format.codec() == VideoCodec::H265 && (depths, picture.chroma_format) == ((8, 8), 1)
}

fn is_reordered(pictures: &[Arc<Frame>]) -> bool {
    pictures.windows(2).any(|pair| match pair {
        [first, second] => second.presentation_time < first.presentation_time,
        _ => false,
    })
}

fn unsupported(id: &StreamId, reason: &str) -> Error {
    let detail = format!("camera {id} cannot be watched over WebRTC: {reason}");
    Error::new(ErrorKind::WebrtcUnsupported, detail)
}

/// Runs a session until it ends.
async fn run(
    core: Arc<Core>,
    view: LiveView,
    session: Session,
    mut place: Place,
    is_original: bool,
) {
    let stream = view.stream().clone();
    let read = || {
        let shared = stream.shared();
        if is_original {
            Frames::Original(shared.hub.read(ReadFrom::LastKeyframe, MAX_BEHIND))
        } else {
            Frames::Playable(shared.media.read(MAX_BEHIND))
        }
    };
    let end = async {
        tokio::select! {
            error = view.end(&core) => SessionEnd::View(error),
            () = place.left() => SessionEnd::Left,
        }
    };
    let (end, packets) = Box::pin(session.run(read, end)).await;
    place.note_end(&end, packets);
    if let (SessionEnd::Unsupported(B_FRAMES), Some(flow)) = (&end, stream.shared().hub.flow()) {
        core.webrtc.note_reordering(stream.id(), flow.format.epoch);
    }
    let camera = stream.id();
    if place.is_connected() {
        info!(%camera, reason = ?end, packets, "a WebRTC session has ended");
    } else {
        debug!(%camera, reason = ?end, "a WebRTC session has ended before its connection");
    }
}
