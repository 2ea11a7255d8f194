//! Use cases of viewers who watch over WebRTC: they open a session with an offer, and end it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::core::Core;
use super::live::{LiveView, ViewRequest};
use super::permission;
use super::watching::Visitor;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{Profile, StreamId};
use crate::camera::options::VideoOption;
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::ReadFrom;
use crate::output::webrtc::frames::{Frames, can_send_sets};
use crate::output::webrtc::offer::{Negotiated, Sound, SoundWay};
use crate::output::webrtc::order::PictureOrder;
use crate::output::webrtc::outcome::{B_FRAMES, NOT_CONVERTED, Outcome, SEVERAL_SETS, SessionEnd};
use crate::output::webrtc::server::{Place, SessionViewer};
use crate::output::webrtc::session::Session;
use crate::stream::handle::StreamHandle;

/// The largest number of bytes by which a viewer can be behind. A group of pictures of 12 s with 10 Mbit/s has 15 MB.
const MAX_BEHIND: usize = 16 * 1024 * 1024;

/// The longest time to wait until the audio of a stream is known.
const AUDIO_WITHIN: Duration = Duration::from_secs(1);
/// The pause before the sub stream is tried again if it could not be opened.
const SUB_AGAIN: Duration = Duration::from_secs(30);
/// The number of pictures from a keyframe on that show whether a stream has B-frames, and the longest time to wait for
/// them.
const JUDGED_PICTURES: usize = 8;
const JUDGED_WITHIN: Duration = Duration::from_secs(1);

/// A session that was opened.
pub(crate) struct Opened {
    /// The session's id.
    pub(crate) id: String,
    /// The answer to the offer.
    pub(crate) answer: String,
    /// The name of the session's ICE credentials.
    pub(crate) fragment: String,
}

/// Opens a session for a viewer, and answers the viewer's offer. Starts the stream if it is not running, and waits for
/// its first keyframe. The session ends with the permission.
pub(crate) async fn open(
    core: &Arc<Core>,
    request: &ViewRequest,
    offer: &str,
) -> Result<Opened, Error> {
    // A viewer with too many sessions, and an offer that cannot be used, start no stream.
    let id = request.id();
    let (user, address) = (request.user().to_owned(), request.address().to_owned());
    let place = core.webrtc.reserve(id, SessionViewer { user, address })?;
    let checked = core.webrtc.negotiate(offer, Sound::AsOffered)?;
    let view = request.clone().open(core).await?;
    let is_original = choose_frames(core, view.stream(), |codec| checked.accepts(codec))?;
    let is_silent = checked.wants_audio() && !has_audio(core, view.stream(), &checked).await;
    let sound = if is_silent { Sound::Refused } else { Sound::AsOffered };
    // The stream may have waited for a start slot or for its keyframe. The clocks of the session, among them those of the
    // estimate of the network, begin only now.
    let negotiated = core.webrtc.negotiate(offer, sound)?;
    let (answer, fragment) = (negotiated.answer.clone(), negotiated.fragment().to_owned());
    let session = core.webrtc.open(negotiated, &place)?;
    let opened = Opened { id: place.id().to_owned(), answer, fragment };
    let watched = Watched { view, sub: request.of_profile(Profile::Sub), is_original };
    tokio::spawn(run(Arc::clone(core), watched, session, place));
    Ok(opened)
}

/// Ends the session of a viewer who may have left it already.
pub(crate) fn leave(core: &Core, request: &ViewRequest, session: &str) {
    core.webrtc.close(request.id(), session, request.user());
}

/// Ends a session. Fails if the visitor is not permitted to watch the camera, or has no such session.
pub(crate) async fn close(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    session: &str,
) -> Result<(), Error> {
    let user = user(core, id, &visitor).await?;
    if core.webrtc.close(id, session, &user) { Ok(()) } else { Err(unknown_session(id)) }
}

/// Returns the name of a session's ICE credentials. Fails as [`close`] does.
pub(crate) async fn fragment(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    session: &str,
) -> Result<String, Error> {
    let user = user(core, id, &visitor).await?;
    core.webrtc.fragment(id, session, &user).ok_or_else(|| unknown_session(id))
}

/// Returns the user who has the visitor's permission to watch the camera.
async fn user(core: &Core, id: &StreamId, visitor: &Visitor<'_>) -> Result<String, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    Ok(permit.user().to_owned())
}

/// Fails if the visitor is not permitted to watch the camera.
pub(crate) async fn ensure_permitted(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<(), Error> {
    permission::permit_to_watch(core, &visitor.shown, id.camera()).await.map(drop)
}

fn unknown_session(id: &StreamId) -> Error {
    let detail = format!("you have no such WebRTC session of camera {id}; it may have ended");
    Error::new(ErrorKind::NotFound, detail)
}

/// Returns true if the viewer gets the video as the camera sends it, and false if the viewer gets the frames that all
/// players can play. Fails if the viewer can play neither.
fn choose_frames(
    core: &Core,
    stream: &StreamHandle,
    accepts: impl Fn(VideoCodec) -> bool,
) -> Result<bool, Error> {
    let shared = stream.shared();
    let Some(flow) = shared.hub.flow() else { return Ok(false) };
    let format = &flow.format;
    let is_forced = stream.status().camera.options.video == VideoOption::H264;
    // Without this, H.265 would be converted although the viewer can play it.
    let is_original =
        !is_forced && is_plain_h265(format) && can_send_sets(format) && accepts(VideoCodec::H265);
    let codec = if is_original { Some(VideoCodec::H265) } else { shared.media.codec() };
    if !codec.is_some_and(&accepts) {
        return Err(unsupported(stream.id(), "the player does not accept the codec of the video"));
    }
    let is_copied = codec == Some(format.codec());
    if is_copied && !can_send_sets(format) {
        return Err(unsupported(stream.id(), SEVERAL_SETS));
    }
    let has_reordering = || {
        core.webrtc.has_reordering(stream.id(), format.epoch)
            || is_reordered(&shared.hub.last_pictures())
    };
    if is_copied && has_reordering() {
        return Err(unsupported(stream.id(), B_FRAMES));
    }
    Ok(is_original)
}

/// Returns whether the viewer gets audio of the stream, or may get it as soon as the audio is known. An answer that
/// promises audio makes some players choose WebRTC although another way has sound.
async fn has_audio(core: &Core, stream: &StreamHandle, negotiated: &Negotiated) -> bool {
    let Some(format) = format(stream) else { return true };
    let way = negotiated.sound_way(&format);
    if way == Some(SoundWay::AsItIs) {
        return true;
    }
    if way.is_none() && !format.awaits_audio {
        return false;
    }
    if core.opus.can_convert().await {
        return true;
    }
    // The audio may still turn out to need no conversion.
    let known = known_format(stream).await;
    known.is_some_and(|format| negotiated.sound_way(&format) == Some(SoundWay::AsItIs))
}

/// Returns the format of a stream; `None` before its first frame of video.
fn format(stream: &StreamHandle) -> Option<Arc<Format>> {
    stream.shared().hub.flow().map(|flow| flow.format)
}

/// Waits for a limited time until the audio of a stream is known, and returns the format.
async fn known_format(stream: &StreamHandle) -> Option<Arc<Format>> {
    let mut frames = stream.shared().hub.read(ReadFrom::Now, MAX_BEHIND);
    let known = async {
        while format(stream).is_some_and(|format| format.awaits_audio) {
            if matches!(frames.next().await, Ok(None)) {
                break;
            }
        }
    };
    // After this time, the audio that is known so far counts.
    let _ = timeout(AUDIO_WITHIN, known).await;
    format(stream)
}

/// Returns whether browsers that play H.265 play this video: 8 bits and 4:2:0.
fn is_plain_h265(format: &Format) -> bool {
    let picture = &format.picture;
    let depths = (picture.luma_bit_depth, picture.chroma_bit_depth);
    format.codec() == VideoCodec::H265 && (depths, picture.chroma_format) == ((8, 8), 1)
}

fn is_reordered(pictures: &[Arc<Frame>]) -> bool {
    let mut order = PictureOrder::default();
    pictures.iter().any(|picture| order.note(picture))
}

fn unsupported(id: &StreamId, reason: &str) -> Error {
    let detail = format!("camera {id} cannot be watched over WebRTC: {reason}");
    Error::new(ErrorKind::WebrtcUnsupported, detail)
}

/// Returns the frames of a stream, as the camera sends them or as all players can play them.
fn frames(core: &Core, stream: &StreamHandle, is_original: bool) -> Frames {
    Frames::new(stream, is_original, MAX_BEHIND, core.opus.clone())
}

/// Runs a session until it ends. If the network is too slow for the main stream, continues with the sub stream.
async fn run(core: Arc<Core>, watched: Watched, mut session: Session, mut place: Place) {
    let Watched { mut view, sub, is_original } = watched;
    let mut sub = SubStream::Unused(sub, Instant::now());
    let mut errors = view.stream().shared().media.errors();
    let end = loop {
        let stream = view.stream().clone();
        tokio::select! {
            outcome = Box::pin(session.run(|| frames(&core, &stream, is_original))) => match outcome {
                Outcome::End(end) => break end,
                Outcome::TooSlow => sub.open(&core, stream.id()),
            },
            opened = sub.opened() => if let Some(opened) = use_sub(&core, &mut session, opened) {
                view = opened;
                errors = view.stream().shared().media.errors();
            },
            // Without this, the viewer would wait for frames that never come.
            _ = errors.refusal() => break SessionEnd::Unsupported(NOT_CONVERTED),
            error = view.end(&core) => break SessionEnd::View(error),
            () = place.left() => break SessionEnd::Left,
        }
    };
    session.close().await;
    let (stream, packets) = (view.stream(), session.packets());
    place.note_end(&end);
    if let SessionEnd::Reordered(epoch) = end {
        core.webrtc.note_reordering(stream.id(), epoch);
    }
    let camera = stream.id();
    if place.is_connected() {
        info!(%camera, reason = ?end, packets, "a WebRTC session has ended");
    } else {
        debug!(%camera, reason = ?end, "a WebRTC session has ended before its connection");
    }
}

/// What a session shows.
struct Watched {
    view: LiveView,
    /// The request for the camera's sub stream, which the session shows if the network is slow.
    sub: ViewRequest,
    /// See [`choose_frames`].
    is_original: bool,
}

/// The sub stream of a session that began with the main stream.
enum SubStream {
    /// It can be opened from this time on.
    Unused(ViewRequest, Instant),
    Opening(ViewRequest, Pin<Box<dyn Future<Output = Result<LiveView, Error>> + Send>>),
    /// It is used, or cannot be used.
    Decided,
}

impl SubStream {
    /// Begins to open the sub stream, unless that was tried shortly before, or `shown`, the stream that the session shows,
    /// is the sub stream.
    fn open(&mut self, core: &Arc<Core>, shown: &StreamId) {
        if shown.profile() == Profile::Sub {
            return;
        }
        if let Self::Unused(request, from) = self
            && *from <= Instant::now()
        {
            let request = request.clone();
            *self = Self::Opening(request.clone(), Box::pin(opened(Arc::clone(core), request)));
        }
    }

    /// Waits until the sub stream is open. If it cannot be opened now, it can be opened after a pause.
    async fn opened(&mut self) -> Result<LiveView, Error> {
        let Self::Opening(request, opening) = self else { return std::future::pending().await };
        let opened = opening.await;
        let pause = match &opened {
            Ok(_) => None,
            Err(error) if error.kind == ErrorKind::UnknownCamera => None,
            Err(error) => Some(error.retry_after.unwrap_or_default().max(SUB_AGAIN)),
        };
        *self = match pause {
            Some(pause) => Self::Unused(request.clone(), Instant::now() + pause),
            None => Self::Decided,
        };
        opened
    }
}

/// Opens a view of a stream, and waits until it is known whether the stream has B-frames, for a limited time.
async fn opened(core: Arc<Core>, request: ViewRequest) -> Result<LiveView, Error> {
    let view = request.open(&core).await?;
    let hub = &view.stream().shared().hub;
    let may_reorder = hub.flow().is_some_and(|flow| flow.format.picture.may_reorder);
    if may_reorder {
        let mut frames = hub.read(ReadFrom::LastKeyframe, MAX_BEHIND);
        let several = async {
            let mut pictures = 0;
            while pictures < JUDGED_PICTURES {
                match frames.next().await {
                    Ok(Some(frame)) => pictures += usize::from(frame.track == Track::Video),
                    Ok(None) => return,
                    Err(_) => {}
                }
            }
        };
        // Without enough pictures, the session judges those that follow.
        let _ = timeout(JUDGED_WITHIN, several).await;
    }
    Ok(view)
}

/// Makes a session continue with the sub stream, and returns the view of it; `None` if the sub stream cannot be used.
fn use_sub(
    core: &Core,
    session: &mut Session,
    opened: Result<LiveView, Error>,
) -> Option<LiveView> {
    let chosen = opened.and_then(|view| {
        let is_original = choose_frames(core, view.stream(), |codec| session.accepts(codec))?;
        Ok((view, is_original))
    });
    match chosen {
        Ok((view, is_original)) => {
            info!(camera = %view.stream().id(), "a WebRTC session continues with the sub stream, because the network is slow");
            session.switch_to(frames(core, view.stream(), is_original));
            Some(view)
        }
        Err(error) => {
            info!(%error, "the network of a WebRTC session is too slow, and the sub stream cannot be used");
            None
        }
    }
}
