//! Use cases of viewers: their requests start a stream, keep it running, and get its playlists and
//! files.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::core::Core;
use super::{permission, streams};
use crate::access::credentials::Credentials;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::output::hls::published::Published;
use crate::stream::handle::{Joined, StreamHandle};
use crate::stream::output::WantedOutput;
use crate::stream::state::{After, State};
use crate::stream::viewers::Viewer;

/// The time after a failure during which requests do not start the stream again. Players send a
/// request about every second, and the camera should not be contacted so often.
const HOLD: Duration = Duration::from_secs(3);
/// Like [`HOLD`], but after a permanent error, such as a wrong password. This time is longer,
/// because cameras lock accounts after too many attempts.
const HOLD_PERMANENT: Duration = Duration::from_secs(30);
/// The time after which a player should retry when the stream has just ended.
const RETRY_WHEN_ENDED: Duration = Duration::from_secs(1);

/// The time after which a player should retry if the camera has not sent a keyframe yet. The retried request
/// waits for the keyframe again.
const RETRY_WHEN_DELAYED: Duration = Duration::from_secs(1);

/// The sender of a viewer's request.
#[derive(Clone, Copy)]
pub(crate) struct Visitor<'a> {
    /// The credentials of the request.
    pub(crate) shown: Credentials<'a>,
    /// The player's `User-Agent`; may be empty.
    pub(crate) player: &'a str,
}

/// The segment or part that the playlist must contain before a low-latency player gets the playlist (RFC
/// 8216bis, 6.2.5.2). By default, the player gets the newest playlist at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reload {
    /// The sequence number of the segment.
    pub(crate) sequence: Option<u64>,
    /// The index of the part in this segment; `None` to wait for the whole segment.
    pub(crate) part: Option<usize>,
}

impl Reload {
    fn is_satisfied_by(self, published: &Published) -> bool {
        self.sequence.is_none_or(|sequence| published.has(sequence, self.part))
    }
}

/// Returns a stream's playlists as soon as they contain what `reload` requires, or the newest playlists if
/// this takes too long. Starts the stream if it is not running, and counts the visitor as a viewer.
pub(crate) async fn playlists(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    reload: Reload,
) -> Result<Arc<Published>, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    let now = core.hls.newest(id);
    let is_playable = |handle: &StreamHandle| now.is_some() && handle.state() != State::Failed;
    let running = core.registry.get(id).filter(is_playable);
    let is_immediate = running.is_some() && now.is_some_and(|now| reload.is_satisfied_by(&now));
    let handle = match running {
        Some(handle) => handle,
        None => start(core, id, WantedOutput::Hls).await?,
    };
    touch(&handle, permit.user(), visitor)?;
    let published = newest(core, &handle, reload).await?;
    if !is_immediate {
        permission::ensure_still_valid(core, &permit, id.camera()).await?;
    }
    Ok(published)
}

/// Returns an error if the visitor is not permitted to get a file of a stream, if the file is left from an earlier
/// camera with the same id, or if the stream has reached its viewer limit. Counts the visitor as a viewer if there is
/// a stream.
pub(crate) async fn allow_file(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
) -> Result<(), Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id.camera()).await?;
    ensure_same_origin(core, id).await?;
    match core.registry.get(id) {
        Some(handle) => touch(&handle, permit.user(), visitor),
        None => Ok(()),
    }
}

/// Removes the files that are left after the end of HLS, and returns an error, if they have another origin than the
/// camera has now. The permission to watch a camera does not include media of another source or owner.
async fn ensure_same_origin(core: &Core, id: &StreamId) -> Result<(), Error> {
    let Some(left) = core.hls.left_origin(id) else { return Ok(()) };
    let now = core.cameras.camera_of(id).await?.map(|camera| camera.origin);
    if now == Some(left) {
        return Ok(());
    }
    core.hls.forget(id).await;
    Err(Error::new(ErrorKind::Forbidden, "the camera of this file has changed"))
}

/// Counts the visitor as a viewer. Error: the stream has reached its viewer limit.
fn touch(handle: &StreamHandle, user: &str, visitor: Visitor<'_>) -> Result<(), Error> {
    let address = visitor.shown.address.unwrap_or_default();
    handle.touch_as_viewer(&Viewer { user, address, player: visitor.player })
}

/// Starts the stream of a known camera with this output, or joins it, and waits until the output is playable. Fails,
/// for example, if the camera failed less than [`HOLD`] or [`HOLD_PERMANENT`] ago, or if the camera's next keyframe
/// is late.
pub(super) async fn start(
    core: &Core,
    id: &StreamId,
    output: WantedOutput,
) -> Result<StreamHandle, Error> {
    let camera = streams::known_camera(core, id).await?;
    refuse_while_held(core, id, output)?;
    let joined = streams::join(core, camera, output).await.map_err(|error| match error.kind {
        // Another client has stopped the stream. A player gives up after `Stopped`, but not after
        // `StreamEnded`.
        ErrorKind::Stopped => ended(id),
        _ => error,
    })?;
    if let Joined::Delayed(reason) = joined {
        return Err(reason.retry_after(RETRY_WHEN_DELAYED));
    }
    core.registry.get(id).ok_or_else(|| ended(id))
}

/// Fails with the camera's last error if the camera failed less than [`HOLD`] or [`HOLD_PERMANENT`] ago, so
/// that the camera is not contacted again too soon.
fn refuse_while_held(core: &Core, id: &StreamId, output: WantedOutput) -> Result<(), Error> {
    let Some(handle) = core.registry.get(id) else { return Ok(()) };
    let status = handle.status();
    let has_failed = match status.state {
        State::Failed | State::Stopping(After::Fail) => true,
        // A stream that has been live, or that is kept, does not get the state `Failed` after a failure, because it is
        // retried. So its back-off counts as the failure.
        State::Backoff | State::Stopping(After::Retry) => {
            status.was_live || core.registry.is_kept(id)
        }
        _ => false,
    };
    let Some((error, at)) = status.last_error.filter(|_| has_failed) else {
        return Ok(());
    };
    let hold = if error.kind.is_permanent() { HOLD_PERMANENT } else { HOLD };
    match hold.checked_sub(at.elapsed()) {
        Some(left) if !left.is_zero() => {
            // Keeps the failed stream and its error until the camera can be contacted again.
            handle.touch(output);
            Err(error.retry_after(left))
        }
        _ => Ok(()),
    }
}

/// Waits for playlists that contain what `reload` requires. The packager wakes the waiting requests
/// with every new part. If the wait takes too long, returns the playlists as they are, because
/// players give up after an error. Error: the stream has ended, or the requested segment is too far
/// ahead.
async fn newest(
    core: &Core,
    handle: &StreamHandle,
    reload: Reload,
) -> Result<Arc<Published>, Error> {
    let id = handle.id();
    let mut newest = core.hls.playlist(id).ok_or_else(|| ended(id))?;
    if let (Some(sequence), Some(now)) = (reload.sequence, newest.borrow().as_ref()) {
        now.ensure_near(sequence)?;
    }
    let has_required = |published: &Option<Arc<Published>>| {
        published.as_ref().is_some_and(|now| reload.is_satisfied_by(now))
    };
    let patience = core.hls.reload_timeout(newest.borrow().as_deref());
    let found = match timeout(patience, newest.wait_for(has_required)).await {
        Ok(Ok(published)) => published.clone(),
        Ok(Err(_)) => return Err(ended(id)),
        Err(_) => core.hls.newest(id),
    };
    found.ok_or_else(|| ended(id))
}

/// Returns the error for a stream that ended while it was watched. Players retry after this error.
pub(super) fn ended(id: &StreamId) -> Error {
    let detail = format!("the stream of camera {id} has just ended; try again in a second");
    Error::new(ErrorKind::StreamEnded, detail).retry_after(RETRY_WHEN_ENDED)
}
