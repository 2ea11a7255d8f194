//! Playlists, answered from memory: at once, when the camera of one that nobody watched yet is
//! playable, or, to the blocking reloads of low-latency players (RFC 8216bis, 6.2.5.2), when it has
//! what they ask for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use super::reply::{self, Reply};
use super::{Api, cameras, credentials, model, playback, viewer};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::output::hls::published::Published;
use crate::stream::handle::StreamHandle;
use crate::stream::state::{After, State};

/// Players ask every second or so. The camera is not tried again for each of these, but after
/// this time; after a refusal that waiting does not cure, after the longer one, because cameras
/// lock accounts that are tried too often.
const HOLD: Duration = Duration::from_secs(3);
const HOLD_PERMANENT: Duration = Duration::from_secs(30);

/// A blocked reload is answered after this many segments' time at the latest, with the playlist as
/// it is: the stream may be away for a moment, and a player that is told an error gives up.
const BLOCKED_SEGMENTS: u32 = 3;

/// Answers the playlist, when the camera is playable and has what the player asks for.
pub async fn get<B>(api: &Api, id: &str, request: &Request<B>) -> Result<Reply, Error> {
    let wanted = model::Reload::from_query(request.uri().query().unwrap_or_default())?;
    let published = find(api, id, request, wanted).await?;
    Ok(answer(if wanted.skip { published.delta() } else { published.whole() }))
}

/// Answers the multivariant playlist, when the camera is playable.
pub async fn index<B>(api: &Api, id: &str, request: &Request<B>) -> Result<Reply, Error> {
    Ok(answer(find(api, id, request, model::Reload::default()).await?.index()))
}

fn answer(text: Bytes) -> Reply {
    reply::with_body(StatusCode::OK, "application/vnd.apple.mpegurl", text)
}

async fn find<B>(
    api: &Api,
    id: &str,
    request: &Request<B>,
    wanted: model::Reload,
) -> Result<Arc<Published>, Error> {
    let id = StreamId::parse(id)?;
    let shown = credentials::shown(request.headers());
    let permit = playback::may_watch(api, &shown, id.camera()).await?;
    let now = api.hls.newest(&id);
    let is_playable = |handle: &StreamHandle| now.is_some() && handle.state() != State::Failed;
    let running = api.registry.get(&id).filter(is_playable);
    let has_wanted = now.as_ref().is_some_and(|now| has(now, wanted));
    let is_at_once = running.is_some() && has_wanted;
    let handle = match running {
        Some(handle) => handle,
        None => start(api, &id).await?,
    };
    viewer::touch(&handle, permit.user(), request)?;
    let published = newest(api, &handle, wanted).await?;
    if !is_at_once {
        // The permission may have ended meanwhile.
        playback::may_watch(api, &shown, id.camera()).await?;
    }
    Ok(published)
}

/// Whether a player gets what it wants without waiting.
fn has(now: &Published, wanted: model::Reload) -> bool {
    wanted.sequence.is_none_or(|sequence| now.position().has(sequence, wanted.part))
}

async fn start(api: &Api, id: &StreamId) -> Result<StreamHandle, Error> {
    let camera = cameras::stream(api, id).await?;
    refuse_while_held(api, id)?;
    cameras::start(api, camera).await.map_err(|error| match error.kind {
        // Somebody else's stop is no answer to this player, who would give up.
        ErrorKind::Stopped => gone(id),
        _ => error,
    })?;
    api.registry.get(id).ok_or_else(|| gone(id))
}

fn refuse_while_held(api: &Api, id: &StreamId) -> Result<(), Error> {
    let Some(handle) = api.registry.get(id) else { return Ok(()) };
    let status = handle.status();
    let has_failed = matches!(status.state, State::Failed | State::Stopping(After::Fail));
    let Some((error, at)) = status.last_error.filter(|_| has_failed) else {
        return Ok(());
    };
    let hold = if error.kind.is_permanent() { HOLD_PERMANENT } else { HOLD };
    match hold.checked_sub(at.elapsed()) {
        Some(rest) if !rest.is_zero() => {
            // What is known of the failure must last for as long as the refusal.
            handle.touch();
            Err(error.retry_after(rest))
        }
        _ => Ok(()),
    }
}

/// The newest playlist that has what is wanted. Every waiting player is woken by the packager,
/// once a part.
async fn newest(
    api: &Api,
    handle: &StreamHandle,
    wanted: model::Reload,
) -> Result<Arc<Published>, Error> {
    let mut newest = api.hls.playlist(handle.id()).ok_or_else(|| gone(handle.id()))?;
    if let (Some(sequence), Some(now)) = (wanted.sequence, newest.borrow().as_ref())
        && now.position().is_too_far(sequence)
    {
        let last = now.position().sequence;
        let detail = format!("_HLS_msn={sequence} is too far ahead; the stream is at {last}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let has_wanted =
        |published: &Option<Arc<Published>>| published.as_ref().is_some_and(|now| has(now, wanted));
    let patience = api.hls.segment_time() * BLOCKED_SEGMENTS;
    let found = match timeout(patience, newest.wait_for(has_wanted)).await {
        Ok(Ok(published)) => published.clone(),
        Ok(Err(_)) => return Err(gone(handle.id())),
        Err(_) => api.hls.newest(handle.id()),
    };
    found.ok_or_else(|| gone(handle.id()))
}

/// 503, which players try again; after an error of the 400s they give up.
fn gone(id: &StreamId) -> Error {
    Error::new(ErrorKind::StreamEnded, format!("the stream of camera {id} has just ended"))
        .retry_after(Duration::from_secs(1))
}
